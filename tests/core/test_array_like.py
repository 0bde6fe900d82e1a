"""What people hand over as samples and labels, read as arrays."""

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import xarray as xr
from dask import array as da

from actwidgets.core.arrays import Rows, as_array, as_arrays, feature_names
from actwidgets.core.batches import iterate, take
from actwidgets.core.labels import class_indices, label_names, names_of_classes
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError

X = np.arange(60, dtype=np.float32).reshape(12, 5)
ROWS = [5, 2, 2, 11, -1, 0]


class _Slices:
    """What can be sliced and nothing else; notes what was read of it."""

    shape, dtype = X.shape, X.dtype

    def __init__(self, chunks=None):
        self.read, self.chunks = [], chunks

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.read.append((rows.start, rows.stop))
        return X[rows]


def _h5py(tmp_path):
    file = h5py.File(tmp_path / "x.h5", "w")
    return file.create_dataset("x", data=X, chunks=(4, 5), compression="gzip")


def _zarr(_):
    import zarr  # takes half a second

    return zarr.array(X, chunks=(4, 5))


def _stored_xarray(tmp_path):
    path = tmp_path / "x.zarr"
    xr.Dataset({"x": (("row", "feature"), X)}).to_zarr(path, zarr_format=2)
    return xr.open_zarr(path, chunks=None)["x"]


def _memmap(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


STORES = {
    "h5py": _h5py,
    "memory map": _memmap,
    "zarr": _zarr,
    "dask": lambda _: da.from_array(X, chunks=(5, 5)),
    "xarray": lambda _: xr.DataArray(X, dims=("row", "feature")),
    "stored xarray": _stored_xarray,
    "xarray of dask": lambda _: xr.DataArray(da.from_array(X, chunks=(5, 5))),
    "slices alone": lambda _: _Slices(),
    "sparse": lambda _: sp.csr_matrix(X),
    "sparse by columns": lambda _: sp.csc_array(X),
    "pandas": lambda _: pd.DataFrame(X, index=np.arange(12)[::-1] * 3),
    "polars": lambda _: pl.DataFrame(X),
}


@pytest.mark.parametrize("kind", STORES)
def test_rows_come_in_the_order_asked_for_and_as_often(kind, tmp_path):
    store = STORES[kind](tmp_path)
    found = as_array(store)
    assert found.shape == X.shape
    np.testing.assert_array_equal(np.asarray(found[np.array(ROWS)]), X[ROWS])
    np.testing.assert_array_equal(np.asarray(found[[1, 1]]), X[[1, 1]])
    np.testing.assert_array_equal(np.asarray(found[3:9:2]), X[3:9:2])
    np.testing.assert_array_equal(np.asarray(found[::-4]), X[::-4])
    np.testing.assert_array_equal(np.asarray(found[-2]), X[-2])
    assert np.asarray(found[[]]).shape == (0, 5)
    np.testing.assert_array_equal(np.asarray(found), X)
    batches = [batch for batch, _ in iterate(store, batch_size=5)]
    np.testing.assert_array_equal(np.concatenate([*map(np.asarray, batches)]), X)
    samples = Samples(store, None)
    np.testing.assert_array_equal(np.asarray(samples.rows((5, 2))), X[[5, 2]])


def test_no_more_is_read_than_the_rows_or_their_chunks():
    source = _Slices()
    Rows(source)[[9, 2, 3, 3]]
    assert source.read == [(2, 4), (9, 10)]
    chunked = _Slices(chunks=(4, 5))
    Rows(chunked)[[9, 1, 3, 11]]  # rows 1 and 3 lie in one chunk, 9 and 11 in another
    assert chunked.read == [(1, 4), (9, 12)]


def test_rows_outside_a_store_are_refused_and_not_read():
    source = _Slices()
    with pytest.raises(IndexError, match=r"0\.\.11"):
        Rows(source)[[3, 12]]
    assert not source.read


def test_a_store_that_is_labels_too_is_read_once(tmp_path):
    file = h5py.File(tmp_path / "y.h5", "w")
    y = file.create_dataset("y", data=np.arange(12) % 3)
    samples = Samples(_h5py(tmp_path), y, n_classes=3)
    assert samples.labels.tolist() == (np.arange(12) % 3).tolist()


def test_columns_of_numbers_of_several_kinds_become_one_array():
    table = pd.DataFrame(
        {
            "size": pd.array([1, 2, None], dtype="Int64"),
            "price": [0.5, 0.25, 4.0],
            "sold": [True, False, True],
            "room": pd.array([3.5, None, 1], dtype="Float32"),
        }
    )
    expected = [[1, 0.5, 1, 3.5], [2, 0.25, 0, np.nan], [np.nan, 4, 1, 1]]
    np.testing.assert_array_equal(as_array(table), expected)
    assert feature_names(table) == ("size", "price", "sold", "room")
    assert as_array(pd.DataFrame({"a": pd.array([1, 2], dtype="Int16")})).dtype == np.int16
    large = pd.DataFrame({"id": pd.array([2**30 + 1, None], dtype="Int64")})
    np.testing.assert_array_equal(as_array(large), [[2**30 + 1], [np.nan]])


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (["Rome", "Oslo"], "'city' holds values like 'Rome'"),
        (pd.Categorical(["b", "a"]), "'city' holds values like 'b'"),
        (pd.to_datetime(["2026-01-01", "2026-01-02"]), "'city' holds values like"),
    ],
)
def test_a_column_that_holds_no_numbers_is_named(column, told):
    table = pd.DataFrame({"area": [1.0, 2.0], "city": column})
    with pytest.raises(DataError, match=rf"x must hold numbers in every column; {told}"):
        as_array(table)


