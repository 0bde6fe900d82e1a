"""Units switched off by a click, and what is told of it."""

import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, wiretap

from actwidgets.core.ablation import Ablation
from actwidgets.core.layers import LayerInfo
from actwidgets.session.session import Session
from actwidgets.views.unit_ablation import FOCUS, OFF, ON, TILE_PX, UnitAblation, UnitTiles

NAMES = ("<b>shirt", "coat", "bag")


class _Editable(FakeProbe):
    """Predicts class 0 where unit 0 of the dense layer is off, else as before."""

    factor = 1.0

    def edited(self, edits):
        other = type(self)()
        other.factor = edits["dense"].factor[0] if "dense" in edits else 1.0
        return other

    def predictions(self, x):
        return super().predictions(np.asarray(x) * self.factor)


@pytest.fixture
def session(data):
    return Session(_Editable(), *data, class_names=NAMES, layer="dense")


def _tile(view, column, row=0):
    shown.click(view, row, column)


def test_a_click_switches_a_unit_off_and_on_again(session):
    view = UnitAblation(session)
    assert "0 units ablated in this layer" in shown.text(view)
    _tile(view, 0)
    assert session.ablations == (Ablation("dense", (0,)),)
    assert "accuracy 0.3333 → 0.5000" in shown.text(view)
    assert "1 unit ablated in this layer, 20 of 30 predictions changed" in shown.text(view)
    np.testing.assert_allclose(view.recall.y, [[1 / 3, 1 / 3], [1, 0]])
    assert list(view.recall.x) == ["<b>shirt", "coat"]
    _tile(view, 3)
    assert session.ablations == (Ablation("dense", (0, 3)),)
    assert session.unit == 3
    _tile(view, 0)
    _tile(view, 3)
    assert session.ablations == ()
    _tile(view, 7)  # no such unit
    assert session.ablations == ()


def test_a_click_on_a_tile_is_one_choice_and_one_picture(session):
    view = UnitAblation(session)
    session.wait()
    seen = []
    session.observe(lambda change: seen.append(change.new), names="selection")
    wires = wiretap()
    _tile(view, 3)
    assert [(each.unit, each.ablations) for each in seen] == [(3, (Ablation("dense", (3,)),))]
    kinds = [name for name, _ in messages(wires)]
    assert kinds.count("Image") == 1
    assert kinds.count("Bars") <= 1


def test_a_layer_whose_units_vary_has_no_tiles(data):
    class Varying(_Editable):
        layers = (*FakeProbe.layers, LayerInfo("varying", "Lambda", (None, None), None, 0))

    view = UnitAblation(Session(Varying(), *data, class_names=NAMES, layer="varying"))
    assert "nothing to show for varying: the number of its units varies" in shown.text(view)
    assert view.error == ""
    assert "0 of 0 units" in shown.text(view)
    view.session.layer = "dense"
    _tile(view, 1)
    assert view.session.ablations == (Ablation("dense", (1,)),)


def test_the_sample_in_focus_is_told_escaped(session):
    session.sample = 1
    view = UnitAblation(session)
    _tile(view, 0)
    assert "sample 1: coat 1.00 → &lt;b&gt;shirt 1.00" in shown.markup(view)


def test_slider_and_fill_change_what_is_off_and_follow_the_session(session):
    view = UnitAblation(session)
    view.scale = 0.5
    assert session.ablations == ()
    shown.press(view, "this unit only")
    assert session.ablations == (Ablation("dense", (0,), scale=0.5),)
    view.scale = 1.0
    assert session.ablations == (Ablation("dense", (0,), scale=1.0),)
    assert "accuracy 0.3333 → 0.3333" in shown.text(view)
    view.fill = "mean"
    assert session.ablations == (Ablation("dense", (0,), scale=1.0, fill="mean"),)
    session.ablations = (Ablation("dense", (2,), scale=0.25),)
    assert (view.scale, view.fill) == (0.25, "zero")
    shown.press(view, "all on")
    assert session.ablations == ()


def test_what_a_program_ablates_stays_as_it_is_and_the_controls_follow(session):
    view = UnitAblation(session)
    _tile(view, 1)
    for wanted, scale in [
        (Ablation("dense", (2,), scale=0.25, fill="mean"), 0.25),
        (Ablation("dense", (2,), scale=5.0), 3.0),
        (Ablation("dense", (2,), scale=-1.0, fill="mean"), 0.0),
    ]:
        session.ablations = wanted
        assert session.ablations == (wanted,)
        assert (view.fill, view.scale) == (wanted.fill, scale)
    assert view.error == ""


