import pytest
from fakes import FakeProbe, messages, open_widgets, wiretap
from traitlets import TraitError

from actwidgets.core.layer_info import LayerInfo
from actwidgets.session import Session
from actwidgets.views._layer_lines import SPACE, abbreviate
from actwidgets.views.layer_picker import LayerPicker

CONV, BLOCK = "backbone/block/conv", "backbone/block"


def _nested(*names):
    """A probe of 5 units per layer, and no more than the picker needs."""

    class Nested(FakeProbe):
        layers = tuple(LayerInfo(name, "Dense", (None, 5), 5, 105) for name in names)

    return Nested()


@pytest.fixture
def nested(data):
    """A session on two levels of containers: `backbone` and the `block` in it."""
    names = ("first", "backbone", "backbone/conv", BLOCK, CONV, "backbone/pool", "last")
    return Session(_nested(*names), *data)


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


# --- layers that hold layers -------------------------------------------------------------


def _lines(picker):
    """The names as the list shows them, marks and indentation included."""
    lines = [line.replace(SPACE, " ") for line, _ in picker._list.options]
    return [line[: line.index(" Dense")].rstrip() for line in lines]


def _chosen(session):
    seen = []
    session.observe(lambda change: seen.append(change.new.layer), names="selection")
    return seen


def _click(button):
    button._handle_custom_msg({"event": "click"}, [])


ALL_OPEN = ["  first", "▾ backbone", "    conv", "  ▾ block", "      conv", "    pool", "  last"]
ALL_CLOSED = ["  first", "▸ backbone", "  last"]


def test_a_small_model_is_a_tree_with_everything_open(nested):
    picker = LayerPicker(nested)
    assert _lines(picker) == ALL_OPEN
    assert picker.opened == ("backbone", BLOCK)
    assert "7 of 7" in picker._title.value


def test_the_columns_of_a_tree_are_aligned_and_fit(nested):
    lines = [line for line, _ in LayerPicker(nested)._list.options]
    assert len({line.index("Dense") for line in lines}) == 1
    assert len({len(line) for line in lines}) == 1
    assert lines[4].replace(SPACE, " ") == "      conv  Dense  5  105"  # roomy where there is room


def test_a_large_model_opens_only_around_the_chosen_layer(data):
    names = ("net", "net/block", "net/block/conv", "other", *(f"other/{n}" for n in range(40)))
    session = Session(_nested(*names), *data, layer="net/block/conv")
    picker = LayerPicker(session)
    assert picker.opened == ("net", "net/block")
    assert _lines(picker) == ["▾ net", "  ▾ block", "      conv", "▸ other"]
    assert "44 in all, 4 shown" in picker._title.value


def test_a_flat_model_has_no_buttons_and_no_indentation(session):
    picker = LayerPicker(session)
    assert picker._fold.layout.display == picker._fold_all.layout.display == "none"
    assert picker._list.options[1][0].startswith("dense")
    assert picker.opened == ()
    assert LayerPicker(session, opened=("conv",)).opened == ()


def test_the_button_closes_and_opens_the_chosen_container(nested):
    nested.layer = "backbone"
    picker, seen = LayerPicker(nested), _chosen(nested)
    assert (picker._fold.tooltip, picker._fold.icon) == ("Close backbone", "angle-up")
    _click(picker._fold)
    assert _lines(picker) == ALL_CLOSED
    assert (picker._fold.tooltip, picker._fold.icon) == ("Open backbone", "angle-down")
    _click(picker._fold)
    assert _lines(picker) == ALL_OPEN
    assert (picker._list.value, seen) == ("backbone", [])


