import numpy as np
import pytest

from actwidgets.core.layers import ORDERS, unit_order


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
