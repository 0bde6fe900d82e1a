import pytest

from actwidgets.core.attribution.base import Method, Option
from actwidgets.views.attribution_map import MethodSettings

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
