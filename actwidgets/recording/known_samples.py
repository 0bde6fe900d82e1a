"""Recorded samples, found again by what they hold."""

from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.arrays import Array, Integers
from actwidgets.errors import DataError, NotRecordedError, ShapeError

LOOKED_AT = 64  # values of a sample that tell it from most others; the rest is compared


class KnownSamples:
    """Tells which of the recorded samples those of a batch are.

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
            NotRecordedError: A sample that was not recorded, such as a disturbed one.
            ShapeError: Samples of another shape, or other inputs.

        Cost: one comparison of all bytes.
        """
        self.check(x)
        parts = [
            _comparable(part, known.dtype)
            for part, known in zip(batches.parts(x), self._parts, strict=True)
        ]
        found = [self._row(key, parts, place) for place, key in enumerate(_keys(parts))]
        return np.array(found, np.int64)

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

    def _row(self, key: bytes, parts: list[Array], place: int) -> int:
        for row in self._rows.get(key, ()):
            if all(
                _same(part[place], known[row])
                for part, known in zip(parts, self._parts, strict=True)
            ):
                return row
        raise NotRecordedError(
            "a recording knows only the samples that were recorded, as they were given: "
            "of another or a disturbed one only the model itself could tell"
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
        flat = part.reshape(len(part), -1)
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
