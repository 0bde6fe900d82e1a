"""A figure of lines over a share of the way, and a mark where a slider stands."""

from collections.abc import Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import finite_range
from actwidgets.views._picture import plain_figure

COLOURS = ("#3fa7a0", "#e08a2e")
MARK = "#888888"
MARGIN = {"top": 12, "bottom": 46, "left": 54, "right": 54}


class LineFigure(w.VBox):
    """One or two lines over the same axis; two have an axis of their own each, left and right.

    Args:
        across: What the axis below says.
        names: What each line is; at the axis of its colour.
        one_scale: Whether both lines are read at the left axis, of shares from 0 to 1.
        width_px: Of the figure.
        height_px: Of the figure.
    """

    def __init__(
        self,
        across: str,
        names: Sequence[str],
        *,
        one_scale: bool = False,
        width_px: int = 420,
        height_px: int = 210,
    ) -> None:
        self._x = bq.LinearScale(min=0, max=1, allow_padding=False)
        self._one_scale = one_scale
        self._ys = [
            bq.LinearScale(min=0, max=1, allow_padding=False)
            for _ in range(1 if one_scale else len(names))
        ]
        ys = [self._ys[0] if one_scale else each for each in (self._ys * 2)[: len(names)]]
        self.lines = [
            bq.Lines(x=[0, 1], y=[0, 0], scales={"x": self._x, "y": y}, colors=[colour])
            for y, colour in zip(ys, COLOURS, strict=False)
        ]
        self.mark = bq.Lines(
            x=[0, 0],
            y=[0, 1],
            colors=[MARK],
            stroke_width=1.0,
            line_style="dashed",
            scales={"x": self._x, "y": bq.LinearScale(min=0, max=1, allow_padding=False)},
        )
        axes = [
            bq.Axis(
                scale=self._x, label=across, label_offset="34px", num_ticks=6, grid_lines="none"
            )
        ]
        for place, y in enumerate(self._ys):
            axes.append(
                bq.Axis(
                    scale=y,
                    orientation="vertical",
                    side="left" if place == 0 else "right",
                    num_ticks=5,
                    grid_lines="none",
                    tick_format=".2g",
                )
            )
        self.figure = plain_figure([*self.lines, self.mark], margin=MARGIN, axes=axes)
        layout = self.figure.layout
        layout.width = layout.min_width = f"{width_px}px"
        layout.height = layout.min_height = f"{height_px}px"
        keys = "".join(
            f'<span style="color:{colour};margin-right:14px">▬ {name}</span>'
            for name, colour in zip(names, COLOURS, strict=False)
        )
        super().__init__(children=(w.HTML(f'<div class="aw-note">{keys}</div>'), self.figure))

    def show(self, x: ArrayLike, lines: Sequence[ArrayLike]) -> None:
        """Draw other lines.

        Args:
            x: `(point,)` in 0..1.
            lines: `(point,)` each; NaN leaves a gap.
        """
        x = np.asarray(x, np.float32)
        values = [np.asarray(each, np.float32) for each in lines]
        for scale, each in zip([] if self._one_scale else self._ys, values, strict=False):
            low, high = finite_range(each)
            margin = 0.06 * (high - low) or 0.5
            with scale.hold_sync():
                scale.min, scale.max = float(low - margin), float(high + margin)
        for line, each in zip(self.lines, values, strict=True):
            with line.hold_sync():
                line.x, line.y = x, each

    def move_mark(self, place: float) -> None:
        """Put the mark somewhere along the axis."""
        self.mark.x = np.array([place, place], np.float32)
