"""How a recording is stored: byte quantization, samples and their lookup, the history."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core import batches, files
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.errors import DataError, NotRecordedError, ShapeError

N_STEPS = 252  # from the lowest code of a number to the highest
MINUS_INFINITE, INFINITE, NAN = 253, 254, 255
STEP_BITS = 16  # a step has no more, so that any number of steps is a float32 exactly
SMALLEST, LARGEST = 2.0**-149, float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Quantized:
    """Values quantized to a byte: 253 even steps per unit, and codes for NaN and both infinities.

    Zero is kept exactly, and what is above or below it stays there: whether a unit fires at
    threshold 0 is never wrong.

    Attributes:
        codes: uint8, `(sample, …, unit)`. Code c up to 252 stands for `low + c · step`, 253
            for minus infinity, 254 for infinity, 255 for NaN.
        low: `(unit,)` float32.
        step: `(unit,)` float32; 0 where all finite values are equal, and then exact.
    """

    codes: NDArray[np.uint8]
    low: Floats
    step: Floats

    @property
    def values(self) -> Floats:
        """What the codes stand for: float32, in the shape of `codes`."""
        with np.errstate(over="ignore"):  # of codes that stand for no number
            values = (self.codes * self.step.astype(np.float64) + self.low).astype(np.float32)
        odd = self.codes > N_STEPS
        if odd.any():
            table = np.array([-np.inf, np.inf, np.nan], np.float32)
            values[odd] = table[self.codes[odd] - MINUS_INFINITE]
        return values

    @property
    def error(self) -> Floats:
        """The largest that values may be off: `(unit,)` float32.

        Half a step; a whole one for units whose values reach zero, because those nearest to
        zero are kept on their side of it, or the end of float32, beyond which there is no code.
        """
        low, step = self.low.astype(np.float64), self.step.astype(np.float64)
        high = low + N_STEPS * step
        halved = ((low > 0) | (high < 0)) & (high <= LARGEST)
        rounding = np.maximum(abs(low), abs(high)) * 2.0**-23 + SMALLEST
        bound = np.where(halved, step / 2 + rounding, step)
        return np.where(step > 0, np.minimum(bound, LARGEST), 0).astype(np.float32)

    @property
    def n_bytes(self) -> int:
        """Memory that this takes."""
        return self.codes.nbytes + self.low.nbytes + self.step.nbytes


def quantize(values: ArrayLike) -> Quantized:
    """Quantize values to a byte each, unit by unit.

    Args:
        values: `(sample, …, unit)`, any real dtype, read as float32. Not modified.

    Returns:
        The codes, with a bound on the error; see `Quantized`. No values are no codes.

    Cost: a few passes, and twice the memory of float32 values meanwhile.
    """
    with np.errstate(over="ignore"):
        given: Array = np.asarray(values, np.float32)
    finite = np.isfinite(given)
    along = tuple(range(given.ndim - 1))
    least = np.min(given, axis=along, where=finite, initial=np.inf).astype(np.float64)
    most = np.max(given, axis=along, where=finite, initial=-np.inf).astype(np.float64)
    known = least <= most
    # A grid of 253 steps a unit over its finite values; codes beyond it tell the others.
    low, step = _grid(np.where(known, least, 0.0), np.where(known, most, 0.0))
    codes = _codes(np.where(finite, given, 0), finite, low, step)
    codes[given == -np.inf] = MINUS_INFINITE
    codes[given == np.inf] = INFINITE
    codes[np.isnan(given)] = NAN
    return Quantized(codes, low.astype(np.float32), step.astype(np.float32))


def _grid(least: Doubles, most: Doubles) -> tuple[Doubles, Doubles]:
    """Where the codes of each unit begin, and how far they are apart; both are float32s."""
    both_signs = (least < 0) & (most > 0)
    step = _few_bits((most - least) / np.where(both_signs, N_STEPS - 1, N_STEPS))
    reaches_zero = (least <= 0) & (most >= 0) & (step > 0)
    safe = np.where(step > 0, step, 1.0)
    below = np.minimum(np.ceil(-least / safe), np.floor(LARGEST / safe))
    return np.where(reaches_zero, -below * step, least), step


def _few_bits(step: Doubles) -> Doubles:
    """Rounded up to a float32 of `STEP_BITS` significant bits."""
    exponent = np.frexp(step)[1]
    quantum = np.maximum(np.ldexp(1.0, exponent - STEP_BITS), SMALLEST)
    return np.asarray(np.ceil(step / quantum) * quantum)


def _codes(
    values: Array, finite: NDArray[np.bool_], low: Doubles, step: Doubles
) -> NDArray[np.uint8]:
    """The nearest code, or the one beside it where zero lies between."""
    safe = np.where(step > 0, step, 1.0)
    top = np.minimum(N_STEPS, np.floor((LARGEST - low) / safe))
    codes = (values.astype(np.float64) - low) / safe
    codes = np.clip(np.rint(codes, out=codes), 0, top, out=codes)
    decoded = codes * step + low
    # A value that was rounded onto zero or past it takes the next code on its own side.
    codes += (values > 0) & (decoded <= 0) & finite
    codes -= (values < 0) & (decoded >= 0) & finite
    return np.where(step > 0, codes, 0).astype(np.uint8)


# --- Samples --------------------------------------------------------------------------------

SAMPLES_NAME = "samples.npz"
SAMPLES_KIND = files.Kind(
    format="actwidgets recorded samples",
    version=1,
    what="the samples of a recording",
    hint="it belongs to a recording made with Recorder",
)
SCALED = "float32 = uint8 / 255"


def write_samples(
    folder: Path, x: Any, labels: Integers | None, targets: Floats | None = None
) -> None:
    """Keep samples, and labels or targets.

    Args:
        x: An array, or a list or dict of arrays.
        labels: `(sample,)` class indices, or None.
        targets: `(sample, output)` of a regression, or None.

    Raises:
        DataError: They cannot be written.
    """
    known = {"y": labels, "targets": targets}
    arrays: dict[str, Array] = {name: each for name, each in known.items() if each is not None}
    scales = []
    for index, part in enumerate(batches.parts(x)):
        arrays[f"x{index}"], scale = _packed(_plain(part))
        scales.append(scale)
    names = list(x) if isinstance(x, dict) else None
    header = {"names": names, "scales": scales, "is_list": isinstance(x, list | tuple)}
    files.write_npz(folder / SAMPLES_NAME, SAMPLES_KIND, header, arrays)


def read_samples(folder: Path) -> tuple[Any, Integers | None, Floats | None]:
    """The samples in the structure in which they were given, the labels, and the targets.

    Raises:
        DataError: The file is missing, damaged or of something else.
    """
    with files.open_npz(folder / SAMPLES_NAME, SAMPLES_KIND) as (header, arrays):
        parts = [
            _unpacked(arrays[f"x{index}"], scale) for index, scale in enumerate(header["scales"])
        ]
        labels, targets = arrays.get("y"), arrays.get("targets")
        names, is_list = header["names"], header["is_list"]
    if names is not None:
        return dict(zip(names, parts, strict=True)), labels, targets
    return parts if is_list else parts[0], labels, targets


def digest(x: Any, labels: Integers | None, targets: Floats | None = None) -> str:
    """SHA-256 of samples, labels and targets."""
    sha = hashlib.sha256()
    for part in [*batches.parts(x), *(each for each in (labels, targets) if each is not None)]:
        values = np.ascontiguousarray(_plain(part))
        sha.update(f"{values.dtype}{values.shape}".encode())
        sha.update(values.tobytes())
    return sha.hexdigest()


def _plain(part: Any) -> Array:
    """Text as text rather than as objects, which no file here holds."""
    values = np.asarray(part)
    return values.astype(str) if values.dtype == object else values


def _packed(values: Array) -> tuple[Array, str | None]:
    """Bytes and how they are scaled where that is exact, else the values themselves."""
    if values.dtype != np.float32 or not values.size:
        return values, None
    with np.errstate(invalid="ignore"):  # NaN is not equal below
        codes = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    exact = np.array_equal(_unpacked(codes, SCALED).view(np.uint32), values.view(np.uint32))
    return (codes, SCALED) if exact else (values, None)


def _unpacked(values: Array, scale: str | None) -> Array:
    return values.astype(np.float32) / np.float32(255) if scale == SCALED else values


HISTORY_NAME = "history.jsonl"
LINES_BEFORE_THINNING = 512  # so many steps are told one by one; of the next every second, …
Curves = Mapping[str, tuple[Doubles, Doubles]]


@dataclass(frozen=True, eq=False)
class History:
    """Curves of a training.

    Attributes:
        by_epoch: By metric `(epochs, values)`, float64: epochs that are complete.
        by_step: By metric `(steps, values)`, float64: steps counted over all calls of `fit`;
            values are means over the epoch so far, as Keras has them.
    """

    by_epoch: Curves
    by_step: Curves


class HistoryFile:
    """Adds lines to the history of a recording."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY_NAME
        self._n_lines = 0
        self._due_at = 0

    def add_epoch(self, epoch: float, step: int, metrics: Mapping[str, float]) -> None:
        """Add what an epoch has come to.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        self._add({"epoch": epoch, "step": step, "metrics": dict(metrics)})

    def add_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add what a step has come to, or leave it out: the longer the run, the more.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        if step < self._due_at or not metrics:
            return
        self._n_lines += 1
        self._due_at = step + 2 ** (self._n_lines // LINES_BEFORE_THINNING)
        self._add({"step": step, "metrics": dict(metrics)})

    def _add(self, entry: Mapping[str, Any]) -> None:
        with self._path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
            gap = b"" if not end or file.read(1) == b"\n" else b"\n"  # a line was cut off
            file.write(gap + json.dumps(entry).encode() + b"\n")


def read_history(folder: Path) -> History:
    """The history of a recording; lines that were cut off are left out."""
    try:
        lines = (folder / HISTORY_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    epochs: dict[str, list[tuple[float, float]]] = {}
    steps: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            curves, at = (epochs, "epoch") if "epoch" in entry else (steps, "step")
            points = {
                str(name): (float(entry[at]), float(value))
                for name, value in entry["metrics"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, point in points.items():
            curves.setdefault(name, []).append(point)
    return History(_curves(epochs), _curves(steps))


def _curves(points: Mapping[str, list[tuple[float, float]]]) -> Curves:
    return {
        name: (np.array([x for x, _ in curve]), np.array([y for _, y in curve]))
        for name, curve in points.items()
    }


LOOKED_AT = 64  # values of a sample that tell it from most others; the rest is compared


class KnownSamples:
    """Looks up recorded samples by their values.

    Of samples that hold the same the first is meant: a model says the same of them.

    Args:
        x: The recorded samples: an array, or a list or dict of arrays.
    """

    def __init__(self, x: Any) -> None:
        self._parts = [_comparable(part) for part in batches.parts(x)]
        self._rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(_keys(self._parts)):
            self._rows.setdefault(key, []).append(row)

    def rows_of(self, x: Any) -> Integers:
        """`(sample,)` int64: the recorded row of each sample of a batch.

        Raises:
            NotRecordedError: A sample that was not recorded, such as a perturbed one.
            ShapeError: Samples of another shape, or other inputs.

        Cost: one comparison of all bytes.
        """
        self.check(x)
        parts = [
            _comparable(part, known.dtype)
            for part, known in zip(batches.parts(x), self._parts, strict=True)
        ]
        rows = [self._row(key, parts, index) for index, key in enumerate(_keys(parts))]
        return np.array(rows, np.int64)

    def check(self, x: Any) -> None:
        """Refuse samples of another shape than the recorded ones.

        Raises:
            ShapeError: Another shape, or another number of inputs.
            DataError: Text in the place of numbers, or numbers in the place of text.
        """
        parts = batches.parts(x)
        if len(parts) != len(self._parts):
            raise ShapeError(
                f"this recording has {len(self._parts)} inputs; the samples have {len(parts)}"
            )
        for part, known in zip(map(np.asarray, parts), self._parts, strict=True):
            if part.shape[1:] != known.shape[1:]:
                raise ShapeError(
                    f"the recorded samples have shape {known.shape[1:]}; these {part.shape[1:]}"
                )
            if _is_text(part) != _is_text(known):
                kinds = [("text" if _is_text(each) else "numbers") for each in (known, part)]
                raise DataError(f"the recorded samples are {kinds[0]}; these are {kinds[1]}")

    def _row(self, key: bytes, parts: list[Array], index: int) -> int:
        for row in self._rows.get(key, ()):
            if all(
                _same(part[index], known[row])
                for part, known in zip(parts, self._parts, strict=True)
            ):
                return row
        raise NotRecordedError(
            "a recording knows only the samples that were recorded, as they were given: "
            "of another or a perturbed one only the model itself could tell"
        )


def _comparable(part: Any, dtype: Any = None) -> Array:
    values = np.asarray(part)
    if _is_text(values):
        return values.astype(np.str_)
    return values if dtype is None else values.astype(dtype, copy=False)


def _is_text(values: Array) -> bool:
    return values.dtype.kind in "OSU"


def _same(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _keys(parts: list[Array]) -> list[bytes]:
    """For each sample some bytes of it."""
    keys = [b""] * len(parts[0])
    for part in parts:
        flat = part.reshape(len(part), math.prod(part.shape[1:]))
        # A key of 64 evenly spread values; rows with the same key are compared whole.
        some = flat[:, :: max(1, flat.shape[1] // LOOKED_AT)]
        if some.dtype.kind in "fc":
            some = some + some.dtype.type(0)  # -0.0 equals 0.0, and so must its bytes
        if some.dtype.kind == "U":  # whose bytes depend on the longest of a batch
            keys = [
                key + "\0".join(each).encode()
                for key, each in zip(keys, some.tolist(), strict=True)
            ]
        else:
            some = np.ascontiguousarray(some)
            keys = [key + each.tobytes() for key, each in zip(keys, some, strict=True)]
    return keys