def test_closing_around_the_chosen_layer_chooses_the_container_in_one_step(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    _click(picker._fold)
    assert seen == [BLOCK]
    assert picker._list.value == nested.layer == BLOCK
    _click(picker._fold)  # opens it again: the button acts on the container itself
    assert (_lines(picker), seen) == (ALL_OPEN, [BLOCK])


def test_the_other_button_closes_and_opens_all(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    assert picker._fold_all.tooltip == "Close all"
    _click(picker._fold_all)
    assert (_lines(picker), picker.opened, seen) == (ALL_CLOSED, (), ["backbone"])
    assert picker._fold_all.tooltip == "Open all"
    _click(picker._fold_all)
    assert (_lines(picker), picker.opened) == (ALL_OPEN, ("backbone", BLOCK))
    assert seen == ["backbone"]


def test_with_some_open_the_other_button_opens_the_rest(nested):
    picker = LayerPicker(nested, opened=("backbone",))
    assert picker._fold_all.tooltip == "Open all"
    _click(picker._fold_all)
    assert _lines(picker) == ALL_OPEN


def test_a_layer_in_no_container_leaves_nothing_to_open(nested):
    nested.layer = "last"
    picker = LayerPicker(nested)
    assert picker._fold.disabled
    assert not picker._fold_all.disabled
    nested.layer = "backbone/pool"
    assert (picker._fold.disabled, picker._fold.tooltip) == (False, "Close backbone")
    nested.layer = "last"
    _click(picker._fold)  # as a late click may
    assert picker.error == ""


def test_a_click_on_a_line_is_one_choice_and_sends_nothing_back(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    wires = wiretap()
    picker._list.set_state({"index": 3})
    assert seen == [BLOCK]  # the same button would close the same container: no word of that
    assert messages(wires) == []
    picker._list.set_state({"index": 2})
    assert messages(wires) == [("Button", ["tooltip"])]


def test_opening_is_one_message_of_the_list_and_one_for_each_thing_said(nested):
    nested.layer = "backbone"
    picker = LayerPicker(nested, opened=())
    wires = wiretap()
    _click(picker._fold)
    assert messages(wires) == [
        ("Button", ["icon"]),
        ("Button", ["tooltip"]),
        ("HTML", ["value"]),
        ("Select", ["_options_labels", "index"]),
    ]


def test_new_weights_change_nothing_in_the_list(nested):
    picker = LayerPicker(nested)
    wires = wiretap()
    nested.refresh()
    assert (messages(wires), picker.error) == ([], "")


def test_a_layer_chosen_elsewhere_opens_what_it_lies_in(nested):
    picker = LayerPicker(nested, opened=())
    seen = _chosen(nested)
    nested.layer = CONV
    assert picker.opened == ("backbone", BLOCK)
    assert (picker._list.value, seen) == (CONV, [CONV])


def test_a_new_picker_leaves_the_choice_alone(nested):
    nested.layer = CONV
    picker = LayerPicker(nested, opened=())
    assert nested.layer == picker._list.value == CONV
    assert picker.opened == ("backbone", BLOCK)


def test_opened_may_be_set_from_python(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    picker.opened = [BLOCK, "nowhere", "last", "backbone"]
    assert picker.opened == ("backbone", BLOCK)
    picker.opened = ()
    assert (_lines(picker), seen) == (ALL_CLOSED, ["backbone"])
    picker.opened = (BLOCK,)  # open, but in a closed one
    assert (_lines(picker), picker.opened) == (ALL_CLOSED, (BLOCK,))
    assert seen == ["backbone"]
    with pytest.raises(TraitError):
        picker.opened = "backbone"


def test_a_filter_finds_layers_in_closed_containers(nested):
    picker = LayerPicker(nested, opened=())
    picker._filter.set_state({"value": "block CONV"})
    assert _lines(picker) == ["▾ backbone", "  ▾ block", "      conv"]
    assert "1 of 7" in picker._title.value
    assert picker._fold.disabled
    assert picker._fold_all.disabled
    picker._list.set_state({"index": 2})
    assert nested.layer == CONV
    picker._filter.set_state({"value": ""})
    assert (_lines(picker), picker._list.value) == (ALL_OPEN, CONV)
    assert not picker._fold_all.disabled


def test_what_was_open_stays_open_in_another_model(nested):
    picker = LayerPicker(nested, opened=("backbone",))
    seen = _chosen(nested)
    nested.model = _nested("backbone", BLOCK, CONV, "head", "head/dense")
    assert picker.opened == ("backbone", "head")
    assert _lines(picker) == ["▾ backbone", "  ▸ block", "▾ head", "    dense"]
    assert seen == ["backbone"]  # `first` is gone
    nested.layer = CONV
    nested.model = _nested("last", "backbone", BLOCK, CONV)
    assert (nested.layer, picker._list.value) == (CONV, CONV)
    nested.model = _nested("flat")
    assert picker._fold.layout.display == "none"
    assert (picker.opened, picker.error) == ((), "")


def test_a_large_model_with_a_container_around_the_chosen_layer_opens_there(data):
    session = Session(_nested("gone", "gone/conv", "net/conv"), *data, layer="net/conv")
    picker, seen = LayerPicker(session), _chosen(session)
    session.model = _nested("net", "net/conv", *(f"other{n}" for n in range(50)))
    assert (session.layer, picker.opened, seen) == ("net/conv", ("net",), [])


def test_a_hostile_container_stays_text(data):
    bad = "<img onerror=alert(1)>"
    picker = LayerPicker(Session(_nested(bad, f"{bad}/{bad}"), *data))
    assert _names(picker) == [bad, f"{bad}/{bad}"]
    assert "<img" not in picker._title.value
    assert picker._fold.tooltip == f"Close {bad}"  # an attribute, which the browser does not read


def test_long_names_lose_letters_so_that_no_line_is_longer(data):
    names = ["net", *(f"net/conv{n}_block{m}_1_relu" for n in range(3) for m in range(3))]
    probe = _nested(*names)
    probe.layers = tuple(
        LayerInfo(name, "BatchNormalization", (None, 112, 112, 64), 64, 16_640) for name in names
    )
    picker = LayerPicker(Session(probe, *data))
    lines = [line for line, _ in picker._list.options]
    assert {len(line) for line in lines} == {43}
    assert len(set(lines)) == len(names)
    assert lines[0].replace(SPACE, " ").split() == ["▾", "net", "Batch…", "112×112×64", "16.6k"]
    picker.letters = 80
    assert "conv0_block0_1_relu" in picker._list.options[1][0]


@pytest.mark.parametrize(
    ("letters", "short"),
    [
        (19, "conv2_block1_2_relu"),
        (18, "conv2_blo…1_2_relu"),
        (15, "co…2_bl…1_2_re…"),
        (14, "con…ck1_2_relu"),
        (5, "con…u"),
        (4, "con…"),
        (1, "…"),
    ],
)
def test_a_name_loses_the_ends_of_its_words_and_keeps_its_numbers(letters, short):
    assert abbreviate("conv2_block1_2_relu", letters) == short


def test_closing_a_picker_of_a_tree_gives_every_widget_back(nested):
    before = open_widgets()
    picker = LayerPicker(nested)
    picker.opened = ()
    picker.close()
    assert open_widgets() == before
