import html
import io
import re

import numpy as np
import pytest
from fakes import FakeProbe, messages, open_widgets, wiretap
from PIL import Image

from actwidgets.core.attributions.randomisation import RandomisationCheck
from actwidgets.core.interventions.disturbance import Disturbance
from actwidgets.core.pictures.attribution_pictures import tile_sheet
from actwidgets.core.pictures.colormaps import FRAME_COLOUR
from actwidgets.errors import LayerError
from actwidgets.session import Session
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
    assert _words(view)[3] == f"S(bag) {score:.3g}"


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
    assert "aw-old" in view._tiles._dom_classes
    view.session.attributions.wait()
    assert [tile.method for tile in view._tiles.tiles] == ["occlusion"] * 3
    assert "aw-old" not in view._tiles._dom_classes
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


# --- what it holds to, whatever changes --------------------------------------------------


@pytest.fixture
def slow(session, monkeypatch):
    """Have maps made in the background, and not at once."""

    def hold():
        monkeypatch.setattr("actwidgets.session_attributions.AT_ONCE_S", 0)
        session.attributions._reader.touch()

    return hold


def _places(view):
    return {place.split(" ", 1)[1] for place in view.session.attributions._wishes}


def test_what_is_folded_or_no_longer_compared_is_left(view):
    assert _places(view) == {"samples"}
    view.methods, view.compare = ("gradient", "occlusion"), "methods"
    assert _places(view) == {"method gradient", "method occlusion"}
    view.methods = ("gradient",)
    view.panel = "path"
    assert _places(view) == {"method gradient", "panel path 20", "panel path 1"}
    view.panel = "curves"
    assert _places(view) == {"method gradient", "panel curves deletion", "panel curves insertion"}
    view.compare, view.panel = "samples", "randomisation"
    assert "samples" in _places(view)
    view.close()
    assert not view.session.attributions._wishes


def test_a_view_closed_meanwhile_has_nothing_made(view, slow):
    session = view.session
    before = _passes(session)
    slow()
    view.method, view.panel = "occlusion", "curves"
    view.close()
    session.attributions.wait()
    assert _passes(session) == before
    assert not [each for each in session.attributions._passes.values() if not each.complete]


def test_two_views_do_not_take_each_others_place(view, session):
    other = AttributionMap(session, method="gradient_x_input", target=1)
    assert len(session.attributions._wishes) == 2
    other.close()
    assert len(session.attributions._wishes) == 1
    assert view._tiles.tiles


def test_while_it_does_not_watch_it_paints_nothing_and_catches_up(view, slow):
    session = view.session
    slow()
    view.method = "occlusion"
    view.watching = False
    session.attributions.wait()
    assert {tile.method for tile in view._tiles.tiles} == {"gradient"}
    view.watching = True
    assert {tile.method for tile in view._tiles.tiles} == {"occlusion"}
    assert "aw-old" not in view._tiles._dom_classes


def test_targets_follow_the_model(view, session):
    assert [words for words, _ in view._targets.options] == [
        *("predicted class", "true class", "chosen class"),
        *("shirt", "coat", "bag"),
    ]
    view._targets.value = 1
    assert view.target == 1
    model = FakeProbe()
    session._given_names = ("top", "shoe", "hat")
    session.model = model
    assert [words for words, _ in view._targets.options][3:] == ["top", "shoe", "hat"]
    assert (view.target, view._targets.value) == (1, 1)
    assert _words(view)[1].startswith("S(shoe) ")


@pytest.mark.expects_error
@pytest.mark.parametrize("target", [7, "label"])
def test_a_target_that_is_not_there_is_one_sentence(probe, data, target):
    session = Session(probe, data[0])
    view = AttributionMap(session, method="gradient")
    assert "label" not in [value for _, value in view._targets.options]
    view.target = target
    assert view._targets.value == target
    assert "outside the classes 0..2" in view.error or "no labels" in view.error
    view._targets.value = "predicted"
    assert (view.target, view.error) == ("predicted", "")


@pytest.mark.expects_error
def test_after_a_failure_nothing_is_waited_for(view, slow):
    slow()
    view.method = "occlusion"
    assert view._waiting
    view.settings = {"occlusion": {"size": 1}}
    assert not view._waiting
    assert view._progress.layout.display == "none"


def test_without_a_chosen_class_the_predicted_is_asked_about(view, session):
    session.class_index = None
    view.target = "chosen"
    asked = [int(tile.attribution.target[tile.place]) for tile in view._tiles.tiles]
    assert asked == session.predicted_classes([0, 1, 2]).tolist()


