"""Histograms that merge exactly: of weights and activations, and with fixed bins.

A bin is an eighth of an octave: the sign, the exponent and three bits of the fraction of the
float itself say which. Values in a bin differ by at most an eighth of their size. Bins hold
their upper edge, and zero is one: the share of values above any edge, zero among them, is
exact.

Every bin is a power of two wide and ends at multiples of its width, so that two bins of one
histogram are one of the next wider: histograms of different moments share bins without a count
being split or guessed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.errors import DataError

SMALLEST, LARGEST = 2.0**-12, 2.0**16  # what is nearer to zero, or farther from it, is one bin
_SHIFT = 20  # of the 23 bits of a float32's fraction, three are kept
_FIRST, _LAST = (int(np.float32(each).view(np.int32)) >> _SHIFT for each in (SMALLEST, LARGEST))
_SIDE = _LAST - _FIRST + 2  # bins on either side of zero
_MAGNITUDES = (np.arange(_FIRST, _LAST + 1, dtype=np.int32) << _SHIFT).view(np.float32)
EDGES: Doubles = np.concatenate(
    [[-np.inf], -_MAGNITUDES[::-1], [0], _MAGNITUDES, [np.inf]], dtype=np.float64
)


def bins_of(values: ArrayLike) -> NDArray[np.int32]:
    """The bin of each value: bin b holds what is above `EDGES[b]` and up to `EDGES[b + 1]`.

    Args:
        values: Numbers of any shape, none of them NaN; rounded to float32.
    """
    values = np.asarray(values, np.float32)
    # Bits of a float of one sign order as its value does: sign, exponent and the first three
    # bits of the fraction are the bin.
    above = values > 0
    code = np.abs(values).view(np.int32) - above  # an edge belongs to the bin below it
    code = np.minimum(np.maximum((code >> _SHIFT) - (_FIRST - 1), 0), _SIDE - 1)
    return np.where(above, _SIDE + code, _SIDE - 1 - code)


@dataclass
class LogHistogram:
    """Logarithmic histogram of each class and unit over fixed bins.

    Attributes:
        first: The bin that the first column counts.
        counts: `(class, unit, bin)` int64; only bins between the outermost that hold
            something are kept.
    """

    first: int
    counts: Integers

    @classmethod
    def empty(cls, n_classes: int, n_units: int) -> "LogHistogram":
        """No values yet."""
        return cls(_SIDE, np.zeros((n_classes, n_units, 0), np.int64))

    @property
    def edges(self) -> Doubles:
        """`(bin + 1,)`: the limits of the bins that are kept."""
        return EDGES[self.first : self.first + self.counts.shape[2] + 1]

    def add(self, values: Array, classes: Integers) -> None:
        """Count one value per sample and unit; NaN is not counted.

        Args:
            values: `(sample, unit)`.
            classes: `(sample,)` class indices.
        """
        if not values.size:
            return
        known = ~np.isnan(values)
        complete = bool(known.all())
        bins = bins_of(values if complete else np.where(known, values, 0))
        self._make_room(int(bins.min()), int(bins.max()))
        _, n_units, n_bins = self.counts.shape
        # One index for class, unit and bin: a single pass counts all.
        cells = (classes[:, None] * n_units + np.arange(n_units)) * n_bins + (bins - self.first)
        known_cells = cells.ravel() if complete else cells[known]
        np.add.at(self.counts.reshape(-1), known_cells, 1)

    def merge_into(self, other: "LogHistogram") -> None:
        """Add what another one counted."""
        n_bins = other.counts.shape[2]
        if n_bins:
            self._make_room(other.first, other.first + n_bins - 1)
            start = other.first - self.first
            self.counts[:, :, start : start + n_bins] += other.counts

    def copy(self) -> "LogHistogram":
        """One that can be added to without changing this one."""
        return LogHistogram(self.first, self.counts.copy())

    def _make_room(self, lowest: int, highest: int) -> None:
        n_bins = self.counts.shape[2]
        if not n_bins:
            self.first = lowest
        first = min(self.first, lowest)
        last = max(self.first + n_bins - 1, highest)
        if n_bins and (first, last) == (self.first, self.first + n_bins - 1):
            return
        wider = np.zeros((*self.counts.shape[:2], last - first + 1), np.int64)
        wider[:, :, self.first - first : self.first - first + n_bins] = self.counts
        self.first, self.counts = first, wider

    # --- what follows from the counts ----------------------------------------------------

    def shares(self) -> Doubles:
        """Counts as shares that sum to 1 over the bins; NaN where there is no value."""
        total = self.counts.sum(axis=2, keepdims=True)
        return np.where(total > 0, self.counts / np.maximum(total, 1), np.nan)

    def share_above(self, limit: float) -> tuple[Doubles, Doubles]:
        """The share of values above a limit, and how far it may be off.

        Returns:
            `(class, unit)` each. Within the bin of the limit, values are taken to lie
            evenly; at an edge the share is exact and its error 0.
        """
        bin_index = int(bins_of(limit))
        low, high = EDGES[bin_index], EDGES[bin_index + 1]
        inside = (high - limit) / (high - low) if np.isfinite(high - low) else 0.5
        shares = self.shares()
        column = bin_index - self.first
        whole = shares[:, :, max(column + 1, 0) :].sum(axis=2)
        if limit == high or not 0 <= column < shares.shape[2]:
            return whole, np.where(np.isnan(whole), np.nan, 0.0)
        unsure = shares[:, :, column]
        return whole + inside * unsure, max(inside, 1 - inside) * unsure

    def quantile(self, share: float) -> tuple[Doubles, Doubles, Doubles]:
        """The value below which a share of the values lies, between the limits of its bin.

        Returns:
            Estimate, lower and upper limit, `(class, unit)` each; NaN without values.
        """
        # The bin in which the cumulated counts pass the rank, then linear within it.
        below = np.cumsum(self.counts, axis=2)
        shape = below.shape[:2]
        if not below.shape[2]:
            return (np.full(shape, np.nan),) * 3
        n_values = below[:, :, -1]
        rank = share * np.maximum(n_values - 1, 0)  # as numpy's linear method counts
        bin_index = np.argmax(below > rank[:, :, None], axis=2)
        inside = np.take_along_axis(self.counts, bin_index[:, :, None], 2)[:, :, 0]
        before = np.take_along_axis(below, bin_index[:, :, None], 2)[:, :, 0] - inside
        low, high = self.edges[bin_index], self.edges[bin_index + 1]
        finite_low = np.where(np.isfinite(low), low, high)
        finite_high = np.where(np.isfinite(high), high, low)
        part = (rank - before + 0.5) / np.maximum(inside, 1)
        estimate = finite_low + np.clip(part, 0, 1) * (finite_high - finite_low)
        return tuple(np.where(n_values > 0, each, np.nan) for each in (estimate, low, high))  # type: ignore[return-value]


def jensen_shannon(shares: ArrayLike) -> Doubles:
    """Jensen-Shannon distance of two classes' histograms, averaged over units.

    Args:
        shares: `(class, unit, bin)`, summing to 1 over the bins; NaN for a class without.

    Returns:
        `(class, class)` float64 in 0..1: the square root of the divergence in bits, as
        `scipy.spatial.distance.jensenshannon(base=2)` has it. NaN for a class without values.

    Cost: O(classes² x units x bins); one row of the result at a time in memory.

    Reference: Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    shares = np.asarray(shares, np.float64)
    entropy = entr(shares).sum(axis=2)
    matrix = np.zeros((len(shares), len(shares)))
    for row in range(len(shares)):
        # Lin 1991: the entropy of the mixture less the mean entropy.
        middle = entr((shares[row] + shares[row:]) / 2).sum(axis=2)
        divergence = (middle - (entropy[row] + entropy[row:]) / 2) / np.log(2)
        far = np.sqrt(np.maximum(divergence, 0)).mean(axis=1)
        far[0] = 0 if np.isfinite(far[0]) else np.nan
        matrix[row, row:] = matrix[row:, row] = far
    return matrix


