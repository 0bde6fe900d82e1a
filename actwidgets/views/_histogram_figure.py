"""Histograms as filled outlines, over one another or in rows, with their means and spreads."""

from collections.abc import Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.core.pictures.colormaps import TOP, css_colour, palette
from actwidgets.core.training.histogram import Histogram, SharedBins
from actwidgets.core.training.outlines import outlines, round_ticks, spread_marks, tick_labels
from actwidgets.views._class_figure import SMALL
from actwidgets.views._controls import shorten
from actwidgets.views._picture import plain_figure

HEIGHT_PX, ROWS_HEIGHT_PX = 240, 360
NARROWEST_PX = 240
MARGIN = {"top": 8, "bottom": 30, "left": 100, "right": 14}
FEWEST_BINS = 8  # there is room for, however few there are
LABELS_UP_TO = 14  # rows that are named
LETTERS = 15  # of a name
ROW_TICK = 0.5  # how far up the mark at a mean goes, of a row
FAINT, PLAIN, STRONG = 0.3, 0.4, 0.8  # how opaque an area is


class HistogramFigure(w.VBox):
    """One figure with two marks: the areas, and what is told of their mean and deviation.

    Args:
        width_px: Of the figure.
    """

    def __init__(self, width_px: int) -> None:
        self._x = bq.LinearScale(min=0, max=1, allow_padding=False)
        self._y = bq.LinearScale(min=0, max=1, allow_padding=False)
        scales = {"x": self._x, "y": self._y}
        nothing = np.zeros((2, 2), np.float32)
        self.areas = bq.Lines(
            x=nothing, y=nothing, scales=scales, fill="inside", stroke_width=1.0, apply_clip=True
        )
        self.spreads = bq.Lines(x=nothing, y=nothing, scales=scales, stroke_width=2.0)
        self._upwards = bq.Axis(
            scale=self._y,
            side="left",
            label_offset="52px",
            tick_style=SMALL,
            grid_lines="none",
        )
        self._across = bq.Axis(scale=self._x, tick_style=SMALL, grid_lines="none")
        self.figure = plain_figure(
            [self.areas, self.spreads], margin=MARGIN, axes=[self._across, self._upwards]
        )
        layout = self.figure.layout
        layout.width, layout.min_width = f"{width_px}px", f"{NARROWEST_PX}px"
        layout.max_width, layout.margin = "100%", "2px 0"  # no wider than a narrow page
        layout.height = layout.min_height = f"{HEIGHT_PX}px"
        super().__init__(children=(self.figure,))

    def show(
        self,
        shared: SharedBins,
        histograms: Sequence[Histogram],
        colours: Sequence[str],
        *,
        log: bool,
        noun: str,
    ) -> None:
        """Lay a few histograms over one another.

        Args:
            shared: Their bins.
            histograms: The same ones.
            colours: One for each.
            log: Whether bins are as high as the powers of ten in their counts.
            noun: What is counted.
        """
        shapes = outlines(shared, log=log)
        top = shapes.top or 1.0
        below = -0.055 * top * (1.0 + np.arange(len(histograms)))
        self._set_height(HEIGHT_PX)
        self._set_range(shared, below[-1] - 0.05 * top, 1.05 * top)
        powers = list(range(int(top) + 1)) if log else []
        with self._upwards.hold_sync():
            self._upwards.tick_labels = {str(n): f"{10 ** (n - 1):,}" if n else "0" for n in powers}
            ticks = np.array(powers) if log else round_ticks(0.0, 1.05 * top, 5)
            self._upwards.tick_values = ticks.astype(np.float64)
            self._upwards.label = f"number of {noun}"
        self._paint(shapes.x, shapes.y, colours, [FAINT] * len(histograms))
        means = [each.mean for each in histograms]
        stds = [each.std for each in histograms]
        self._mark(*spread_marks(means, stds, below, top - below), colours)

    def show_rows(
        self,
        shared: SharedBins,
        histograms: Sequence[Histogram],
        colours: Sequence[str],
        labels: Sequence[str],
        *,
        log: bool,
        in_view: int | None,
    ) -> None:
        """Stand histograms in rows, the first on top.

        Args:
            shared: Their bins.
            histograms: The same ones.
            colours: One for each.
            labels: One for each.
            log: As in `show`.
            in_view: The row that stands out; None for none.
        """
        shapes = outlines(shared, log=log, rows=True)
        self._set_height(ROWS_HEIGHT_PX)
        self._set_range(shared, -0.3, shapes.top + 0.1)
        named = _named(len(labels), in_view)
        with self._upwards.hold_sync():
            self._upwards.tick_labels = {
                str(int(shapes.feet[row])): ("▸ " if row == in_view else "")
                + shorten(labels[row], LETTERS)
                for row in named
            }
            self._upwards.tick_values = shapes.feet[named]
            self._upwards.label = ""
        strengths = [STRONG if row == in_view else PLAIN for row in range(len(labels))]
        self._paint(shapes.x, shapes.y, colours, strengths)
        means = [each.mean for each in histograms]
        stds = [each.std for each in histograms]
        self._mark(*spread_marks(means, stds, shapes.feet, ROW_TICK), colours)

    def _paint(
        self, x: np.ndarray, y: np.ndarray, colours: Sequence[str], strengths: Sequence[float]
    ) -> None:
        with self.areas.hold_sync(), self.areas.hold_trait_notifications():
            self.areas.x, self.areas.y = x, y
            self.areas.colors = self.areas.fill_colors = list(colours)
            self.areas.fill_opacities = list(strengths)

    def _mark(self, x: np.ndarray, y: np.ndarray, colours: Sequence[str]) -> None:
        with self.spreads.hold_sync(), self.spreads.hold_trait_notifications():
            self.spreads.x, self.spreads.y = x, y
            self.spreads.colors = list(colours)

    def _set_range(self, shared: SharedBins, low: float, high: float) -> None:
        edges = shared.edges
        beside = max(FEWEST_BINS - (len(edges) - 1), 0) / 2 * float(edges[1] - edges[0])
        left, right = float(edges[0]) - beside, float(edges[-1]) + beside
        with self._x.hold_sync():
            self._x.min, self._x.max = left, right
        ticks = round_ticks(left, right, 8)
        with self._across.hold_sync():  # bqplot is late to follow a `tick_format`
            self._across.tick_labels = tick_labels(ticks)
            self._across.tick_values = ticks
        with self._y.hold_sync():
            self._y.min, self._y.max = float(low), float(high)

    def _set_height(self, height_px: int) -> None:
        layout = self.figure.layout
        with layout.hold_sync():
            layout.height = layout.min_height = f"{height_px}px"


def moment_colours(n_moments: int) -> list[str]:
    """A colour for each moment, from early to late."""
    places = np.linspace(0, TOP, n_moments).round().astype(int)
    return [css_colour(tuple(map(int, rgb))) for rgb in palette("time")[places]]


def _named(n_rows: int, in_view: int | None) -> list[int]:
    """The rows whose names have room: evenly, and the one in view instead of its neighbours."""
    if n_rows <= LABELS_UP_TO:
        return list(range(n_rows))
    rows = np.linspace(0, n_rows - 1, LABELS_UP_TO).round().astype(int).tolist()
    if in_view is None:
        return rows
    apart = (n_rows - 1) / (LABELS_UP_TO - 1)
    return sorted({in_view, *(row for row in rows if abs(row - in_view) >= 0.8 * apart)})
