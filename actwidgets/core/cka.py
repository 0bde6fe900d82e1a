"""Debiased linear CKA: how similar two layers represent the same samples.

With `x_i` and `y_i` the rows of two activation matrices after their column means are taken
off, the unbiased estimate of HSIC by Song et al. is, for linear kernels,

    n (n - 3) HSIC = |X'Y|² - n/(n-2) Σ|x_i|²|y_i|² + Σ|x_i|² Σ|y_i|² / ((n-1)(n-2))

in which `|X'Y|²` is also the sum of `XX' · YY'`, element by element: the Gram form. CKA is
`HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))`.

References: Kornblith et al. 2019, "Similarity of neural network representations revisited";
Song et al. 2012, "Feature selection via dependence maximization", theorem 3; Nguyen et al.
2021, "Do wide and deep networks learn the same things?", section 3.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dger

from actwidgets.core.arrays import Array, Doubles
from actwidgets.errors import DataError, LayerError, ShapeError

MIN_SAMPLES = 4  # the debiased HSIC divides by n - 3
_ROUNDING = 1e-13  # what is left of a difference, relative to its terms, when nothing is


def cka(a: ArrayLike, b: ArrayLike) -> float:
    """Debiased linear CKA of two representations of the same samples.

    Args:
        a: `(sample, …)`, any real dtype; further axes are flattened into features.
        b: `(sample, …)`, row for row the same samples; any number of features.

    Returns:
        1 for equal representations, near 0 for unrelated ones; the same after a rotation, a
        translation or a scaling of all features alike, but not after a scaling of some. As
        it comes from an unbiased estimate it may be slightly negative; it is above 1 by
        rounding only. NaN where a representation has no variance, or differs from a
        constant in one sample only, of which no pair of samples tells.

    Raises:
        ShapeError: No sample axis, or different numbers of samples.
        DataError: Fewer than 4 samples, NaN or infinity, or values that are not real numbers.

    Cost: the cheaper of `samples · features · other features` (feature form) and
    `samples² · (features + other features)` (Gram form), in float64; both give the same. In
    memory a float64 copy of both, and at most as much again.
    """
    x, y = features(a, name="a"), features(b, name="b")
    if len(x) != len(y):
        raise ShapeError(
            f"a and b must hold the same samples; a has {len(x)} samples and b has {len(y)}"
        )
    require_enough(len(x))
    x, y = _to_unit_size(centered(x)[0]), _to_unit_size(centered(y)[0])
    own = _terms(x, x).own_hsic(), _terms(y, y).own_hsic()
    return float(alignment(_terms(x, y).hsic(), *own))


def features(values: ArrayLike, *, name: str) -> Array:
    """The values as `(sample, feature)`, after checking that CKA is defined on them.

    Args:
        values: `(sample, …)`; `(sample,)` is one feature.
        name: What the caller calls these values; used in the message.

    Raises:
        ShapeError: No sample axis.
        DataError: NaN, infinity, or values that are not real numbers.
    """
    values = np.asarray(values)
    if not values.ndim:
        raise ShapeError(f"{name} needs a sample axis (sample, …); got a single value")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{name} must hold real numbers; got dtype {values.dtype}")
    n_bad = values.size - int(np.isfinite(values).sum())
    if n_bad:
        raise DataError(
            f"{name} must be finite; {n_bad} of its {values.size} values are NaN or infinite"
        )
    return values.reshape(len(values), math.prod(values.shape[1:]))


def position_means(outputs: ArrayLike) -> Doubles:
    """`(sample, …, unit)` averaged over positions: `(sample, unit)` float64.

    NaN stays NaN. `(sample,)` is one unit at one position.
    """
    outputs = np.asarray(outputs)
    if outputs.ndim < 2:
        return outputs.reshape(len(outputs), 1).astype(np.float64)
    between = tuple(range(1, outputs.ndim - 1))
    with np.errstate(invalid="ignore"):  # infinities of both signs
        return outputs.mean(axis=between, dtype=np.float64) if between else outputs.astype(float)


def require_enough(n_samples: int) -> None:
    """Refuse a number of samples for which the debiased HSIC does not exist.

    Raises:
        DataError: Fewer than 4 samples.
    """
    if n_samples < MIN_SAMPLES:
        raise DataError(f"debiased CKA needs at least {MIN_SAMPLES} samples; got {n_samples}")


def centered(values: Array) -> tuple[Doubles, Doubles]:
    """`(sample, feature)` less its mean over samples, and that mean; both float64.

    Differences from the first sample are averaged, so that a constant feature becomes
    exactly 0 and its mean exactly its value.
    """
    first = values[0].astype(np.float64)
    shifted = np.subtract(values, first, dtype=np.float64)
    step = shifted.mean(axis=0)
    shifted -= step
    return shifted, first + step


def row_norms(values: Doubles) -> Doubles:
    """`(sample,)`: the sum over features of the squares."""
    return np.einsum("ij,ij->i", values, values)


@dataclass(frozen=True)
class HsicTerms:
    """What the debiased HSIC of centered x and y is made of; numbers, or one for each pair.

    Attributes:
        cross: The sum of the squares of `X'Y`.
        dots: The sum over samples of `|x|²|y|²`.
        squares: The sum of `|x|²` times the sum of `|y|²`.
        n_samples: How many samples, at least 4.
    """

    cross: Any
    dots: Any
    squares: Any
    n_samples: int

    def hsic(self) -> Any:
        """`n (n - 3)` times the debiased HSIC; negative where it so happens."""
        n = self.n_samples
        return self.cross - n / (n - 2) * self.dots + self.squares / ((n - 1) * (n - 2))

    def own_hsic(self) -> Any:
        """The same of a representation with itself: 0 where only rounding would be left."""
        size = self.cross + 2 * self.dots + self.squares / self.n_samples**2
        value = self.hsic()
        return np.where(value > _ROUNDING * size, value, 0.0)


def alignment(between: Any, mine: Any, other: Any) -> NDArray[np.float64]:
    """HSIC of each pair, divided by the geometric mean of its two own; NaN where one is 0."""
    size = np.sqrt(mine) * np.sqrt(other)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, between / size, np.nan)


def _terms(x: Doubles, y: Doubles) -> HsicTerms:
    x_norms, y_norms = row_norms(x), row_norms(y)
    if x.shape[1] * y.shape[1] < len(x) * (x.shape[1] + y.shape[1]):
        cross = np.square(x.T @ y).sum()
    else:
        cross = np.vdot(x @ x.T, y @ y.T)
    return HsicTerms(cross, x_norms @ y_norms, x_norms.sum() * y_norms.sum(), len(x))


def _to_unit_size(values: Doubles) -> Doubles:
    """Scaled so that squares of squares neither overflow nor vanish; CKA does not change."""
    largest = np.abs(values).max(initial=0.0)
    return values / largest if largest > 0 else values


_LEAST, _MOST = 32, 512  # samples in a minibatch, however they arrive
_FEATURES_AT_ONCE = 2**16


class MinibatchHsic:
    """The unbiased HSIC of every pair of some layers, averaged over minibatches.

    Each minibatch gives an unbiased estimate of its own (Nguyen et al. 2021), weighted here
    by its number of samples. Nothing but one number per pair is kept, and the last 32 to 63
    samples, so that no sample is left over for want of others: batches of fewer are joined
    with their neighbors, and those of more than 512 are cut.

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
        part = centered(values[:, start : start + _FEATURES_AT_ONCE])[0]
        gram += part @ part.T
    return gram


