"""How values are spread, in bins that can be brought together exactly.

Every bin is a power of two wide and ends at multiples of its width, so that two bins of one
histogram are one of the next wider: histograms of different moments share bins without a count
being split or guessed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.core.training.spread import Spread
from actwidgets.errors import DataError

NARROWEST_NORMAL = -1022  # 2.0**-1022 is the smallest float of full precision
NARROWEST = -1074  # 2.0**-1074 is the smallest float there is
WIDEST = 1023
RESOLUTION = 24  # a bin is no narrower than the float32 of the largest value can tell
FEWEST_BINS = 4  # what any range needs, -1.8e308..1.8e308 included
SEEN, DRAWN = 6, 20  # by how many powers of two a bin that is drawn is below the largest value
NARROWEST_DRAWN = -126  # below that float32 has fewer digits
CHUNK = 2**15  # values at a time: they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many of some values lie in each bin, and what they are on average.

    Bin `i` of `counts` covers `[(first + i) · width, (first + i + 1) · width)`; the first and
    the last hold values. Without finite values there is no bin, and the averages are NaN.

    Attributes:
        exponent: The width of a bin is `2.0 ** exponent`.
        first: Index of the first bin.
        counts: `(bin,)` int64, of the finite values.
        n_nan: How many values were NaN.
        n_infinite: How many were infinite.
        mean: Of the finite values, in float64, not of the bins.
        std: The same; ddof 0.
        low: The smallest finite value.
        high: The largest.
        n_values: All of them, finite or not.
    """

    exponent: int
    first: int
    counts: Integers
    n_nan: int
    n_infinite: int
    mean: float
    std: float
    low: float
    high: float
    n_values: int

    @property
    def n_finite(self) -> int:
        """How many values the bins hold."""
        return self.n_values - self.n_nan - self.n_infinite

    @property
    def edges(self) -> Doubles:
        """Where the bins begin and end: `(bin + 1,)` float64, exact."""
        return _edges(self.exponent, self.first, len(self.counts))

    def regrouped(self, exponent: int) -> "Histogram":
        """The same values in wider bins: what `histogram` would have counted in these.

        Raises:
            DataError: Narrower bins than these.
        """
        if exponent < self.exponent:
            raise DataError(
                f"bins {2.0**self.exponent:g} wide (exponent {self.exponent}) cannot be told "
                f"apart any further; got exponent {exponent}"
            )
        first, counts = _regroup(self, exponent)
        return replace(self, exponent=exponent, first=first, counts=counts)

    def merged(self, other: "Histogram", n_bins: int = 256) -> "Histogram":
        """The histogram of the values of both.

        The bins are those of `histogram` of all the values with that `n_bins`, where both
        have been made with as many; the averages are so up to rounding.
        """
        if not other.n_finite or not self.n_finite:
            some, none = (self, other) if self.n_finite else (other, self)
            return replace(
                some,
                n_nan=some.n_nan + none.n_nan,
                n_infinite=some.n_infinite + none.n_infinite,
                n_values=some.n_values + none.n_values,
            )
        low, high = min(self.low, other.low), max(self.high, other.high)
        exponent = _exponent(low, high, n_bins, max(self.exponent, other.exponent))
        first, counts = _together([self, other], exponent)
        mean, std = _merged_moments(self, other, exponent)
        return Histogram(
            exponent,
            first,
            counts.sum(axis=0),
            self.n_nan + other.n_nan,
            self.n_infinite + other.n_infinite,
            min(max(mean, low), high),
            std,
            low,
            high,
            self.n_values + other.n_values,
        )


@dataclass(frozen=True, eq=False)
class SharedBins:
    """Several histograms over the same bins.

    Attributes:
        edges: `(bin + 1,)` float64.
        counts: `(histogram, bin)` int64.
    """

    edges: Doubles
    counts: Integers

    def only(self, places: Sequence[int]) -> "SharedBins":
        """Some of the histograms, over the bins of all."""
        return replace(self, counts=self.counts[list(places)])


def histogram(values: ArrayLike, n_bins: int = 256) -> Histogram:
    """Count values in the narrowest bins of which at most `n_bins` cover them.

    Args:
        values: Any shape, any real dtype. Not modified.
        n_bins: At least 4.

    Returns:
        More than a quarter of `n_bins` bins where the range is wide enough for what float32
        can tell apart. NaN and infinities are counted apart. Equal values are one bin.

    Raises:
        DataError: `n_bins` below 4.

    Cost: about 4 ns a value; no copy of all of them.
    """
    if n_bins < FEWEST_BINS:
        raise DataError(f"n_bins must be at least {FEWEST_BINS}; got {n_bins}")
    flat = np.asarray(values).reshape(-1)
    n_values, n_nan, n_infinite = flat.size, 0, 0
    low, high = (float(flat.min()), float(flat.max())) if n_values else (math.nan, math.nan)
    if n_values and not (math.isfinite(low) and math.isfinite(high)):
        finite = np.isfinite(flat)
        n_nan = int(np.isnan(flat).sum())
        flat, n_infinite = flat[finite], int(n_values - n_nan - finite.sum())
        low, high = (float(flat.min()), float(flat.max())) if flat.size else (math.nan, math.nan)
    if not flat.size:
        counts = np.zeros(0, np.int64)
        nan = math.nan
        return Histogram(NARROWEST, 0, counts, n_nan, n_infinite, nan, nan, nan, nan, n_values)
    exponent = _exponent(low, high, n_bins)
    first = _bin_of(low, exponent)
    counts = np.zeros(_bin_of(high, exponent) - first + 1, np.int64)
    spread = Spread()
    for scaled in _scaled(flat, exponent):
        spread.add(scaled)
        bins = np.floor(scaled).astype(np.int64)
        bins -= first
        counts += np.bincount(bins, minlength=len(counts))
    mean, std = spread.moments(exponent, low, high)
    return Histogram(exponent, first, counts, n_nan, n_infinite, mean, std, low, high, n_values)


