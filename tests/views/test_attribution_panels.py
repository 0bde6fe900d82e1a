import numpy as np
import pytest
import shown
from attribution_views import gradients_of_three, hold, panel, requests

from actwidgets.core.attribution.base import Attribution, Method
from actwidgets.core.attribution.evaluation import RandomizationCheck
from actwidgets.core.attribution.registry import method_named
from actwidgets.errors import LayerError
from actwidgets.views import attribution_panels
from actwidgets.views.attribution_panels import AttributionPanels, AttributionTiles, Look, Tile


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
    kept = len(session.attributions._tasks)
    session.attributions.faithfulness("occlusion", rows=[0], patch=2, stride=1)
    assert len(session.attributions._tasks) == kept
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
    request = session.attributions.request
    session.attributions.request = lambda *args, **asked: (
        found if asked.get("kind") == "random weights" else request(*args, **asked)
    )
    view.panel = "randomization"
    part = panel(view, "randomization")
    np.testing.assert_allclose(part.lines.lines[0].y, [1, 0.5, 0.2])
    np.testing.assert_allclose(part.lines.lines[0].x, [0, 0.5, 1])
    assert f"{found.sentence} Sample 0 only" in shown.text(part)


# --- attribution words --------------------------------------------------------------------


def _attribution(score, gap=np.nan, promised=0.0, note=""):
    values = np.array([[promised, 0]], np.float32) + (0 if np.isnan(gap) else gap / 2)
    return Attribution(values, np.array([gap]), np.array([1]), np.array([score]), "own", note=note)


@pytest.mark.parametrize(
    ("promised", "gap", "told"),
    [
        (2.0, np.nan, ""),
        (2.0, 0.01, " · gap 0.50%"),
        (-2.0, -0.01, " · gap 0.50%"),
        (0.001, 0.5, " · gap 0.5"),
        (0.0, 0.25, " · gap 0.25"),
    ],
)
def test_the_gap_is_told_as_a_share_of_the_sum_that_is_promised(promised, gap, told):
    assert (
        attribution_panels.caption(_attribution(7.0, gap, promised), 0, "coat")
        == f"S(coat) 7{told}"
    )


def test_a_long_name_is_shortened_and_a_score_of_nan_is_a_dash():
    assert attribution_panels.caption(_attribution(np.nan), 0, "coat") == "S(coat) –"
    assert (
        attribution_panels.caption(_attribution(2.0), 0, "a very long name") == "S(a very long…) 2"
    )


@pytest.mark.parametrize(
    ("coloring", "limits", "shared", "told"),
    [
        ("signed", [2.0, 2.0], True, ("-2", ">2", "one scale for all")),
        ("absolute", [2.0, 2.0], True, ("0<span", "2", "one scale for all")),
        ("signed", [2.0, 3.0], False, ("negative", "positive", "each on a scale of its own")),
        ("absolute", [2.0, 3.0], False, ("0<span", "max", "each on a scale of its own")),
        ("signed", [3.0], False, ("-3", ">3", "")),
    ],
)
def test_the_legend_says_what_the_ends_mean(coloring, limits, shared, told):
    found = attribution_panels.legend(
        coloring, limits, shared=shared, score="the logit of the class", has_negative=True
    )
    assert "S: the logit" in found
    for each in told:
        assert each in found
    assert ("scale" in found) == (len(limits) > 1)


def test_what_is_never_negative_has_half_of_the_colors():
    options = {"shared": True, "score": "the logit of the class"}
    found = attribution_panels.legend("signed", [2.0], has_negative=False, **options)
    assert "-2" not in found
    assert ">0<span" in found
    assert "rgb(5,48,97)" not in found  # the blue end


def test_the_account_tells_the_promise_and_each_note_once():
    method = Method("own", "Own", lambda: None, "It <tells>.", "Us & them", promise="the score")
    notes = [_attribution(1.0, note=each) for each in ("Odd.", "Odd.", "")]
    found = attribution_panels.account(method, notes)
    assert "It &lt;tells&gt;. Its values sum to the score. Odd." in found
    assert found.count("Odd.") == 1
    assert "Us &amp; them" in found
    assert found.count("<div") == found.count("</div>") == 1
    plain = Method("own", "Own", lambda: None, "It tells.", "Us")
    assert "sum" not in attribution_panels.account(plain, [])


def test_what_is_zero_everywhere_has_no_scale_of_colors():
    found = attribution_panels.legend(
        "signed", [0.0, 0.0], shared=True, score="the logit", has_negative=False
    )
    assert "zero everywhere" in found
    assert "gradient" not in found
    assert "S: the logit" in found


def test_the_account_of_a_value_speaks_of_the_output():
    found = attribution_panels.account(method_named("grad_cam"), [_attribution(1.0)], is_value=True)
    assert "evidence for the output" in found
    assert "the class" not in found


@pytest.mark.parametrize("highest", [0.0, 0.25])
def test_tiles_of_zeros_are_said_to_be_zero_everywhere(highest):
    values = np.zeros((1, 6, 8, 1), np.float32)
    values[0, 2, 3] = highest
    found = Attribution(values, np.zeros(1), np.array([1]), np.zeros(1), "grad_cam")
    tiles = AttributionTiles(lambda tile: None)
    look = Look("signed", 0.6, True, 96, 300)
    tile = Tile(0, "grad_cam", found, 0, "", values)
    tiles.draw([tile], None, [(6, 8)], [("a", "b")], look, framed=None)
    assert ("zero everywhere" in tiles.legend.value) == (highest == 0)
    assert ("linear-gradient" in tiles.legend.value) == (highest > 0)
