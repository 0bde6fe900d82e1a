"""bqplot's figures as blocks."""

import logging
from typing import Any

from actwidgets.views.painting.axes import paint_axis, paint_grid
from actwidgets.views.painting.block import Block
from actwidgets.views.painting.canvas import Canvas, middle_line
from actwidgets.views.painting.colours import colour
from actwidgets.views.painting.marks import is_there, painter_of
from actwidgets.views.painting.plot import Plot, reaches
from actwidgets.views.painting.sheets import length

log = logging.getLogger(__name__)
DEFAULT_PX = 480, 640  # height and width, of a figure that does not say
_told: set[type] = set()


def figure_block(figure: Any, room: float) -> Block:
    """A figure with its marks, axes and title."""
    layout = figure.layout
    width = length(layout.width, room) or length(layout.min_width, room)
    width = width or min(room, DEFAULT_PX[1])
    height = length(layout.height) or length(layout.min_height) or DEFAULT_PX[0]

    def draw(canvas: Canvas, x: float, y: float) -> None:
        _paint(figure, canvas, x, y, width, height)

    return Block(width, height, draw)


def _paint(figure: Any, canvas: Canvas, x: float, y: float, width: float, height: float) -> None:
    margin = figure.fig_margin
    left, top = x + margin["left"], y + margin["top"]
    inner = max(width - margin["left"] - margin["right"], 1.0)
    high = max(height - margin["top"] - margin["bottom"], 1.0)
    marks = []
    for mark in figure.marks:
        found = painter_of(mark)
        if found is None:
            tell_unknown(mark)
        elif is_there(mark):
            marks.append((mark, *found))
    extents = [each for mark, _, of in marks for each in of(mark, inner)]
    plot = Plot(canvas, left, top, inner, high, reaches(extents, figure, left, top, inner, high))
    for axis in figure.axes:
        paint_grid(axis, plot)
    for mark, paint, _ in marks:
        paint(mark, plot)
    for axis in figure.axes:
        paint_axis(axis, plot)
    if figure.title:
        line = middle_line(y + margin["top"] / 2, 14, canvas.scale)
        ink = colour(canvas.theme.ink)
        canvas.words(
            left + inner / 2, line, figure.title, 14, ink, bold=True, anchor="middle", room=width
        )


def tell_unknown(thing: Any) -> None:
    """Say once in the log that something is left out of pictures."""
    if type(thing) not in _told:
        _told.add(type(thing))
        log.warning("%s cannot be painted without a browser: left out", type(thing).__name__)
