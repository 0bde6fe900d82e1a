import ipywidgets as w
import pytest
import shown
from fakes import FakeProbe, messages, open_widgets, wiretap
from traitlets import TraitError

from actwidgets.core.layers import LayerInfo, LayerTree
from actwidgets.session.session import Session
from actwidgets.views.layer_picker import SPACE, LayerPicker, abbreviate, layer_lines


def _names(picker):
    return [name for _, name in shown.control(picker, w.Select).options]


def test_each_layer_is_a_line_with_kind_shape_and_parameters(session):
    line, name = shown.control(LayerPicker(session), w.Select).options[0]
    assert name == "conv"
    assert line.replace(SPACE, " ").split() == ["conv", "Conv2D", "4×6×20", "200"]


def test_a_click_reaches_the_session_and_nothing_is_sent_back(session):
    picker = LayerPicker(session)
    wires = wiretap()
    shown.take(picker, w.Select, 1)
    assert session.layer == "dense"
    assert messages(wires) == []


def test_the_list_follows_the_session(session):
    picker = LayerPicker(session)
    session.layer = "dense"
    assert shown.control(picker, w.Select).value == "dense"


def test_filtering_hides_layers_and_chooses_none(session):
    picker = LayerPicker(session)
    shown.choose(picker, "filter by name or kind", "Dens")
    assert _names(picker) == ["dense"]
    assert shown.control(picker, w.Select).value is None
    assert session.layer == "conv"
    assert "1 of 3" in shown.text(picker)
    picker.filter = ""
    assert (_names(picker), shown.control(picker, w.Select).value) == (
        ["conv", "dense", "empty"],
        "conv",
    )


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
    assert (_names(picker), shown.control(picker, w.Select).value) == (["only"], "only")


def test_a_hostile_layer_name_stays_text(data):
    class Hostile(FakeProbe):
        layers = (LayerInfo("<img onerror=alert(1)>", "<b>", (None, 5), 5, 105),)

    picker = LayerPicker(Session(Hostile(), *data))
    assert "<img" not in shown.markup(picker)
    assert _names(picker) == ["<img onerror=alert(1)>"]


# --- layer picker tree --------------------------------------------------------------------


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


def _lines(picker):
    """The names as the list shows them, marks and indentation included."""
    lines = [line.replace(SPACE, " ") for line, _ in shown.control(picker, w.Select).options]
    return [line[: line.index(" Dense")].rstrip() for line in lines]


def _chosen(session):
    seen = []
    session.observe(lambda change: seen.append(change.new.layer), names="selection")
    return seen


def _fold(picker):
    """The button that opens and closes what the chosen layer lies in."""
    return shown.parts(picker, w.Button, hidden=True)[0]


def _fold_all(picker):
    return shown.parts(picker, w.Button, hidden=True)[1]


def _click(button):
    button._handle_custom_msg({"event": "click"}, [])


ALL_OPEN = ["  first", "▾ backbone", "    conv", "  ▾ block", "      conv", "    pool", "  last"]
ALL_CLOSED = ["  first", "▸ backbone", "  last"]


def test_a_small_model_is_a_tree_with_everything_open(nested):
    picker = LayerPicker(nested)
    assert _lines(picker) == ALL_OPEN
    assert picker.opened == ("backbone", BLOCK)
    assert "7 of 7" in shown.text(picker)


def test_a_large_model_opens_only_around_the_chosen_layer(data):
    names = ("net", "net/block", "net/block/conv", "other", *(f"other/{n}" for n in range(40)))
    session = Session(_nested(*names), *data, layer="net/block/conv")
    picker = LayerPicker(session)
    assert picker.opened == ("net", "net/block")
    assert _lines(picker) == ["▾ net", "  ▾ block", "      conv", "▸ other"]
    assert "44 in all, 4 shown" in shown.text(picker)


def test_a_flat_model_has_no_buttons_and_no_indentation(session):
    picker = LayerPicker(session)
    assert _fold(picker).layout.display == _fold_all(picker).layout.display == "none"
    assert shown.control(picker, w.Select).options[1][0].startswith("dense")
    assert picker.opened == ()
    assert LayerPicker(session, opened=("conv",)).opened == ()


