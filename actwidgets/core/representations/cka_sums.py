"""CKA of layers with layers, gathered batch by batch and merged exactly."""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array
from actwidgets.core.representations.cka import HsicTerms, alignment, features, require_enough
from actwidgets.core.representations.cka_minibatch import MinibatchHsic
from actwidgets.core.representations.cka_pair_sums import CentredBatch, LayerSums, PairSums, Step
from actwidgets.core.representations.layer_similarity import LayerSimilarityTable
from actwidgets.errors import DataError, LayerError, ShapeError

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
        batch = {index: CentredBatch.of(rows[index]) for index in self._exact_indices()}
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
