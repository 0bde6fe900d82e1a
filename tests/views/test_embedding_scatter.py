import ipywidgets as w
import numpy as np
import pytest
import shown
import traitlets as t
from fakes import FakeProbe, Wire, begin_when_waited_for, hold_back, wiretap

from actwidgets.core.embedding import Embedding
from actwidgets.core.output_kind import OutputKind
from actwidgets.session.session import Session
from actwidgets.views.controls import ProgressLine
from actwidgets.views.embedding_scatter import CloudSide, EmbeddingScatter
from actwidgets.views.point_cloud import CHOSEN, IN_FOCUS, PLAIN, PointCloud

NAMES = ("<i>shirt", "coat", "bag")


class _Recorder(Wire):
    """Keeps also the traits that travel as bytes, and messages of a widget's own."""

    def __init__(self, widget):
        super().__init__(widget)
        self.own = []

    def send(self, data=None, buffers=None, **_):
        if data["method"] == "update":
            self.sent.append(sorted([*data["state"], *(path[0] for path in data["buffer_paths"])]))
        else:
            self.own.append((data["content"], buffers))


@pytest.fixture
def images():
    x = np.random.default_rng(0).random((60, 6, 8, 1)).astype(np.float32) * 6
    return x, np.arange(60) % 2


@pytest.fixture
def session(images):
    session = Session(FakeProbe(), *images, class_names=NAMES, layer="dense")
    yield session
    session.close()


def _view(session, **options):
    view = EmbeddingScatter(session, **options)
    session.embeddings.wait()
    return view


def _wires(view):
    wires = [_Recorder(view.input.cloud), _Recorder(view.layer.cloud)]
    view.input.cloud.comm, view.layer.cloud.comm = wires
    return wires


def _mouse(side, content, points=()):
    buffers = [np.asarray(points, "<u4").tobytes()] if "adds" in content else []
    side.cloud._handle_custom_msg(content, buffers)


def _mask(side):
    return np.frombuffer(side.cloud.mask, np.uint8)