@dataclass
class LayerSums:
    """What is summed of one layer by itself.

    Attributes:
        mean: `(feature,)`: the mean over samples.
        squares: The sum over samples of `|x|²`, with x the distance from the mean.
    """

    mean: Doubles
    squares: float


@dataclass
class CenteredBatch:
    """One layer's activations on one batch about their mean.

    Attributes:
        values: `(sample, feature)` float64.
        norms: `(sample,)`: the sum over features of the squares.
        sums: The same, summed.
    """

    values: Doubles
    norms: Doubles
    sums: LayerSums

    @classmethod
    def of(cls, values: Array) -> "CenteredBatch":
        """From finite activations `(sample, feature)`."""
        shifted, mean = centered(values)
        norms = row_norms(shifted)
        return cls(shifted, norms, LayerSums(mean, float(norms.sum())))


@dataclass
class Step:
    """How the means of two sets of samples of one layer lie to their common mean.

    With `x` about the mean of its own set, `x + mine` (or `x + other`) is about the common
    one. `weight` is the number of samples in both for which the gap counts once:
    `n m / (n + m)`.
    """

    gap: Doubles
    mine: Doubles
    other: Doubles
    weight: float

    @classmethod
    def between(cls, mine: Doubles, other: Doubles, n_mine: int, n_other: int) -> "Step":
        """From the means of two sets, and how many samples there are in each."""
        gap = other - mine
        n_both = n_mine + n_other
        return cls(
            gap, gap * (-n_other / n_both), gap * (n_mine / n_both), n_mine * n_other / n_both
        )


