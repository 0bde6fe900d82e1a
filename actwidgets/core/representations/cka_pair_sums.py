"""The sums over samples that the debiased HSIC of a pair of layers is made of."""

from dataclasses import dataclass

from scipy.linalg.blas import dger

from actwidgets.core.arrays import Array, Doubles
from actwidgets.core.representations.cka import centred, row_norms


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
class CentredBatch:
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
    def of(cls, values: Array) -> "CentredBatch":
        """From finite activations `(sample, feature)`."""
        shifted, mean = centred(values)
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
    def of(cls, x: CentredBatch, y: CentredBatch) -> "PairSums":
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
        """All but the products about a centre from which x is `x + d` and y is `y + e`."""
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
