"""What a training tells whoever watches it, whatever the framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Moment:
    """Where a training stands.

    Attributes:
        epoch: Epochs that are complete, those before `initial_epoch` included.
        step: Steps of this call of `fit` that are complete.
        n_epochs: At which number of epochs it is to end; None where nobody knows.
        n_steps: Steps of an epoch; None where nobody knows.
        step_of_epoch: Steps of the epoch under way that are complete; 0 at the end of one.
        metrics: By name, as Keras has them: after a step the mean over the epoch so far, after
            an epoch those of the epoch, and with `val_` before their names of the validation.
    """

    epoch: int = 0
    step: int = 0
    n_epochs: int | None = None
    n_steps: int | None = None
    step_of_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


class TrainingListener(Protocol):
    """Is told of a training, on the thread that trains, between steps.

    What it raises is logged and told to `failed`, the same thing once in a training; the
    training goes on.
    """

    def begins(self, moment: Moment) -> None:
        """Nothing has been trained yet."""

    def before_step(self, moment: Moment) -> None:
        """A step is about to begin."""

    def after_step(self, moment: Moment) -> None:
        """A step is complete."""

    def after_epoch(self, moment: Moment) -> None:
        """An epoch is complete, its validation included."""

    def ends(self, moment: Moment) -> None:
        """The training is over. Not told where it raised or was interrupted."""

    def failed(self, failure: Exception) -> None:
        """One of the above has raised."""
