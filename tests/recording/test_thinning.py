import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.recording.recorder import to_drop

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=40)


@given(SIZES, st.integers(0, 200))
def test_what_is_left_fits_and_the_ends_stay(n_bytes, budget):
    epochs = [float(each) for each in range(len(n_bytes))]
    dropped = to_drop(epochs, n_bytes, budget)
    kept = [each for each in range(len(n_bytes)) if each not in dropped]
    assert kept[0] == 0
    assert kept[-1] == len(n_bytes) - 1
    assert len(kept) <= 2 or sum(n_bytes[each] for each in kept) <= budget


@given(SIZES)
def test_nothing_is_dropped_that_fits(n_bytes):
    assert to_drop(range(len(n_bytes)), n_bytes, sum(n_bytes)) == ()


@given(st.integers(4, 30), st.integers(30, 150))
def test_snapshots_that_come_one_by_one_stay_evenly_apart(n_kept, n_epochs):
    epochs = []
    for epoch in range(n_epochs):
        epochs.append(float(epoch))
        dropped = to_drop(epochs, [1] * len(epochs), n_kept)
        epochs = [each for place, each in enumerate(epochs) if place not in dropped]
    assert len(epochs) == n_kept
    gaps = np.diff(epochs)
    assert gaps[:-1].max() <= 4 * gaps[:-1].min()  # before the last one there may be little
    assert gaps.max() <= 4 * n_epochs / n_kept


def test_epochs_count_not_places():
    assert to_drop([0, 1, 1.1, 1.2, 5], [1] * 5, 4) == (2,)


def test_of_none_and_of_one_nothing_is_dropped():
    assert to_drop([], [], 0) == ()
    assert to_drop([0], [9], 0) == ()


def test_of_equals_the_earliest_goes():
    assert to_drop([0, 1, 2, 3, 4], [1] * 5, 4) == (1,)
