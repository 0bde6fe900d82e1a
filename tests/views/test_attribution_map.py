import numpy as np
import pytest
from attribution_views import captions, gradients_of_three, hold, painted, passes, text
from fakes import begin_when_waited_for, messages, wiretap

from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import LayerError
from actwidgets.images.colormap import FRAME_COLOR
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap


@pytest.fixture
def view(session):
    return gradients_of_three(session)


@pytest.fixture
def slow(session, monkeypatch):
    return lambda: hold(session, monkeypatch)


# --- what is shown ----------------------------------------------------------------------


def test_each_sample_on_show_has_a_tile(view):
    assert [tile.row for tile in view._tiles.tiles] == [0, 1, 2]
    asked = [int(tile.attribution.target[tile.place]) for tile in view._tiles.tiles]
    names, labels = view.session.class_names, view.session.labels
    for row, words in enumerate(captions(view)[::2]):
        is_right = asked[row] == labels[row]
        assert words == f"sample {row} ✓" if is_right else f"sample {row}, is {names[labels[row]]}"
    assert "Gradient of 3 samples" in text(view._title)


def test_the_caption_tells_the_score_of_the_class_asked_about(view):
    view.target = 2
    score = view._tiles.tiles[1].attribution.scores[1]
    assert captions(view)[3] == f"S(bag) {score:.3g}"


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
    pixels = painted(view)[3:, 3:]  # within the margin of the first tile
    enlarged = (pixels.shape[1] - 3) // weights.shape[1]
    for place, weight in np.ndenumerate(weights):
        red, _, blue, _ = pixels[place[0] * enlarged, place[1] * enlarged].astype(int)
        assert np.sign(red - blue) == np.sign(weight) or abs(weight) < 0.02


def test_without_opacity_the_picture_is_left(view):
    view.opacity = 0.0
    before = painted(view)
    view.target = 2
    np.testing.assert_array_equal(painted(view), before)
    gray = before[4:50, 4:66, :3]
    assert (gray == gray[..., :1]).all()


def test_one_sample_by_several_methods(view):
    view.methods = ("gradient", "gradient_x_input", "occlusion")
    view.compare = "methods"
    assert [tile.method for tile in view._tiles.tiles] == list(view.methods)
    assert captions(view)[::2] == ["Gradient", "Gradient × input", "Occlusion"]
    assert {tile.row for tile in view._tiles.tiles} == {0}


def test_of_many_samples_the_first_are_drawn_and_it_says_so(view):
    view.max_samples = 2
    assert len(view._tiles.tiles) == 2
    assert "2 of 3 samples" in text(view._title)


# --- what it follows --------------------------------------------------------------------


def test_it_follows_the_perturbation_the_samples_and_other_weights(view):
    session = view.session
    for change in (
        lambda: setattr(session, "perturbation", Perturbation(brightness=0.2)),
        lambda: session.select(samples=(3, 4), sample=3),
        session.refresh,
    ):
        before = passes(session)
        change()
        assert passes(session) == before + 1


def test_a_tick_is_one_pass_and_one_message_per_mark(view):
    session = view.session
    wires = wiretap()
    before = passes(session)
    session.perturbation = Perturbation(brightness=0.1)
    assert passes(session) == before + 1
    kinds = [kind for kind, _ in messages(wires)]
    assert kinds == ["Image", "Image", "Label"]  # the picture, its mark, the words


def test_opacity_and_colors_ask_the_model_nothing(view):
    before, pixels = passes(view.session), painted(view)
    view.opacity, view.coloring, view.shared_scale = 0.9, "absolute", False
    assert passes(view.session) == before
    assert not np.array_equal(painted(view), pixels)


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


# --- what goes wrong --------------------------------------------------------------------


