import numpy as np
import pytest

from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.method import Method
from actwidgets.views import _attribution_words as said


def _attribution(score, gap=np.nan, note=""):
    zeros = np.zeros((1, 2), np.float32)
    return Attribution(zeros, np.array([gap]), np.array([1]), np.array([score]), "own", note=note)


@pytest.mark.parametrize(
    ("score", "gap", "told"),
    [
        (2.0, np.nan, ""),
        (2.0, 0.01, "gap 0.50%"),
        (-2.0, -0.01, "gap 0.50%"),
        (0.001, 0.5, "gap 0.5"),
        (0.0, 0.25, "gap 0.25"),
        (2.0, np.inf, ""),
    ],
)
def test_the_gap_is_told_beside_the_score_where_that_says_something(score, gap, told):
    assert said.gap_told(_attribution(score, gap), 0) == told


def test_a_caption_holds_the_score_and_the_gap():
    assert said.caption(_attribution(2.0), 0, "coat") == "coat 2"
    assert said.caption(_attribution(np.nan, 0.1), 0, "coat").startswith("coat –")
    assert (
        said.caption(_attribution(2.0, 0.01), 0, "a very long name") == "a very long… 2 · gap 0.50%"
    )


@pytest.mark.parametrize(
    ("colouring", "limits", "shared", "told"),
    [
        ("signed", [2.0, 2.0], True, ("-2", "+2", "(one scale for all)")),
        ("absolute", [2.0, 2.0], True, ("0<span", "2", "(one scale for all)")),
        ("signed", [2.0, 3.0], False, ("against", "for", "(each on a scale of its own)")),
        ("absolute", [2.0, 3.0], False, ("nothing", "most", "(each on a scale of its own)")),
        ("signed", [3.0], False, ("-3", "+3", "")),
    ],
)
def test_the_legend_says_what_the_ends_mean(colouring, limits, shared, told):
    found = said.legend(colouring, limits, shared=shared)
    for each in told:
        assert each in found
    assert ("scale" in found) == (len(limits) > 1)


def test_the_account_tells_the_promise_and_each_note_once():
    method = Method("own", "Own", lambda: None, "It <tells>.", "Us & them", promise="the score")
    notes = [_attribution(1.0, note=each) for each in ("Odd.", "Odd.", "")]
    found = said.account(method, notes)
    assert "It &lt;tells&gt;. Its values sum to the score. Odd." in found
    assert found.count("Odd.") == 1
    assert "Us &amp; them" in found
    assert found.count("<div") == found.count("</div>") == 1
    plain = Method("own", "Own", lambda: None, "It tells.", "Us")
    assert "sum" not in said.account(plain, [])
