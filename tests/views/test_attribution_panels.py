import numpy as np
import pytest
import shown
from attribution_views import gradients_of_three, hold, panel, requests

from actwidgets.core.attribution.evaluation import RandomizationCheck
from actwidgets.errors import LayerError
from actwidgets.views.attribution_panels import AttributionPanels


@pytest.fixture
def view(session):
    return gradients_of_three(session)


@pytest.fixture
def slow(session, monkeypatch):
    return lambda: hold(session, monkeypatch)


def test_the_path_of_the_sample_and_a_slider_along_it(view):
    view.panel = "path"
    part = panel(view, "path")
    scores = part.lines.lines[0].y
    np.testing.assert_allclose(scores, np.array(part.alphas) * scores[-1], rtol=1e-4)
    part.slider.value = part.alphas[4]
    assert part.lines.mark.x[0] == pytest.approx(part.alphas[4])
    alone = part.tiles.tiles[0].attribution
    assert alone.path.scores[0, 0] == pytest.approx(scores[4], rel=1e-4)
    assert "At 0.25 · x the score is" in shown.text(part)


def test_a_panel_that_does_not_apply_is_folded_until_it_does(view, session):
    view.panel = "curves"
    part = panel(view, "curves")
    assert "area below the deletion curve" in shown.text(part)
    session.model.slice.fails = LayerError("no slope")
    session.refresh()
    assert "nothing to show here: no slope" in shown.text(shown.control(view, AttributionPanels))
    assert part.layout.height == "0px"
    session.model.slice.fails = None
    session.refresh()
    assert part.layout.height is None
    assert "nothing to show here" not in shown.text(view)


def test_maps_coarser_than_the_sample_have_no_curves_and_are_no_failure(view):
    view.settings, view.method = {"grad_cam": {"upsample": False}}, "grad_cam"
    view.panel = "curves"
    assert "must have the shape of the samples" in shown.text(
        shown.control(view, AttributionPanels)
    )
    assert view.error == ""


def test_curves_are_of_the_sample_in_focus(view, session):
    view.panel = "curves"
    session.sample = 2
    found = session.attributions.faithfulness(
        "gradient", rows=[2], target=None, kind="deletion", output="logit"
    )
    lines = panel(view, "curves").lines.lines
    np.testing.assert_allclose(lines[0].y, found.scores[0], rtol=1e-5)
    rising = session.attributions.faithfulness("gradient", rows=[2], kind="insertion")
    np.testing.assert_allclose(lines[1].y, rising.scores[0], rtol=1e-5)
    assert f"{float(rising.auc[0]):.3f} (high)" in shown.text(panel(view, "curves"))


def test_a_panel_under_way_is_faint_and_comes(view, slow):
    slow()
    view.panel = "curves"
    part = panel(view, "curves")
    assert shown.is_faded(part)
    view.session.attributions.wait()
    assert not shown.is_faded(part)
    assert "area below" in shown.text(part)


def test_random_weights_are_told_in_a_sentence(view, session):
    view.panel = "randomization"
    assert "cannot run its model with random weights" in shown.text(
        shown.control(view, AttributionPanels)
    )
    view.panel = ""
    assert shown.control(view, AttributionPanels).children == ()


def test_the_path_of_a_score_below_zero_has_no_share(view, session):
    view.panel, view.target = "path", 0
    part = panel(view, "path")
    view.session.sample = 1
    score = part.lines.lines[0].y[-1]
    assert ("% of that of the sample" in shown.text(part)) == (score > 0)
    assert score < 0
    margin = part.lines.lines[1].scales["y"]
    assert margin.min < margin.max  # a norm that is the same all along


def test_curves_are_of_the_map_with_its_settings_and_layer(view, session):
    view.settings, view.method = {"occlusion": {"patch": 2, "stride": 1}}, "occlusion"
    view.panel = "curves"
    wanted = session.attributions.faithfulness("occlusion", rows=[0], patch=2, stride=1)
    kept = len(session.attributions._passes)
    session.attributions.faithfulness("occlusion", rows=[0], patch=2, stride=1)
    assert len(session.attributions._passes) == kept
    line = panel(view, "curves").lines.lines[0]
    np.testing.assert_allclose(line.y, wanted.scores[0], rtol=1e-5)
    keys = [key for key in requests(session).values() if key[0] == "deletion"]
    assert [key for key in keys if ("patch", 2) in key[2]]


def test_panels_ask_at_the_chosen_layer(view, session):
    view.at_chosen_layer, view.method = True, "grad_cam"
    session.layer = "dense"
    view.panel = "curves"
    (key,) = (key for key in requests(session).values() if key[0] == "deletion")
    assert "dense" in key


def test_the_check_of_random_weights_is_drawn_stage_by_stage(view, session):
    found = RandomizationCheck(
        "gradient", ("", "b", "a"), np.array([[1.0], [0.5], [0.2]]), np.zeros(1, np.int64)
    )
    session.attributions.randomization = lambda *_, **__: found
    view.panel = "randomization"
    part = panel(view, "randomization")
    np.testing.assert_allclose(part.lines.lines[0].y, [1, 0.5, 0.2])
    np.testing.assert_allclose(part.lines.lines[0].x, [0, 0.5, 1])
    assert f"{found.sentence} Sample 0 only" in shown.text(part)
