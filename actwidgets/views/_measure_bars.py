"""Bars of several measures side by side, a row to each unit, as one figure."""

from collections.abc import Callable, Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.views._picture import CLEAR, plain_figure
from actwidgets.views._style import NEUTRAL

ROW_PX = 18
LABELS = 0.2  # width of the column of names, a panel being 1
BARS = 0.7  # of a panel; the rest is for the figure behind the bar
BAR, CHOSEN = "#3fa7a0", "#e08a2e"
BAND = "#3fa7a0"


class MeasureBars(w.VBox):
    """A table with a bar in every cell. The rows are clicked, not the bars alone.

    Args:
        n_panels: How many measures there are.
        width_px: Of the whole.
        on_row: Called with the row that is clicked.
    """

    def __init__(self, n_panels: int, width_px: int, on_row: Callable[[int], None]) -> None:
        self.n_panels, self._width_px = n_panels, width_px
        self.header = w.HTML()
        self._rows = bq.OrdinalScale(reverse=True)
        self._across = bq.LinearScale(min=-LABELS, max=n_panels)
        scales = {"x": self._rows, "y": self._across}
        flat = {"orientation": "horizontal", "stroke": CLEAR, "stroke_width": 0.0, "x": []}
        self.bands = bq.Bars(scales=scales, y=[], base=-LABELS, padding=0.0, colors=[BAND], **flat)
        self.bars = [
            bq.Bars(scales=scales, y=[], base=float(panel), padding=0.0, colors=[BAR], **flat)
            for panel in range(n_panels)
        ]
        words = {"x": [], "y": [], "text": [], "default_size": 11, "font_weight": "normal"}
        words |= {"scales": {"x": self._across, "y": self._rows}, "colors": [NEUTRAL]}
        self.names = bq.Label(align="end", **words)
        self.figures = bq.Label(align="start", **words)
        for mark in (self.bands, *self.bars):
            mark.on_element_click(lambda _mark, event: on_row(_row_of(event)))
        self._figure = plain_figure([self.bands, *self.bars, self.names, self.figures])
        self._figure.layout.width = self._figure.layout.min_width = f"{width_px}px"
        self._set_height(1)
        super().__init__(children=(self.header, self._figure))

    def left_px(self, panel: int) -> int:
        """Where a panel begins."""
        return round(self._width_px * (LABELS + panel) / (LABELS + self.n_panels))

    def show(
        self,
        names: Sequence[str],
        chosen: int | None,
        panels: Sequence[tuple[float, np.ndarray, Sequence[str]]],
    ) -> None:
        """Show other rows.

        Args:
            names: One per row, the first on top; they must differ.
            chosen: The row that stands out.
            panels: Of each measure: where zero lies, where the bars end, both in 0..1, and
                what is written behind each bar.
        """
        names = list(names)
        self._set_height(len(names))
        if self._rows.domain != names:
            self._rows.domain = names
        lit = [0.2 if row == chosen else 0.0 for row in range(len(names))]
        colours = [CHOSEN if row == chosen else BAR for row in range(len(names))]
        with self.bands.hold_sync(), self.bands.hold_trait_notifications():
            self.bands.x = names
            self.bands.y = np.full(len(names), float(self.n_panels))
            self.bands.opacities = lit
        places, texts = [], []
        for panel, (zero, ends, told) in enumerate(panels):
            bars = self.bars[panel]
            with bars.hold_sync(), bars.hold_trait_notifications():
                bars.base = panel + BARS * zero
                bars.x, bars.y = names, panel + BARS * np.asarray(ends)
                bars.colors = colours
            places += list(panel + BARS * np.maximum(ends, zero) + 0.02)
            texts += list(told)
        self._write(self.names, np.full(len(names), -0.03), names, names)
        self._write(self.figures, np.array(places), names * len(panels), texts)

    def _write(
        self, label: bq.Label, x: np.ndarray, rows: Sequence[str], texts: Sequence[str]
    ) -> None:
        with label.hold_sync(), label.hold_trait_notifications():
            label.x, label.y = x, list(rows)
            label.text = np.array(texts, dtype=str)

    def _set_height(self, n_rows: int) -> None:
        height = f"{max(n_rows, 1) * ROW_PX}px"
        layout = self._figure.layout
        if layout.height != height:
            with layout.hold_sync():
                layout.height = layout.min_height = height


def _row_of(event: Any) -> int:
    return int(event["index"])
