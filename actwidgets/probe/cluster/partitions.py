"""Loaders of partitions: samples that workers read by themselves."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.errors import DataError

Loader = Callable[[], Any] | str | Path | tuple[str | Path, str | Path]


class Partitions:
    """A data set in parts that workers read by themselves, each where it lies.

    Args:
        loaders: One per partition. A callable without arguments that returns `(x, y)`, or
            `x` alone where that yields `(x, y)` batches; `x` is an array `(sample, …)`, a
            list or dict of them, or a re-iterable of batches. Or the path of an `.npz` file
            with the arrays `x` and `y`. Or a pair of paths `(x, y)` of two `.npy` files,
            which are memory mapped. Paths are those that the workers see.

    A partition is read anew where a worker died, so a loader gives the same samples each
    time. A loader that holds arrays sends them along: let it open a file instead.

    Raises:
        DataError: No loaders, or one of another kind; says which.
    """

    def __init__(self, loaders: Sequence[Loader]) -> None:
        if isinstance(loaders, str | Path) or not hasattr(loaders, "__iter__"):
            raise DataError(f"Partitions takes a list of loaders; got {type(loaders).__name__}")
        self.loaders: tuple[Loader, ...] = tuple(loaders)
        if not self.loaders:
            raise DataError("Partitions needs at least one loader; got none")
        for index, loader in enumerate(self.loaders):
            if (wrong := _what_is_wrong(loader)) is not None:
                raise DataError(f"loader {index} of Partitions must be {_KINDS}; {wrong}")

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self.loaders)

    def __iter__(self) -> Iterator[Any]:
        """Refuse to be read as batches, with a sentence that tells the way."""
        raise DataError("Partitions are read by the workers of a cluster: give client= as well")

    def __repr__(self) -> str:
        """One line without the loaders."""
        return f"<Partitions: {len(self)}>"


_KINDS = "a callable without arguments, the path of an .npz file, or a pair of paths of .npy files"


def _what_is_wrong(loader: Any) -> str | None:
    if callable(loader):
        return None
    if isinstance(loader, tuple):
        if len(loader) == 2 and all(_suffix(part) == ".npy" for part in loader):
            return None
        return f"got the tuple {loader!r}"
    suffix = _suffix(loader)
    if suffix == ".npy":
        return f"give the labels of {str(loader)!r} with it: (x_path, y_path)"
    return None if suffix == ".npz" else f"got {loader!r}"


def _suffix(path: Any) -> str:
    return Path(path).suffix if isinstance(path, str | Path) else ""


def read(loader: Loader) -> tuple[Any, Any]:
    """The `(x, y)` that a loader tells of; `y` is None where `x` yields pairs.

    Raises:
        DataError: A file that lacks an array, or a tuple of another length than 2.
    """
    if callable(loader):
        found = loader()
        if not isinstance(found, tuple):
            return found, None
        if len(found) != 2:
            raise DataError(f"a loader returns x or (x, y); got a tuple of {len(found)}")
        return found
    if isinstance(loader, tuple):
        x, y = (np.load(path, mmap_mode="r", allow_pickle=False) for path in loader)
        return x, y
    with np.load(loader, allow_pickle=False) as archive:
        missing = [name for name in ("x", "y") if name not in archive.files]
        if missing:
            held = ", ".join(archive.files) or "nothing"
            raise DataError(f"the file lacks {' and '.join(missing)}; it holds {held}")
        return archive["x"], archive["y"]


def is_empty(x: Any) -> bool:
    """Whether there is no sample in `x`; of a re-iterable, the first batches are read.

    Raises:
        DataError: Not samples, or a one-shot iterator.
    """
    if batches.is_arrays(x):
        return batches.count_samples(x) == 0
    return not any(batches.count_samples(batch) for batch, _ in batches.iterate(x))
