"""Data sets to try things on: one that ships, three that are read from a folder or fetched."""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.errors import DataError

FOLDER_VARIABLE = "ACTWIDGETS_DATA"
PARTS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their classes, in a part to train on and a part to test on.

    The arrays belong to the caller, who may write into them: every `load_dataset` makes new
    ones.

    Attributes:
        name: What `load_dataset` calls it.
        x_train: `(sample, row, column, channel)`, values within `pixel_scale`.
        y_train: `(sample,)` int64 class indices.
        x_test: As `x_train`.
        y_test: As `y_train`.
        class_names: One per class.
        pixel_scale: The values of black and of white: `(0.0, 1.0)` where scaled.
        source: Who made it, and where it was published.
        license: On what terms.
    """

    name: str
    x_train: NDArray[Any] = field(repr=False)
    y_train: NDArray[np.int64] = field(repr=False)
    x_test: NDArray[Any] = field(repr=False)
    y_test: NDArray[np.int64] = field(repr=False)
    class_names: tuple[str, ...]
    pixel_scale: tuple[float, float]
    source: str
    license: str

    def __repr__(self) -> str:
        """One line without the arrays."""
        low, high = self.pixel_scale
        shape = "x".join(str(length) for length in self.x_train.shape[1:])
        return (
            f"<Dataset {self.name}: {len(self.x_train):,} to train on, {len(self.x_test):,} to "
            f"test on; {shape} {self.x_train.dtype} in {low:g}..{high:g}; "
            f"{len(self.class_names)} classes>"
        )


@dataclass(frozen=True)
class _Description:
    """What is known of a data set before its arrays are read."""

    image_shape: tuple[int, int, int]
    white: float
    class_names: tuple[str, ...]
    source: str
    license: str


_NUMERALS = tuple("0123456789")
_KNOWN = {
    "digits": _Description(
        (8, 8, 1),
        16.0,
        _NUMERALS,
        "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; the part "
        "that scikit-learn carries",
        "CC BY 4.0",
    ),
    "fashion_mnist": _Description(
        (28, 28, 1),
        255.0,
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, Zalando SE",
        "MIT",
    ),
    "mnist": _Description(
        (28, 28, 1), 255.0, _NUMERALS, "LeCun, Cortes and Burges 1998, MNIST", "CC BY-SA 3.0"
    ),
    "cifar10": _Description(
        (32, 32, 3),
        255.0,
        (
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        "Krizhevsky 2009, Learning multiple layers of features from tiny images",
        "none stated",
    ),
}


def load_dataset(
    name: str, path: str | os.PathLike[str] | None = None, scaled: bool = True
) -> Dataset:
    """Load a data set by name.

    Args:
        name: `"digits"` ships with scikit-learn and needs neither folder nor network: 1,797
            scans, of which a stratified quarter, always the same, is for testing.
            `"fashion_mnist"`, `"mnist"` and `"cifar10"` are read from a folder, or else
            downloaded through `keras.datasets`, which keeps them.
        path: Folder that holds `<name>.npz` with `x_train`, `y_train`, `x_test`, `y_test`; the
            one that the environment variable `ACTWIDGETS_DATA` names when omitted. Where a
            folder is named, nothing is downloaded.
        scaled: Whether pixels are float32 in 0..1, or of the values and the type that were
            published: 0..16 float64 for digits, 0..255 uint8 for the others.

    Returns:
        A `Dataset`: images `(sample, row, column, channel)`, labels `(sample,)` int64.

    Raises:
        DataError: No data set of that name; a folder without its file; a file that is damaged
            or holds something else; a failed download.
    """
    if name not in tuple(_KNOWN):
        raise DataError(f"no data set {name!r}; there are {', '.join(_KNOWN)}")
    description = _KNOWN[name]
    named = os.environ.get(FOLDER_VARIABLE) if path is None else path
    if name == "digits":
        parts = _read_digits()
    elif named or path is not None:
        given_as = f"${FOLDER_VARIABLE}" if path is None else "path"
        file = _find(name, Path(named or "").expanduser(), given_as)
        parts = _read(file)
        _check(parts, description, f"{str(file)!r}")
    else:
        parts = _download(name)
        _check(parts, description, f"the download of {name!r}")
    return _assemble(name, description, parts, scaled=scaled)


def _read_digits() -> Mapping[str, NDArray[Any]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), test_size=0.25, stratify=digits.target, random_state=0
    )
    images, labels = digits.images, digits.target
    return dict(zip(PARTS, (images[train], labels[train], images[test], labels[test]), strict=True))


def _find(name: str, folder: Path, given_as: str) -> Path:
    if not folder.is_dir():
        raise DataError(
            f"{given_as} names {str(folder)!r}, which is not a folder; "
            f"name the folder that holds {name}.npz"
        )
    file = folder / f"{name}.npz"
    if not file.is_file():
        others = ", ".join(sorted(each.name for each in folder.glob("*.npz"))) or "no .npz file"
        raise DataError(
            f"no {file.name} in {str(folder)!r}, the folder that {given_as} names; "
            f"it holds {others}"
        )
    return file


def _read(file: Path) -> Mapping[str, NDArray[Any]]:
    needed = f"an .npz file with {', '.join(PARTS)} is needed"
    if not zipfile.is_zipfile(file):
        raise DataError(f"{str(file)!r} is not an .npz file, or not all of one; {needed}")
    try:
        with np.load(file, allow_pickle=False) as archive:
            held = archive.files
            missing = [part for part in PARTS if part not in held]
            parts = {} if missing else {part: archive[part] for part in PARTS}
    except Exception as error:  # what a damaged file leads to is anybody's guess
        raise DataError(f"cannot read {str(file)!r} ({error}); {needed}") from error
    if missing:
        holds = ", ".join(held) or "nothing"
        raise DataError(f"{str(file)!r} lacks {', '.join(missing)} and holds {holds}; {needed}")
    return parts


def _download(name: str) -> Mapping[str, NDArray[Any]]:
    from actwidgets.probe.functions import download

    return dict(zip(PARTS, download(name), strict=True))


def _check(parts: Mapping[str, NDArray[Any]], description: _Description, where: str) -> None:
    last = len(description.class_names) - 1
    shape = description.image_shape
    shapes = (shape, shape[:2]) if shape[2] == 1 else (shape,)
    for split in ("train", "test"):
        x, y = parts[f"x_{split}"], parts[f"y_{split}"]
        if x.shape[1:] not in shapes:
            needed = ", ".join(map(str, shape))
            raise DataError(
                f"x_{split} in {where} has shape {x.shape}; (sample, {needed}) is needed"
            )
        if x.dtype != np.uint8:
            raise DataError(f"x_{split} in {where} is {x.dtype}; pixels are published as uint8")
        if y.shape not in ((len(x),), (len(x), 1)) or not len(x):
            raise DataError(
                f"y_{split} in {where} has shape {y.shape} for {len(x)} samples; one label for "
                "each sample, and at least one sample, is needed"
            )
        odd = y[(y < 0) | (y > last)] if y.dtype.kind in "iu" else y
        if odd.size:
            raise DataError(
                f"y_{split} in {where} holds {odd.flat[0]!s} ({y.dtype}); "
                f"class indices 0..{last} are needed"
            )


def _assemble(
    name: str, description: _Description, parts: Mapping[str, NDArray[Any]], *, scaled: bool
) -> Dataset:
    def images(part: str) -> NDArray[Any]:
        x = parts[part].reshape(-1, *description.image_shape)
        if scaled:
            return np.divide(x, np.float32(description.white), dtype=np.float32)
        return np.require(x, requirements="W")  # Keras hands out read-only ones

    def labels(part: str) -> NDArray[np.int64]:
        return parts[part].reshape(-1).astype(np.int64)

    return Dataset(
        name=name,
        x_train=images("x_train"),
        y_train=labels("y_train"),
        x_test=images("x_test"),
        y_test=labels("y_test"),
        class_names=description.class_names,
        pixel_scale=(0.0, 1.0 if scaled else description.white),
        source=description.source,
        license=description.license,
    )
