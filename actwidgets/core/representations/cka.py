"""Debiased linear CKA: how alike two representations of the same samples are.

With `x_i` and `y_i` the rows of two activation matrices after their column means are taken
off, the unbiased estimate of HSIC by Song et al. is, for linear kernels,

    n (n - 3) HSIC = |X'Y|² - n/(n-2) Σ|x_i|²|y_i|² + Σ|x_i|² Σ|y_i|² / ((n-1)(n-2))

in which `|X'Y|²` is also the sum of `XX' · YY'`, element by element: the Gram form. CKA is
`HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))`.

References: Kornblith et al. 2019, "Similarity of neural network representations revisited";
Song et al. 2012, "Feature selection via dependence maximization", theorem 3; Nguyen et al.
2021, "Do wide and deep networks learn the same things?", section 3.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, Doubles
from actwidgets.errors import DataError, ShapeError

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
    x, y = _to_unit_size(centred(x)[0]), _to_unit_size(centred(y)[0])
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


def centred(values: Array) -> tuple[Doubles, Doubles]:
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
    """What the debiased HSIC of centred x and y is made of; numbers, or one for each pair.

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