def test_words_of_another_map_go_while_one_is_made(view, slow):
    view.session.model.slice.fails = LayerError("no way")
    view.session.refresh()
    assert "no way" in view._note.value
    view.session.model.slice.fails = None
    slow()
    view.method = "occlusion"
    assert "no way" not in view._note.value
    view.session.attributions.wait()
    assert "Occlusion" in _text(view._title)


def test_a_baseline_given_as_an_array_is_obeyed(view):
    baseline = np.full((6, 8, 1), 0.5, np.float32)
    view.method = "integrated_gradients"
    view.settings = {"integrated_gradients": {"baseline": baseline}}
    assert view._tiles.tiles[0].attribution.options["baseline"] is baseline


def test_controls_follow_settings_given_in_python(view):
    view.method = "occlusion"
    view.settings = {"occlusion": {"patch": 4}}
    patch = next(each for each in view._offered.children if each.description == "patch")
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
    assert "not numbers for 1 of 2 samples (4)" in _text(view._note)


def test_names_are_escaped(probe, data):
    session = Session(probe, *data, class_names=("<b>1</b>", "<i>", "&amp;"))
    probe.slice.fails = LayerError("<u>no</u>")
    view = AttributionMap(session, method="gradient", panel="curves")
    for widget in (view._title, view._note, view._panels._note):
        assert not re.search("<[biu]>", widget.value)


# --- the panels --------------------------------------------------------------------------


def test_a_panel_that_does_not_apply_is_folded_until_it_does(view, session):
    view.panel = "curves"
    panel = view._panels.made["curves"]
    assert "area below the deletion curve" in _text(panel._told)
    session.model.slice.fails = LayerError("no slope")
    session.refresh()
    assert "nothing to show here: no slope" in _text(view._panels._note)
    assert panel.layout.height == "0px"
    session.model.slice.fails = None
    session.refresh()
    assert panel.layout.height is None
    assert _text(view._panels._note) == ""


def test_maps_coarser_than_the_sample_have_no_curves_and_are_no_failure(view):
    view.settings, view.method = {"grad_cam": {"upsample": False}}, "grad_cam"
    view.panel = "curves"
    assert "must have the shape of the samples" in _text(view._panels._note)
    assert view.error == ""


def test_curves_are_of_the_sample_in_focus(view, session):
    view.panel = "curves"
    session.sample = 2
    found = session.attributions.faithfulness(
        "gradient", rows=[2], target=None, kind="deletion", output="logit"
    )
    lines = view._panels.made["curves"].lines.lines
    np.testing.assert_allclose(lines[0].y, found.scores[0], rtol=1e-5)
    rising = session.attributions.faithfulness("gradient", rows=[2], kind="insertion")
    np.testing.assert_allclose(lines[1].y, rising.scores[0], rtol=1e-5)
    assert f"{float(rising.auc[0]):.3f} (high)" in _text(view._panels.made["curves"]._told)


def test_a_panel_under_way_is_faint_and_comes(view, slow):
    slow()
    view.panel = "curves"
    panel = view._panels.made["curves"]
    assert "aw-old" in panel._dom_classes
    view.session.attributions.wait()
    assert "aw-old" not in panel._dom_classes
    assert "area below" in _text(panel._told)


def test_random_weights_are_told_in_a_sentence(view, session):
    view.panel = "randomisation"
    assert "cannot run its model with random weights" in _text(view._panels._note)
    view.panel = ""
    assert view._panels.children == ()


# --- samples that are no pictures --------------------------------------------------------


def test_maps_of_several_sizes_stand_side_by_side_without_pictures(probe, data):
    session = Session(probe, *data)
    session._samples._picture = np.zeros((30, 6, 8, 2), np.float32)  # no picture
    assert session.picture_shape == ()
    view = AttributionMap(
        session,
        compare="methods",
        methods=("gradient_x_input", "grad_cam"),
        settings={"grad_cam": {"upsample": False}},
    )
    assert len(view._tiles.tiles) == 2
    assert "nothing to show" not in _text(view._note)


# --- details -----------------------------------------------------------------------------


def _frames(view):
    return int((_pixels(view) == [*FRAME_COLOUR, 255]).all(axis=-1).sum())


def test_the_chosen_tile_alone_has_a_frame(view, session):
    assert _frames(view) > 0
    session.samples = (0,)
    assert _frames(view) == 0  # there is nothing to choose from