def test_a_method_that_does_not_apply_says_why_and_is_no_failure(view):
    view.session.model.slice.fails = LayerError("<b> has no spatial axes")
    view.session.refresh()
    assert "nothing to show: &lt;b&gt; has no spatial axes" in view._note.value
    assert view.error == ""
    view.session.model.slice.fails = None
    view.session.attributions.resume()
    view.session.refresh()
    assert len(view._tiles.tiles) == 3
    assert "nothing to show" not in text(view._note)


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
    assert "Guided backprop" in text(view._note)
    assert "there is no ReLU" in text(view._note)


@pytest.mark.expects_error
def test_a_setting_that_cannot_be_is_one_sentence_and_the_picture_stays(view):
    view.method = "smooth_grad"
    before = painted(view)
    view.settings = {"smooth_grad": {"sigma": -1}}
    assert "sigma" in view.error
    np.testing.assert_array_equal(painted(view), before)
    view.settings = {}
    assert view.error == ""


def test_what_takes_long_shows_how_far_it_is_and_keeps_the_old_picture(view, monkeypatch):
    before = painted(view)
    hold(view.session, monkeypatch)
    view.method = "occlusion"
    np.testing.assert_array_equal(painted(view), before)
    assert "aw-old" in view._tiles._dom_classes
    view.session.attributions.wait()
    assert [tile.method for tile in view._tiles.tiles] == ["occlusion"] * 3
    assert "aw-old" not in view._tiles._dom_classes
    assert view._progress.layout.display == "none"


def test_several_methods_share_the_time_in_which_they_are_made_at_once(view, monkeypatch):
    begin_when_waited_for(view.session.attributions._reader, monkeypatch)
    monkeypatch.setattr("actwidgets.views.attribution_map.WITHIN_S", 0.0)
    view.methods = ("occlusion", "integrated_gradients")
    view.compare = "methods"
    assert "aw-old" in view._tiles._dom_classes
    view.session.attributions.wait()
    assert [tile.method for tile in view._tiles.tiles] == list(view.methods)
    assert "aw-old" not in view._tiles._dom_classes


# --- samples that are no pictures -------------------------------------------------------


def test_maps_of_several_sizes_stand_side_by_side_without_pictures(probe, data):
    session = Session(probe, *data)
    session._samples.read_inputs(("x",), {"x": ("depth", "row", "column")})  # no picture
    assert session.picture_shape == ()
    view = AttributionMap(
        session,
        compare="methods",
        methods=("gradient_x_input", "grad_cam"),
        settings={"grad_cam": {"upsample": False}},
    )
    assert len(view._tiles.tiles) == 2
    assert "nothing to show" not in text(view._note)


# --- details ----------------------------------------------------------------------------


def _frames(view):
    return int((painted(view) == [*FRAME_COLOR, 255]).all(axis=-1).sum())


def test_the_chosen_tile_alone_has_a_frame(view, session):
    assert _frames(view) > 0
    session.samples = (0,)
    assert _frames(view) == 0  # there is nothing to choose from


def test_a_layer_of_maps_is_the_chosen_one_only_where_that_is_wanted(view, session):
    assert view._at_layer.layout.display == "none"
    view.method = "grad_cam"
    assert view._at_layer.layout.display is None
    assert "at conv" in text(view._title)
    session.layer = "dense"
    assert "at conv" in text(view._title)
    view.at_chosen_layer = True
    assert "at dense" in text(view._title)


def test_methods_have_each_a_scale_of_their_own(view):
    assert "one scale for all" in text(view._tiles.legend)
    view.methods, view.compare = ("gradient", "gradient_x_input"), "methods"
    assert "each on a scale of its own" in text(view._tiles.legend)


def test_pictures_are_as_the_samples_are_shown(view, session):
    view.opacity = 0.0
    before = painted(view)
    session.perturbation = Perturbation(brightness=0.4)
    assert painted(view)[3:50, 3:50, :3].mean() > before[3:50, 3:50, :3].mean()


def test_beside_methods_with_settings_that_cannot_be_the_others_go_on(view):
    view.settings = {"occlusion": {"patch": 99}}
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    assert [tile.method for tile in view._tiles.tiles] == ["gradient"]
    assert "Occlusion:" in view._note.value
    assert view.error == ""
