import io
import re

import numpy as np
import pytest
from fakes import messages, open_widgets, wiretap
from PIL import Image

from actwidgets.core.interventions.disturbance import Disturbance
from actwidgets.errors import LayerError
from actwidgets.views.attribution_map import AttributionMap


@pytest.fixture
def view(session):
    session.samples = (0, 1, 2)
    return AttributionMap(session, method="gradient")


def _pixels(view):
    """What the picture shows now, `(row, column, RGBA)`."""
    return np.asarray(Image.open(io.BytesIO(view._tiles.picture.image.image.value)))


def _words(view):
    return list(view._tiles.picture.words.text)


def _text(widget):
    return " ".join(re.sub("<[^>]*>", " ", widget.value).split())


def _passes(session):
    return len(session.model.slice.calls)


# --- what is shown -----------------------------------------------------------------------


def test_each_sample_on_show_has_a_tile(view):
    assert [tile.row for tile in view._tiles.tiles] == [0, 1, 2]
    asked = [int(tile.attribution.target[tile.place]) for tile in view._tiles.tiles]
    names, labels = view.session.class_names, view.session.labels
    for row, words in enumerate(_words(view)[::2]):
        is_right = asked[row] == labels[row]
        assert words == f"sample {row} ✓" if is_right else f"sample {row}, is {names[labels[row]]}"
    assert "Gradient of 3 samples" in _text(view._title)


def test_the_caption_tells_the_score_of_the_class_asked_about(view):
    view.target = 2
    score = view._tiles.tiles[1].attribution.scores[1]
    assert _words(view)[3] == f"bag {score:.3g}"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("predicted", None), ("chosen", [1, 1, 1]), (2, [2, 2, 2]), ("label", "labels")],
)
def test_the_class_asked_about_can_be_chosen(view, target, wanted):
    session = view.session
    session.class_index = 1
    view.target = target
    asked = [int(tile.attribution.target[tile.place]) for tile in view._tiles.tiles]
    if wanted == "labels":
        wanted = session.labels[[0, 1, 2]].tolist()
    if wanted is None:
        wanted = session.predicted_classes([0, 1, 2]).tolist()
    assert asked == wanted


def test_red_speaks_for_and_blue_against(view):
    view.session.samples, view.opacity = (0,), 1.0
    weights = view.session.model.slice.weights[..., 0]
    pixels = _pixels(view)[3:, 3:]  # within the margin of the first tile
    enlarged = (pixels.shape[1] - 3) // weights.shape[1]
    for place, weight in np.ndenumerate(weights):
        red, _, blue, _ = pixels[place[0] * enlarged, place[1] * enlarged].astype(int)
        assert np.sign(red - blue) == np.sign(weight) or abs(weight) < 0.02


def test_without_opacity_the_picture_is_left(view):
    view.opacity = 0.0
    before = _pixels(view)
    view.target = 2
    np.testing.assert_array_equal(_pixels(view), before)
    grey = before[4:50, 4:66, :3]
    assert (grey == grey[..., :1]).all()


def test_one_sample_by_several_methods(view):
    view.methods = ("gradient", "gradient_x_input", "occlusion")
    view.compare = "methods"
    assert [tile.method for tile in view._tiles.tiles] == list(view.methods)
    assert _words(view)[::2] == ["Gradient", "Gradient × input", "Occlusion"]
    assert {tile.row for tile in view._tiles.tiles} == {0}


def test_of_many_samples_the_first_are_drawn_and_it_says_so(view):
    view.max_samples = 2
    assert len(view._tiles.tiles) == 2
    assert "2 of 3 samples" in _text(view._title)


# --- what it follows ---------------------------------------------------------------------


def test_it_follows_the_disturbance_the_samples_and_other_weights(view):
    session = view.session
    for change in (
        lambda: setattr(session, "disturbance", Disturbance(brightness=0.2)),
        lambda: session.select(samples=(3, 4), sample=3),
        session.refresh,
    ):
        before = _passes(session)
        change()
        assert _passes(session) == before + 1


def test_a_tick_is_one_pass_and_one_message_per_mark(view):
    session = view.session
    wires = wiretap()
    before = _passes(session)
    session.disturbance = Disturbance(brightness=0.1)
    assert _passes(session) == before + 1
    kinds = [kind for kind, _ in messages(wires)]
    assert kinds == ["Image", "Image", "Label"]  # the picture, its mark, the words


