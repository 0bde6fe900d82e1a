"""Arrays in a byte per value, with a bound on what that costs, and no sign ever wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, Doubles, Floats

N_STEPS = 252  # from the lowest code of a number to the highest
MINUS_INFINITE, INFINITE, NAN = 253, 254, 255
STEP_BITS = 16  # a step has no more, so that any number of steps is a float32 exactly
SMALLEST, LARGEST = 2.0**-149, float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Quantised:
    """Values in 253 even steps per unit, and codes for NaN and both infinities.

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
            found = (self.codes * self.step.astype(np.float64) + self.low).astype(np.float32)
        odd = self.codes > N_STEPS
        if odd.any():
            table = np.array([-np.inf, np.inf, np.nan], np.float32)
            found[odd] = table[self.codes[odd] - MINUS_INFINITE]
        return found

    @property
    def error(self) -> Floats:
        """The largest that values may be off: `(unit,)` float32.

        Half a step; a whole one for units whose values reach zero, because those nearest to
        zero are kept on their side of it.
        """
        low, step = self.low.astype(np.float64), self.step.astype(np.float64)
        high = low + N_STEPS * step
        one_sided = (low > 0) | (high < 0)
        rounding = np.maximum(abs(low), abs(high)) * 2.0**-23 + SMALLEST
        bound = np.where(one_sided, step / 2 + rounding, step)
        return np.where(step > 0, np.minimum(bound, LARGEST), 0).astype(np.float32)

    @property
    def n_bytes(self) -> int:
        """Memory that this takes."""
        return self.codes.nbytes + self.low.nbytes + self.step.nbytes


def quantise(values: ArrayLike) -> Quantised:
    """Put values in a byte each, with steps of its own for every unit.

    Args:
        values: `(sample, …, unit)`, any real dtype, read as float32. Not modified.

    Returns:
        The codes, with a bound on the error; see `Quantised`. No values are no codes.

    Cost: a few passes, and twice the memory of float32 values meanwhile.
    """
    with np.errstate(over="ignore"):
        given: Array = np.asarray(values, np.float32)
    finite = np.isfinite(given)
    along = tuple(range(given.ndim - 1))
    least = np.min(given, axis=along, where=finite, initial=np.inf).astype(np.float64)
    most = np.max(given, axis=along, where=finite, initial=-np.inf).astype(np.float64)
    known = least <= most
    low, step = _grid(np.where(known, least, 0.0), np.where(known, most, 0.0))
    codes = _codes(np.where(finite, given, 0), finite, low, step)
    codes[given == -np.inf] = MINUS_INFINITE
    codes[given == np.inf] = INFINITE
    codes[np.isnan(given)] = NAN
    return Quantised(codes, low.astype(np.float32), step.astype(np.float32))


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
    found = codes * step + low
    codes += (values > 0) & (found <= 0) & finite
    codes -= (values < 0) & (found >= 0) & finite
    return np.where(step > 0, codes, 0).astype(np.uint8)
