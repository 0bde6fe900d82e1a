"""bqplot's marks of cells: Image, GridHeatMap, HeatMap."""

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from actwidgets.views.painting.canvas import middle_line
from actwidgets.views.painting.colours import Colour, colour
from actwidgets.views.painting.plot import Extent, Plot
from actwidgets.views.painting.scales import Reach, colour_scale, formatted
from actwidgets.views.painting.sheets import length


def picture_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """Where the picture ends."""
    yield Extent(mark.scales["x"], "x", mark.x)
    yield Extent(mark.scales["y"], "y", mark.y)


def picture(mark: Any, plot: Plot) -> None:
    """A picture, pixel by pixel."""
    if not mark.image.value:
        return
    across, down = plot.across(mark), plot.down(mark)
    left, right = sorted(across.all(mark.x))
    top, bottom = sorted(down.all(mark.y))
    image = Image.open(io.BytesIO(mark.image.value))
    plot.canvas.paste(image, left, top, right - left, bottom - top)


def cells_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """The rows and columns."""
    rows, columns, across, down = _names(mark)
    yield Extent(down, "y", rows)
    yield Extent(across, "x", columns)


def cells(mark: Any, plot: Plot) -> None:
    """Cells in their colours, and their values where they are written."""
    colours = np.asarray(mark.color, np.float64)
    scale = mark.scales.get("color")
    if _is_clear(scale):
        return  # there for the mouse alone
    fill = colour_scale(scale, colours)
    rows, columns, across, down = _names(mark)
    tops = _edges(plot.reach(down, "y"), rows, colours.shape[0])
    lefts = _edges(plot.reach(across, "x"), columns, colours.shape[1])
    missing = colour(getattr(mark, "null_color", None) or "black")
    stroke = colour(getattr(mark, "stroke", None))
    form = getattr(mark, "display_format", None)
    for line, (top, bottom) in zip(colours, tops, strict=True):
        for value, (left, right) in zip(line, lefts, strict=True):
            shade = fill(value) if np.isfinite(value) else missing
            plot.canvas.fill(left, top, right - left, bottom - top, shade)
            if form:
                _write(mark, plot, formatted(value, form), (left + right) / 2, (top + bottom) / 2)
    if stroke[3]:
        _grid(plot, tops, lefts, stroke)


def _grid(plot: Plot, tops: Any, lefts: Any, stroke: Colour) -> None:
    with plot.canvas.pen(plot.left, plot.top, plot.width, plot.height) as pen:
        for top, bottom in tops:
            for left, right in lefts:
                pen.box(left, top, right - left, bottom - top, (0, 0, 0, 0), stroke, 1)


def _write(mark: Any, plot: Plot, text: str, x: float, y: float) -> None:
    style = mark.font_style or {}
    size = length(style.get("font-size")) or 12.0
    line = middle_line(y, size, plot.canvas.scale)
    ink = colour(style.get("fill", "black"))
    plot.canvas.words(x, line, text, size, ink, anchor="middle")


def _names(mark: Any) -> tuple[Any, Any, Any, Any]:
    """Rows, columns, and the scales across and down."""
    shape = np.shape(mark.color)
    names = ("row", "column") if "row" in mark.scales else ("y", "x")
    rows, columns = (getattr(mark, name, None) for name in names)
    rows = np.arange(shape[0]) if rows is None else rows
    columns = np.arange(shape[1]) if columns is None else columns
    return rows, columns, mark.scales[names[1]], mark.scales[names[0]]


def _edges(reach: Reach, names: Any, count: int) -> list[tuple[float, float]]:
    """Where each row or column begins and ends."""
    if reach.is_ordinal:
        half = abs(reach.step) / 2
        return [(reach(name) - half, reach(name) + half) for name in names[:count]]
    places = reach.all(names)
    if len(places) > count:  # edges
        return [(min(p), max(p)) for p in pairwise(places)][:count]
    steps = np.diff(places) if len(places) > 1 else np.array([reach.end - reach.start])
    ends = [*places, places[-1] + float(steps[-1])]
    return [(min(p), max(p)) for p in pairwise(ends)]


def _is_clear(scale: Any) -> bool:
    colours = list(getattr(scale, "colors", None) or [])
    return bool(colours) and all(not colour(each)[3] for each in colours)
