"""What a regression puts out beside what it should: residuals, and what they come to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Integers, require_axes
from actwidgets.errors import DataError, ShapeError

VALUES_SORTED_BY = ("row", "predicted", "target", "error")


@dataclass(frozen=True, eq=False)
class ValueScores:
    """What a model that predicts values says of some samples.

    Attributes:
        values: `(sample, output)` float64, as the model put them out.
        targets: `(sample, output)` float64; None without them.
    """

    values: Doubles
    targets: Doubles | None

    @property
    def residuals(self) -> Doubles | None:
        """`(sample, output)`: predicted less target; None without targets."""
        return None if self.targets is None else self.values - self.targets

    @property
    def errors(self) -> Doubles:
        """`(sample,)`: mean absolute residual over the outputs; NaN without targets."""
        residuals = self.residuals
        if residuals is None:
            return np.full(len(self.values), np.nan)
        return np.asarray(np.abs(residuals).mean(axis=1))

    @property
    def mae(self) -> float:
        """Mean absolute error over samples and outputs; NaN of no samples, or no targets."""
        return float(self.errors.mean()) if len(self.values) else float("nan")

    @property
    def rmse(self) -> float:
        """Root of the mean squared error over samples and outputs; NaN as of `mae`."""
        residuals = self.residuals
        if residuals is None or not residuals.size:
            return float("nan")
        return float(np.sqrt(np.mean(residuals**2)))

    @property
    def r2(self) -> float:
        """Share of the targets' variance that is predicted, the mean over the outputs.

        NaN without targets, and where the targets of an output are all the same.
        """
        if self.targets is None or not len(self.values):
            return float("nan")
        spread = ((self.targets - self.targets.mean(axis=0)) ** 2).sum(axis=0)
        missed = ((self.values - self.targets) ** 2).sum(axis=0)
        shares = 1 - np.divide(missed, spread, out=np.full(len(spread), np.nan), where=spread > 0)
        return float(shares.mean())

    def order(self, by: str) -> Integers:
        """The samples sorted: the smallest first, of errors the greatest; NaN last.

        Args:
            by: "row" for the order they have, "predicted" or "target" by the first output, or
                "error".

        Raises:
            DataError: No such order, or no targets to sort by.
        """
        if by not in VALUES_SORTED_BY:
            raise DataError(f"no order {by!r}; there are {', '.join(VALUES_SORTED_BY)}")
        if by == "row":
            return np.arange(len(self.values))
        if by == "predicted":
            return np.argsort(self.values[:, 0], kind="stable")
        if self.targets is None:
            raise DataError(f"no order by {by}: there are no targets")
        figures = self.targets[:, 0] if by == "target" else -self.errors
        return np.argsort(figures, kind="stable")


def value_scores(values: ArrayLike, targets: ArrayLike | None = None) -> ValueScores:
    """Compare what a regression puts out with what it should.

    Args:
        values: `(sample, output)`.
        targets: `(sample, output)`, or None.

    Raises:
        ShapeError: Other axes, or targets of another shape.
    """
    found = require_axes(values, ("sample", "output"), name="values").astype(np.float64)
    if targets is None:
        return ValueScores(found, None)
    wanted = require_axes(targets, ("sample", "output"), name="targets").astype(np.float64)
    if wanted.shape != found.shape:
        raise ShapeError(f"values {found.shape} need targets as many; got {wanted.shape}")
    return ValueScores(found, wanted)
