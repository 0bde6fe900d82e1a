"""The parts of a data set that become tasks of a cluster, and what is known of them before."""

from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.labels import class_indices
from actwidgets.errors import DataError, ShapeError
from actwidgets.probe.cluster.partitions import Loader, Partitions

SLICE_BYTES = 8_000_000  # Dask complains about tasks of more than 10 MB
N_SLICES = 64  # at least, where there are as many batches: a slow worker then matters little


def parts_of(x: Any, y: Any, batch_size: int) -> "Parts":
    """The parts of any data set that a cluster can read.

    Args:
        x: `Partitions`; a Dask array, or a list or dict of them; or arrays.
        y: `(sample,)` class indices or one-hot, an array or a Dask array; None for `Partitions`.
        batch_size: Arrays are cut at multiples of it, so that the batches stay the same.

    Raises:
        DataError: `x` of another kind, without samples or without labels.
        ShapeError: Chunks along another axis, or lengths that differ.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1; got {batch_size}")
    if isinstance(x, Partitions):
        if y is not None:
            raise DataError("the loaders of Partitions return (x, y): leave y out")
        return LoaderParts(x)
    if not batches.is_arrays(x):
        raise DataError(
            "on a cluster x must be a Dask array, actwidgets.Partitions([loader, …]), an array, "
            f"or a list or dict of arrays; got {type(x).__name__}"
        )
    if y is None:
        raise DataError("class_profiles needs labels: give y")
    if any(map(_is_dask, batches.parts(x))):
        return ChunkParts(x, y)
    return SliceParts(x, np.asarray(y), batch_size)


class LoaderParts:
    """The loaders of `Partitions`: nothing is known of their samples here."""

    x = None
    in_memory = False

    def __init__(self, partitions: Partitions) -> None:
        self._loaders = partitions.loaders

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._loaders)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        loader = self._loaders[index]
        if callable(loader):
            return f"partition {index}"
        return f"partition {index} ({loader[0] if isinstance(loader, tuple) else loader})"

    def loader(self, index: int) -> Loader:
        """What a worker reads the partition with."""
        return self._loaders[index]

    def check_labels(self, n_classes: int) -> None:
        """Nothing is known of the labels yet."""


class SliceParts:
    """Slices of arrays in memory, or memory mapped, that are sent along with their tasks."""

    in_memory = True

    def __init__(self, x: Any, y: np.ndarray, batch_size: int) -> None:
        n_samples = batches.count_samples(x)
        _require_as_many(n_samples, y)
        self.x, self._y = x, y
        one = batches.take(x, slice(0, 1))
        sample_bytes = sum(np.asarray(part).nbytes for part in batches.parts(one))
        n_batches = n_samples // batch_size  # a last short batch goes with the one before it
        per_slice = min(SLICE_BYTES // max(sample_bytes * batch_size, 1), n_batches // N_SLICES)
        starts = range(0, max(n_batches, 1) * batch_size, max(per_slice, 1) * batch_size)
        self._rows = [
            slice(start, end) for start, end in zip(starts, [*starts[1:], n_samples], strict=True)
        ]

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._rows)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        rows = self._rows[index]
        return f"partition {index} (samples {rows.start} to {rows.stop - 1})"

    def loader(self, index: int) -> Loader:
        """What a worker reads the partition with."""
        rows = self._rows[index]
        return _Slice(batches.like(batches.take(self.x, rows), np.asarray), self._y[rows])

    def check_labels(self, n_classes: int) -> None:
        """Refuse labels outside the classes."""
        class_indices(self._y, n_classes=n_classes)


class ChunkParts:
    """The chunks of Dask arrays, which the cluster computes."""

    in_memory = False

    def __init__(self, x: Any, y: Any) -> None:
        arrays = batches.parts(x)
        if not all(map(_is_dask, arrays)):
            raise DataError("either all of the inputs in x are Dask arrays, or none")
        sizes = arrays[0].chunks[0]
        for array in arrays:
            if np.isnan(array.shape).any():
                raise DataError("x is of unknown length: call x.compute_chunk_sizes() first")
            if array.chunks[0] != sizes or any(len(axis) > 1 for axis in array.chunks[1:]):
                raise ShapeError(
                    "x must be chunked along the sample axis only, all inputs alike; got chunks "
                    f"{array.chunks}: rechunk with -1 for every axis but the first"
                )
        _require_as_many(batches.count_samples(x), y)
        self.x, self._y = x, y
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self._chunks = [array.to_delayed().ravel() for array in arrays]
        if _is_dask(y):
            rest = [-1] * (y.ndim - 1)
            self._chunks.append(y.rechunk((sizes, *rest)).to_delayed().ravel())

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._ends)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        return f"partition {index} (samples {self._starts[index]} to {self._ends[index] - 1})"

    def compute(self, client: Any, indices: range, **options: Any) -> list[tuple[Any, Any]]:
        """Have the cluster compute chunks.

        Returns:
            `(x, y)` for each index, made of futures; `y` as it is where it lies in memory.
        """
        wanted = [chunks[index] for index in indices for chunks in self._chunks]
        futures = iter(client.compute(wanted, **options))
        found = []
        for index in indices:
            parts = [next(futures) for _ in self._chunks]
            rows = slice(int(self._starts[index]), int(self._ends[index]))
            y = parts.pop() if _is_dask(self._y) else self._y[rows]
            arrays = iter(parts)
            found.append((batches.like(self.x, lambda _, left=arrays: next(left)), y))
        return found

    def check_labels(self, n_classes: int) -> None:
        """Refuse labels outside the classes, where they are in memory."""
        if not _is_dask(self._y):
            class_indices(self._y, n_classes=n_classes)


class _Slice:
    """Samples that travel: a loader of what it holds."""

    def __init__(self, x: Any, y: np.ndarray) -> None:
        self._x, self._y = x, y

    def __call__(self) -> tuple[Any, np.ndarray]:
        return self._x, self._y


def _is_dask(array: Any) -> bool:
    return hasattr(array, "to_delayed")


def _require_as_many(n_samples: int, y: Any) -> None:
    n_labels = batches.count_samples(y, name="y")
    if n_samples != n_labels:
        raise ShapeError(f"x has {n_samples} samples and y has {n_labels} labels")
    if not n_samples:
        raise DataError("x holds no samples")


Parts = LoaderParts | SliceParts | ChunkParts