def test_both_clouds_show_the_samples_of_the_session(session):
    view = _view(session)
    for side, of in ((view.input, "input"), (view.layer, "dense")):
        assert side.cloud.count == 60
        assert session.embeddings(of).note in shown.text(side)
    seen = np.frombuffer(view.input.cloud.points, "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(seen, session.embeddings("input").points)
    assert "60 samples" in shown.text(view)


def test_how_many_of_the_samples_are_drawn_is_said(session):
    view = _view(session, n_points=25)
    assert view.input.cloud.count == 25
    assert "25 of 60 samples" in shown.text(view)


def test_a_lasso_chooses_the_samples_for_all_views(session):
    view = _view(session, n_points=30)
    _mouse(view.layer, {"event": "choose", "adds": False}, [3, 4, 9])
    assert session.samples == (6, 8, 18)
    np.testing.assert_array_equal(np.flatnonzero(_mask(view.input) != PLAIN), [3, 4, 9])
    assert _mask(view.layer)[[3, 4]].tolist() == [IN_FOCUS, CHOSEN]
    _mouse(view.input, {"event": "choose", "adds": True}, [4, 5])
    assert session.samples == (6, 8, 18, 10)
    _mouse(view.input, {"event": "clear"})
    assert session.samples == (6,)
    _mouse(view.input, {"event": "choose", "adds": False}, [7])
    assert (session.sample, session.samples) == (14, (14,))
    _mouse(view.input, {"event": "choose", "adds": False}, [99])  # which is no point
    assert (session.samples, view.error) == ((14,), "")


def test_another_choice_sends_nothing_but_the_mask(session):
    view = _view(session)
    wires, others = _wires(view), wiretap()
    _ = others.pop(view.input.cloud), others.pop(view.layer.cloud)
    view.input.cloud.comm, view.layer.cloud.comm = wires
    session.select(samples=(3, 4, 5))
    assert [wire.sent for wire in wires] == [[["mask"]], [["mask"]]]
    assert not any(wire.sent for wire in others.values())


def test_another_unit_sends_the_colors_and_only_where_it_gives_them(session):
    view = _view(session)
    wires = _wires(view)
    session.unit = 2
    assert [wire.sent for wire in wires] == [[], []]
    view.color = "unit"
    session.embeddings.wait()
    assert "unit 2 of dense" in shown.text(view)
    wires = _wires(view)
    session.unit = 4
    sent = [name for wire in wires for message in wire.sent for name in message]
    assert set(sent) <= {"codes"}
    assert "unit 4 of dense" in shown.text(view)


def test_a_new_layer_sends_one_message_and_keeps_the_old_picture_until_then(session):
    view = _view(session)
    wires, before = _wires(view), view.layer.cloud.points
    release = hold_back(session.embeddings)
    session.layer = "conv"
    assert (view.layer.cloud.points, "dense" in shown.text(view.layer)) == (before, True)
    release()
    session.embeddings.wait()
    assert "conv" in shown.text(view.layer)
    assert view.layer.cloud.points != before
    assert [len(wire.sent) for wire in wires] == [0, 1]


def test_a_refresh_keeps_the_picture_from_turning(images, session):
    class Turned(FakeProbe):
        sign = 1

        def activations(self, layers, x):
            flat = x.reshape(len(x), -1)[:, :5] * self.sign
            return {"dense": flat.astype(np.float32)}

    session = Session(Turned(), images[0], layer="dense")
    view = _view(session)
    before = np.frombuffer(view.layer.cloud.points, "<f4")
    session.model.sign = -1
    session.refresh()
    session.embeddings.wait()
    after = np.frombuffer(view.layer.cloud.points, "<f4")
    np.testing.assert_allclose(after, before, atol=1e-4)
    session.close()


def test_the_mouse_over_a_point_shows_the_sample_and_marks_it_in_the_other_cloud(session):
    view = _view(session, n_points=30)
    wires = _wires(view)
    _mouse(view.layer, {"event": "hover", "point": 4})
    (content, (png,)), (marked, _) = wires[1].own[0], wires[0].own[0]
    assert (content["point"], content["lines"][0]) == (4, "sample 8")
    assert content["lines"][1] == "is <i>shirt"  # as text: the browser does not read it as HTML
    assert "predicted" in content["lines"][2]
    assert png.startswith(b"\x89PNG")
    assert marked == {"event": "mark", "point": 4}
    _mouse(view.layer, {"event": "hover", "point": -1})
    assert wires[1].own[-1][0]["point"] == -1
    assert wires[0].own[-1][0]["point"] == -1


def test_names_in_the_legend_are_escaped(session):
    view = _view(session)
    assert "&lt;i&gt;shirt" in shown.markup(view)
    assert "<i>shirt" not in shown.markup(view)


def test_right_and_wrong_are_counted(session):
    view = _view(session, color="outcome")
    n_wrong = int((session.predicted_classes() != session.labels).sum())
    assert f"wrong {n_wrong}" in shown.text(view)
    codes = np.frombuffer(view.input.cloud.codes, np.uint8)
    np.testing.assert_array_equal(codes, session.predicted_classes() != session.labels)


def test_a_thousand_classes_have_twelve_names(images):
    class Many(FakeProbe):
        n_classes = 1000

        def predictions(self, x):
            return np.zeros((len(x), 1000), np.float32)

    x, _ = images
    session = Session(Many(), x, np.arange(60) * 16, layer="dense")
    view = _view(session)
    assert shown.markup(view).count("<i ") == 12
    assert "and 988 more" in shown.text(view)
    assert view.error == ""


def test_without_labels_predicted_classes_are_shown_and_of_a_regression_one_color(images):
    view = _view(Session(FakeProbe(), images[0], class_names=NAMES, layer="dense"))
    codes = np.frombuffer(view.input.cloud.codes, np.uint8)
    np.testing.assert_array_equal(codes, view.session.predicted_classes())
    view.color = "outcome"
    assert "this needs labels" in shown.text(view)

    class Regression(FakeProbe):
        n_classes = 1
        output_kind = OutputKind("value", "", (1,), "it was compiled with mse", "loss")

    view = _view(Session(Regression(), images[0], layer="dense"))
    assert "one color: this needs classes" in shown.text(view)
    _mouse(view.input, {"event": "hover", "point": 3})
    assert (set(view.input.cloud.codes), view.error) == ({0}, "")


def test_a_layer_without_output_says_so_and_the_input_stays(session):
    view = _view(session)
    session.layer = "empty"
    session.embeddings.wait()
    assert "nothing to show for empty: its output is empty" in shown.text(view.layer)
    assert (view.layer.cloud.count, view.input.cloud.count, view.error) == (0, 60, "")
    view.color = "unit"
    assert "no values to color by" in shown.text(view)
    _mouse(view.layer, {"event": "choose", "adds": False}, [3])
    _mouse(view.layer, {"event": "hover", "point": 3})
    session.layer = "dense"
    session.embeddings.wait()
    assert (view.layer.cloud.count, view.error) == (60, "")


@pytest.mark.expects_error
def test_a_layer_that_fails_says_so_and_the_view_recovers(session):
    view = _view(session)
    session.model.fails_on = ("conv",)
    session.layer = "conv"
    session.embeddings.wait()
    assert "nothing finite in <maps>" in view.error
    assert "&lt;maps&gt;" in shown.markup(view)
    session.layer = "dense"
    assert view.error == ""


def test_pixels_and_units_are_typed(session, images):
    view = _view(session, method="features")
    picked = session.embeddings("input", method="features").features
    assert shown.control(view, "pixels").value == "{}, {}".format(*picked)
    assert view.pixels is None
    shown.choose(view, "pixels", "9, 3")
    session.embeddings.wait()
    assert view.pixels == (9, 3)
    seen = np.frombuffer(view.input.cloud.points, "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(seen, images[0].reshape(60, -1)[:, [9, 3]])
    assert "pixel 9 (row 1, column 1)" in shown.text(view.input)
    view.units = (4, 1)
    session.embeddings.wait()
    assert "across: unit 4, up: unit 1" in shown.text(view.layer)


@pytest.mark.expects_error
def test_what_is_no_pair_of_numbers_is_refused(session):
    view = _view(session, method="features")
    shown.choose(view, "units", "1; <b>")
    assert "units are two numbers, such as 3, 5; got '1; <b>'" in view.error
    assert "&lt;b&gt;" in shown.markup(view)
    assert view.units is None
    shown.choose(view, "units", "1, 77")
    session.embeddings.wait()
    assert view.layer.shown.features != (1, 77)  # a layer of five units


@pytest.mark.slow
def test_t_sne_can_be_cancelled_and_gone_on_with(session, monkeypatch):
    view = _view(session)
    begin_when_waited_for(session.embeddings, monkeypatch)
    before = view.input.cloud.points
    view.method = "tsne"
    shown.control(view, ProgressLine).show(session.embeddings.reading)
    session.embeddings.cancel()
    session.embeddings.wait()
    assert view.input.cloud.points == before
    assert "cancelled" in shown.text(view)
    assert shown.is_shown(view, "Resume")
    shown.press(view, "Resume")
    session.embeddings.wait()
    assert "t-SNE" in shown.text(view.input)
    assert not shown.is_shown(view, w.FloatProgress)


def test_umap_is_offered_only_where_it_is(session):
    view = _view(session)
    offered = [
        name for name in ("pca", "tsne", "umap", "features") if name in session.embeddings.methods
    ]
    dropdown = next(each for each in view.children[2].children if each.description == "method")
    assert [value for _, value in dropdown.options] == offered
    if "umap" not in offered:
        with pytest.raises(t.TraitError, match="pip install umap-learn"):
            view.method = "umap"


def test_the_canvas_is_painted_by_a_file_of_the_package():
    code = PointCloud._esm
    assert "export default" in code
    assert "class Places" in code
    assert "innerHTML" not in code
    assert "http" not in code + str(PointCloud._css)


# --- cloud side ---------------------------------------------------------------------------


def ignore(*_given):
    """What nobody does here."""


@pytest.fixture
def side():
    made = CloudSide(200, on_choose=ignore, on_clear=ignore, on_hover=ignore)
    yield made
    made.close()


def picture(seed, plane=""):
    points = np.random.default_rng(seed).normal(0, 1, (12, 2)).astype(np.float32)
    return Embedding(points, np.arange(12), "pca", "layer", "", None, plane)


def moved_by(side, before, after):
    """How far each point goes on the screen, and how far it goes in the pictures given."""
    first = side.shown.points
    side.show(after, "layer", None)
    seen = np.linalg.norm(side.shown.points - first, axis=1)
    return seen, np.linalg.norm(after.points - before.points, axis=1)


def test_pictures_in_one_plane_are_moved_alike(side):
    before, after = picture(0, "one"), picture(1, "one")
    side.show(before, "layer", picture(2))  # which it is laid upon
    assert not np.allclose(side.shown.points, before.points)
    seen, given = moved_by(side, before, after)
    np.testing.assert_allclose(seen, given, rtol=1e-4)


@pytest.mark.parametrize("plane", ["", "another"])
def test_others_are_laid_upon_what_was_there(side, plane):
    before, after = picture(0, "one"), picture(1, plane)
    side.show(before, "layer", None)
    seen, given = moved_by(side, before, after)
    assert seen.sum() < given.sum()


@pytest.mark.parametrize("early", [0, 1])
def test_which_of_two_pictures_was_ready_first_does_not_show(side, early):
    to, layers = picture(2), [picture(0, "one"), picture(1, "one")]
    for layer in layers:
        side.show(layer, "layer", to)
    wanted = side.shown.points
    other = CloudSide(200, on_choose=ignore, on_clear=ignore, on_hover=ignore)
    other.show(layers[early], "layer", None)  # `to` is not there yet
    for layer in layers:
        other.show(layer, "layer", to)
    np.testing.assert_array_equal(other.shown.points, wanted)
    other.close()


def test_whose_points_will_stand_there_is_said_until_they_do(side):
    side.show_waiting("conv_1")
    assert "conv_1" in shown.text(side)
    assert "not computed yet" in shown.text(side)
    side.show(picture(0), "conv_1", None)
    assert "not computed" not in shown.text(side)
    side.show_waiting("conv_2")  # the points of before stay, and so does their name
    assert "conv_1" in shown.text(side)
