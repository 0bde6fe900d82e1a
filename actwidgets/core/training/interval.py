"""How often something is done during a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actwidgets.core.training.listener import Moment
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

    def is_due(self, now: Moment, now_s: float, last: Moment, last_s: float) -> bool:
        """Whether it is time again.

        Args:
            now: Where the training stands.
            now_s: What a clock says.
            last: Where it stood the last time.
            last_s: What the clock said then.
        """
        if self.unit == "seconds":
            return now_s - last_s >= self.count
        if self.unit == "batches":
            return now.step // self.count > last.step // self.count
        return now.epoch // self.count > last.epoch // self.count


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