def test_a_table_of_text_alone_stays_text():
    found = as_array(pd.DataFrame({"a": ["x", "y"], "b": ["z", "w"]}))
    assert found.dtype == object
    assert found.tolist() == [["x", "z"], ["y", "w"]]


def test_a_dict_of_columns_has_an_array_for_each():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}, index=[7, 3])
    for parts in (dict(table), pl.DataFrame({"a": [1.0, 2.0], "b": [3, 4]}).to_dict()):
        found = as_arrays(parts)
        assert {name: part.shape for name, part in found.items()} == {"a": (2, 1), "b": (2, 1)}
        assert take(found, [1, 0])["b"].tolist() == [[4], [3]]


NAMED = ["cat", "dog", "cat", "ant"]


@pytest.mark.parametrize(
    ("y", "names", "indices"),
    [
        (pd.Series(NAMED, index=[5, 5, 1, 0]), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (NAMED, ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (np.array(NAMED), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (np.array([each.encode() for each in NAMED]), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (pl.Series(NAMED), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (pd.DataFrame({"kind": NAMED}), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (
            pd.Series(pd.Categorical(NAMED, ["dog", "cat", "ant"])),
            ("dog", "cat", "ant"),
            [1, 0, 1, 2],
        ),
        (pd.Categorical(NAMED, ["dog", "cat", "ant"]), ("dog", "cat", "ant"), [1, 0, 1, 2]),
        (
            pl.Series(NAMED, dtype=pl.Enum(["dog", "cat", "ant"])),
            ("dog", "cat", "ant"),
            [1, 0, 1, 2],
        ),
        (pd.get_dummies(pd.Series(NAMED)), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (pd.get_dummies(pd.Series(NAMED), dtype=float), ("ant", "cat", "dog"), [1, 2, 1, 0]),
        (pl.Series(NAMED).to_dummies(), ("_ant", "_cat", "_dog"), [1, 2, 1, 0]),
        (pd.Series([2, 0, 1], index=[4, 9, 1]), (), [2, 0, 1]),
        (pd.Series([2, 0, 1], dtype="Int64"), (), [2, 0, 1]),
        (pd.Series([2, 0, 1], dtype="category"), (), [2, 0, 1]),
        (pd.DataFrame({"y": [2, 0, 1]}), (), [2, 0, 1]),
        (pd.Series(["2", "0", "10"]), (), [2, 0, 10]),  # as OpenML's MNIST has them
        (pd.Series(["2", "0", "10"], dtype="category"), (), [2, 0, 10]),
        (pl.DataFrame({"y": [2, 0, 1]}), (), [2, 0, 1]),
    ],
)
def test_labels_of_any_kind_are_class_indices(y, names, indices):
    assert label_names(y) == names
    assert class_indices(y).tolist() == indices


def test_names_given_decide_the_order_of_classes():
    assert class_indices(NAMED, class_names=("dog", "ant", "cat")).tolist() == [2, 0, 2, 1]
    assert names_of_classes(("dog", "ant", "cat"), label_names(NAMED), 3) == ("dog", "ant", "cat")


def test_labels_that_name_other_classes_than_the_model_has_are_refused():
    with pytest.raises(DataError, match=r"names 3 classes \(ant, cat, dog\), and the model has 4"):
        names_of_classes(None, label_names(NAMED), 4)
    with pytest.raises(DataError, match="'ant', which is none of the classes cat, dog"):
        class_indices(NAMED, class_names=("cat", "dog"))


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(["a", None, "b"]),
        pd.Series([0, None, 1], dtype="Int64"),
        pd.Series(pd.Categorical(["a", None, "b"])),
        [0, float("nan"), 1],
        ["a", None, "b"],
    ],
)
def test_a_missing_label_is_counted(y):
    with pytest.raises(DataError, match="y has no label for 1 of 3 samples"):
        class_indices(y, class_names=("a", "b"))


def test_one_sample_at_a_time_is_told_to_be_batched():
    with pytest.raises(DataError, match=r"one sample with its label at a time.*x\.batch\(32\)"):
        next(iterate([(X[0], 1), (X[1], 0)]))