@dataclass
class PairSums:
    """Sums over samples of the activations x and y of two layers, about the mean of each.

    About the mean, because then nothing large cancels, and because the sums of two sets of
    samples follow exactly from one another's: with x moved by d and y by e, and `Σx = Σy = 0`,

        Σ xy'      becomes  Σ xy' + n de'
        Σ|x|² y             Σ|x|² y + Σ|x|² e + 2 (Σ yx') d + n|d|² e
        Σ|x|²|y|²           Σ|x|²|y|² + 2 e'Σ|x|² y + 2 d'Σ|y|² x + 4 d'(Σ xy')e
                            + |e|² Σ|x|² + |d|² Σ|y|² + n|d|²|e|²

    as Chan, Golub and LeVeque 1979 have it for squares.

    Attributes:
        products: `(feature, other feature)`: `Σ xy'`.
        weighted: `(other feature,)`: `Σ|x|² y`.
        other_weighted: `(feature,)`: `Σ|y|² x`.
        dots: `Σ|x|²|y|²`.
    """

    products: Doubles
    weighted: Doubles
    other_weighted: Doubles
    dots: float

    @classmethod
    def of(cls, x: CenteredBatch, y: CenteredBatch) -> "PairSums":
        """The sums of one batch. Cost: `samples · features · other features`."""
        return cls(
            products=x.values.T @ y.values,
            weighted=x.norms @ y.values,
            other_weighted=y.norms @ x.values,
            dots=float(x.norms @ y.norms),
        )

    @staticmethod
    def n_bytes(n_features: int, n_other: int) -> int:
        """What the sums of a pair take in memory."""
        return 8 * (n_features * n_other + n_features + n_other)

    def absorb(
        self,
        other: "PairSums",
        counts: tuple[int, int],
        layers: tuple[tuple[LayerSums, LayerSums], tuple[LayerSums, LayerSums]],
        steps: tuple[Step, Step],
    ) -> None:
        """Become the sums of the samples of both, in place.

        Args:
            other: The sums over other samples; not changed.
            counts: The number of samples, here and there.
            layers: Of x and y: their own sums, here and there.
            steps: Of x and y: how the means lie.
        """
        (x, x_other), (y, y_other) = layers
        d, e = steps
        mine = self._moved(counts[0], x.squares, y.squares, d.mine, e.mine)
        theirs = other._moved(counts[1], x_other.squares, y_other.squares, d.other, e.other)
        self.weighted = mine[0] + theirs[0]
        self.other_weighted = mine[1] + theirs[1]
        self.dots = mine[2] + theirs[2]
        self.products += other.products
        if self.products.size:  # without a temporary array of this size
            self.products = dger(d.weight, e.gap, d.gap, a=self.products.T, overwrite_a=True).T

    def _moved(
        self, n: int, x_squares: float, y_squares: float, d: Doubles, e: Doubles
    ) -> tuple[Doubles, Doubles, float]:
        """All but the products about a center from which x is `x + d` and y is `y + e`."""
        d_squared, e_squared = float(d @ d), float(e @ e)
        along_d, along_e = d @ self.products, self.products @ e
        weighted = self.weighted + 2 * along_d + (x_squares + n * d_squared) * e
        other_weighted = self.other_weighted + 2 * along_e + (y_squares + n * e_squared) * d
        dots = (
            self.dots
            + 2 * float(self.weighted @ e)
            + 2 * float(self.other_weighted @ d)
            + 4 * float(along_d @ e)
            + e_squared * x_squares
            + d_squared * y_squares
            + n * d_squared * e_squared
        )
        return weighted, other_weighted, dots


@dataclass(frozen=True)
class LayerSimilarityTable:
    """Debiased linear CKA of each of some layers with each of the same or other layers.

    Attributes:
        values: `(layer, other layer)` float64: 1 for equal representations, near 0 (also
            slightly below) for unrelated ones. NaN where a layer has no variance.
        layers: Names of the rows.
        other_layers: Names of the columns; the same where one model is compared with itself.
        n_samples: Over how many samples.
        estimated: `(layer, other layer)` bool: where the value is a minibatch average,
            because the exact sums were beyond the memory budget.
    """

    values: NDArray[np.float64]
    layers: tuple[str, ...]
    other_layers: tuple[str, ...]
    n_samples: int
    estimated: NDArray[np.bool_]


