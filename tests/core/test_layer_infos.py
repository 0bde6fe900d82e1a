import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.layers import ORDERS, LayerInfo, LayerTree, unit_order

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
    assert [layer.name for layer in tree.matching(["ADD"])] == ["backbone/block/add"]
    assert _lines(tree, (), ["lstm"]) == [" lstm", " lstm:1"]
    assert _lines(tree, (), ["lstm", "sub"]) == []
    assert len(tree.matching(["conv2d"])) == len(NESTED)  # of that kind


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


# --- layer info ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((None, 26, 24, 32), "26×24×32"),
        ((None, None, None, 8), "?×?×8"),
        ((None, 10), "10"),
        ((None, 7, 4), "7×4"),
        ((None, 2, 3, 4, 5), "2×3×4×5"),
        ((None,), "scalar"),
    ],
)
def test_the_shape_of_one_sample_is_said_in_words(shape, text):
    info = LayerInfo("layer", "Kind", shape, 1, 0)
    assert info.shape_text == text


@pytest.mark.parametrize(
    ("n_params", "text"),
    [
        (0, "–"),
        (864, "864"),
        (9999, "9,999"),
        (10_000, "10.0k"),
        (12_810, "12.8k"),
        (409_600, "410k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (2_257_984, "2.26M"),
        (23_587_712, "23.6M"),
        (138_357_544, "138M"),
        (7_000_000_000, "7.00G"),
    ],
)
def test_a_number_of_parameters_is_said_in_five_letters(n_params, text):
    assert LayerInfo("layer", "Kind", (None, 1), 1, n_params).n_params_text == text


# --- unit order ---------------------------------------------------------------------------


def _maps(*units):
    """One sample of maps 1xn from the values of each unit."""
    return np.array(units, float).T.reshape(1, 1, -1, len(units))


def test_mean_and_peak_are_not_the_same():
    maps = _maps([3, 3], [0, 5], [1, 1])
    assert unit_order(maps, "mean").tolist() == [0, 1, 2]
    assert unit_order(maps, "peak").tolist() == [1, 0, 2]


def test_the_order_is_over_all_samples_and_positions():
    maps = np.zeros((2, 2, 3, 3))
    maps[1, 1, 2, 2] = 1
    maps[0, 0, 0, 1] = 0.5
    for order in ("mean", "peak"):
        assert unit_order(maps, order).tolist() == [2, 1, 0]


@pytest.mark.parametrize("order", ["mean", "peak"])
def test_a_unit_at_minus_infinity_comes_before_one_that_is_nan(order):
    assert unit_order(_maps([np.nan], [-np.inf], [np.inf], [0]), order).tolist() == [2, 3, 1, 0]


@pytest.mark.filterwarnings("error")
def test_a_unit_without_a_mean_comes_last_without_a_warning():
    assert unit_order(_maps([np.inf, -np.inf], [0, 0]), "mean").tolist() == [1, 0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float16, np.float64])
def test_every_dtype_is_ordered(order, dtype):
    maps = np.array([0, 1, 1]).astype(dtype).reshape(1, 1, 1, 3)
    assert unit_order(maps, order).tolist() == ([0, 1, 2] if order == "index" else [1, 2, 0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(1, 0, 0, 3), (0, 2, 3, 3), (1, 2, 3, 0), (1, 1, 1, 1)])
@pytest.mark.filterwarnings("error")
def test_nothing_to_order_by_leaves_the_units_as_they_are(order, shape):
    assert unit_order(np.zeros(shape), order).tolist() == list(range(shape[-1]))
