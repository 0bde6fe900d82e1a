"""HSIC estimated as an average over minibatches, for layers too wide to sum up."""

import math
from collections.abc import Sequence

import numpy as np

from actwidgets.core.arrays import Array, Doubles
from actwidgets.core.representations.cka import HsicTerms, alignment, centred

_LEAST, _MOST = 32, 512  # samples in a minibatch, however they arrive
_FEATURES_AT_ONCE = 2**16


class MinibatchHsic:
    """The unbiased HSIC of every pair of some layers, averaged over minibatches.

    Each minibatch gives an unbiased estimate of its own (Nguyen et al. 2021), weighted here
    by its number of samples. Nothing but one number per pair is kept, and the last 32 to 63
    samples, so that no sample is left over for want of others: batches of fewer are joined
    with their neighbours, and those of more than 512 are cut.

    Args:
        n_layers: How many layers.
    """

    def __init__(self, n_layers: int) -> None:
        self._between = np.zeros((n_layers, n_layers))
        self._own = np.zeros(n_layers)
        self._held: list[Array] = []

    def add(self, rows: Sequence[Array]) -> None:
        """Add a batch in place: for each layer finite activations `(sample, feature)`.

        Cost: `samples² · features` for each minibatch and layer (Gram matrices).
        """
        if self._held:
            rows = [np.concatenate(pair) for pair in zip(self._held, rows, strict=True)]
        n_ready = len(rows[0]) - _LEAST
        if n_ready < _LEAST:
            self._held = list(rows)
            return
        self._held = [values[n_ready:].copy() for values in rows]
        for chosen in np.array_split(np.arange(n_ready), math.ceil(n_ready / _MOST)):
            between, own = _weighted_hsic([values[chosen[0] : chosen[-1] + 1] for values in rows])
            self._between += between
            self._own += own

    def absorb(self, other: "MinibatchHsic") -> None:
        """Add the minibatches of another one, in place."""
        self._between += other._between
        self._own += other._own
        if other._held:
            self.add(other._held)

    def cka(self) -> Doubles:
        """`(layer, layer)`: of at least 4 samples; NaN for a layer without variance."""
        between, own = self._between, self._own
        if self._held:
            last_between, last_own = _weighted_hsic(self._held)
            between, own = between + last_between, own + last_own
        return alignment(between, own[:, None], own)


def _weighted_hsic(rows: Sequence[Array]) -> tuple[Doubles, Doubles]:
    """HSIC of every pair, and of each layer with itself, times the number of samples."""
    n_samples = len(rows[0])
    grams = np.stack([_gram(values).ravel() for values in rows])
    norms = grams[:, :: n_samples + 1]
    squares = norms.sum(axis=1)
    cross, dots, totals = grams @ grams.T, norms @ norms.T, np.outer(squares, squares)
    pairs = HsicTerms(cross, dots, totals, n_samples)
    own = HsicTerms(np.diag(cross), np.diag(dots), np.diag(totals), n_samples)
    return pairs.hsic() / (n_samples - 3), own.own_hsic() / (n_samples - 3)


def _gram(values: Array) -> Doubles:
    """`(sample, sample)`: the products of rows about their mean; few features at a time."""
    gram = np.zeros((len(values), len(values)))
    for start in range(0, values.shape[1], _FEATURES_AT_ONCE):
        part = centred(values[:, start : start + _FEATURES_AT_ONCE])[0]
        gram += part @ part.T
    return gram