Pair = tuple[int, int]
DEFAULT_BUDGET_BYTES = 512 * 2**20


class CkaSums:
    """Sums from which the debiased linear CKA of every pair of layers follows.

    `add` batches in any split and order, then ask for the `table()`. It is exact, the same
    as `cka` of all the samples at once, for as many layers as fit into the budget: the
    narrowest first, as a pair takes `8 · features · other features` bytes and each layer
    forms a pair with itself. A pair with one of the remaining layers is estimated: the
    average of the unbiased HSIC over minibatches (Nguyen et al. 2021), for all three HSIC of
    the pair, and the table says so.

    Args:
        layers: Names of the layers.
        other_layers: Names of the layers of a second model, for a table of the first model's
            by the second's; `None` compares the layers with themselves.
        memory_budget_bytes: The most that exact sums may take. A batch takes on top of it
            its activations in float64 and, for a moment, the largest pair once more.

    Raises:
        DataError: No layers, or one twice.
    """

    def __init__(
        self,
        layers: Sequence[str],
        other_layers: Sequence[str] | None = None,
        *,
        memory_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        self.layers = _distinct(layers)
        self.other_layers = None if other_layers is None else _distinct(other_layers)
        self.memory_budget_bytes = memory_budget_bytes
        self.n_samples = 0
        self._n_features: tuple[int, ...] = ()  # these five are empty before the first batch
        self._exact: tuple[bool, ...] = ()
        self._sums: dict[int, LayerSums] = {}
        self._pairs: dict[Pair, PairSums] = {}
        self._minibatch: MinibatchHsic | None = None

    def add(
        self,
        outputs: Mapping[str, ArrayLike],
        other_outputs: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        """Add one batch in place; where it raises nothing is added.

        Args:
            outputs: Layer name to `(sample, …)`, the same samples for every layer; others
                than `layers` are not looked at. Any number of samples.
            other_outputs: The same of the second model.

        Raises:
            LayerError: A layer is not among the outputs.
            ShapeError: Layers differ in samples, or a layer in features from other batches.
            DataError: NaN or infinity, or values that are not real numbers.

        Cost: for each exact pair `samples · features · other features`; and where a pair is
        estimated, `samples² · features` for each layer.
        """
        rows = self._rows(outputs, other_outputs)
        n_batch = len(rows[0])
        if not n_batch:
            return
        if not self._n_features:
            self._begin(tuple(values.shape[1] for values in rows))
        batch = {index: CenteredBatch.of(rows[index]) for index in self._exact_indices()}
        self._absorb(
            n_batch,
            {index: layer.sums for index, layer in batch.items()},
            lambda pair: PairSums.of(batch[pair[0]], batch[pair[1]]),
        )
        if self._minibatch is not None:
            self._minibatch.add(rows)

    def merge(self, other: "CkaSums") -> "CkaSums":
        """The sums of the samples of both, which stay as they are.

        Associative and commutative to rounding; of estimates, as far as an estimate is.

        Raises:
            DataError: They differ in layers or in the budget.
            ShapeError: They differ in features.
        """
        for name in ("layers", "other_layers", "memory_budget_bytes"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise DataError(f"sums with different {name} do not merge: {mine}, {theirs}")
        if not (self.n_samples and other.n_samples):
            return copy.deepcopy(self if self.n_samples else other)
        self._require_features(other._n_features)
        merged = copy.deepcopy(self)
        merged._absorb(other.n_samples, other._sums, other._pairs.__getitem__)
        if merged._minibatch is not None and other._minibatch is not None:
            merged._minibatch.absorb(other._minibatch)
        return merged

    def table(self) -> LayerSimilarityTable:
        """CKA of every layer with every other, as far as it was gathered.

        Raises:
            DataError: Fewer than 4 samples.
        """
        require_enough(self.n_samples)
        n_layers = len(self._names)
        known = np.array(self._exact)
        estimated = ~(known[:, None] & known)
        values = np.full((n_layers, n_layers), np.nan)
        if self._minibatch is not None:
            values[estimated] = self._minibatch.cka()[estimated]
        own = {index: self._terms(index, index).own_hsic() for index in self._exact_indices()}
        for i, j in self._pairs:
            values[i, j] = values[j, i] = alignment(self._terms(i, j).hsic(), own[i], own[j])
        n_rows = len(self.layers)
        columns = slice(0 if self.other_layers is None else n_rows, None)
        return LayerSimilarityTable(
            values=values[:n_rows, columns],
            layers=self.layers,
            other_layers=self._names[columns],
            n_samples=self.n_samples,
            estimated=estimated[:n_rows, columns],
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return self.layers + (self.other_layers or ())

    def _exact_indices(self) -> list[int]:
        return [index for index, exact in enumerate(self._exact) if exact]

    def _begin(self, n_features: tuple[int, ...]) -> None:
        """Choose the layers whose sums are kept, the narrowest first."""
        self._n_features = n_features
        chosen: set[int] = set()
        for index in sorted(range(len(n_features)), key=n_features.__getitem__):
            needed = sum(
                PairSums.n_bytes(n_features[i], n_features[j])
                for i, j in self._pairs_of(chosen | {index})
            )
            if needed <= self.memory_budget_bytes:
                chosen.add(index)
        self._exact = tuple(index in chosen for index in range(len(n_features)))
        if not all(self._exact):
            self._minibatch = MinibatchHsic(len(n_features))

    def _pairs_of(self, indices: set[int]) -> list[Pair]:
        """The pairs in the table, and each layer with itself."""
        n_rows = len(self.layers)
        one_model = self.other_layers is None
        return [
            (i, j)
            for i in sorted(indices)
            for j in sorted(indices)
            if i == j or (i < j and (one_model or i < n_rows <= j))
        ]

    def _absorb(
        self, n_other: int, sums: Mapping[int, LayerSums], pair_sums: Callable[[Pair], PairSums]
    ) -> None:
        n_mine, self.n_samples = self.n_samples, self.n_samples + n_other
        pairs = self._pairs_of(set(self._exact_indices()))
        if not n_mine:
            self._sums = dict(sums)
            self._pairs = {pair: pair_sums(pair) for pair in pairs}
            return
        steps = {
            index: Step.between(self._sums[index].mean, theirs.mean, n_mine, n_other)
            for index, theirs in sums.items()
        }
        for i, j in pairs:
            self._pairs[i, j].absorb(
                pair_sums((i, j)),
                (n_mine, n_other),
                ((self._sums[i], sums[i]), (self._sums[j], sums[j])),
                (steps[i], steps[j]),
            )
        for index, theirs in sums.items():
            mine, step = self._sums[index], steps[index]
            squares = mine.squares + theirs.squares + step.weight * float(step.gap @ step.gap)
            self._sums[index] = LayerSums(mine.mean - step.mine, squares)

    def _terms(self, i: int, j: int) -> HsicTerms:
        sums = self._pairs[i, j]
        cross = np.vdot(sums.products, sums.products)
        squares = self._sums[i].squares * self._sums[j].squares
        return HsicTerms(cross, sums.dots, squares, self.n_samples)

    def _rows(
        self, outputs: Mapping[str, ArrayLike], other_outputs: Mapping[str, ArrayLike] | None
    ) -> list[Array]:
        if (other_outputs is None) != (self.other_layers is None):
            raise DataError(
                "these sums are of one model: give outputs only"
                if self.other_layers is None
                else "these sums are of two models: give outputs and other_outputs"
            )
        rows = _checked(outputs, self.layers)
        if other_outputs is not None:
            rows += _checked(other_outputs, self.other_layers or (), " of the other model")
        if len({len(values) for values in rows}) > 1:
            found = zip(self._names, rows, strict=True)
            told = ", ".join(f"{name!r} has {len(values)}" for name, values in found)
            raise ShapeError(f"all layers of a batch must hold the same samples; {told}")
        self._require_features(tuple(values.shape[1] for values in rows))
        return rows

    def _require_features(self, found: tuple[int, ...]) -> None:
        for name, wanted, n_features in zip(self._names, self._n_features, found, strict=False):
            if wanted != n_features:
                raise ShapeError(
                    f"layer {name!r} had {wanted} features per sample before and has "
                    f"{n_features} now; CKA needs the same for every sample"
                )


def _checked(
    outputs: Mapping[str, ArrayLike], names: Sequence[str], whose: str = ""
) -> list[Array]:
    missing = [name for name in names if name not in outputs]
    if missing:
        known = ", ".join(outputs)
        raise LayerError(f"no layer {missing[0]!r}{whose} in this batch; it has {known}")
    return [features(outputs[name], name=f"layer {name!r}{whose}") for name in names]


def _distinct(layers: Sequence[str]) -> tuple[str, ...]:
    names = tuple(layers)
    if not names:
        raise DataError("CKA needs at least one layer; got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"each layer may be given once; {', '.join(twice)} is there twice")
    return names
