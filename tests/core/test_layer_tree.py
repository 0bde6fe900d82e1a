import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.layer_tree import LayerTree

NAMES = [
    "scale",
    "body",
    "body/conv",
    "body/block",
    "body/block/conv",
    "body#1",
    "body#1/conv",
    "top",
]


def _tree(names=NAMES):
    return LayerTree([LayerInfo(name, "Conv2D", (None, 3), 3, 0) for name in names])


def _shown(lines):
    return [(line.depth, line.label, line.is_open) for line in lines]


def test_closed_only_the_top_level_is_on_show():
    assert _shown(_tree().lines(())) == [
        (0, "scale", None),
        (0, "body", False),
        (0, "body#1", False),
        (0, "top", None),
    ]


def test_what_is_opened_shows_what_is_directly_in_it():
    assert _shown(_tree().lines(("body",))) == [
        (0, "scale", None),
        (0, "body", True),
        (1, "conv", None),
        (1, "block", False),
        (0, "body#1", False),
        (0, "top", None),
    ]


def test_what_is_inside_a_closed_one_stays_hidden_though_its_own_parent_is_open():
    assert len(_tree().lines(("body/block",))) == 4


def test_a_filter_shows_matches_and_what_they_lie_in_whatever_is_open():
    lines = _tree().lines((), ["block/conv"])
    assert _shown(lines) == [(0, "body", True), (1, "block", True), (2, "conv", None)]
    assert _tree().n_matches(["block/conv"]) == 1
    assert _tree().n_matches(["CONV2D".lower()]) == len(NAMES)


def test_layers_in_one_that_is_not_listed_keep_their_path():
    tree = _tree(["hidden/a", "hidden/b", "top"])
    assert _shown(tree.lines(())) == [
        (0, "hidden/a", None),
        (0, "hidden/b", None),
        (0, "top", None),
    ]


def test_what_a_layer_lies_in_goes_from_the_outside_inwards():
    assert _tree().around("body/block/conv") == ("body", "body/block")
    assert _tree().around("top") == ()
    with pytest.raises(KeyError):
        _tree().around("none")


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@given(st.sets(paths, min_size=1))
def test_with_everything_open_every_layer_is_there_once_in_its_order(names):
    ordered = sorted(names)
    tree = _tree(ordered)
    assert [line.layer.name for line in tree.lines(tree.containers)] == ordered
    assert all(line.depth == 0 for line in tree.lines(()))
