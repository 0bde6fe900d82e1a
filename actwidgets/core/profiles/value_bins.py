"""Histograms whose bins are fixed for ever, so that any two of them add up exactly.

A bin is an eighth of an octave: the sign, the exponent and three bits of the fraction of the
float itself say which. Values in a bin differ by at most an eighth of their size. Bins hold
their upper edge, and zero is one: the share of values above any edge, zero among them, is
exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from actwidgets.core.arrays import Array, Doubles, Integers

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
    above = values > 0
    place = np.abs(values).view(np.int32) - above  # an edge belongs to the bin below it
    place = np.minimum(np.maximum((place >> _SHIFT) - (_FIRST - 1), 0), _SIDE - 1)
    return np.where(above, _SIDE + place, _SIDE - 1 - place)


@dataclass
class BinCounts:
    """How many values of each class and unit lie in each bin.

    Attributes:
        first: The bin that the first column counts.
        counts: `(class, unit, bin)` int64; only bins between the outermost that hold
            something are kept.
    """

    first: int
    counts: Integers

    @classmethod
    def empty(cls, n_classes: int, n_units: int) -> "BinCounts":
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
        found = bins_of(values if complete else np.where(known, values, 0))
        self._make_room(int(found.min()), int(found.max()))
        _, n_units, n_bins = self.counts.shape
        place = (classes[:, None] * n_units + np.arange(n_units)) * n_bins + (found - self.first)
        places = place.ravel() if complete else place[known]
        np.add.at(self.counts.reshape(-1), places, 1)

    def merge_into(self, other: "BinCounts") -> None:
        """Add what another one counted."""
        n_bins = other.counts.shape[2]
        if n_bins:
            self._make_room(other.first, other.first + n_bins - 1)
            start = other.first - self.first
            self.counts[:, :, start : start + n_bins] += other.counts

    def copy(self) -> "BinCounts":
        """One that can be added to without changing this one."""
        return BinCounts(self.first, self.counts.copy())

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
        place = int(bins_of(limit))
        low, high = EDGES[place], EDGES[place + 1]
        inside = (high - limit) / (high - low) if np.isfinite(high - low) else 0.5
        shares = self.shares()
        column = place - self.first
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
        below = np.cumsum(self.counts, axis=2)
        shape = below.shape[:2]
        if not below.shape[2]:
            return (np.full(shape, np.nan),) * 3
        n_values = below[:, :, -1]
        rank = share * np.maximum(n_values - 1, 0)  # as numpy's linear method counts
        place = np.argmax(below > rank[:, :, None], axis=2)
        inside = np.take_along_axis(self.counts, place[:, :, None], 2)[:, :, 0]
        before = np.take_along_axis(below, place[:, :, None], 2)[:, :, 0] - inside
        low, high = self.edges[place], self.edges[place + 1]
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
