"""When a snapshot is due."""

from dataclasses import dataclass
from typing import Any

from actwidgets.errors import DataError


@dataclass(frozen=True)
class Interval:
    """How far apart snapshots are.

    Attributes:
        unit: "epoch", "batches" or "seconds".
        length: So many of them; 1 for epochs.
    """

    unit: str
    length: float = 1

    @classmethod
    def of(cls, every: Any) -> "Interval":
        """Read what a user wrote.

        Raises:
            DataError: Not "epoch", ("batches", n) or ("seconds", s).
        """
        if every == "epoch":
            return cls("epoch")
        match every:
            case ("batches", int(length)) if length > 0 and not isinstance(length, bool):
                return cls("batches", length)
            case ("seconds", int(length) | float(length)) if length > 0:
                return cls("seconds", float(length))
        raise DataError(
            f"every must be 'epoch', ('batches', n) or ('seconds', s) with n and s above 0; "
            f"got {every!r}"
        )

    def is_due_after_step(self, n_steps: int, seconds: float) -> bool:
        """Whether a snapshot is due, so many steps and seconds after the last."""
        if self.unit == "batches":
            return n_steps >= self.length
        return self.unit == "seconds" and seconds >= self.length

    def is_last_step(
        self, n_steps: int, stride: int, step_of_epoch: int, steps_of_epoch: int | None
    ) -> bool | None:
        """Whether the step about to begin is the last before a snapshot; None: nobody knows.

        Args:
            n_steps: Steps since the last snapshot.
            stride: Steps that are done at a time.
            step_of_epoch: Steps of the epoch that are done.
            steps_of_epoch: Steps of an epoch, where they are known.
        """
        if self.unit == "batches":
            return n_steps + stride >= self.length
        if self.unit == "seconds" or steps_of_epoch is None:
            return None
        return step_of_epoch + stride >= steps_of_epoch
