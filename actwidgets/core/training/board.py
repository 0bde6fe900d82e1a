"""What is told of a training in TensorBoard, and under which tags."""

from collections.abc import Mapping

from actwidgets.core.arrays import Array
from actwidgets.core.pictures.map_sheet import map_sheet
from actwidgets.core.training.event_log import EventLog
from actwidgets.core.training.histogram import Histogram, histogram


class Board:
    """Tags by subject, so that TensorBoard groups them: `maps/conv_1`, `weights/conv_1/kernel`.

    Args:
        log: Where it goes; closed with this.
        wall_time: Of all that is written, in seconds since 1970; None for the time it is.
    """

    def __init__(self, log: EventLog, wall_time: float | None = None) -> None:
        self._log = log
        self.wall_time = wall_time

    def maps(self, layer: str, step: int, outputs: Array, scaling: str = "per layer") -> None:
        """A sheet of what a layer puts out, `(sample, …, unit)`; nothing where it is empty."""
        if not outputs.size:
            return
        sheet = map_sheet(outputs, scaling)
        self._log.image(
            f"maps/{layer}", step, sheet.png(), description=f"{sheet}", wall_time=self.wall_time
        )

    def activations(self, layer: str, step: int, values: Array | Histogram) -> None:
        """How the outputs of a layer are spread."""
        self._histogram(f"activations/{layer}", step, values)

    def weights(self, layer: str, step: int, weights: Mapping[str, Array | Histogram]) -> None:
        """How the weights of a layer are spread, by name."""
        for name, values in weights.items():
            self._histogram(f"weights/{layer}/{name}", step, values)

    def number(self, subject: str, name: str, step: int, value: float) -> None:
        """A number: `metrics` and `loss`, `update_ratio` and a layer."""
        self._log.scalar(f"{subject}/{name}", step, value, wall_time=self.wall_time)

    def close(self) -> None:
        """Write no more. Safe to call twice."""
        self._log.close()

    def _histogram(self, tag: str, step: int, values: Array | Histogram) -> None:
        found = values if isinstance(values, Histogram) else histogram(values)
        self._log.histogram(tag, step, found, wall_time=self.wall_time)
