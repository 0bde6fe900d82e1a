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
from fakes import FakeProbe, open_widgets

from actwidgets.errors import LayerError
from actwidgets.images.heatmap import tile_sheet
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap, MethodSettings


@pytest.fixture
def view(session):
    return gradients_of_three(session)


@pytest.fixture
def slow(session, monkeypatch):
    return lambda: hold(session, monkeypatch)


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
    assert not [each for each in session.attributions._passes.values() if not each.complete]


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
    session.attributions.get("occlusion", rows=[7], partial=True, place="somebody")
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
    session._samples.read_inputs(("x",), {"x": ("depth", "row", "column")})
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
