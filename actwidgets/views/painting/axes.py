"""bqplot's axes: their line, ticks, grid and label."""

from typing import Any

import numpy as np

from actwidgets.views.painting.canvas import middle_line
from actwidgets.views.painting.colours import Colour, colour
from actwidgets.views.painting.plot import Plot
from actwidgets.views.painting.scales import Reach, tick_texts, ticks
from actwidgets.views.painting.sheets import length

TICK_PX, WORDS_PX = 6, 9  # how far from its line a tick ends, and its words begin
FONT_PX = 10
LABEL_PX = 12
GRID = "rgba(128,128,128,.3)"


def paint_grid(axis: Any, plot: Plot) -> None:
    """The lines that lie behind the marks."""
    if not axis.visible or axis.grid_lines == "none":
        return
    upright = _is_upright(axis)
    reach = plot.reach(axis.scale, "y" if upright else "x")
    ink = colour(axis.grid_color or GRID)
    dash = (5.0, 5.0) if axis.grid_lines == "dashed" else ()
    right, bottom = plot.left + plot.width, plot.top + plot.height
    with plot.canvas.pen(plot.left, plot.top - 1, plot.width + 1, plot.height + 2) as pen:
        for value in _values(axis, reach):
            at = reach(value)
            ends = [(plot.left, at), (right, at)] if upright else [(at, plot.top), (at, bottom)]
            pen.line(ends, ink, 1, dash)


def paint_axis(axis: Any, plot: Plot) -> None:
    """The axis at its side of the plot."""
    if not axis.visible:
        return
    theme = plot.canvas.theme
    upright = _is_upright(axis)
    reach = plot.reach(axis.scale, "y" if upright else "x")
    values = _values(axis, reach)
    side = axis.side or ("left" if upright else "bottom")
    line = {"left": plot.left, "right": plot.left + plot.width}.get(side)
    if line is None:
        line = plot.top if side == "top" else plot.top + plot.height
    sign = -1 if side in ("left", "top") else 1
    rule = colour(axis.color) if axis.color else colour(theme.rule)
    _paint_lines(plot, reach, values, line, sign, upright, rule)
    texts = _texts(axis, reach, values)
    style = axis.tick_style or {}
    size = length(style.get("font-size")) or FONT_PX
    ink = colour(theme.faint)
    for value, text in zip(values, texts, strict=True):
        at = reach(value)
        if np.isfinite(at):
            _paint_tick(axis, plot, text, at, line + sign * WORDS_PX, size, ink, side, style)
    _paint_label(axis, plot, line, sign, upright)


def _is_upright(axis: Any) -> bool:
    return axis.orientation == "vertical" or axis.side in ("left", "right")


def _paint_lines(
    plot: Plot, reach: Reach, values: list[Any], line: float, sign: int, upright: bool, ink: Colour
) -> None:
    reached = plot.left - 10, plot.top - 10, plot.width + 20, plot.height + 20
    with plot.canvas.pen(*reached) as pen:
        end = line + sign * TICK_PX
        if upright:
            ends = plot.top, plot.top + plot.height
            pen.line([(end, ends[0]), (line, ends[0]), (line, ends[1]), (end, ends[1])], ink, 1)
        else:
            ends = plot.left, plot.left + plot.width
            pen.line([(ends[0], end), (ends[0], line), (ends[1], line), (ends[1], end)], ink, 1)
        for value in values:
            at = reach(value)
            if np.isfinite(at):
                pen.line([(line, at), (end, at)] if upright else [(at, line), (at, end)], ink, 1)


def _paint_tick(
    axis: Any,
    plot: Plot,
    text: str,
    at: float,
    beside: float,
    size: float,
    ink: Colour,
    side: str,
    style: dict[str, str],
) -> None:
    canvas = plot.canvas
    turned = float(axis.tick_rotate or 0)
    if side in ("left", "right"):
        edge = beside - 2 if side == "left" else canvas.image.width / canvas.scale - beside
        anchor = "end" if side == "left" else "start"
        line = middle_line(at, size, canvas.scale)
        canvas.words(
            beside, line, text, size, ink, anchor=anchor, room=max(edge, 20), turned=turned
        )
        return
    anchor = style.get("text-anchor", "middle")
    line = beside + 0.71 * size if side == "bottom" else beside
    if turned:
        # A little to the side, so that the words end below their tick.
        canvas.words(at + 3, line, text, size, ink, anchor=anchor, turned=turned, room=96)
        return
    canvas.words(at, line, text, size, ink, anchor=anchor)


def _paint_label(axis: Any, plot: Plot, line: float, sign: int, upright: bool) -> None:
    if not axis.label:
        return
    canvas = plot.canvas
    offset = length(axis.label_offset) or (35.0 if upright else 30.0)
    ink = colour(axis.label_color) if axis.label_color else colour(canvas.theme.faint)
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}.get(axis.label_location, 0.5)
    if upright:
        y = plot.top + (1 - share) * plot.height
        x = line + sign * offset
        canvas.words(x + 4, y, axis.label, LABEL_PX, ink, anchor="middle", turned=-90)
    else:
        x = plot.left + share * plot.width
        canvas.words(x, line + sign * offset + 4, axis.label, LABEL_PX, ink, anchor="middle")


def _values(axis: Any, reach: Reach) -> list[Any]:
    """Where ticks stand."""
    given = axis.tick_values
    if reach.is_ordinal:
        names = list(reach.domain)
        count = axis.num_ticks
        if count is None or count >= len(names):
            return names
        return names[:: max(1, len(names) // max(count - 1, 1))] if count > 1 else []
    if given is not None and len(given):
        return [float(each) for each in given]
    low, high = reach.low, reach.high
    if axis.num_ticks is not None:
        if axis.num_ticks < 2:
            return []
        return [float(each) for each in np.linspace(low, high, axis.num_ticks)]
    return ticks(low, high)


def _texts(axis: Any, reach: Reach, values: list[Any]) -> list[str]:
    if reach.is_ordinal:
        return [str(each) for each in values]
    texts = tick_texts(values, axis.tick_format)
    named = axis.tick_labels or {}
    return [
        str(named.get(_key(v), named.get(v, text))) for v, text in zip(values, texts, strict=True)
    ]


def _key(value: Any) -> str:
    """A tick's value as the browser names it: 3, where Python says 3.0."""
    return str(int(value)) if float(value).is_integer() else str(float(value))
