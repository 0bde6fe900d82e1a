"""Writes what layers put out to TensorBoard while a model is trained."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from actwidgets.core.probes import Probe, weights
from actwidgets.core.training.board import Board
from actwidgets.core.training.epoch_count import EpochCount
from actwidgets.core.training.interval import Interval
from actwidgets.core.training.listener import Moment


class BoardListener:
    """A `TrainingListener`. Epochs and steps are counted on where a model is trained again.

    Args:
        open_board: Makes the board, when there is something to write.
        layers: Names.
        x: Samples: one batch.
        n_pictures: How many of them, the first, are in the pictures.
        every: How often maps and histograms are written.
        scaling: What one colour scale of a picture covers.

    Attributes:
        probe: Of the model, once it is known.
        error: Why the last thing was not written; empty where it was. The next is tried anyway.
    """

    def __init__(
        self,
        open_board: Callable[[], Board],
        layers: Sequence[str],
        x: Any,
        *,
        n_pictures: int,
        every: Interval,
        scaling: str = "per layer",
    ) -> None:
        self.probe: Probe | None = None
        self.error = ""
        self._open_board = open_board
        self._board: Board | None = None
        self._layers, self._x = tuple(layers), x
        self._n_pictures, self._every, self._scaling = n_pictures, every, scaling
        self._count = EpochCount()
        self._first_step_is_next = False
        self._tried, self._tried_s = Moment(), 0.0
        self._written: int | None = None  # the last place on the axis

    # --- what a training tells --------------------------------------------------------------

    def begins(self, moment: Moment) -> None:
        """Note that steps are counted from 0 again."""
        self._count.begin(moment)
        self._first_step_is_next = True

    def before_step(self, moment: Moment) -> None:
        """Write the state before all training."""
        if not self._first_step_is_next:
            return
        self._first_step_is_next = False
        self._tried, self._tried_s = self._count.before_step(moment), time.monotonic()
        if self._written is None:
            self._write_layers(self._tried)

    def after_step(self, moment: Moment) -> None:
        """Write, where the interval is one of batches or seconds and it is time."""
        now = self._count.after_step(moment)
        if self._every.unit != "epochs" and self._is_due(now):
            self._write_numbers("batch_metrics", now)
            self._write_layers(now)

    def after_epoch(self, moment: Moment) -> None:
        """Write the metrics; and the rest, where it is time."""
        now = self._count.after_epoch(moment)
        self._write_numbers("metrics", now)
        if self._every.unit == "epochs" and self._is_due(now):
            self._write_layers(now)

    def ends(self, moment: Moment) -> None:
        """Write the state after the training, where that has not been done."""
        now = Moment(math.floor(self._count.epoch), self._count.step)
        if self._written != self._place(now):
            self._write_layers(now)
        self.close()

    def failed(self, failure: Exception) -> None:
        """Keep why something was not written."""
        self.error = f"could not write to TensorBoard's log: {failure}"

    def close(self) -> None:
        """Write no more, unless there is another training."""
        if self._board is not None:
            self._board.close()
            self._board = None

    # --- writing ----------------------------------------------------------------------------

    def _is_due(self, now: Moment) -> bool:
        now_s = time.monotonic()
        last = self._tried
        due = self._every.is_over(
            now.epoch - last.epoch, now.step - last.step, now_s - self._tried_s
        )
        if due:
            self._tried, self._tried_s = now, now_s
        return due

    def _place(self, now: Moment) -> int:
        """Where on TensorBoard's axis: an epoch, or a step where the interval is not epochs."""
        return now.epoch if self._every.unit == "epochs" else now.step

    def _opened(self) -> Board:
        if self._board is None:
            self._board = self._open_board()
        return self._board

    def _write_numbers(self, subject: str, now: Moment) -> None:
        board = self._opened()
        for name, value in now.metrics.items():
            board.number(subject, name, self._place(now), value)

    def _write_layers(self, now: Moment) -> None:
        assert self.probe is not None, "a model is known before its training"
        board, place = self._opened(), self._place(now)
        found = self.probe.activations(self._layers, self._x)
        for layer in self._layers:
            board.maps(layer, place, found[layer][: self._n_pictures], self._scaling)
            board.activations(layer, place, found[layer])
            board.weights(layer, place, weights(self.probe, layer))
        self._written, self.error = place, ""
