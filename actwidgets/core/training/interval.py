"""How often something is done during a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actwidgets.errors import DataError

UNITS = ("epochs", "batches", "seconds")


@dataclass(frozen=True)
class Interval:
    """Every so many epochs, batches or seconds.

    Attributes:
        count: How many.
        unit: "epochs", "batches" or "seconds".
    """

    count: float
    unit: str

    def is_over(self, n_epochs: float, n_steps: int, seconds: float) -> bool:
        """Whether it is time again, so many epochs, steps and seconds after the last time."""
        passed = {"epochs": n_epochs, "batches": n_steps, "seconds": seconds}
        return passed[self.unit] >= self.count

    def is_last_step(
        self, n_epochs: float, n_steps: int, stride: int | None, left_of_epoch: int | None
    ) -> bool | None:
        """Whether the step about to begin is the last before it is over; None: nobody knows.

        Args:
            n_epochs: Whole epochs since the last time.
            n_steps: Steps since then.
            stride: Steps that are done at a time, where that is known.
            left_of_epoch: Steps that the epoch still has, where that is known.
        """
        if stride is None:
            return None
        if self.unit == "batches":
            return n_steps + stride >= self.count
        if self.unit == "seconds" or left_of_epoch is None:
            return None
        return stride >= left_of_epoch and n_epochs + 1 >= self.count


def interval(every: Any) -> Interval:
    """Read an interval: "epoch", "batch" or "second", or `("batches", 50)` and the like.

    Raises:
        DataError: Nothing of the kind; a number that is not positive, or a part of a batch.
    """
    if isinstance(every, Interval):
        return every
    if isinstance(every, str):
        found = {"epoch": "epochs", "batch": "batches", "second": "seconds"}.get(every, every)
        unit, count = found, 1.0
    elif isinstance(every, Sequence) and len(every) == 2:
        unit, count = every
    else:
        unit, count = "", 0.0
    is_number = isinstance(count, int | float) and not isinstance(count, bool)
    whole = unit == "seconds" or (is_number and float(count).is_integer())
    if unit not in UNITS or not is_number or not 0 < count < float("inf") or not whole:
        raise DataError(
            'an interval is "epoch", "batch" or "second", or a pair of "epochs", "batches" or '
            f'"seconds" and a number, as ("batches", 50); got {every!r}'
        )
    return Interval(float(count), unit)
