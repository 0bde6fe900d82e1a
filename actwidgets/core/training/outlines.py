"""Histograms as shapes to be drawn: outlines over shared bins, one above the other or not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Floats, Integers
from actwidgets.core.training.histogram import SharedBins

OVERLAP = 2.4  # how many rows the highest ridge reaches up


@dataclass(frozen=True, eq=False)
class Outlines:
    """Closed shapes, from the foot of the first bin over all steps to that of the last.

    Attributes:
        x: `(shape, point)` float32.
        y: `(shape, point)` float32.
        feet: `(shape,)` float64: the height at which each stands.
        top: The height of the highest point.
    """

    x: Floats
    y: Floats
    feet: Doubles
    top: float


def bin_heights(counts: ArrayLike, *, log: bool = False) -> Doubles:
    """How high the bins are drawn.

    Args:
        counts: Any shape, of whole numbers.
        log: Whether by powers of ten: 0 for none, 1 for one, 2 for ten, 3 for a hundred.

    Returns:
        float64 of the same shape.
    """
    counts = np.asarray(counts, np.float64)
    if not log:
        return counts
    return np.where(counts > 0, 1 + np.log10(np.maximum(counts, 1)), 0.0)


def outlines(shared: SharedBins, *, log: bool = False, rows: bool = False) -> Outlines:
    """The shapes of several histograms.

    Histograms of fewer values than others are as high as if they were of as many.

    Args:
        shared: The bins.
        log: As in `bin_heights`.
        rows: Whether they stand one above the other, a row of height 1 each and the first on
            top, the highest bin of all reaching up 2.4 rows; else all stand at 0.

    Returns:
        Shapes without points where there are no bins.
    """
    heights = bin_heights(_as_many(shared.counts), log=log)
    n_shapes, n_bins = heights.shape
    feet = np.zeros(n_shapes)
    if rows:
        feet = np.arange(n_shapes, dtype=np.float64)[::-1]
        heights = heights * (OVERLAP / max(heights.max(initial=0.0), 1e-300))
    if not n_bins:
        none = np.zeros((n_shapes, 0), np.float32)
        return Outlines(none, none, feet, float(feet.max(initial=0.0)))
    steps = feet[:, None] + np.repeat(heights, 2, axis=1)
    y = np.concatenate([feet[:, None], steps, feet[:, None]], axis=1)
    x = np.broadcast_to(np.repeat(shared.edges, 2), y.shape)
    return Outlines(x.astype(np.float32), y.astype(np.float32), feet, float(y.max()))


def _as_many(counts: Integers) -> Doubles:
    """The counts, raised where they are of fewer values in all."""
    totals = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    raised: Doubles = counts * (totals.max(initial=0.0) / np.maximum(totals, 1.0))
    return raised


def round_ticks(low: float, high: float, n_ticks: int = 6) -> Doubles:
    """About so many round figures from `low` to `high`.

    Returns:
        `(tick,)` float64, ascending: multiples of 1, 2 or 5 times a power of
        ten; none for a range that is empty or not finite.
    """
    span = high - low
    if not (np.isfinite(span) and span > 0):
        return np.zeros(0)
    rough = span / n_ticks
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(each for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    return step * np.arange(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)


def tick_labels(ticks: Doubles) -> dict[str, str]:
    """How round figures are written: each with the decimals that all of them need.

    Returns:
        By the figure as JavaScript has it in words: "0.5", "1", "1e-7".
    """
    apart = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    power = int(np.floor(np.log10(apart) + 1e-9))
    form = f",.{max(-power, 0)}f" if -5 < power < 6 else ".2g"
    return {_in_javascript(tick): format(tick, form) for tick in ticks.tolist()}


def _in_javascript(figure: float) -> str:
    if figure == 0 or 1e-6 <= abs(figure) < 1e21:
        return np.format_float_positional(figure, trim="-")
    mantissa, _, exponent = repr(figure).removesuffix(".0").partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def spread_marks(
    means: ArrayLike, stds: ArrayLike, feet: ArrayLike, heights: ArrayLike
) -> tuple[Floats, Floats]:
    """A line for each histogram: from one standard deviation below the mean to one above.

    At the mean it goes up and down again.

    Args:
        means: `(shape,)`; NaN gives a line of NaN.
        stds: `(shape,)`.
        feet: `(shape,)`: where they lie.
        heights: How far up they go at the mean; one for each, or one for all.

    Returns:
        x and y, `(shape, 5)` float32.
    """
    middle, std = np.asarray(means, np.float64), np.asarray(stds, np.float64)
    foot = np.asarray(feet, np.float64)
    up = foot + np.asarray(heights, np.float64)
    x = np.stack([middle - std, middle, middle, middle, middle + std], axis=1)
    y = np.stack([foot, foot, up, foot, foot], axis=1)
    return x.astype(np.float32), y.astype(np.float32)
