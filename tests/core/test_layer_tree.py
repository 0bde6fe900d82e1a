import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.layers import LayerInfo, LayerTree

NESTED = (
    *("input_conv", "backbone", "backbone/conv1", "backbone/block", "backbone/block/conv"),
    *("backbone/block/add", "backbone/pool", "sub", "sub/conv", "sub#1", "sub#1/conv"),
    *("lstm", "lstm:1", "dense"),
)


def _tree(*names, kind="Conv2D"):
    return LayerTree(tuple(LayerInfo(name, kind, (None, 3), 3, 0) for name in names))


def _shown(tree, opened=(), words=()):
    return [row.layer.name for row in tree.rows(opened, words)]


def _lines(tree, opened=(), words=()):
    mark = {(True, True): "-", (True, False): "+", (False, False): " "}
    return [
        "  " * row.depth + mark[row.is_container, row.is_open] + row.label
        for row in tree.rows(opened, words)
    ]


def test_everything_open_is_every_layer_once_in_the_models_order():
    tree = _tree(*NESTED)
    assert tree.containers == ("backbone", "backbone/block", "sub", "sub#1")
    assert _lines(tree, tree.containers) == [
        " input_conv",
        "-backbone",
        "   conv1",
        "  -block",
        "     conv",
        "     add",
        "   pool",
        "-sub",
        "   conv",
        "-sub#1",
        "   conv",
        " lstm",
        " lstm:1",
        " dense",
    ]
    assert _shown(tree, tree.containers) == list(NESTED)


def test_everything_closed_is_the_top_level():
    tree = _tree(*NESTED)
    top = [" input_conv", "+backbone", "+sub", "+sub#1", " lstm", " lstm:1", " dense"]
    assert _lines(tree) == top


def test_a_container_that_is_open_inside_a_closed_one_is_not_on_show():
    tree = _tree(*NESTED)
    assert "backbone/block" not in _shown(tree, ("backbone/block",))
    assert "  +block" in _lines(tree, ("backbone",))


def test_the_calls_of_one_container_open_apart():
    assert _shown(_tree("sub", "sub/conv", "sub#1", "sub#1/conv"), ("sub#1",)) == [
        "sub",
        "sub#1",
        "sub#1/conv",
    ]


def test_a_filter_shows_what_it_finds_and_the_way_there_whatever_is_open():
    tree = _tree(*NESTED)
    expected = ["-backbone", "  -block", "     add"]
    assert _lines(tree, (), ["ADD"]) == _lines(tree, tree.containers, ["ADD"]) == expected
    assert [layer.name for layer in tree.found(["ADD"])] == ["backbone/block/add"]
    assert _lines(tree, (), ["lstm"]) == [" lstm", " lstm:1"]
    assert _lines(tree, (), ["lstm", "sub"]) == []
    assert len(tree.found(["conv2d"])) == len(NESTED)  # of that kind


def test_a_container_found_without_what_is_in_it_is_closed():
    layers = (LayerInfo("sub", "Functional", (None, 3), 3, 0), *_tree("sub/conv", "dense").layers)
    tree = LayerTree(layers)
    assert _lines(tree, ("sub",), ["functional"]) == ["+sub"]


def test_layers_of_a_container_that_is_missing_stay_one_level_up_with_its_name():
    tree = _tree("ghost/conv", "ghost/add", "net", "net/ghost/conv", "net/ghost/block", "dense")
    assert tree.containers == ("net",)
    assert _lines(tree, ("net",)) == [
        " ghost/conv",
        " ghost/add",
        "-net",
        "   ghost/conv",
        "   ghost/block",
        " dense",
    ]


def test_a_layer_out_of_place_does_not_move_and_claims_no_other_parent():
    tree = _tree("a/early", "a", "a/x", "b", "a/late")
    assert _lines(tree, ("a",)) == [" a/early", "-a", "   x", " b", " a/late"]


def test_further_outputs_of_a_container_lie_in_it():
    tree = _tree("net", "net/sub", "net/sub:1", "net/sub/conv", "rnn", "rnn:1", "rnn/cell")
    assert _lines(tree, tree.containers) == [
        "-net",
        "  -sub",
        "     sub:1",
        "     conv",
        "-rnn",
        "   rnn:1",
        "   cell",
    ]
    assert _shown(tree) == ["net", "rnn"]


def test_a_name_that_begins_like_another_is_not_inside_it():
    tree = _tree("conv", "conv1", "conv_bn", "conv#1")
    assert tree.depth == 0
    assert tree.containers == ()


def test_where_a_layer_lies():
    tree = _tree(*NESTED)
    assert tree.containers_of("backbone/block/conv") == ("backbone", "backbone/block")
    assert tree.containers_of("nowhere") == ()
    assert tree.nearest_container("backbone/block/conv") == "backbone/block"
    assert tree.nearest_container("backbone/block") == "backbone/block"
    assert tree.nearest_container("dense") is None
    assert tree.depth == 2


@pytest.mark.parametrize(
    ("opened", "shown"),
    [
        ((), "backbone"),
        (("backbone/block",), "backbone"),
        (("backbone",), "backbone/block"),
        (("backbone", "backbone/block"), "backbone/block/conv"),
    ],
)
def test_a_closed_container_stands_for_what_is_in_it(opened, shown):
    assert _tree(*NESTED).nearest_shown("backbone/block/conv", opened) == shown


def test_a_model_of_more_than_40_layers_begins_closed():
    children = [f"net/conv{place}" for place in range(40)]
    assert _tree("net", *children[:39]).opened_at_first() == ("net",)
    assert _tree("net", *children).opened_at_first() == ()


def test_what_was_open_stays_so_in_another_model_that_has_it():
    before = _tree("kept", "kept/a", "shut", "shut/a", "gone", "gone/a")
    after = _tree("new", "new/a", "shut", "shut/a", "kept", "kept/a")
    assert after.opened_after(before, ("kept", "gone")) == ("new", "kept")
    large = _tree("new", "new/a", "kept", "kept/a", *map(str, range(40)))
    assert large.opened_after(before, ("kept", "gone")) == ("kept",)


def test_names_that_are_no_containers_are_not_known():
    assert _tree(*NESTED).known(("sub", "dense", "nowhere", "backbone")) == ("backbone", "sub")


def test_no_line_is_empty():
    assert _lines(_tree("a", "a/"), ("a",)) == ["-a", "   a/"]


def test_a_model_without_layers_has_no_rows():
    tree = _tree()
    assert (tree.rows(()), tree.containers, tree.depth) == ((), (), 0)


@given(st.lists(st.text("ab/#:1", min_size=1, max_size=7), unique=True, max_size=12), st.data())
def test_whatever_the_names_all_open_is_all_of_them_and_closing_only_hides(names, data):
    tree = _tree(*names)
    assert _shown(tree, tree.containers) == names
    assert _shown(tree) == [name for name in names if not tree.containers_of(name)]
    opened = data.draw(st.sets(st.sampled_from(tree.containers))) if tree.containers else ()
    shown = _shown(tree, opened)
    assert shown == [name for name in names if tree.nearest_shown(name, opened) == name]
    assert {tree.nearest_shown(name, opened) for name in names} == set(shown)
    for above, row in zip([None, *tree.rows(opened)], tree.rows(opened), strict=False):
        assert row.depth <= (above.depth + 1 if above else 0)
        assert row.label
