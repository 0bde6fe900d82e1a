import gc
import re
import weakref

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from attribution_views import (
    captions,
    gradients_of_three,
    hold,
    methods,
    passes,
    requests,
    targets,
    tiles,
)
from fakes import FakeProbe, begin_when_waited_for, messages, open_widgets, wiretap

from actwidgets.core.attribution.base import Method, Option
from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import LayerError
from actwidgets.images.colormap import FRAME_COLOR
from actwidgets.images.heatmap import tile_sheet
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap, MethodSettings


@pytest.fixture
def view(session):
    return gradients_of_three(session)


@pytest.fixture
def slow(session, monkeypatch):
    return lambda: hold(session, monkeypatch)


# --- what is shown ----------------------------------------------------------------------


def test_each_sample_on_show_has_a_tile(view):
    assert [tile.row for tile in tiles(view)] == [0, 1, 2]
    asked = targets(view)
    names, labels = view.session.class_names, view.session.labels
    for row, words in enumerate(captions(view)[::2]):
        is_right = asked[row] == labels[row]
        assert words == f"sample {row} ✓" if is_right else f"sample {row}, is {names[labels[row]]}"
    assert "Gradient of 3 samples" in shown.text(view)


def test_the_caption_tells_the_score_of_the_class_asked_about(view):
    view.target = 2
    score = tiles(view)[1].attribution.scores[1]
    assert captions(view)[3] == f"S(bag) {score:.3g}"


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("predicted", None), ("chosen", [1, 1, 1]), (2, [2, 2, 2]), ("label", "labels")],
)
def test_the_class_asked_about_can_be_chosen(view, target, wanted):
    session = view.session
    session.class_index = 1
    view.target = target
    asked = targets(view)
    if wanted == "labels":
        wanted = session.labels[[0, 1, 2]].tolist()
    if wanted is None:
        wanted = session.predicted_classes([0, 1, 2]).tolist()
    assert asked == wanted


def test_red_speaks_for_and_blue_against(view):
    view.session.samples, view.opacity = (0,), 1.0
    weights = view.session.model.slice.weights[..., 0]
    pixels = shown.picture(view)[3:, 3:]  # within the margin of the first tile
    enlarged = (pixels.shape[1] - 3) // weights.shape[1]
    for place, weight in np.ndenumerate(weights):
        red, _, blue, _ = pixels[place[0] * enlarged, place[1] * enlarged].astype(int)
        assert np.sign(red - blue) == np.sign(weight) or abs(weight) < 0.02


def test_without_opacity_the_picture_is_left(view):
    view.opacity = 0.0
    before = shown.picture(view)
    view.target = 2
    np.testing.assert_array_equal(shown.picture(view), before)
    gray = before[4:50, 4:66, :3]
    assert (gray == gray[..., :1]).all()


def test_one_sample_by_several_methods(view):
    view.methods = ("gradient", "gradient_x_input", "occlusion")
    view.compare = "methods"
    assert methods(view) == list(view.methods)
    assert captions(view)[::2] == ["Gradient", "Gradient × input", "Occlusion"]
    assert {tile.row for tile in tiles(view)} == {0}


def test_of_many_samples_the_first_are_drawn_and_it_says_so(view):
    view.max_samples = 2
    assert len(tiles(view)) == 2
    assert "2 of 3 samples" in shown.text(view)


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
    assert kinds == ["Image", "Label"]  # the picture, the words


def test_opacity_and_colors_ask_the_model_nothing(view):
    before, pixels = passes(view.session), shown.picture(view)
    view.opacity, view.coloring, view.shared_scale = 0.9, "absolute", False
    assert passes(view.session) == before
    assert not np.array_equal(shown.picture(view), pixels)


def test_the_mouse_chooses_the_sample_and_the_method(view):
    shown.click(view, 0, 2)
    assert view.session.sample == 2
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    shown.click(view, 0, 1)
    assert view.method == "occlusion"
    shown.click(view, 5, 5)
    assert view.error == ""


