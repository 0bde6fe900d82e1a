from fakes import FakeProbe, messages, wiretap

from actwidgets.core.layer_info import LayerInfo
from actwidgets.session import Session
from actwidgets.views.layer_picker import SPACE, LayerPicker


def _names(picker):
    return [name for _, name in picker._list.options]


def test_each_layer_is_a_line_with_kind_shape_and_parameters(session):
    line, name = LayerPicker(session)._list.options[0]
    assert name == "conv"
    assert line.replace(SPACE, " ").split() == ["conv", "Conv2D", "4×6×20", "200"]


def test_a_click_reaches_the_session_and_nothing_is_sent_back(session):
    picker = LayerPicker(session)
    wires = wiretap()
    picker._list.set_state({"index": 1})
    assert session.layer == "dense"
    assert messages(wires) == []


def test_the_list_follows_the_session(session):
    picker = LayerPicker(session)
    session.layer = "dense"
    assert picker._list.value == "dense"


def test_filtering_hides_layers_and_chooses_none(session):
    picker = LayerPicker(session)
    picker._filter.set_state({"value": "Dens"})
    assert _names(picker) == ["dense"]
    assert picker._list.value is None
    assert session.layer == "conv"
    assert "1 of 3" in picker._title.value
    picker.filter = ""
    assert (_names(picker), picker._list.value) == (["conv", "dense", "empty"], "conv")


def test_a_filter_that_nothing_passes_leaves_an_empty_list(session):
    picker = LayerPicker(session, filter="lstm")
    assert _names(picker) == []
    session.layer = "dense"
    assert picker.error == ""


def test_layers_of_an_assigned_model_take_the_place_of_the_old(session):
    class Other(FakeProbe):
        layers = (LayerInfo("only", "Dense", (None, 5), 5, 105),)

        def activations(self, layers, x):
            return {"only": super().activations(("dense",), x)["dense"]}

    picker = LayerPicker(session)
    session.model = Other()
    assert (_names(picker), picker._list.value) == (["only"], "only")


def test_a_hostile_layer_name_stays_text(data):
    class Hostile(FakeProbe):
        layers = (LayerInfo("<img onerror=alert(1)>", "<b>", (None, 5), 5, 105),)

    picker = LayerPicker(Session(Hostile(), *data))
    assert "<img" not in picker._title.value
    assert _names(picker) == ["<img onerror=alert(1)>"]


# --- layers in layers --------------------------------------------------------------------

PATHS = ("scale", "body", "body/conv", "body/block", "body/block/conv", "top")


class Nested(FakeProbe):
    layers = tuple(LayerInfo(name, "Conv2D", (None, 5), 5, 105) for name in PATHS)

    def activations(self, layers, x):
        (values,) = super().activations(("dense",), x).values()
        return dict.fromkeys(layers, values)


class Large(Nested):
    layers = (
        *Nested.layers,
        *(LayerInfo(f"more_{k}", "Dense", (None, 5), 5, 0) for k in range(50)),
    )


def _lines(picker):
    return [
        line.replace(SPACE, " ").split("Conv2D")[0].rstrip() for line, _ in picker._list.options
    ]


def test_a_small_model_is_shown_whole_as_a_tree(data):
    picker = LayerPicker(Session(Nested(), *data))
    assert _lines(picker) == [
        "  scale",
        "▾ body",
        "   conv",
        " ▾ block",
        "    conv",
        "  top",
    ]


def test_a_large_model_is_closed_but_for_what_the_chosen_layer_lies_in(data):
    assert len(LayerPicker(Session(Large(), *data))._list.options) == 53
    inside = LayerPicker(Session(Large(), *data, layer="body/block/conv"))
    assert inside.opened == ("body", "body/block")
    assert inside._list.value == "body/block/conv"


def test_a_flat_model_has_no_buttons_and_no_indentation(session):
    picker = LayerPicker(session)
    assert picker._toggle.layout.display == picker._toggle_all.layout.display == "none"
    assert picker._list.options[0][0].startswith("conv")


def test_the_button_opens_and_closes_the_chosen_layer(data):
    session = Session(Nested(), *data, layer="body")
    picker = LayerPicker(session)
    assert (picker._toggle.tooltip, picker._toggle.icon) == ("close body", "caret-down")
    picker._toggle.click()
    assert _names(picker) == ["scale", "body", "top"]
    assert (picker._toggle.tooltip, picker._toggle.icon) == ("open body", "caret-right")
    picker._toggle.click()
    assert "body/conv" in _names(picker)
    session.layer = "top"
    assert picker._toggle.disabled


def test_closing_around_the_chosen_layer_chooses_the_one_closed(data):
    session = Session(Nested(), *data, layer="body/block/conv")
    picker = LayerPicker(session)
    picker._toggle.click()
    assert (session.layer, picker._list.value) == ("body/block", "body/block")
    assert "body/block/conv" not in _names(picker)


def test_a_layer_chosen_elsewhere_is_brought_into_sight(data):
    session = Session(Nested(), *data)
    picker = LayerPicker(session)
    picker._toggle_all.click()
    assert _names(picker) == ["scale", "body", "top"]
    session.layer = "body/block/conv"
    assert picker._list.value == "body/block/conv"
    picker._toggle_all.click()
    assert session.layer == "body"
    picker._toggle_all.click()
    assert len(_names(picker)) == 6


def test_opening_by_name_from_python(data):
    picker = LayerPicker(Session(Large(), *data), opened=("body", "none of these"))
    assert "body/conv" in _names(picker)
    assert "body/block/conv" not in _names(picker)
    assert picker.error == ""


def test_a_filter_finds_layers_in_closed_ones(data):
    picker = LayerPicker(Session(Large(), *data))
    picker._filter.set_state({"value": "block/conv"})
    assert _names(picker) == ["body", "body/block", "body/block/conv"]
    assert "1 of 56" in picker._title.value
    assert picker._toggle.disabled


def test_opening_is_one_message_for_the_list_and_none_for_the_other_views(data):
    session = Session(Large(), *data, layer="body")
    picker = LayerPicker(session)
    calls = len(session._probe.calls)
    wires = wiretap()
    picker._toggle.click()
    sent = [name for name, traits in messages(wires) if name == "Select"]
    assert len(sent) <= 3  # no line chosen, the lines, the line chosen
    assert len(session._probe.calls) == calls
    assert session.layer == "body"


def test_long_names_are_shortened_in_the_middle_so_that_lines_fit(data):
    class Long(FakeProbe):
        layers = (
            LayerInfo(
                "a" * 30 + "_project_BN", "BatchNormalization", (None, 56, 56, 96), 96, 10**6
            ),
        )

    ((line, name),) = LayerPicker(Session(Long(), *data))._list.options
    assert len(line) <= 50
    assert line.split(SPACE)[0].startswith("aaaa")
    assert "ject_BN" in line
    assert "BatchNo…" in line
    assert len(name) == 41