def shared_bins(histograms: Sequence[Histogram], n_bins: int = 64) -> SharedBins:
    """Lay histograms over the same bins, of which at most `n_bins` cover them all.

    Nothing is resampled: a shared bin is a number of whole bins of every histogram. So there
    are no more bins than the one with the widest allows. Nor are they so narrow that their
    edges could not be told apart in float32; equal values get one of a width that can be seen.

    Args:
        histograms: Of whatever bins.
        n_bins: At least 4.

    Raises:
        DataError: `n_bins` below 4.
    """
    if n_bins < FEWEST_BINS:
        raise DataError(f"n_bins must be at least {FEWEST_BINS}; got {n_bins}")
    known = [each for each in histograms if each.n_finite]
    if not known:
        return SharedBins(np.zeros(1), np.zeros((len(histograms), 0), np.int64))
    low, high = min(each.low for each in known), max(each.high for each in known)
    least = max(_drawable(low, high), *(each.exponent for each in known))
    exponent = _exponent(low, high, n_bins, least)
    first, counts = _together(histograms, exponent)
    return SharedBins(_edges(exponent, first, counts.shape[1]), counts)


# --- bins --------------------------------------------------------------------------------


def _exponent(low: float, high: float, n_bins: int, least: int = NARROWEST) -> int:
    """The smallest exponent, not below `least`, for which `n_bins` cover a range."""
    largest = math.frexp(max(abs(low), abs(high)))[1] if low or high else NARROWEST
    exponent = max(least, NARROWEST, largest - RESOLUTION)
    while _bin_of(high, exponent) - _bin_of(low, exponent) >= n_bins:
        exponent += 1
    return exponent


def _drawable(low: float, high: float) -> int:
    """The exponent of the narrowest bins that are worth drawing."""
    if low == high == 0:
        return -SEEN
    largest = math.frexp(max(abs(low), abs(high)))[1]
    return max(largest - (SEEN if low == high else DRAWN), NARROWEST_DRAWN)


def _bin_of(value: float, exponent: int) -> int:
    """The index of the bin that a value is in."""
    found = math.floor(math.ldexp(value, -exponent))
    return -1 if value < 0 and found == 0 else found  # too small for a float once scaled


def _scaled(flat: Array, exponent: int) -> Iterator[Doubles]:
    """The values in units of a bin's width, float64, some at a time; negative ones stay so."""
    unit = math.ldexp(1.0, -exponent) if abs(exponent) <= -NARROWEST_NORMAL else 0.0
    may_vanish = exponent > 0 and flat.dtype.itemsize > 4  # float64 has room for all float32s
    for start in range(0, flat.size, CHUNK):
        chunk = flat[start : start + CHUNK].astype(np.float64)
        scaled = chunk * unit if unit else np.ldexp(chunk, -exponent)
        if may_vanish:
            scaled[(chunk < 0) & (scaled == 0)] = np.nextafter(0.0, -1.0)
        yield scaled


def _edges(exponent: int, first: int, n_bins: int) -> Doubles:
    with np.errstate(over="ignore"):  # the end of the last bin may be beyond all floats
        edges: Doubles = np.ldexp(np.arange(first, first + n_bins + 1, dtype=np.float64), exponent)
    return edges


def _regroup(one: Histogram, exponent: int) -> tuple[int, Integers]:
    """The first bin and the counts in bins of that exponent or wider."""
    bins = one.first + np.arange(len(one.counts), dtype=np.int64) >> exponent - one.exponent
    if not len(bins):
        return 0, one.counts
    first = int(bins[0])
    counts = np.zeros(int(bins[-1]) - first + 1, np.int64)
    np.add.at(counts, bins - first, one.counts)
    return first, counts


def _together(histograms: Sequence[Histogram], exponent: int) -> tuple[int, Integers]:
    """The first bin of all, and the counts `(histogram, bin)`."""
    regrouped = [_regroup(each, exponent) for each in histograms]
    known = [(first, first + len(counts)) for first, counts in regrouped if len(counts)]
    first, end = min(first for first, _ in known), max(end for _, end in known)
    table = np.zeros((len(histograms), end - first), np.int64)
    for row, (own_first, counts) in zip(table, regrouped, strict=True):
        if len(counts):
            row[own_first - first : own_first - first + len(counts)] = counts
    return first, table


# --- averages ----------------------------------------------------------------------------


def _merged_moments(one: Histogram, other: Histogram, exponent: int) -> tuple[float, float]:
    """Those of the values of both, as `Spread` brings chunks together."""
    n_all = one.n_finite + other.n_finite
    means = [math.ldexp(each.mean, -exponent) for each in (one, other)]
    stds = [math.ldexp(each.std, -exponent) for each in (one, other)]
    apart = means[1] - means[0]
    share = other.n_finite / n_all
    within = stds[0] ** 2 * (1 - share) + stds[1] ** 2 * share
    std = math.sqrt(within + apart**2 * share * (1 - share))
    return math.ldexp(means[0] + apart * share, exponent), math.ldexp(std, exponent)
