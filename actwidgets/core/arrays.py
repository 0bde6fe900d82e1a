"""Checks, scalings and conversions of arrays and of what stands for arrays.

Told by what they have, so that none of the libraries they come from need be installed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from actwidgets.errors import DataError, ShapeError

Array = NDArray[Any]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


def require_axes(array: ArrayLike, axes: Sequence[str], *, name: str = "array") -> Array:
    """Return `array` as an ndarray after checking how many axes it has.

    Args:
        array: Anything numpy can read.
        axes: Names of the expected axes, e.g. `("sample", "row", "column", "unit")`.
        name: What the caller calls this array; used in the message.

    Raises:
        ShapeError: The number of axes differs.
    """
    array = np.asarray(array)
    if array.ndim != len(axes):
        named = ", ".join(axes)
        raise ShapeError(f"{name} needs {len(axes)} axes ({named}); got shape {array.shape}")
    return array


def as_maps(outputs: ArrayLike, depth: int | None = None) -> Array:
    """Give the output of any layer the axes `(sample, row, column, unit)`.

    Args:
        outputs: `(sample,)`, `(sample, unit)`, `(sample, time, unit)`,
            `(sample, row, column, unit)` or `(sample, depth, row, column, unit)`.
        depth: Which slice of a volume is taken; the middle one by default.

    Returns:
        A view of the same values. Scalars are one unit, vectors are maps of one position,
        and sequences are one row in which time runs to the right.

    Raises:
        ShapeError: More than five axes, or none; a slice that the volume does not have.
    """
    outputs = np.asarray(outputs)
    if outputs.ndim == 1:
        return outputs[:, None, None, None]
    if outputs.ndim == 2:
        return outputs[:, None, None, :]
    if outputs.ndim == 3:
        return outputs[:, None, :, :]
    if outputs.ndim == 4:
        return outputs
    if outputs.ndim == 5:
        n_slices = outputs.shape[1]
        chosen = n_slices // 2 if depth is None else depth
        if not 0 <= chosen < max(n_slices, 1):
            raise ShapeError(f"slice {chosen} is outside 0..{n_slices - 1}")
        return outputs[:, chosen] if n_slices else outputs.reshape(0, 0, 0, outputs.shape[-1])
    raise ShapeError(f"no picture for a layer output with {outputs.ndim} axes: {outputs.shape}")


def finite_range(values: ArrayLike) -> tuple[float, float]:
    """The smallest and the largest finite value; `(0.0, 0.0)` where there is none."""
    values = np.asarray(values)
    if values.size == 0:
        return 0.0, 0.0
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return 0.0, 0.0
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def to_unit_range(
    values: ArrayLike, *, low: float | None = None, high: float | None = None
) -> Floats:
    """Scale finite values linearly so that `low` maps to 0 and `high` to 1.

    Args:
        values: Any shape, any real dtype. Not modified.
        low: Value mapped to 0; the smallest finite value when omitted.
        high: Value mapped to 1; the largest finite value when omitted.

    Returns:
        float32 array of the same shape, clipped to 0..1. Non-finite input becomes NaN, so
        that a view can paint it in a color of its own. Where all finite values are equal
        the result is 0 everywhere: a constant map is dark, not an error.
    """
    values = np.asarray(values)
    values = values.astype(np.result_type(values, np.float32), copy=False)
    if low is None or high is None:
        least, most = finite_range(values)
        low, high = least if low is None else low, most if high is None else high
    finite = np.isfinite(values)
    is_finite = finite.all()
    span = high - low
    if span > 0:
        scaled = ((values if is_finite else np.where(finite, values, 0)) - low) / span
        scaled = np.minimum(np.maximum(scaled, 0), 1)
    else:
        scaled = np.zeros(values.shape, np.float32)
    return (scaled if is_finite else np.where(finite, scaled, np.nan)).astype(
        np.float32, copy=False
    )


_NUMBERS = "biuf"


class Rows:
    """Rows of a store in any order, repeats too, reading no more of it than these.

    A store that picks rows in increasing order only (h5py), or not at all, is read slice by
    slice: one for each run of rows that follow one another or lie in one chunk of it.

    Args:
        source: Has `shape`, `dtype` and slices along its first axis.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self.shape = tuple(int(length) for length in source.shape)
        self.ndim = len(self.shape)
        dtype = np.dtype(source.dtype)
        self.dtype = np.dtype(object) if dtype.kind == "T" else dtype
        # Dask and xarray order what they read themselves.
        self._picks = hasattr(source, "__dask_graph__")
        chunks = None if self._picks else getattr(source, "chunks", None)
        self._chunk = int(chunks[0]) if chunks and isinstance(chunks[0], int | np.integer) else 1

    def __len__(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """All of it, for whoever asks for that."""
        return np.asarray(self[:], dtype)

    def __getitem__(self, rows: Any) -> Array:
        """Rows as an array: of a slice, of indices in any order, or one by its index.

        Raises:
            IndexError: A row outside the store.
        """
        if isinstance(rows, slice):
            return self._forward(rows)
        indices = np.asarray(rows)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        if indices.size and not -len(self) <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}; got {indices.tolist()}")
        indices = np.where(indices < 0, indices + len(self), indices).astype(np.intp)
        picked = self._picked(np.atleast_1d(indices))
        return picked if indices.ndim else picked[0]

    def _forward(self, rows: slice) -> Array:
        start, stop, step = rows.indices(len(self))
        if step > 0:
            return self._read(slice(start, max(start, stop), step))
        return self._picked(np.arange(start, stop, step))

    def _picked(self, indices: Integers) -> Array:
        if not len(indices):
            return np.empty((0, *self.shape[1:]), self.dtype)
        if self._picks:
            return _values(self._source[indices])
        rows, inverse = np.unique(indices, return_inverse=True)
        chunks = rows // self._chunk
        ends = np.flatnonzero((np.diff(rows) > 1) & (np.diff(chunks) > 0)) + 1
        runs = np.split(rows, ends)
        parts = [self._read(slice(int(run[0]), int(run[-1]) + 1))[run - run[0]] for run in runs]
        return np.concatenate(parts)[inverse]

    def _read(self, rows: slice) -> Array:
        return _values(self._source[rows])


