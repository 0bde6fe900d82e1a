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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.blas import dger

from actwidgets.core.arrays import Array, Doubles
from actwidgets.errors import DataError, LayerError, ShapeError

MIN_SAMPLES = 4  # the debiased HSIC divides by n - 3
_ROUNDING = 1e-13  # what is left of a difference, relative to its terms, when nothing is
_MIN_BATCH, _MAX_BATCH = 32, 512  # samples in a minibatch, however they arrive
_FEATURES_AT_ONCE = 2**16
DEFAULT_BUDGET_BYTES = 512 * 2**20


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
    x, y = _features(a, name="a"), _features(b, name="b")
    if len(x) != len(y):
        raise ShapeError(
            f"a and b must hold the same samples; a has {len(x)} samples and b has {len(y)}"
        )
    _require_enough(len(x))
    x, y = _centered(x)[0], _centered(y)[0]
    # CKA does not depend on scale; squares of squares of large or tiny values would overflow.
    x, y = (values / (np.abs(values).max(initial=0.0) or 1.0) for values in (x, y))
    return float(_cka(_hsic(*_terms(x, y)), _own_hsic(*_terms(x, x)), _own_hsic(*_terms(y, y))))


def _features(values: ArrayLike, *, name: str) -> Array:
    """The values as `(sample, feature)`; refuse those on which CKA is not defined.

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


def _require_enough(n_samples: int) -> None:
    if n_samples < MIN_SAMPLES:
        raise DataError(f"debiased CKA needs at least {MIN_SAMPLES} samples; got {n_samples}")


def _centered(values: Array) -> tuple[Doubles, Doubles]:
    """`(sample, feature)` less its mean over samples, and that mean; both float64."""
    # Differences from the first sample are averaged, so that a constant feature becomes
    # exactly 0 and its mean exactly its value.
    first = values[0].astype(np.float64)
    shifted = np.subtract(values, first, dtype=np.float64)
    step = shifted.mean(axis=0)
    shifted -= step
    return shifted, first + step


def _row_norms(values: Doubles) -> Doubles:
    """`(sample,)`: the sum over features of the squares."""
    return np.einsum("ij,ij->i", values, values)


# The terms of a debiased HSIC, of one pair or an array of pairs: `cross` is |X'Y|², `dots`
# Σ|x|²|y|², `squares` Σ|x|² Σ|y|².


def _terms(x: Doubles, y: Doubles) -> tuple[Any, Any, Any, int]:
    x_norms, y_norms = _row_norms(x), _row_norms(y)
    if x.shape[1] * y.shape[1] < len(x) * (x.shape[1] + y.shape[1]):
        cross = np.square(x.T @ y).sum()  # feature form
    else:
        cross = np.vdot(x @ x.T, y @ y.T)  # Gram form
    return cross, x_norms @ y_norms, x_norms.sum() * y_norms.sum(), len(x)


def _hsic(cross: Any, dots: Any, squares: Any, n: int) -> Any:
    """`n (n - 3)` times the debiased HSIC (Song et al. 2012, theorem 3); may be negative."""
    return cross - n / (n - 2) * dots + squares / ((n - 1) * (n - 2))


def _own_hsic(cross: Any, dots: Any, squares: Any, n: int) -> Any:
    """HSIC of a representation with itself: 0 where only rounding would be left."""
    size = cross + 2 * dots + squares / n**2
    value = _hsic(cross, dots, squares, n)
    return np.where(value > _ROUNDING * size, value, 0.0)


def _cka(hsic: Any, own: Any, other_own: Any) -> NDArray[np.float64]:
    """HSIC of each pair, divided by the geometric mean of its two own; NaN where one is 0."""
    size = np.sqrt(own) * np.sqrt(other_own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, hsic / size, np.nan)


class _MinibatchHsic:
    """The unbiased HSIC of every pair of some layers, averaged over minibatches.

    Each minibatch gives an unbiased estimate of its own (Nguyen et al. 2021), weighted here
    by its number of samples. Nothing but one number per pair is kept, and the last 32 to 63
    samples, so that no sample is left over for want of others: batches of fewer are joined
    with their neighbors, and those of more than 512 are cut.
    """

    def __init__(self, n_layers: int) -> None:
        self._between = np.zeros((n_layers, n_layers))
        self._own = np.zeros(n_layers)
        self._held: list[Array] = []

    def add(self, rows: Sequence[Array]) -> None:
        """Add a batch in place: for each layer finite activations `(sample, feature)`."""
        if self._held:
            rows = [np.concatenate(pair) for pair in zip(self._held, rows, strict=True)]
        n_ready = len(rows[0]) - _MIN_BATCH
        if n_ready < _MIN_BATCH:
            self._held = list(rows)
            return
        self._held = [values[n_ready:].copy() for values in rows]
        for chosen in np.array_split(np.arange(n_ready), math.ceil(n_ready / _MAX_BATCH)):
            between, own = _weighted_hsic([values[chosen[0] : chosen[-1] + 1] for values in rows])
            self._between += between
            self._own += own

    def absorb(self, other: "_MinibatchHsic") -> None:
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
        return _cka(between, own[:, None], own)


def _weighted_hsic(rows: Sequence[Array]) -> tuple[Doubles, Doubles]:
    """HSIC of every pair, and of each layer with itself, times the number of samples."""
    n_samples = len(rows[0])
    grams = np.stack([_gram(values).ravel() for values in rows])
    norms = grams[:, :: n_samples + 1]
    squares = norms.sum(axis=1)
    cross, dots, products = grams @ grams.T, norms @ norms.T, np.outer(squares, squares)
    own = _own_hsic(np.diag(cross), np.diag(dots), np.diag(products), n_samples)
    return _hsic(cross, dots, products, n_samples) / (n_samples - 3), own / (n_samples - 3)


def _gram(values: Array) -> Doubles:
    """`(sample, sample)`: the products of rows about their mean; few features at a time."""
    gram = np.zeros((len(values), len(values)))
    for start in range(0, values.shape[1], _FEATURES_AT_ONCE):
        part = _centered(values[:, start : start + _FEATURES_AT_ONCE])[0]
        gram += part @ part.T
    return gram


class _LayerSums(NamedTuple):
    """The mean of a layer over samples, `(feature,)`, and Σ|x|² with x about that mean."""

    mean: Doubles
    squares: float


class _Shift(NamedTuple):
    """How far x about the mean of each of two sets of samples is from x about the common mean.

    `x + mine` (of one set) and `x + other` are about the common mean. `weight` is the number
    of samples for which the gap between the means counts once: `n m / (n + m)`.
    """

    gap: Doubles
    mine: Doubles
    other: Doubles
    weight: float

    @classmethod
    def between(cls, mine: Doubles, other: Doubles, n: int, m: int) -> "_Shift":
        """From the means of both sets and their numbers of samples."""
        gap = other - mine
        return cls(gap, gap * (-m / (n + m)), gap * (n / (n + m)), n * m / (n + m))


@dataclass
class _PairSums:
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
    def of(cls, x: Doubles, x_norms: Doubles, y: Doubles, y_norms: Doubles) -> "_PairSums":
        """The sums of one batch, `(sample, feature)` about its means."""
        return cls(x.T @ y, x_norms @ y, y_norms @ x, float(x_norms @ y_norms))

    @staticmethod
    def n_bytes(n_features: int, n_other: int) -> int:
        """What the sums of a pair take in memory."""
        return 8 * (n_features * n_other + n_features + n_other)

    def absorb(
        self,
        other: "_PairSums",
        counts: tuple[int, int],
        squares: tuple[tuple[float, float], tuple[float, float]],
        shifts: tuple[_Shift, _Shift],
    ) -> None:
        """Become the sums of the samples of both, in place.

        Args:
            other: The sums over other samples; not changed.
            counts: The number of samples, here and there.
            squares: Σ|x|² here and of y, then there.
            shifts: Of the means of x and y.
        """
        d, e = shifts
        mine = self._moved(counts[0], *squares[0], d.mine, e.mine)
        theirs = other._moved(counts[1], *squares[1], d.other, e.other)
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


_Pair = tuple[int, int]


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
        self._sums: dict[int, _LayerSums] = {}
        self._pairs: dict[_Pair, _PairSums] = {}
        self._minibatch: _MinibatchHsic | None = None

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
        centered = {index: _centered(rows[index]) for index in self._exact_indices()}
        norms = {index: _row_norms(values) for index, (values, _) in centered.items()}
        self._absorb(
            n_batch,
            {i: _LayerSums(mean, float(norms[i].sum())) for i, (_, mean) in centered.items()},
            lambda i, j: _PairSums.of(centered[i][0], norms[i], centered[j][0], norms[j]),
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
        merged._absorb(other.n_samples, other._sums, lambda *pair: other._pairs[pair])
        if merged._minibatch is not None and other._minibatch is not None:
            merged._minibatch.absorb(other._minibatch)
        return merged

    def table(self) -> LayerSimilarityTable:
        """CKA of every layer with every other, as far as it was gathered.

        Raises:
            DataError: Fewer than 4 samples.
        """
        _require_enough(self.n_samples)
        n_layers = len(self._names)
        known = np.array(self._exact)
        estimated = ~(known[:, None] & known)
        values = np.full((n_layers, n_layers), np.nan)
        if self._minibatch is not None:
            values[estimated] = self._minibatch.cka()[estimated]
        own = {index: _own_hsic(*self._terms(index, index)) for index in self._exact_indices()}
        for i, j in self._pairs:
            values[i, j] = values[j, i] = _cka(_hsic(*self._terms(i, j)), own[i], own[j])
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
                _PairSums.n_bytes(n_features[i], n_features[j])
                for i, j in self._pairs_of(chosen | {index})
            )
            if needed <= self.memory_budget_bytes:
                chosen.add(index)
        self._exact = tuple(index in chosen for index in range(len(n_features)))
        if not all(self._exact):
            self._minibatch = _MinibatchHsic(len(n_features))

    def _pairs_of(self, indices: set[int]) -> list[_Pair]:
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
        self,
        n_other: int,
        sums: Mapping[int, _LayerSums],
        pair_sums: Callable[[int, int], _PairSums],
    ) -> None:
        """Add the sums of other samples; of a pair they are made when its turn comes."""
        n_mine, self.n_samples = self.n_samples, self.n_samples + n_other
        pairs = self._pairs_of(set(self._exact_indices()))
        if not n_mine:
            self._sums = dict(sums)
            self._pairs = {pair: pair_sums(*pair) for pair in pairs}
            return
        mine = self._sums
        shifts = {
            index: _Shift.between(mine[index].mean, theirs.mean, n_mine, n_other)
            for index, theirs in sums.items()
        }
        for i, j in pairs:
            self._pairs[i, j].absorb(
                pair_sums(i, j),
                (n_mine, n_other),
                ((mine[i].squares, mine[j].squares), (sums[i].squares, sums[j].squares)),
                (shifts[i], shifts[j]),
            )
        for index, theirs in sums.items():
            shift = shifts[index]
            # Chan, Golub and LeVeque 1979, equation 2.1.
            squares = mine[index].squares + theirs.squares
            squares = squares + shift.weight * float(shift.gap @ shift.gap)
            mine[index] = _LayerSums(mine[index].mean - shift.mine, squares)

    def _terms(self, i: int, j: int) -> tuple[float, float, float, int]:
        sums = self._pairs[i, j]
        cross = float(np.vdot(sums.products, sums.products))
        return cross, sums.dots, self._sums[i].squares * self._sums[j].squares, self.n_samples

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
            counts = zip(self._names, map(len, rows), strict=True)
            listed = ", ".join(f"{name!r} has {n_samples}" for name, n_samples in counts)
            raise ShapeError(f"all layers of a batch must hold the same samples; {listed}")
        self._require_features(tuple(values.shape[1] for values in rows))
        return rows

    def _require_features(self, n_features: tuple[int, ...]) -> None:
        for name, before, now in zip(self._names, self._n_features, n_features, strict=False):
            if before != now:
                raise ShapeError(
                    f"layer {name!r} had {before} features per sample before and has "
                    f"{now} now; CKA needs the same for every sample"
                )


def _checked(
    outputs: Mapping[str, ArrayLike], names: Sequence[str], whose: str = ""
) -> list[Array]:
    missing = [name for name in names if name not in outputs]
    if missing:
        known = ", ".join(outputs)
        raise LayerError(f"no layer {missing[0]!r}{whose} in this batch; it has {known}")
    return [_features(outputs[name], name=f"layer {name!r}{whose}") for name in names]


def _distinct(layers: Sequence[str]) -> tuple[str, ...]:
    names = tuple(layers)
    if not names:
        raise DataError("CKA needs at least one layer; got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"each layer may be given once; {', '.join(twice)} is there twice")
    return names
