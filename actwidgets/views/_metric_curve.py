"""A small curve of a metric over the snapshots of a recording, and a mark at one of them."""

import bqplot as bq
import ipywidgets as w
import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import finite_range
from actwidgets.core.ticks import ticks
from actwidgets.views._controls import note
from actwidgets.views._fitted_axis import fit_axis
from actwidgets.views._line_figure import COLOURS, MARK
from actwidgets.views._picture import plain_figure

BEYOND = 0.06  # of its length an axis goes beyond its last numbers, that a dot there is whole
MARGIN = {"top": 6, "bottom": 8, "left": 44, "right": 12}


class MetricCurve(w.VBox):
    """One line, and above it what it is.

    Args:
        width_px: Of the figure.
        height_px: Of the figure.
    """

    def __init__(self, width_px: int, height_px: int = 72) -> None:
        self._x = bq.LinearScale(min=0, max=1, allow_padding=False)
        y = bq.LinearScale(min=0, max=1, allow_padding=False)
        scales = {"x": self._x, "y": y}
        self.line = bq.Lines(
            x=[0], y=[0], scales=scales, colors=[COLOURS[0]], stroke_width=1.5, marker="circle"
        )
        self.line.marker_size = 12
        whole = bq.LinearScale(min=0, max=1, allow_padding=False)
        self.mark = bq.Lines(
            x=[0, 0],
            y=[0, 1],
            scales={"x": self._x, "y": whole},
            colors=[MARK],
            stroke_width=1.0,
        )
        self._axis = bq.Axis(
            scale=y,
            orientation="vertical",
            tick_format="~g",
            grid_lines="none",
            tick_style={"font-size": "10px"},
        )
        figure = plain_figure([self.mark, self.line], margin=MARGIN, axes=[self._axis])
        figure.layout.width = figure.layout.min_width = f"{width_px}px"
        figure.layout.height = figure.layout.min_height = f"{height_px}px"
        self._name = w.HTML()
        super().__init__(children=(self._name, figure))

    def show(self, name: str, values: ArrayLike) -> None:
        """Draw another line.

        Args:
            name: What it is.
            values: `(snapshot,)`; those without a finite value are left out.
        """
        values = np.asarray(values, np.float32)
        fit_axis(self._axis, ticks(*finite_range(values), count=3), BEYOND, BEYOND)
        last = max(len(values) - 1, 1)
        with self._x.hold_sync():
            self._x.min, self._x.max = -0.02 * last, 1.02 * last
        self._name.value = note(name)
        known = np.flatnonzero(np.isfinite(values))  # bqplot's markers fail on NaN
        with self.line.hold_sync():
            self.line.x, self.line.y = known.astype(np.float32), values[known]
            self.line.marker = "circle" if len(values) <= 40 else None

    def move_mark(self, position: int) -> None:
        """Put the mark at a snapshot."""
        self.mark.x = np.array([position, position], np.float32)