def test_a_layer_of_maps_is_the_chosen_one_only_where_that_is_wanted(view, session):
    assert view._at_layer.layout.display == "none"
    view.method = "grad_cam"
    assert view._at_layer.layout.display is None
    assert "at conv" in _text(view._title)
    session.layer = "dense"
    assert "at conv" in _text(view._title)
    view.at_chosen_layer = True
    assert "at dense" in _text(view._title)


def test_methods_have_each_a_scale_of_their_own(view):
    assert "one scale for all" in _text(view._tiles.legend)
    view.methods, view.compare = ("gradient", "gradient_x_input"), "methods"
    assert "each on a scale of its own" in _text(view._tiles.legend)


def test_pictures_are_as_the_samples_are_shown(view, session):
    view.opacity = 0.0
    before = _pixels(view)
    session.disturbance = Disturbance(brightness=0.4)
    assert _pixels(view)[3:50, 3:50, :3].mean() > before[3:50, 3:50, :3].mean()


def test_beside_the_tiles_nothing_is_chosen(view, session):
    view.width_px = 160
    assert view._tiles._columns == 1
    view._tiles._on_user_click(0, 1)
    assert session.sample == 0


def test_progress_of_others_is_not_shown(view, session, slow):
    slow()
    session.attributions.get("occlusion", rows=[7], partial=True, place="somebody")
    session.attributions.cancel()
    view._repaint()
    assert view._progress.layout.display == "none"


def test_a_closed_view_hears_nothing_more(view, session, slow):
    slow()
    view.method = "occlusion"
    before = len(session.attributions._trait_notifiers["reading"]["change"])
    view.close()
    assert len(session.attributions._trait_notifiers["reading"]["change"]) == before - 1


def test_the_path_of_a_score_below_zero_has_no_share(view, session):
    view.panel, view.target = "path", 0
    panel = view._panels.made["path"]
    view.session.sample = 1
    score = panel.lines.lines[0].y[-1]
    assert ("% of that of the sample" in _text(panel._told)) == (score > 0)
    assert score < 0
    margin = panel.lines._ys[1]
    assert margin.min < margin.max  # a norm that is the same all along


def test_curves_are_of_the_map_with_its_settings_and_layer(view, session):
    view.settings, view.method = {"occlusion": {"patch": 2, "stride": 1}}, "occlusion"
    view.panel = "curves"
    wanted = session.attributions.faithfulness("occlusion", rows=[0], patch=2, stride=1)
    kept = len(session.attributions._passes)
    session.attributions.faithfulness("occlusion", rows=[0], patch=2, stride=1)
    assert len(session.attributions._passes) == kept
    line = view._panels.made["curves"].lines.lines[0]
    np.testing.assert_allclose(line.y, wanted.scores[0], rtol=1e-5)
    keys = [key for key in session.attributions._wishes.values() if key[0] == "deletion"]
    assert [key for key in keys if ("patch", 2) in key[2]]


def test_panels_ask_at_the_chosen_layer(view, session):
    view.at_chosen_layer, view.method = True, "grad_cam"
    session.layer = "dense"
    view.panel = "curves"
    (key,) = (key for key in session.attributions._wishes.values() if key[0] == "deletion")
    assert "dense" in key


def test_the_check_of_random_weights_is_drawn_stage_by_stage(view, session):
    found = RandomisationCheck(
        "gradient", ("", "b", "a"), np.array([[1.0], [0.5], [0.2]]), np.zeros(1, np.int64)
    )
    session.attributions.randomisation = lambda *_, **__: found
    view.panel = "randomisation"
    panel = view._panels.made["randomisation"]
    np.testing.assert_allclose(panel.lines.lines[0].y, [1, 0.5, 0.2])
    np.testing.assert_allclose(panel.lines.lines[0].x, [0, 0.5, 1])
    assert html.unescape(_text(panel._told)).startswith(f"{found.sentence} Sample 0 alone")


def test_maps_without_channels_keep_their_columns_where_there_is_no_picture(probe, data):
    session = Session(probe, *data)
    session._samples._picture = np.zeros((30, 6, 8, 2), np.float32)
    view = AttributionMap(session, settings={"grad_cam": {"upsample": False}})
    wanted = tile_sheet(1, 2, 2, tile_px=view.tile_px, width_px=view.width_px)
    assert view._tiles.picture._size == wanted.size_px