def test_opacity_and_colours_ask_the_model_nothing(view):
    before, pixels = _passes(view.session), _pixels(view)
    view.opacity, view.colouring, view.shared_scale = 0.9, "absolute", False
    assert _passes(view.session) == before
    assert not np.array_equal(_pixels(view), pixels)


def test_the_mouse_chooses_the_sample_and_the_method(view):
    view._tiles._on_user_click(0, 2)
    assert view.session.sample == 2
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    view._tiles._on_user_click(0, 1)
    assert view.method == "occlusion"
    view._tiles._on_user_click(5, 5)
    assert view.error == ""


def test_settings_of_the_method_are_offered_and_obeyed(view):
    view.method = "smooth_grad"
    offered = {each.description: each for each in view._offered.children}
    assert {"n samples", "sigma"} <= set(offered)
    words, place = offered["sigma"].options[0]
    offered["sigma"].value = place
    assert view.settings == {"smooth_grad": {"sigma": float(words)}}
    assert view._tiles.tiles[0].attribution.options["sigma"] == float(words)
    view.method = "gradient"
    assert view._offered.children == ()


# --- what goes wrong ---------------------------------------------------------------------


def test_a_method_that_does_not_apply_says_why_and_is_no_failure(view):
    view.session.model.slice.fails = LayerError("<b> has no spatial axes")
    view.session.refresh()
    assert "nothing to show: &lt;b&gt; has no spatial axes" in view._note.value
    assert view.error == ""
    view.session.model.slice.fails = None
    view.session.attributions.resume()
    view.session.refresh()
    assert len(view._tiles.tiles) == 3
    assert "nothing to show" not in _text(view._note)


def test_beside_methods_that_apply_the_others_say_why_not(view):
    view.methods, view.compare = ("gradient", "guided_backprop"), "methods"
    failing = view.session.model.slice
    plain = failing.gradients

    def gradients(points, target, *, guided=False):
        if guided:
            raise LayerError("there is no ReLU")
        return plain(points, target)

    failing.gradients = gradients
    view.session.refresh()
    assert [tile.method for tile in view._tiles.tiles] == ["gradient"]
    assert "Guided backprop" in _text(view._note)
    assert "there is no ReLU" in _text(view._note)


@pytest.mark.expects_error
def test_a_setting_that_cannot_be_is_one_sentence_and_the_picture_stays(view):
    view.method = "smooth_grad"
    before = _pixels(view)
    view.settings = {"smooth_grad": {"sigma": -1}}
    assert "sigma" in view.error
    np.testing.assert_array_equal(_pixels(view), before)
    view.settings = {}
    assert view.error == ""


def test_what_takes_long_shows_how_far_it_is_and_keeps_the_old_picture(view, monkeypatch):
    monkeypatch.setattr("actwidgets.session_attributions.AT_ONCE_S", 0)
    before = _pixels(view)
    view.session.attributions._reader.touch()
    view.method = "occlusion"
    np.testing.assert_array_equal(_pixels(view), before)
    assert view._tiles.layout.opacity == "0.4"
    view.session.attributions.wait()
    assert [tile.method for tile in view._tiles.tiles] == ["occlusion"] * 3
    assert view._tiles.layout.opacity is None
    assert view._progress.layout.display == "none"


# --- below it ----------------------------------------------------------------------------


def test_the_path_of_the_sample_and_a_slider_along_it(view):
    view.panel = "path"
    panel = view._panels.made["path"]
    scores = panel.lines.lines[0].y
    np.testing.assert_allclose(scores, np.array(panel.alphas) * scores[-1], rtol=1e-4)
    panel.slider.value = panel.alphas[4]
    assert panel.lines.mark.x[0] == pytest.approx(panel.alphas[4])
    alone = panel.tiles.tiles[0].attribution
    assert alone.path.scores[0, 0] == pytest.approx(scores[4], rel=1e-4)
    assert "At 0.25 · x the score is" in _text(panel._told)


def test_it_gives_every_widget_back(session):
    before = open_widgets()
    view = AttributionMap(session, method="gradient")
    for method in ("smooth_grad", "occlusion"):
        view.method = method
    view.panel = "path"
    view.panel = ""
    view.close()
    assert open_widgets() == before
