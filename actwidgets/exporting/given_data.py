"""Samples and labels as they are named on a command line."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.arrays import Array
from actwidgets.datasets import load_dataset
from actwidgets.errors import DataError, ShapeError

X_NAMES, Y_NAMES = ("x", "x_test"), ("y", "y_test")


@dataclass(frozen=True, eq=False)
class GivenData:
    """Samples, and what is known of their classes.

    Attributes:
        x: An array, or a dict with one per input.
        y: Labels as they were given, or None.
        class_names: One per class, where they are known.
    """

    x: Any
    y: Array | None
    class_names: Sequence[str] | None = None


def given_data(named: str, labels: Path | None = None, divide_by: float | None = None) -> GivenData:
    """Read data.

    Args:
        named: A file, or else the name of a data set, whose test part it is. In an `.npz` file
            the samples are `x` or `x_test`, or the only array, or one array for each input;
            labels are `y` or `y_test`.
        labels: A file of labels, which takes the place of those in the data.
        divide_by: The samples are divided by this.

    Raises:
        DataError: No such file or data set, a damaged file, or one of another kind.
        ShapeError: Not as many labels as samples.
    """
    path = Path(named).expanduser()
    if path.exists() or path.suffix in (".npz", ".npy"):
        arrays = _arrays(path)
        y = next((arrays.pop(name) for name in Y_NAMES if name in arrays), None)
        data = GivenData(_samples(arrays, path), y)
    elif path.suffix or path.name != named:
        raise DataError(f"there is no file {named!r}")
    else:
        found = load_dataset(named)
        data = GivenData(found.x_test, found.y_test, found.class_names)
    y = data.y if labels is None else _labels(labels)
    if not batches.count_samples(data.x):
        raise DataError(f"{named!r} holds no samples")
    if y is not None and len(y) != batches.count_samples(data.x):
        raise ShapeError(f"there are {batches.count_samples(data.x)} samples and {len(y)} labels")
    return GivenData(_divided(data.x, divide_by), y, data.class_names)


def _samples(arrays: Mapping[str, Array], path: Path) -> Any:
    for name in X_NAMES:
        if name in arrays:
            return arrays[name]
    if not arrays:
        raise DataError(f"{str(path)!r} holds no samples: call them x")
    others = {name: each for name, each in arrays.items() if not name.endswith("_train")}
    return dict(others) if len(others) > 1 else next(iter((others or arrays).values()))


def _labels(path: Path) -> Array:
    if path.suffix in (".npz", ".npy"):
        arrays = _arrays(path)
        named = next((arrays[name] for name in Y_NAMES if name in arrays), None)
        if named is None and len(arrays) != 1:
            raise DataError(f"{str(path)!r} holds {', '.join(arrays)}: call the labels y")
        return next(iter(arrays.values())) if named is None else named
    try:
        return np.loadtxt(path, delimiter=",", ndmin=1)
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (ValueError, OSError) as failure:
        raise DataError(f"{str(path)!r} holds no labels, a number a line: {failure}") from failure


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                return {"x": found}
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as failure:
        raise DataError(
            f"{str(path)!r} cannot be read: it is no .npz or .npy file, or not all of one "
            f"({failure})"
        ) from failure


def _divided(x: Any, divide_by: float | None) -> Any:
    if divide_by is None:
        return x
    if not divide_by > 0:
        raise DataError(f"--divide-by must be above 0; got {divide_by:g}")
    return batches.like(x, lambda part: np.divide(part, np.float32(divide_by), dtype=np.float32))
