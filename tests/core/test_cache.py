import numpy as np
import pytest

from actwidgets.session.results import ArrayCache


def _put(cache, key, n_bytes):
    return cache.get(key, lambda: np.zeros(n_bytes, np.uint8))


def _holds(cache, key):
    asked = []
    cache.get(key, lambda: asked.append(1) or np.zeros(0, np.uint8))
    return not asked


def test_what_is_kept_is_the_same_array():
    cache = ArrayCache(100)
    assert _put(cache, "a", 10) is _put(cache, "a", 10)
    assert cache.n_bytes == 10


def test_the_budget_may_be_used_to_the_last_byte():
    cache = ArrayCache(100)
    _put(cache, "a", 60), _put(cache, "b", 40)
    assert cache.n_bytes == 100
    assert _holds(cache, "a")
    assert _holds(cache, "b")


def test_as_many_are_forgotten_as_are_needed():
    cache = ArrayCache(100)
    for key in "abc":
        _put(cache, key, 30)
    _put(cache, "d", 70)
    assert cache.n_bytes == 100
    assert _holds(cache, "c")
    assert not _holds(cache, "a")


def test_an_array_over_the_budget_drives_nothing_out_and_is_still_given():
    cache = ArrayCache(100)
    _put(cache, "a", 90)
    assert len(_put(cache, "large", 101)) == 101
    assert cache.n_bytes == 90
    assert _holds(cache, "a")


def test_even_what_is_not_kept_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        _put(ArrayCache(0), "a", 5)[0] = 1


def test_the_array_of_whoever_made_it_stays_writable():
    own = np.zeros(3)
    ArrayCache(100).get("a", lambda: own)
    own[0] = 1


def test_a_failed_computation_leaves_nothing_behind():
    cache = ArrayCache(100)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 / 0)
    assert cache.n_bytes == 0
    assert not _holds(cache, "a")


def test_all_is_forgotten_at_once():
    cache = ArrayCache(100)
    _put(cache, "a", 50)
    cache.clear()
    assert cache.n_bytes == 0
    assert not _holds(cache, "a")