def test_the_button_closes_and_opens_the_chosen_container(nested):
    nested.layer = "backbone"
    picker, seen = LayerPicker(nested), _chosen(nested)
    assert (_fold(picker).tooltip, _fold(picker).icon) == ("Close backbone", "angle-up")
    _click(_fold(picker))
    assert _lines(picker) == ALL_CLOSED
    assert (_fold(picker).tooltip, _fold(picker).icon) == ("Open backbone", "angle-down")
    _click(_fold(picker))
    assert _lines(picker) == ALL_OPEN
    assert (shown.control(picker, w.Select).value, seen) == ("backbone", [])


def test_closing_around_the_chosen_layer_chooses_the_container_in_one_step(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    _click(_fold(picker))
    assert seen == [BLOCK]
    assert shown.control(picker, w.Select).value == nested.layer == BLOCK
    _click(_fold(picker))  # opens it again: the button acts on the container itself
    assert (_lines(picker), seen) == (ALL_OPEN, [BLOCK])


def test_the_other_button_closes_and_opens_all(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    assert _fold_all(picker).tooltip == "Close all"
    _click(_fold_all(picker))
    assert (_lines(picker), picker.opened, seen) == (ALL_CLOSED, (), ["backbone"])
    assert _fold_all(picker).tooltip == "Open all"
    _click(_fold_all(picker))
    assert (_lines(picker), picker.opened) == (ALL_OPEN, ("backbone", BLOCK))
    assert seen == ["backbone"]


def test_with_some_open_the_other_button_opens_the_rest(nested):
    picker = LayerPicker(nested, opened=("backbone",))
    assert _fold_all(picker).tooltip == "Open all"
    _click(_fold_all(picker))
    assert _lines(picker) == ALL_OPEN


def test_a_layer_in_no_container_leaves_nothing_to_open(nested):
    nested.layer = "last"
    picker = LayerPicker(nested)
    assert _fold(picker).disabled
    assert not _fold_all(picker).disabled
    nested.layer = "backbone/pool"
    assert (_fold(picker).disabled, _fold(picker).tooltip) == (False, "Close backbone")
    nested.layer = "last"
    _click(_fold(picker))  # as a late click may
    assert picker.error == ""


def test_lines_may_be_longer_in_a_wider_picker(data):
    session = Session(
        _nested("net", *(f"net/conv{n}_block{n}_1_depthwise" for n in range(9))), *data
    )
    picker = LayerPicker(session)
    assert "depthwise" not in shown.control(picker, w.Select).options[1][0]
    picker.letters = 80
    assert "conv0_block0_1_depthwise" in shown.control(picker, w.Select).options[1][0]


def test_a_click_on_a_line_is_one_choice_and_sends_nothing_back(nested):
    nested.layer = CONV
    picker, seen = LayerPicker(nested), _chosen(nested)
    wires = wiretap()
    shown.take(picker, w.Select, 3)
    assert seen == [BLOCK]  # the same button would close the same container: no word of that
    assert messages(wires) == []
    shown.take(picker, w.Select, 2)
    assert messages(wires) == [("Button", ["tooltip"])]


def test_comms_is_one_message_of_the_list_and_one_for_each_thing_said(nested):
    nested.layer = "backbone"
    picker = LayerPicker(nested, opened=())
    wires = wiretap()
    _click(_fold(picker))
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
    assert (shown.control(picker, w.Select).value, seen) == (CONV, [CONV])


def test_a_new_picker_leaves_the_choice_alone(nested):
    nested.layer = CONV
    picker = LayerPicker(nested, opened=())
    assert nested.layer == shown.control(picker, w.Select).value == CONV
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
    shown.choose(picker, "filter by name or kind", "block CONV")
    assert _lines(picker) == ["▾ backbone", "  ▾ block", "      conv"]
    assert "1 of 7" in shown.text(picker)
    assert _fold(picker).disabled
    assert _fold_all(picker).disabled
    shown.take(picker, w.Select, 2)
    assert nested.layer == CONV
    shown.choose(picker, "filter by name or kind", "")
    assert (_lines(picker), shown.control(picker, w.Select).value) == (ALL_OPEN, CONV)
    assert not _fold_all(picker).disabled


def test_what_was_open_stays_open_in_another_model(nested):
    picker = LayerPicker(nested, opened=("backbone",))
    seen = _chosen(nested)
    nested.model = _nested("backbone", BLOCK, CONV, "head", "head/dense")
    assert picker.opened == ("backbone", "head")
    assert _lines(picker) == ["▾ backbone", "  ▸ block", "▾ head", "    dense"]
    assert seen == ["backbone"]  # `first` is gone
    nested.layer = CONV
    nested.model = _nested("last", "backbone", BLOCK, CONV)
    assert (nested.layer, shown.control(picker, w.Select).value) == (CONV, CONV)
    nested.model = _nested("flat")
    assert _fold(picker).layout.display == "none"
    assert (picker.opened, picker.error) == ((), "")


def test_a_large_model_with_a_container_around_the_chosen_layer_opens_there(data):
    session = Session(_nested("gone", "gone/conv", "net/conv"), *data, layer="net/conv")
    picker, seen = LayerPicker(session), _chosen(session)
    session.model = _nested("net", "net/conv", *(f"other{n}" for n in range(50)))
    assert (session.layer, picker.opened, seen) == ("net/conv", ("net",), [])


def test_a_hostile_container_stays_text(data):
    bad = "<img onerror=alert(1)>"
    picker = LayerPicker(Session(_nested(bad, f"{bad}/{bad}"), *data))
    assert [name for _, name in shown.control(picker, w.Select).options] == [bad, f"{bad}/{bad}"]
    assert "<img" not in shown.markup(picker)
    assert _fold(picker).tooltip == f"Close {bad}"  # an attribute, which the browser does not read


def test_closing_a_picker_of_a_tree_gives_every_widget_back(nested):
    before = open_widgets()
    picker = LayerPicker(nested)
    picker.opened = ()
    picker.close()
    assert open_widgets() == before


# --- layer lines --------------------------------------------------------------------------


def _layer_lines(layers, letters=43):
    tree = LayerTree(layers)
    lines = layer_lines(tree.rows(tree.containers), letters, in_tree=bool(tree.containers))
    assert [name for _, name in lines] == [layer.name for layer in layers]
    return [line.replace(SPACE, " ") for line, _ in lines]


def test_names_are_indented_and_columns_aligned_with_air_where_there_is_room():
    assert _layer_lines(
        (
            LayerInfo("net", "Functional", (None, 7, 7, 8), 8, 23_587_712),
            LayerInfo("net/block", "Sequential", (None, 14, 14, 8), 8, 616),
            LayerInfo("net/block/conv", "Conv2D", (None, 14, 14, 8), 8, 584),
            LayerInfo("last", "Flatten", (None, 392), 392, 0),
        )
    ) == [
        "▾ net       Functional  7×7×8    23.6M",
        "  ▾ block   Sequential  14×14×8    616",
        "      conv  Conv2D      14×14×8    584",
        "  last      Flatten     392          –",
    ]


def test_long_names_and_kinds_lose_letters_so_that_no_line_is_longer():
    names = ("net", *(f"net/conv{n}_block{m}_1_relu" for n in range(3) for m in range(3)))
    layers = tuple(
        LayerInfo(name, "BatchNormalization", (None, 112, 112, 64), 64, 16_640) for name in names
    )
    lines = _layer_lines(layers)
    assert {len(line) for line in lines} == {43}
    assert len(set(lines)) == len(names)
    assert lines[0].split() == ["▾", "net", "Batch…", "112×112×64", "16.6k"]
    assert lines[1].split()[1:] == ["Batch…", "112×112×64", "16.6k"]
    assert _layer_lines(layers, 80)[1].split()[:2] == [
        "conv0_block0_1_relu",
        "BatchNormaliza…",
    ]


def test_deep_names_keep_at_least_a_letter():
    names = ["a"]
    for _ in range(30):
        names.append(f"{names[-1]}/conv")
    lines = _layer_lines(tuple(LayerInfo(name, "Dense", (None, 5), 5, 1) for name in names))
    assert lines[-1].split()[:2] == ["…", "Dense"]


def test_no_rows_are_no_lines():
    assert layer_lines((), 43, in_tree=True) == ()


def test_a_flat_model_has_no_marks_and_fits_all_the_same():
    layers = (LayerInfo("conv2_block1_2_relu", "BatchNormalization", (None, 56, 56, 64), 64, 256),)
    ((line,),) = (_layer_lines(layers),)
    assert line.split() == ["conv2_block1_2_relu", "BatchNorm…", "56×56×64", "256"]
    assert len(line) <= 43


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
