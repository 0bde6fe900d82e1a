"""Axis ticks, charts by class, line charts, histogram outlines, value lists of regressions."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Floats, finite_range
from actwidgets.core.histograms import SharedBins
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.predictions import ValueScores
from actwidgets.views.controls import NEUTRAL, line_list, setting, update
from actwidgets.views.picture import plain_figure


def ticks(low: float, high: float, count: int = 5) -> Doubles:
    """Round numbers that enclose a range: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: The smallest value.
        high: The largest; where it is not larger, a range around both is taken.
        count: How many steps there are, about.

    Returns:
        `(tick,)` float64, at least two, the first at most `low` and the last at least `high`.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high <= low:
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    step = _round_step((high - low) / max(count, 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.arange(first, last + 1, dtype=np.float64) * step


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(each for each in (1, 2, 5, 10) if each * power >= least * (1 - 1e-9))


LETTER_PX = 6.6  # of a name at an axis
SLANTED_PX, UPRIGHT_PX = 17, 12  # room for a name that is slanted, or turned by a right angle
SMALL = {"font-size": "11px"}
# Faint lines across the plot, and numbers that do not stand on the end of their axis.
ACROSS = {
    "grid_color": "rgba(128,128,128,.18)",
    "tick_style": SMALL | {"transform": "translate(-4px, 0)"},
}
LEFT_PX, RIGHT_PX = 56, 12  # beside the plot


def class_figure(
    marks: Sequence[bq.Mark],
    scales: dict[str, bq.Scale],
    names: Sequence[str],
    *,
    n_shown: int | None = None,
    width_px: int,
    height_share: float,
    label: str = "",
    ticks: Sequence[float] | None = None,
) -> bq.Figure:
    """A figure of values by class, with its axes.

    Args:
        marks: What is drawn, the lowest first.
        scales: "x" of the classes, "y" of the values.
        names: Of the classes: they decide how much room is left below.
        n_shown: How many of them have a place at most; all by default.
        width_px: Of the whole.
        height_share: Height as a share of the width.
        label: What the values are.
        ticks: The values to write beside them; as many as there are round ones by default.
    """
    room_px = (width_px - LEFT_PX - RIGHT_PX) / max(min(len(names), n_shown or len(names)), 1)
    across = class_axis(scales["x"], names, room_px)
    upwards = bq.Axis(
        scale=scales["y"],
        side="left",
        label=label,
        label_offset="38px",
        **ACROSS,
        tick_values=None if ticks is None else np.asarray(ticks, np.float64),
    )
    return plain_figure(
        marks,
        axes=[across, upwards],
        margin=margins(10, below_px(names, room_px), LEFT_PX, RIGHT_PX),
        layout=fixed_size(width_px, round(width_px * height_share)),
    )


def margins(top: int, bottom: int, left: int, right: int) -> dict[str, int]:
    """Pixels around what is drawn in a figure."""
    return {"top": top, "bottom": bottom, "left": left, "right": right}


def fixed_size(width_px: int, height_px: int) -> dict[str, str]:
    """The layout of a figure that keeps its size where there is less room."""
    width, height = f"{width_px}px", f"{height_px}px"
    return {"width": width, "min_width": width, "height": height, "min_height": height}


def fitting_size(width_px: int, least_px: int, height_px: int) -> dict[str, str]:
    """The layout of a figure that is no wider than a narrow page."""
    size = fixed_size(least_px, height_px)
    return size | {"width": f"{width_px}px", "max_width": "100%", "margin": "2px 0"}


def exact(*, reverse: bool = False) -> bq.LinearScale:
    """A scale that ends where it is told to: bqplot pads others for the height of words."""
    return bq.LinearScale(min=0, max=1, reverse=reverse, allow_padding=False)


def on_select(mark: bq.Mark, choose: Callable[[int], None]) -> None:
    """Call `choose(place)` when one of a mark's bars or boxes is clicked."""

    def selected(change: Any) -> None:
        if change.new is not None and len(change.new):
            mark.selected = None  # or the next click on it would tell nothing new
            choose(int(change.new[-1]))

    mark.interactions = {"click": "select"}
    mark.observe(selected, names="selected")


def class_axis(scale: bq.Scale, names: Sequence[str], room_px: float, **options: Any) -> bq.Axis:
    """An axis of classes below a plot; `room_px` for each of them."""
    return bq.Axis(
        scale=scale, side="bottom", grid_lines="none", **class_ticks(names, room_px), **options
    )


def class_ticks(names: Sequence[str], room_px: float) -> dict[str, Any]:
    """How an axis writes names of classes, with `room_px` for each: slanted where they are long."""
    turned = _turned(names, room_px)
    if not turned:
        return {"tick_style": SMALL}
    style = {"text-anchor": "end", **SMALL}
    if turned == -90:  # bqplot would lay them beside their ticks
        style |= {"transform": "rotate(-90deg) translate(-9px, -13px)"}
    return {"tick_rotate": turned, "tick_style": style}


def below_px(names: Sequence[str], room_px: float) -> int:
    """Room for them below a plot."""
    upright = min(22 + round(_width_px([*names, "recall"])), 106)
    return {0: 26, -40: 64, -90: upright}[_turned(names, room_px)]


def tick_count(n_names: int, room_px: float, names: Sequence[str] = ()) -> int:
    """How many of so many names in a row an axis may write, so that none lies upon another.

    There is `room_px` for each; of names that stand in lines none are given.
    """
    needed_px = UPRIGHT_PX if _turned(names, room_px) or not names else _width_px(names)
    step = max(1, math.ceil(needed_px / max(room_px, 1e-9)))
    return n_names if step == 1 else n_names // step + 1  # bqplot writes every `step`-th then


def _turned(names: Sequence[str], room_px: float) -> int:
    """By how many degrees names are turned."""
    if _width_px(names) <= room_px:
        return 0
    return -40 if room_px >= SLANTED_PX else -90


def _width_px(names: Sequence[str]) -> float:
    return LETTER_PX * max((len(name) for name in names), default=0) + 4


COLORS = ("#3fa7a0", "#e08a2e")


class LineFigure(w.VBox):
    """One or two lines over the same axis; two have an axis of their own each, left and right.

    Args:
        across: What the axis below says.
        names: What each line is; at the axis of its color.
        one_scale: Whether both lines are read at the left axis, of shares from 0 to 1.
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
        x, self._one_scale = exact(), one_scale
        self._ys = [exact() for _ in (names[:1] if one_scale else names)]
        self.lines = [
            bq.Lines(x=[0, 1], y=[0, 0], scales={"x": x, "y": y}, colors=[color])
            for y, color in zip(self._ys * len(names), COLORS[: len(names)], strict=False)
        ]
        self.mark = place_mark(x, line_style="dashed")
        axes = [bq.Axis(scale=x, label=across, label_offset="34px", num_ticks=6, grid_lines="none")]
        style = {"orientation": "vertical", "grid_lines": "none", "tick_format": ".2g"}
        axes += [
            bq.Axis(scale=y, side=side, num_ticks=5, **style)
            for y, side in zip(self._ys, ("left", "right"), strict=False)
        ]
        self.figure = plain_figure(
            [*self.lines, self.mark],
            margin=margins(12, 46, 54, 54),
            axes=axes,
            layout=fixed_size(width_px, height_px),
        )
        keys = "".join(
            f'<span style="color:{color};margin-right:14px">▬ {name}</span>'
            for name, color in zip(names, COLORS, strict=False)
        )
        super().__init__(children=(w.HTML(f'<div class="aw-note">{keys}</div>'), self.figure))

    def show(self, x: ArrayLike, lines: Sequence[ArrayLike]) -> None:
        """Draw other lines, `(point,)` each over `(point,)` x in 0..1; NaN leaves a gap."""
        x = np.asarray(x, np.float32)
        values = [np.asarray(line, np.float32) for line in lines]
        for scale, y in zip([] if self._one_scale else self._ys, values, strict=False):
            low, high = finite_range(y)
            margin = 0.06 * (high - low) or 0.5
            update(scale, min=float(low - margin), max=float(high + margin))
        for line, y in zip(self.lines, values, strict=True):
            update(line, x=x, y=y)

    def move_mark(self, place: float) -> None:
        """Put the mark somewhere along the axis."""
        self.mark.x = np.array([place, place], np.float32)


def place_mark(x: bq.Scale, **style: Any) -> bq.Lines:
    """A line upwards over the whole figure, at a place of its axis."""
    scales = {"x": x, "y": exact()}
    return bq.Lines(x=[0, 0], y=[0, 1], colors=[NEUTRAL], stroke_width=1.0, scales=scales, **style)


def fit_axis(axis: bq.Axis, numbers: Doubles, before: float, beyond: float) -> None:
    """Have an axis enclose round numbers and a little more; left where it does already.

    Args:
        axis: Of a linear scale.
        numbers: `(tick,)`, ascending; the ticks from now on.
        before: How far it goes beyond the first, in parts of the length between them, so that
            a dot there is whole.
        beyond: How far it goes beyond the last.
    """
    length = numbers[-1] - numbers[0]
    low, high = float(numbers[0] - before * length), float(numbers[-1] + beyond * length)
    if axis.scale.max == high and axis.scale.min == low:
        return
    update(axis.scale, min=low, max=high)
    axis.tick_values = numbers


OUTPUTS_UP_TO = 4  # that have a column each
WIDTH = 12  # letters of a column


class ValueLines(w.VBox):
    """A line for each sample: what is predicted, and where it is known, what was to be.

    `on_sample` is called with the row of the data that the user chooses.
    """

    def __init__(self, on_sample: Callable[[int], None]) -> None:
        self.lines = line_list(self._on_line)
        self._rows: list[int] = []
        self._focus = -1
        self._on_sample = on_sample
        super().__init__([self.lines])

    def show(
        self, scores: ValueScores, places: Sequence[int], rows: Sequence[int], focus: int
    ) -> None:
        """Show some samples: their places in the scores, and their rows in the data.

        The row in focus is chosen.
        """
        shown = range(min(scores.values.shape[1], OUTPUTS_UP_TO))
        several = len(shown) > 1
        heads = ["sample", *(f"predicted {output}" if several else "predicted" for output in shown)]
        if scores.targets is not None:
            heads += ["target"] * (not several) + ["mean |residual|" if several else "residual"]
        lines = [_line(heads)]  # so that it stands above the columns in any font
        for place, row in zip(places, rows, strict=True):
            figures = [f"{scores.values[place, output]:.4g}" for output in shown]
            if scores.targets is not None:
                residuals = scores.values[place] - scores.targets[place]
                if several:
                    figures.append(f"{np.abs(residuals).mean():.4g}")
                else:
                    figures += [f"{scores.targets[place, 0]:.4g}", f"{residuals[0]:+.4g}"]
            lines.append(_line([str(row), *figures]))
        self._rows, self._focus = [int(row) for row in rows], focus
        with setting(self.lines):
            self.lines.rows = max(len(lines), 2)
            if tuple(lines) != self.lines.options:
                self.lines.options = lines
            self.lines.index = self._place_of_focus()

    def _place_of_focus(self) -> int | None:
        return self._rows.index(self._focus) + 1 if self._focus in self._rows else None

    def _on_line(self, change: Any) -> None:
        if change.new:
            self._on_sample(self._rows[change.new - 1])
        elif change.new == 0:  # the heads of the columns
            self.lines.index = self._place_of_focus()


def table_row(name: str, cells: Sequence[str], kind: str = "", *, cell: str = "td") -> str:
    """A row of a table as HTML, of a CSS class; the name is escaped, cells are not."""
    kind = f' class="{kind}"' if kind else ""
    body = "".join(f"<{cell}>{text}</{cell}>" for text in cells)
    return f"<tr{kind}><th>{html.escape(name)}</th>{body}</tr>"


def summary(scores: ValueScores) -> str:
    """How far the predictions are off, in words; "" without targets."""
    if scores.targets is None:
        return ""
    text = f"mean absolute error {scores.mae:.4g}, root mean square {scores.rmse:.4g}"
    return text if np.isnan(scores.r2) else f"{text}, R² {scores.r2:.4f}"


def left_out(output: OutputKind) -> str:
    """Which outputs have no column, in words; "" where all have."""
    n_outputs = output.n_outputs
    return f"{OUTPUTS_UP_TO} of {n_outputs:,} outputs" if n_outputs > OUTPUTS_UP_TO else ""


def output_note(output: OutputKind) -> str:
    """The kind of output, as HTML, with the reason as a tooltip."""
    words = html.escape(output.words if output.heads else f"output: {output.words}")
    reason = html.escape(output.reason) or "&nbsp;"
    return f'<div title="{reason}" class="aw-note">{words}</div>'


def _line(parts: Sequence[str]) -> str:
    widths = (8, *[max(WIDTH, 15 if len(part) > WIDTH else 0) for part in parts[1:]])
    cells = (part.rjust(width) for part, width in zip(parts, widths, strict=True))
    return " ".join(cells).replace(" ", "\u00a0")


OVERLAP = 2.4  # how many rows the highest ridge reaches up


@dataclass(frozen=True, eq=False)
class Outlines:
    """Closed shapes, from the foot of the first bin over all steps to that of the last.

    `x` and `y` are `(shape, point)`, `feet` the `(shape,)` heights at which they stand.
    """

    x: Floats
    y: Floats
    feet: Doubles
    top: float


def bin_heights(counts: ArrayLike, *, log: bool = False) -> Doubles:
    """How high bins are drawn: float64 of the shape of their counts.

    By `log` as powers of ten: 0 for none, 1 for one, 2 for ten, 3 for a hundred.
    """
    counts = np.asarray(counts, np.float64)
    if not log:
        return counts
    return np.where(counts > 0, 1 + np.log10(np.maximum(counts, 1)), 0.0)


def outlines(shared: SharedBins, *, log: bool = False, rows: bool = False) -> Outlines:
    """The shapes of several histograms; without points where there are no bins.

    Histograms of fewer values than others are as high as if they were of as many.

    Args:
        shared: The bins.
        log: As in `bin_heights`.
        rows: Whether they stand one above the other, a row of height 1 each and the first on
            top, the highest bin of all reaching up 2.4 rows; else all stand at 0.
    """
    counts = shared.counts
    totals = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    raised: Doubles = counts * (totals.max(initial=0.0) / np.maximum(totals, 1.0))
    heights = bin_heights(raised, log=log)
    n_shapes, n_bins = heights.shape
    feet = np.zeros(n_shapes)
    if rows:
        feet = np.arange(n_shapes, dtype=np.float64)[::-1]
        heights = heights * (OVERLAP / max(heights.max(initial=0.0), 1e-300))
    if not n_bins:
        none = np.zeros((n_shapes, 0), np.float32)
        return Outlines(none, none, feet, float(feet.max(initial=0.0)))
    steps = feet[:, None] + np.repeat(heights, 2, axis=1)
    y = np.concatenate([feet[:, None], steps, feet[:, None]], axis=1)
    x = np.broadcast_to(np.repeat(shared.edges, 2), y.shape)
    return Outlines(x.astype(np.float32), y.astype(np.float32), feet, float(y.max()))


def round_ticks(low: float, high: float, n_ticks: int = 6) -> Doubles:
    """About so many round figures from `low` to `high`, as of `ticks`; none for no finite range."""
    span = high - low
    if not (np.isfinite(span) and span > 0):
        return np.zeros(0)
    step = _round_step(span / n_ticks)
    first, last = math.ceil(low / step), math.floor(high / step)
    return step * np.arange(first, last + 1, dtype=np.float64)


def tick_labels(ticks: Doubles) -> dict[str, str]:
    """How round figures are written, by the figure in JavaScript's words: "0.5", "1", "1e-7".

    Each has the decimals that all of them need.
    """
    apart = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    power = int(np.floor(np.log10(apart) + 1e-9))
    form = f",.{max(-power, 0)}f" if -5 < power < 6 else ".2g"
    return {_in_javascript(tick): format(tick, form) for tick in ticks.tolist()}


def _in_javascript(figure: float) -> str:
    if figure == 0 or 1e-6 <= abs(figure) < 1e21:
        return np.format_float_positional(figure, trim="-")
    mantissa, _, exponent = repr(figure).removesuffix(".0").partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def spread_marks(
    means: ArrayLike, stds: ArrayLike, feet: ArrayLike, heights: ArrayLike
) -> tuple[Floats, Floats]:
    """A line for each histogram: from one standard deviation below the mean to one above.

    At the mean it goes up and down again.

    Args:
        means: `(shape,)`; NaN gives a line of NaN.
        stds: `(shape,)`.
        feet: `(shape,)`: where they lie.
        heights: How far up they go at the mean; one for each, or one for all.

    Returns:
        x and y, `(shape, 5)` float32.
    """
    middle, std = np.asarray(means, np.float64), np.asarray(stds, np.float64)
    foot = np.asarray(feet, np.float64)
    up = foot + np.asarray(heights, np.float64)
    x = np.stack([middle - std, middle, middle, middle, middle + std], axis=1)
    y = np.stack([foot, foot, up, foot, foot], axis=1)
    return x.astype(np.float32), y.astype(np.float32)
