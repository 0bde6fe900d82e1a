"""What a regression puts out of samples, as lines to choose from."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w
import numpy as np

from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.core.predictions.value_scores import ValueScores
from actwidgets.views._controls import note

OUTPUTS_UP_TO = 4  # that have a column each
WIDTH = 12  # letters of a column


class ValueLines(w.VBox):
    """A line for each sample: what is predicted, and where it is known, what was to be.

    Args:
        on_sample: Called with the row of the data that the user chooses.
    """

    def __init__(self, on_sample: Callable[[int], None]) -> None:
        self.lines = w.Select(layout={"width": "auto"})
        self.lines.add_class("aw-list")
        self._rows: list[int] = []
        self._focus = -1
        self._on_sample, self._showing = on_sample, False
        self.lines.observe(self._on_line, names="index")
        super().__init__([self.lines])

    def show(
        self, scores: ValueScores, places: Sequence[int], rows: Sequence[int], focus: int
    ) -> None:
        """Show some samples.

        Args:
            scores: Of all of them.
            places: Which, in the order of the lines.
            rows: Their rows in the data.
            focus: The row that is chosen.
        """
        shown = range(min(scores.values.shape[1], OUTPUTS_UP_TO))
        several = len(shown) > 1
        heads = ["sample", *(f"predicted {each}" if several else "predicted" for each in shown)]
        if scores.targets is not None:
            heads += ["target"] * (not several) + ["mean |residual|" if several else "residual"]
        lines = [_line(heads)]  # so that it stands above the columns in any font
        for place, row in zip(places, rows, strict=True):
            figures = [_figure(scores.values[place, each]) for each in shown]
            if scores.targets is not None:
                residuals = scores.values[place] - scores.targets[place]
                if several:
                    figures.append(_figure(np.abs(residuals).mean()))
                else:
                    figures += [_figure(scores.targets[place, 0]), f"{residuals[0]:+.4g}"]
            lines.append(_line([str(row), *figures]))
        self._rows, self._focus = [int(row) for row in rows], focus
        self._showing = True
        try:
            self.lines.rows = max(len(lines), 2)
            if tuple(lines) != self.lines.options:
                self.lines.options = lines
            self.lines.index = self._place_of_focus()
        finally:
            self._showing = False

    def _place_of_focus(self) -> int | None:
        return self._rows.index(self._focus) + 1 if self._focus in self._rows else None

    def _on_line(self, change: Any) -> None:
        if self._showing or change.new is None:
            return
        if change.new:
            self._on_sample(self._rows[change.new - 1])
        else:  # the heads of the columns
            self.lines.index = self._place_of_focus()


def summary(scores: ValueScores) -> str:
    """How far the predictions are off, in words; "" without targets."""
    if scores.targets is None:
        return ""
    told = f"mean absolute error {scores.mae:.4g}, root mean square {scores.rmse:.4g}"
    return told if np.isnan(scores.r2) else f"{told}, R² {scores.r2:.4f}"


def left_out(output: OutputKind) -> str:
    """Which outputs have no column, in words; "" where all have."""
    n_outputs = output.n_outputs
    return f"{OUTPUTS_UP_TO} of {n_outputs:,} outputs" if n_outputs > OUTPUTS_UP_TO else ""


def output_note(output: OutputKind) -> str:
    """What the output is, as HTML; why it is held for that is told where the mouse stays."""
    line = note(output.words if output.heads else f"output: {output.words}")
    reason = note(output.reason).removeprefix('<div class="aw-note">').removesuffix("</div>")
    return line.replace("<div ", f'<div title="{reason}" ', 1)


def _figure(value: float) -> str:
    return "nan" if np.isnan(value) else f"{value:.4g}"


def _line(parts: Sequence[str]) -> str:
    widths = (8, *[max(WIDTH, 15 if len(each) > WIDTH else 0) for each in parts[1:]])
    cells = (part.rjust(width) for part, width in zip(parts, widths, strict=True))
    return " ".join(cells).replace(" ", "\u00a0")
