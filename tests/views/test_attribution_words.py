import numpy as np
import pytest

from actwidgets.core.attribution.base import Attribution, Method
from actwidgets.core.attribution.registry import method_named
from actwidgets.views import attribution_panels
from actwidgets.views.attribution_panels import AttributionTiles, Look, Tile


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
    assert "speak for the output" in found
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