def test_settings_of_the_method_are_offered_and_obeyed(view):
    view.method = "smooth_grad"
    offered = {each.description: each for each in shown.control(view, MethodSettings).children}
    assert {"n samples", "sigma"} <= set(offered)
    words, place = offered["sigma"].options[0]
    offered["sigma"].value = place
    assert view.settings == {"smooth_grad": {"sigma": float(words)}}
    assert tiles(view)[0].attribution.options["sigma"] == float(words)
    view.method = "gradient"
    assert shown.control(view, MethodSettings).children == ()


# --- what goes wrong --------------------------------------------------------------------


def test_a_method_that_does_not_apply_says_why_and_is_no_failure(view):
    view.session.model.slice.fails = LayerError("<b> has no spatial axes")
    view.session.refresh()
    assert "nothing to show: &lt;b&gt; has no spatial axes" in shown.markup(view)
    assert view.error == ""
    view.session.model.slice.fails = None
    view.session.attributions.resume()
    view.session.refresh()
    assert len(tiles(view)) == 3
    assert "nothing to show" not in shown.text(view)


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
    assert methods(view) == ["gradient"]
    assert "Guided backprop" in shown.text(view)
    assert "there is no ReLU" in shown.text(view)


@pytest.mark.expects_error
def test_a_setting_that_cannot_be_is_one_sentence_and_the_picture_stays(view):
    view.method = "smooth_grad"
    before = shown.picture(view)
    view.settings = {"smooth_grad": {"sigma": -1}}
    assert "sigma" in view.error
    np.testing.assert_array_equal(shown.picture(view), before)
    view.settings = {}
    assert view.error == ""


def test_what_takes_long_shows_how_far_it_is_and_keeps_the_old_picture(view, monkeypatch):
    before = shown.picture(view)
    hold(view.session, monkeypatch)
    view.method = "occlusion"
    np.testing.assert_array_equal(shown.picture(view), before)
    assert shown.is_faded(view)
    view.session.attributions.wait()
    assert methods(view) == ["occlusion"] * 3
    assert not shown.is_faded(view)
    assert not shown.is_shown(view, w.FloatProgress)


def test_several_methods_share_the_time_in_which_they_are_made_at_once(view, monkeypatch):
    begin_when_waited_for(view.session.attributions, monkeypatch)
    monkeypatch.setattr("actwidgets.views.attribution_map.WITHIN_S", 0.0)
    view.methods = ("occlusion", "integrated_gradients")
    view.compare = "methods"
    assert shown.is_faded(view)
    view.session.attributions.wait()
    assert methods(view) == list(view.methods)
    assert not shown.is_faded(view)


# --- samples that are no pictures -------------------------------------------------------


def test_maps_of_several_sizes_stand_side_by_side_without_pictures(probe, data):
    session = Session(probe, *data)
    session.context.samples.read_inputs(("x",), {"x": ("depth", "row", "column")})  # no picture
    assert session.picture_shape == ()
    view = AttributionMap(
        session,
        compare="methods",
        methods=("gradient_x_input", "grad_cam"),
        settings={"grad_cam": {"upsample": False}},
    )
    assert len(tiles(view)) == 2
    assert "nothing to show" not in shown.text(view)


# --- details ----------------------------------------------------------------------------


def _frames(view):
    return int((shown.picture(view) == [*FRAME_COLOR, 255]).all(axis=-1).sum())


def test_the_chosen_tile_alone_has_a_frame(view, session):
    assert _frames(view) > 0
    session.samples = (0,)
    assert _frames(view) == 0  # there is nothing to choose from


def test_a_layer_of_maps_is_the_chosen_one_only_where_that_is_wanted(view, session):
    assert not shown.is_shown(view, "selected layer")
    view.method = "grad_cam"
    assert shown.is_shown(view, "selected layer")
    assert "at conv" in shown.text(view)
    session.layer = "dense"
    assert "at conv" in shown.text(view)
    view.at_chosen_layer = True
    assert "at dense" in shown.text(view)


def test_methods_have_each_a_scale_of_their_own(view):
    assert "one scale for all" in shown.text(view)
    view.methods, view.compare = ("gradient", "gradient_x_input"), "methods"
    assert "each on a scale of its own" in shown.text(view)