def overlap_distance(shares: ArrayLike) -> Doubles:
    """One minus the share that two classes' histograms have in common, averaged over units.

    Args:
        shares: As in `jensen_shannon`.

    Returns:
        `(class, class)` float64 in 0..1; NaN for a class without values.

    Reference: Inman and Bradley 1989, "The overlapping coefficient as a measure of agreement".
    """
    shares = np.asarray(shares, np.float64)
    matrix = np.zeros((len(shares), len(shares)))
    for row in range(len(shares)):
        common = np.minimum(shares[row], shares[row:]).sum(axis=2)
        far = np.clip(1 - common.mean(axis=1), 0, 1)
        far[0] = 0 if np.isfinite(far[0]) else np.nan
        matrix[row, row:] = matrix[row:, row] = far
    return matrix


METRICS: dict[str, Callable[[ArrayLike], Doubles]] = {
    "jensen_shannon": jensen_shannon,
    "overlap": overlap_distance,
}


class RunningMoments:
    """Mean and variance of chunks of values, in units of a power of two that no square overflows.

    Reference: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, scaled: Doubles) -> None:
        """Take the values of one more chunk; at least one."""
        n_all = self._n + scaled.size
        mean = float(scaled.mean())
        deviations = scaled - mean
        squares = float(np.square(deviations, out=deviations).sum())
        apart, share = mean - self._mean, scaled.size / n_all
        self._squares += squares + apart**2 * share * self._n
        self._mean += apart * share
        self._n = n_all

    def moments(self, exponent: int, low: float, high: float) -> tuple[float, float]:
        """Mean and standard deviation (ddof 0) of the unscaled values; equal ones exactly."""
        if low == high:
            return low, 0.0
        within = min(max(math.ldexp(self._mean, exponent), low), high)
        return within, math.ldexp(math.sqrt(self._squares / self._n), exponent)


NARROWEST_NORMAL = -1022  # 2.0**-1022 is the smallest float of full precision
NARROWEST = -1074  # 2.0**-1074 is the smallest float there is
RESOLUTION = 24  # a bin is no narrower than the float32 of the largest value can tell
FEWEST_BINS = 4  # what any range needs, -1.8e308..1.8e308 included
SEEN, DRAWN = 6, 20  # by how many powers of two a bin that is drawn is below the largest value
NARROWEST_DRAWN = -126  # below that float32 has fewer digits
CHUNK = 2**15  # values at a time: they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Histogram:
    """Histogram with bins a power of two wide, mean and standard deviation; merges exactly.

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
        min: The smallest finite value.
        max: The largest.
        n_values: All of them, finite or not.
    """

    exponent: int
    first: int
    counts: Integers
    n_nan: int
    n_infinite: int
    mean: float
    std: float
    min: float
    max: float
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
        low, high = min(self.min, other.min), max(self.max, other.max)
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
    # The smallest power of two as width for which `n_bins` bins cover the range.
    exponent = _exponent(low, high, n_bins)
    first = _bin_of(low, exponent)
    counts = np.zeros(_bin_of(high, exponent) - first + 1, np.int64)
    spread = RunningMoments()
    for scaled in _scaled(flat, exponent):
        spread.add(scaled)
        bins = np.floor(scaled).astype(np.int64)
        bins -= first
        counts += np.bincount(bins, minlength=len(counts))
    mean, std = spread.moments(exponent, low, high)
    return Histogram(exponent, first, counts, n_nan, n_infinite, mean, std, low, high, n_values)


def shared_bins(histograms: Sequence[Histogram], n_bins: int = 64) -> SharedBins:
    """Regroup histograms into the same bins, of which at most `n_bins` cover them all.

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
    low, high = min(each.min for each in known), max(each.max for each in known)
    least = max(_drawable(low, high), *(each.exponent for each in known))
    # Bins of the widest histogram, or wider: whole bins of every other one fit in.
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
    index = math.floor(math.ldexp(value, -exponent))
    return -1 if value < 0 and index == 0 else index  # too small for a float once scaled


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
    """Those of the values of both, as `RunningMoments` joins chunks."""
    n_all = one.n_finite + other.n_finite
    means = [math.ldexp(each.mean, -exponent) for each in (one, other)]
    stds = [math.ldexp(each.std, -exponent) for each in (one, other)]
    apart = means[1] - means[0]
    share = other.n_finite / n_all
    # Chan, Golub and LeVeque 1983: variances by share, and the gap between both means.
    within = stds[0] ** 2 * (1 - share) + stds[1] ** 2 * share
    std = math.sqrt(within + apart**2 * share * (1 - share))
    return math.ldexp(means[0] + apart * share, exponent), math.ldexp(std, exponent)


