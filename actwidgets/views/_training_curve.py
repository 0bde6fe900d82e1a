"""One metric of a training over its epochs: of the training and of the validation."""

import html

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.core.arrays import Doubles, finite_range
from actwidgets.core.ticks import ticks
from actwidgets.core.training.curves import VALIDATION, Curves
from actwidgets.views._fitted_axis import fit_axis
from actwidgets.views._picture import plain_figure

TRAINING, VALIDATING = "#3fa7a0", "#e08a2e"
NARROWEST_PX = 160
MARGIN = {"top": 8, "bottom": 40, "left": 52, "right": 14}
# An axis goes so far beyond its first and last number, in parts of its length, that a dot there
# is whole.
BEYOND_LEFT, BEYOND_RIGHT, BEYOND_UP_DOWN = 0.0, 0.02, 0.03
NOTHING: Doubles = np.zeros(1)


class TrainingCurve(w.VBox):
    """A figure with a thin line by batches, and dots at the ends of the epochs.

    Args:
        width_px: Of the figure.
        height_px: Of the figure.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        scales = {
            axis: bq.LinearScale(min=0.0, max=1.0, allow_padding=False) for axis in ("x", "y")
        }
        self.by_step = bq.Lines(
            scales=scales, colors=[TRAINING], stroke_width=1.2, opacities=[0.75]
        )
        self.by_epoch, self.validation = (
            bq.Lines(
                scales=scales, colors=[colour], stroke_width=2.0, marker="circle", marker_size=28
            )
            for colour in (TRAINING, VALIDATING)
        )
        for line in (self.by_step, self.by_epoch, self.validation):
            line.x = line.y = NOTHING
            line.visible = False
        # Beside lines across, a number would stand on the end of its axis.
        beside = {"font-size": "11px", "transform": "translate(-4px, 0)"}
        plain = {"grid_color": "rgba(128,128,128,.18)", "tick_style": beside}
        self._axes = [
            bq.Axis(
                scale=scales["x"], label="epoch", label_offset="30px",
                tick_format="~g", grid_lines="none", tick_style={"font-size": "11px"},
            ),
            bq.Axis(
                scale=scales["y"], orientation="vertical", tick_format="~g", **plain
            ),
        ]  # fmt: skip
        self.figure = plain_figure(
            [self.by_step, self.by_epoch, self.validation], margin=MARGIN, axes=self._axes
        )
        layout = self.figure.layout
        layout.width, layout.min_width = f"{width_px}px", f"{NARROWEST_PX}px"
        layout.max_width, layout.margin = "100%", "2px 0"  # no wider than a narrow page
        layout.height = layout.min_height = f"{height_px}px"
        self._key = w.HTML()
        super().__init__(children=(self._key, self.figure))

    def show(self, curves: Curves, name: str) -> None:
        """Draw what there is of a metric so far."""
        validation = curves.by_epoch(f"{VALIDATION}{name}")
        drawn = [curves.by_step(name), curves.by_epoch(name), validation]
        places, values = (np.concatenate(each) for each in zip(*drawn, strict=True))
        across, up = self._axes
        fit_axis(across, ticks(0.0, max(places.max(initial=0.0), 1.0)), BEYOND_LEFT, BEYOND_RIGHT)
        fit_axis(up, ticks(*finite_range(values)), BEYOND_UP_DOWN, BEYOND_UP_DOWN)
        for line, (x, y) in zip((self.by_step, self.by_epoch, self.validation), drawn, strict=True):
            _draw(line, x, y)
        key = f'<b>{html.escape(name)}</b> <span style="color:{TRAINING}">▬ training</span>'
        if len(validation[0]):
            key += f' <span style="color:{VALIDATING}">▬ validation</span>'
        self._key.value = f'<div class="aw-note">{key}</div>'


def _draw(line: bq.Lines, x: Doubles, y: Doubles) -> None:
    """A line, which is not there where it has no point."""
    visible = bool(np.isfinite(y).any())
    if not visible and not line.visible:
        return
    with line.hold_sync():
        line.x, line.y = (x, y) if visible else (NOTHING, NOTHING)
        line.visible = visible