def test_pictures_are_as_the_samples_are_shown(view, session):
    view.opacity = 0.0
    before = shown.picture(view)
    session.perturbation = Perturbation(brightness=0.4)
    assert shown.picture(view)[3:50, 3:50, :3].mean() > before[3:50, 3:50, :3].mean()


def test_beside_methods_with_settings_that_cannot_be_the_others_go_on(view):
    view.settings = {"occlusion": {"patch": 99}}
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    assert methods(view) == ["gradient"]
    assert "Occlusion:" in shown.text(view)
    assert view.error == ""


# --- attribution controls -----------------------------------------------------------------


METHOD = Method(
    "own",
    "Own",
    lambda: None,
    "",
    "",
    options=(
        Option("steps", 7, choices=(8, 16)),
        Option("patch", None, choices=(None, (2, 2)), none="a quarter"),
        Option("seed", 0),
    ),
)


@pytest.fixture
def told():
    return []


@pytest.fixture
def controls(told):
    made = MethodSettings(lambda name, value: told.append((name, value)))
    made.show(METHOD, METHOD.settings({}))
    return made


def test_a_default_is_offered_even_where_it_is_no_choice(controls):
    steps, patch = controls.children
    assert [words for words, _ in steps.options] == ["7", "8", "16"]
    assert [words for words, _ in patch.options] == ["a quarter", "2 × 2"]
    assert (steps.value, patch.value) == (0, 0)


def test_only_the_user_is_told_of(controls, told):
    controls.show(METHOD, METHOD.settings({"steps": 16, "patch": [2, 2]}))
    assert [each.value for each in controls.children] == [2, 1]
    assert told == []
    controls.children[0].value = 1
    assert told == [("steps", 8)]


# --- attribution map changes --------------------------------------------------------------


def _places(view):
    return {place.split(" ", 1)[1] for place in requests(view.session)}


def test_what_is_folded_or_no_longer_compared_is_left(view):
    assert _places(view) == {"samples"}
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    assert _places(view) == {"method gradient", "method occlusion"}
    view.methods = ("gradient",)
    view.panel = "path"
    assert _places(view) == {"method gradient", "panel path 20", "panel path 1"}
    view.panel = "curves"
    assert _places(view) == {"method gradient", "panel curves deletion", "panel curves insertion"}
    view.compare, view.panel = "samples", "randomization"
    assert "samples" in _places(view)
    view.close()
    assert not requests(view.session)


def test_a_view_closed_meanwhile_has_nothing_made(view, slow):
    session = view.session
    before = passes(session)
    slow()
    view.method, view.panel = "occlusion", "curves"
    view.close()
    session.attributions.wait()
    assert passes(session) == before
    assert not [each for each in session.attributions._tasks.values() if not each.complete]


def test_two_views_do_not_take_each_others_place(view, session):
    other = AttributionMap(session, method="gradient_x_input", target=1)
    assert len(requests(session)) == 2
    other.close()
    assert len(requests(session)) == 1
    assert tiles(view)


def test_while_it_does_not_watch_it_paints_nothing_and_catches_up(view, slow):
    session = view.session
    slow()
    view.method = "occlusion"
    view.watching = False
    session.attributions.wait()
    assert set(methods(view)) == {"gradient"}
    view.watching = True
    assert set(methods(view)) == {"occlusion"}
    assert not shown.is_faded(view)


def test_targets_follow_the_model(view, session):
    assert [words for words, _ in shown.control(view, "target").options] == [
        *("predicted class", "true class", "selected class"),
        *("shirt", "coat", "bag"),
    ]
    shown.control(view, "target").value = 1
    assert view.target == 1
    model = FakeProbe()
    session._given_names = ("top", "shoe", "hat")
    session.model = model
    assert [words for words, _ in shown.control(view, "target").options][3:] == [
        "top",
        "shoe",
        "hat",
    ]
    assert (view.target, shown.control(view, "target").value) == (1, 1)
    assert captions(view)[1].startswith("S(shoe) ")