def test_of_many_classes_those_are_shown_whose_recall_changes_most(data):
    class Many(_Editable):
        n_classes = 50

        def predictions(self, x):
            classes = np.asarray(x)[:, 0, 0, 0].astype(int) % 50
            if not self.factor:
                classes = np.where(classes >= 45, 0, classes)
            return np.eye(50, dtype=np.float32)[classes]

    x = np.zeros((50, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(50)
    view = UnitAblation(Session(Many(), x, np.arange(50), layer="dense"))
    _tile(view, 0)
    assert list(view.recall.x)[-5:] == ["45", "46", "47", "48", "49"]
    assert view.recall.y[:, -5:].tolist() == [[1] * 5, [0] * 5]
    assert len(view.recall.x) == 30
    assert "the 30 classes whose recall changes most" in shown.text(view)


def test_tiles_are_filled_where_units_are_off_and_framed_where_in_focus(session):
    view = UnitAblation(session)
    _tile(view, 3)
    session.unit = 1
    picture = shown.picture(view)
    inside = [tuple(picture[12, unit * TILE_PX + 12].tolist()) for unit in range(5)]
    assert inside == [ON, ON, ON, OFF, ON]
    edges = [tuple(picture[0, unit * TILE_PX + 12].tolist()) == FOCUS for unit in range(5)]
    assert edges == [False, True, False, False, False]


def test_ablations_of_other_layers_stay(session):
    view = UnitAblation(session)
    _tile(view, 1)
    session.layer = "conv"
    _tile(view, 4)
    assert session.ablations == (Ablation("dense", (1,)), Ablation("conv", (4,)))
    assert "1 unit ablated in this layer" in shown.text(view)


def test_a_move_of_the_slider_is_a_message_for_each_mark(session):
    view = UnitAblation(session)
    _tile(view, 0)
    session.wait()
    wires = wiretap()
    view.scale = 0.4
    kinds = [name for name, _ in messages(wires)]
    assert kinds.count("Bars") == 1
    assert kinds.count("HTML") <= 1  # what is told
    assert kinds.count("Image") == 0  # the tiles are the same
    assert set(kinds) <= {"Bars", "HTML", "FloatSlider", "UnitAblation", "Layout"}


def test_many_units_are_pages_of_tiles(data):
    class Wide(_Editable):
        layers = (FakeProbe.layers[1].__class__("dense", "Dense", (None, 400), 400, 0),)

    view = UnitAblation(Session(Wide(), *data, class_names=NAMES))
    assert f"{shown.part(view, UnitTiles).capacity} of 400" in shown.text(view)
    _tile(view, len(shown.edges(view)[1]) - 1)  # beside the tiles
    assert view.session.ablations == ()
    view.page = 1
    _tile(view, 0)
    assert view.session.ablations == (Ablation("dense", (shown.part(view, UnitTiles).capacity,)),)


def test_without_labels_there_is_nothing_to_compare(data):
    view = UnitAblation(Session(_Editable(), data[0]))
    assert "nothing to show for conv: this needs labels" in shown.text(view)
    view.session.select(layer="dense", sample=1)
    _tile(view, 0)
    assert "sample 1: 1 1.00 → 0 1.00" in shown.text(view)
    assert view.error == ""


def test_of_a_regression_the_values_are_told(data):
    class Regression(_Editable):
        n_classes = 1

        def predictions(self, x):
            return np.asarray(x)[:, 0, 0, :1] * self.factor

    view = UnitAblation(Session(Regression(), data[0], layer="dense", samples=(4, 8)))
    _tile(view, 0)
    assert "output: one value, no classes" in shown.text(view)
    assert "sample 4: 4 → 0; mean of 2 visible samples: 6 → 0" in shown.text(view)
    view.session.sample = 8
    assert "sample 8: 8 → 0" in shown.text(view)
    view.session.sample = 4
    view.session.samples = (4, 8, 9)
    assert "mean of 3 visible samples: 7 → 0" in shown.text(view)
    assert view.error == ""


@pytest.mark.expects_error
def test_a_model_that_cannot_be_edited_is_one_sentence(data):
    session = Session(FakeProbe(), *data, class_names=NAMES)
    view = UnitAblation(session)
    _tile(view, 0)
    assert "cannot run its model" in view.error
    session.ablations = ()
    assert view.error == ""
