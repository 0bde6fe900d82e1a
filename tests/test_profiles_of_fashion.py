"""Class profiles of every layer of the Fashion-MNIST model: streamed, whole and merged agree."""

import numpy as np
import pytest
from fashion_cnn import build
from real_data import require_data

import actwidgets as aw
from actwidgets.core.accumulators import summarize

pytestmark = pytest.mark.keras
BATCH = 250  # divides everything, so that all ways run the same batches
COUNTED = ("firing_rate", "min", "max", "n_nan")


@pytest.fixture(scope="module")
def data():
    loaded = aw.load_dataset("fashion_mnist", path=require_data("fashion_mnist"))
    return loaded.x_test, loaded.y_test


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def streamed(model, data):
    return aw.class_profiles(model, *data, batch_size=BATCH)


def _assert_same(found, wanted, layers=None):
    np.testing.assert_array_equal(found.counts, wanted.counts)
    for layer in layers or wanted.layers:
        for name in COUNTED:
            np.testing.assert_array_equal(getattr(found, name)[layer], getattr(wanted, name)[layer])
        for name in ("mean", "std"):
            np.testing.assert_allclose(
                getattr(found, name)[layer], getattr(wanted, name)[layer], rtol=1e-12, atol=1e-12
            )
        for mine, theirs in zip(found.histogram(layer), wanted.histogram(layer), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_all_ten_thousand_are_there(streamed, data):
    assert streamed.n_samples == 10_000
    np.testing.assert_array_equal(streamed.counts, np.bincount(data[1]))


def test_merged_from_a_random_split_into_batches_is_the_same(model, data, streamed):
    x, y = data
    parts = np.random.default_rng(1).integers(0, 5, len(x) // BATCH)
    found = []
    for part in np.random.default_rng(2).permutation(5):
        batches = [
            (x[start * BATCH : (start + 1) * BATCH], y[start * BATCH : (start + 1) * BATCH])
            for start in np.flatnonzero(parts == part)
        ]
        found.append(aw.class_profiles(model, batches))
    merged = found[0]
    for each in found[1:]:
        merged = merged.merge(each)
    _assert_same(merged, streamed)


def test_whole_in_plain_numpy_is_the_same(model, data):
    x, y = (each[:2000] for each in data)
    streamed = aw.class_profiles(model, x, y, batch_size=BATCH)
    for layer in streamed.layers:
        values = aw.activations(model, x, layers=layer, batch_size=BATCH)[layer]
        whole = summarize(values)
        for index in range(10):
            mine = y == index
            assert streamed.counts[index] == mine.sum()
            np.testing.assert_array_equal(
                streamed.firing_rate[layer][index], (whole.max[mine] > 0).mean(axis=0)
            )
            np.testing.assert_array_equal(streamed.max[layer][index], whole.max[mine].max(axis=0))
            np.testing.assert_array_equal(streamed.min[layer][index], whole.min[mine].min(axis=0))
            for name, wanted in (
                ("mean", whole.mean[mine].mean(0)),
                ("std", whole.mean[mine].std(0)),
            ):
                found = getattr(streamed, name)[layer][index]
                np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-7)