class SparseRows(Rows):
    """Rows of a matrix of SciPy as dense arrays, the rest staying sparse.

    Args:
        source: A sparse matrix or array of two axes.
    """

    def __init__(self, source: Any) -> None:
        super().__init__(source.tocsr())

    def _picked(self, indices: Integers) -> Array:
        dense: Array = self._source[indices].toarray()
        return dense

    def _read(self, rows: slice) -> Array:
        dense: Array = self._source[rows].toarray()
        return dense


def as_array(x: Any, *, name: str = "x") -> Any:
    """One input as something with `shape`, `dtype` and rows that can be picked in any order.

    Args:
        x: An array or a tensor, which stay what they are; a table or a column of pandas, Polars
            or PyArrow; a sparse matrix; a store such as a dataset of h5py, an array of zarr,
            Dask or xarray, whose values stay where they are. Whatever else stays what it is.
        name: What it is called in messages.

    Returns:
        A column has the shape `(sample, 1)`, as Keras reads it.

    Raises:
        DataError: A table with columns that hold no numbers, unless all are text; rows of
            different lengths.
    """
    if isinstance(x, np.ndarray):
        return x.astype(object) if x.dtype.kind == "T" else x
    if hasattr(x, "row_splits") and hasattr(x, "to_tensor"):
        return _of_ragged(x, name)
    if hasattr(x, "dense_shape") and hasattr(x, "indices"):
        return _of_sparse_tensor(x, name)
    if hasattr(x, "tocsr") and hasattr(x, "toarray"):
        return SparseRows(x)
    if is_table(x):
        return _of_table(x, name)
    if is_column(x):
        return _of_column(x, name)[:, None]
    is_store = hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__")
    if isinstance(x, Rows) or not is_store or hasattr(x, "numpy") or not len(x.shape):
        return x
    return Rows(x)


def as_arrays(x: Any) -> Any:
    """The same of a list, tuple or dict of inputs, part by part; a list of else stays one."""
    if type(x) is np.ndarray and x.dtype.kind != "T":
        return x
    if isinstance(x, Mapping):
        return {key: as_array(part, name=str(key)) for key, part in x.items()}
    if isinstance(x, list | tuple) and x and all(map(_is_array_like, x)):
        return [as_array(part, name=f"input {index}") for index, part in enumerate(x)]
    return x if isinstance(x, list | tuple) else as_array(x)


def feature_names(x: Any) -> tuple[str, ...]:
    """What the columns of a table are called; () of what is no table."""
    if not is_table(x):
        return ()
    names = getattr(x, "column_names", None) or x.columns  # PyArrow; pandas and Polars
    return tuple(
        " / ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names
    )


def is_table(x: Any) -> bool:
    """Whether `x` is a table of columns, as pandas, Polars and PyArrow have them."""
    has_columns = hasattr(x, "columns") and (hasattr(x, "iloc") or hasattr(x, "get_column"))
    return has_columns or (hasattr(x, "column_names") and hasattr(x, "itercolumns"))


def is_column(x: Any) -> bool:
    """Whether `x` is one column of such a table, or what pandas keeps in one."""
    if isinstance(x, np.ndarray) or not hasattr(x, "__array__") or is_table(x):
        return False
    module = type(x).__module__.partition(".")[0]
    return module in ("pandas", "polars", "pyarrow")


