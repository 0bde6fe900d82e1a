"""Bars of several measures side by side, a row to each unit, as one figure."""

from collections.abc import Callable, Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.views._picture import CLEAR, plain_figure
from actwidgets.views._style import NEUTRAL

ROW_PX = 18
GAP = 0.22  # between bars, of a row
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
        self._rows = bq.OrdinalScale(domain=[0])
        # Padded, as bqplot does for the height of words, these would drift from the bars.
        self._down = bq.LinearScale(min=0, max=1, reverse=True, allow_padding=False)
        self._across = bq.LinearScale(min=-LABELS, max=n_panels)
        scales = {"x": self._rows, "y": self._across}
        flat = {"orientation": "horizontal", "stroke": CLEAR, "stroke_width": 0.0, "x": []}
        self.bands = bq.Bars(
            scales=scales, y=[], base=-2 * LABELS, padding=0.0, colors=[BAND], **flat
        )
        self.bars = [
            bq.Bars(scales=scales, y=[], base=float(panel), padding=GAP, colors=[BAR], **flat)
            for panel in range(n_panels)
        ]
        words = {"x": [], "y": [], "text": [], "default_size": 11, "font_weight": "normal"}
        words |= {"scales": {"x": self._across, "y": self._down}, "colors": [NEUTRAL]}
        self.names = bq.Label(align="end", **words)
        self.figures = bq.Label(align="start", **words)
        for mark in (self.bands, *self.bars):
            mark.on_element_click(lambda _mark, event: on_row(_row_of(event)))
        self._figure = plain_figure([self.bands, *self.bars, self.names, self.figures])
        self._figure.display_toolbar = False  # it would lie over the rows
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
            names: One per row, the first on top.
            chosen: The row that stands out.
            panels: Of each measure: where zero lies, where the bars end, both in 0..1, and
                what is written behind each bar.
        """
        n_rows = len(names)
        rows = np.arange(n_rows, dtype=np.float32)
        if n_rows > len(self._rows.domain):  # a row outside the domain would have no place
            self._set_rows(n_rows)
        colours = [CHOSEN if row == chosen else BAR for row in range(n_rows)]
        with self.bands.hold_sync(), self.bands.hold_trait_notifications():
            self.bands.x, self.bands.y = rows, np.full(n_rows, float(self.n_panels))
            self.bands.opacities = [0.2 if row == chosen else 0.0 for row in range(n_rows)]
        places, texts = [], []
        for panel, (zero, ends, told) in enumerate(panels):
            bars = self.bars[panel]
            with bars.hold_sync(), bars.hold_trait_notifications():
                bars.base = panel + BARS * zero
                bars.x, bars.y = rows, panel + BARS * np.asarray(ends)
                bars.colors = colours
            places += list(panel + BARS * np.maximum(ends, zero) + 0.02)
            texts += list(told)
        if n_rows < len(self._rows.domain):
            self._set_rows(n_rows)
        middles = (rows + 0.5) / n_rows
        _write(self.names, np.full(n_rows, -0.03), middles, names)
        _write(self.figures, np.array(places), np.tile(middles, len(panels)), texts)

    def _set_rows(self, n_rows: int) -> None:
        self._rows.domain = list(range(n_rows))[::-1]  # bqplot begins at the bottom
        self._set_height(n_rows)

    def _set_height(self, n_rows: int) -> None:
        layout = self._figure.layout
        with layout.hold_sync():
            layout.height = layout.min_height = f"{n_rows * ROW_PX}px"


def _write(label: bq.Label, x: np.ndarray, y: np.ndarray, texts: Sequence[str]) -> None:
    with label.hold_sync(), label.hold_trait_notifications():
        label.x, label.y, label.text = x, y, np.array(texts, dtype=str)


def _row_of(event: Any) -> int:
    return int(event["data"]["index"])