def subsample(values: Array, limit: int) -> Array:
    """At most `limit` of the values, evenly spread over all axes.

    Args:
        values: Any shape.
        limit: At least 1.

    Returns:
        `(value,)`, a view: every n-th of them, where n shares no factor with the number of all, so
        that it does not fall on the same unit again and again. All of them where they are few.
    """
    flat = values.reshape(-1)
    step = max(1, -(-flat.size // limit))
    # A step that shares a factor with the size would fall on the same units again.
    while gcd(step, flat.size) > 1 and step > 1:
        step += 1
    return flat[::step]


VALUES = 2**20  # of a layer's output that are enough
FEWEST, MOST = 8, 256  # samples of which it is counted
BATCH, BATCH_VALUES = 64, 2**24  # samples at a time, and values of all layers

Read = Callable[[Sequence[str], Integers], Mapping[str, Array]]


@dataclass(frozen=True)
class ActivationHistogram:
    """The histogram of what a layer put out, and of how many samples it is."""

    histogram: Histogram
    n_samples: int


def activation_histogram(
    read: Read, layers: Sequence[str], rows: Integers
) -> dict[str, ActivationHistogram]:
    """Histograms of layers' activations, each over a million values or more.

    Args:
        read: Gives the outputs of layers, `(sample, …, unit)`, on some rows in ascending order.
        rows: `(sample,)`: which samples may be run, in the order in which they are taken; at
            least 8 and at most 256 of them are.

    Returns:
        By layer, counted at all positions.

    Cost: forward passes, the longer ones only for layers that put out little.
    """
    n_wanted = dict.fromkeys(layers, min(FEWEST, len(rows)))
    sizes: dict[str, int] = {}
    histograms: dict[str, Histogram] = {}
    start, batch = 0, FEWEST
    while due := [layer for layer in layers if n_wanted[layer] > start]:
        stop = min(start + batch, *(n_wanted[each] for each in due))
        for each, values in read(due, np.sort(rows[start:stop])).items():
            counted = histogram(values)
            if start:
                histograms[each] = histograms[each].merged(counted)
                continue
            histograms[each], sizes[each] = counted, values[0].size
            enough = -(-VALUES // values[0].size) if values.size else 0
            n_wanted[each] = min(max(enough, FEWEST), MOST, len(rows))
        start = stop
        at_once = sum(sizes[layer] for layer in layers if n_wanted[layer] > start)
        batch = min(max(BATCH_VALUES // max(at_once, 1), 1), BATCH)
    return {layer: ActivationHistogram(histograms[layer], n_wanted[layer]) for layer in layers}


ACTIVATIONS = "activations"  # as what is counted, beside the names of weights
NOW = "now"  # the moment that is not kept


@dataclass(frozen=True)
class HistogramMoment:
    """Histograms of all layers at some time, by layer and by name of the weights."""

    label: str
    histograms: Mapping[str, Mapping[str, Histogram]]
