"""The same profiles from a cluster of two real worker processes, and its failures."""

import os
import signal

import dask.array as da
import keras
import numpy as np
import pytest
from distributed import Client, LocalCluster

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError

pytestmark = pytest.mark.keras
BATCH = 64


def _cluster(n_workers):
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


@pytest.fixture(scope="module")
def client():
    with _cluster(2) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def model():
    return aw.demo_model()


@pytest.fixture(scope="module")
def data():
    digits = aw.load_dataset("digits")
    return digits.x_train[:1000], digits.y_train[:1000]


@pytest.fixture(scope="module")
def wanted(model, data):
    return aw.class_profiles(model, *data, batch_size=BATCH)


def _assert_same(found, wanted):
    assert (found.layers, found.class_names) == (wanted.layers, wanted.class_names)
    np.testing.assert_array_equal(found.counts, wanted.counts)
    for layer in wanted.layers:
        for name in ("firing_rate", "min", "max", "n_nan"):
            np.testing.assert_array_equal(
                getattr(found, name)[layer], getattr(wanted, name)[layer], err_msg=name
            )
        for name in ("mean", "std"):
            np.testing.assert_allclose(
                getattr(found, name)[layer], getattr(wanted, name)[layer], rtol=1e-12, atol=1e-12
            )


def _loaders(data, rows=256):
    """Callables without arguments, one for each 256 samples."""
    return [
        lambda part=(data[0][start : start + rows], data[1][start : start + rows]): part
        for start in range(0, len(data[0]), rows)
    ]


def test_arrays_go_in_slices_and_progress_is_told(client, model, data, wanted):
    told = []
    found = aw.class_profiles(
        model, *data, batch_size=BATCH, client=client, progress=told.append
    )
    _assert_same(found, wanted)
    assert len(told) == 15
    assert told == sorted(told)
    assert told[-1] == 1000


def test_partitions_of_callables(client, model, data, wanted):
    parts = aw.Partitions(_loaders(data))
    assert (len(parts), repr(parts)) == (4, "<Partitions: 4>")
    found = aw.class_profiles(model, parts, batch_size=BATCH, client=client)
    _assert_same(found, wanted)