@pytest.mark.expects_error
@pytest.mark.parametrize("target", [7, "label"])
def test_a_target_that_is_not_there_is_one_sentence(probe, data, target):
    session = Session(probe, data[0])
    view = AttributionMap(session, method="gradient")
    assert "label" not in [value for _, value in shown.control(view, "target").options]
    view.target = target
    assert shown.control(view, "target").value == target
    assert "outside the classes 0..2" in view.error or "no labels" in view.error
    shown.control(view, "target").value = "predicted"
    assert (view.target, view.error) == ("predicted", "")


@pytest.mark.expects_error
def test_after_a_failure_nothing_is_waited_for(view, slow):
    slow()
    view.method = "occlusion"
    view.settings = {"occlusion": {"size": 1}}
    assert not shown.is_shown(view, w.FloatProgress)


def test_without_a_chosen_class_the_predicted_is_asked_about(view, session):
    session.class_index = None
    view.target = "chosen"
    asked = targets(view)
    assert asked == session.predicted_classes([0, 1, 2]).tolist()


def test_words_of_another_map_go_while_one_is_made(view, slow):
    view.session.model.slice.fails = LayerError("no way")
    view.session.refresh()
    assert "no way" in shown.text(view)
    view.session.model.slice.fails = None
    slow()
    view.method = "occlusion"
    assert "no way" not in shown.text(view)
    view.session.attributions.wait()
    assert "Occlusion" in shown.text(view)


def test_a_baseline_given_as_an_array_is_obeyed(view):
    baseline = np.full((6, 8, 1), 0.5, np.float32)
    view.method = "integrated_gradients"
    view.settings = {"integrated_gradients": {"baseline": baseline}}
    assert tiles(view)[0].attribution.options["baseline"] is baseline


def test_controls_follow_settings_given_in_python(view):
    view.method = "occlusion"
    view.settings = {"occlusion": {"patch": 4}}
    patch = next(
        each for each in shown.control(view, MethodSettings).children if each.description == "patch"
    )
    assert {place: words for words, place in patch.options}[patch.value] == "4"
    assert view.settings == {"occlusion": {"patch": 4}}


def test_notes_name_samples_as_the_tiles_do(view):
    session = view.session
    plain = session.model.slice.gradients

    def gradients(points, target, *, guided=False):
        scores, (found,) = plain(points, target)
        found = found.copy()
        found[points.arrays[0][:, 0, 0, 0] == 4] = np.nan
        return scores, (found,)

    session.model.slice.gradients = gradients
    session.select(samples=(5, 4), sample=5)
    session.refresh()
    assert "not numbers for 1 of 2 samples (4)" in shown.text(view)


def test_names_are_escaped(probe, data):
    session = Session(probe, *data, class_names=("<b>1</b>", "<i>", "&amp;"))
    probe.slice.fails = LayerError("<u>no</u>")
    view = AttributionMap(session, method="gradient", panel="curves")
    assert not re.search("<[biu]>", shown.markup(view))


def test_beside_the_tiles_nothing_is_chosen(view, session):
    view.width_px = 160
    shown.click(view, 0, 1)
    assert session.sample == 0


def test_progress_of_others_is_not_shown(view, session, slow):
    slow()
    session.attributions.request("occlusion", rows=[7], client="somebody")
    session.attributions.cancel()
    view.watching = False
    view.watching = True
    assert not shown.is_shown(view, w.FloatProgress)


def test_a_closed_view_hears_nothing_more(session, slow):
    slow()
    view = AttributionMap(session, method="occlusion")
    view.close()
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None  # nothing that it observed holds it


def test_maps_without_channels_keep_their_columns_where_there_is_no_picture(probe, data):
    session = Session(probe, *data)
    session.context.samples.read_inputs(("x",), {"x": ("depth", "row", "column")})
    view = AttributionMap(session, settings={"grad_cam": {"upsample": False}})
    wanted = tile_sheet(1, 2, 2, tile_px=view.tile_px, width_px=view.width_px)
    layout = shown.part(view, bq.Figure).layout
    assert (layout.height, layout.width) == tuple(f"{each}px" for each in wanted.size_px)


def test_it_gives_every_widget_back(session):
    before = open_widgets()
    view = AttributionMap(session, method="gradient")
    for method in ("smooth_grad", "occlusion"):
        view.method = method
    view.panel = "path"
    view.panel = ""
    view.close()
    assert open_widgets() == before
