import ipywidgets as w
import shown
from fakes import FakeProbe, messages, wiretap

from actwidgets.core.layers import LayerInfo
from actwidgets.session.session import Session
from actwidgets.views.layer_picker import SPACE, LayerPicker


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