def columns_of(table: Any) -> list[Any]:
    """The columns of a table, in order."""
    if hasattr(table, "iloc"):
        return [table.iloc[:, index] for index in range(table.shape[1])]
    if hasattr(table, "get_columns"):
        return list(table.get_columns())
    return list(table.itercolumns())


def column_values(column: Any) -> Array:
    """A column as numbers where it holds numbers, NaN in the place of what is missing."""
    dtype: Any = getattr(column, "dtype", None)
    plain = getattr(dtype, "numpy_dtype", None)  # of what pandas keeps with a mask, or in Arrow
    if plain is not None and np.dtype(plain).kind in _NUMBERS:
        if not column.isna().any():
            return np.asarray(column.to_numpy(dtype=plain))
        floats = np.result_type(plain, np.float16) if np.dtype(plain).kind != "b" else np.float32
        return np.asarray(column.to_numpy(dtype=floats, na_value=np.nan))
    values = _values(column)
    return values.astype(object) if values.dtype.kind in "SU" else values


def _is_array_like(x: Any) -> bool:
    return hasattr(x, "shape") or hasattr(x, "__array__") or is_table(x)


def _values(given: Any) -> Array:
    values = np.asarray(given)
    return values.astype(object) if values.dtype.kind == "T" else values


def _of_table(table: Any, name: str) -> Array:
    columns = [column_values(each) for each in columns_of(table)]
    names = feature_names(table)
    odd = [at for at, column in enumerate(columns) if column.dtype.kind not in _NUMBERS]
    if odd and not all(map(_is_text, columns)):
        listed = ", ".join(f"{names[at]!r}" for at in odd[:5]) + (" …" if len(odd) > 5 else "")
        verb = "holds" if len(odd) == 1 else "hold"
        raise DataError(
            f"{name} must hold numbers in every column; {listed} {verb} "
            f"values like {_first(columns[odd[0]])!r}: give their codes, or leave them out"
        )
    if not columns:
        return np.empty((len(table), 0), np.float32)
    return np.stack(columns, axis=1)


def _of_column(column: Any, name: str) -> Array:
    values = column_values(column)
    if values.dtype.kind not in _NUMBERS and not _is_text(values):
        raise DataError(f"{name} must hold numbers or text; got values like {_first(values)!r}")
    return values


def _is_text(values: Array) -> bool:
    return values.dtype.kind == "O" and all(isinstance(value, str | bytes) for value in values)


def _first(values: ArrayLike) -> Any:
    values = np.asarray(values)
    return values.tolist()[0] if values.size else None


def _of_ragged(x: Any, name: str) -> Array:
    values: Array = np.asarray(x.to_tensor())
    lengths = np.asarray(x.row_lengths())
    full = x.to_tensor().shape[1]
    if (lengths != full).any() or int(np.prod(values.shape)) != int(np.size(x.flat_values)):
        raise DataError(
            f"{name} is ragged, with rows of {lengths.min()} to {lengths.max()} values; give rows "
            "of one length: x.to_tensor() pads them, batches of one length keep them as they are"
        )
    return values


def _of_sparse_tensor(x: Any, name: str) -> Any:
    shape = tuple(int(length) for length in np.asarray(x.dense_shape))
    if len(shape) != 2:
        raise DataError(f"{name} is sparse, with {len(shape)} axes; give tf.sparse.to_dense(x)")
    from scipy.sparse import coo_array  # takes a while to load

    rows, columns = np.asarray(x.indices).T
    return SparseRows(coo_array((np.asarray(x.values), (rows, columns)), shape=shape))


CHUNK = 2**15  # values at a time: they stay in the processor's cache


def norm(arrays: Mapping[str, Array], before: Mapping[str, Array] | None = None) -> float:
    """The Euclidean norm of arrays by name, taken together as one vector.

    Args:
        arrays: Any shapes, any real dtype; summed up in float64.
        before: Of the same names and shapes; where it is given, the norm is that of what has
            been added to them since.

    Returns:
        NaN without arrays, or where a value is NaN.

    Cost: about 1 ns a value, on one core: a training may want the others. No copy of all.
    """
    if not arrays:
        return math.nan
    total = 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # infinity minus infinity
        for name, array in arrays.items():
            flat = array.reshape(-1)
            base = None if before is None else before[name].reshape(-1)
            for start in range(0, flat.size, CHUNK):
                chunk = flat[start : start + CHUNK].astype(np.float64)
                if base is not None:
                    chunk -= base[start : start + CHUNK]
                total += float(np.square(chunk, out=chunk).sum())
    return math.sqrt(total)
