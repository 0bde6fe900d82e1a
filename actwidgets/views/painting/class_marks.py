"""bqplot's Bars and Boxplot."""

from collections.abc import Iterator
from typing import Any

import bqplot as bq
import numpy as np

from actwidgets.views.painting.colours import Colour, colour, faded
from actwidgets.views.painting.plot import Extent, Plot

WHISKER = (4.0, 4.0)  # dashed


def bars_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """What bars show: they begin at their base, and may stand upon one another."""
    flat = mark.orientation == "horizontal"
    tops = _tops(mark)
    beyond = (
        0.0 if isinstance(mark.scales["x"], bq.OrdinalScale) else _width / (2 * np.size(mark.x) + 2)
    )
    yield Extent(mark.scales["x"], "y" if flat else "x", mark.x, beyond)
    values = np.append(tops.ravel(), mark.base) if tops.size else [mark.base]
    yield Extent(mark.scales["y"], "x" if flat else "y", values)


def bars(mark: Any, plot: Plot) -> None:
    """Bars beside or upon one another."""
    flat = mark.orientation == "horizontal"
    places = plot.reach(mark.scales["x"], "y" if flat else "x")
    values = plot.reach(mark.scales["y"], "x" if flat else "y")
    heights = np.atleast_2d(np.asarray(mark.y, np.float64))
    n_series = len(heights)
    room = abs(places.step) if places.is_ordinal else _spacing(places.all(mark.x), plot, flat)
    thick = room * (1 - mark.padding)
    grouped = mark.type == "grouped" and n_series > 1
    wide = thick / n_series if grouped else thick
    below = np.zeros(heights.shape[1])
    above = np.zeros(heights.shape[1])
    with plot.canvas.pen(plot.left, plot.top, plot.width, plot.height) as pen:
        for series, line in enumerate(heights):
            for index, (x, value) in enumerate(zip(mark.x, line, strict=False)):
                middle = places(x)
                if not np.isfinite([middle, value]).all():
                    continue
                low = mark.base
                if not grouped:
                    stack = below if value < mark.base else above
                    low, stack[index] = mark.base + stack[index], stack[index] + value - mark.base
                    value = mark.base + stack[index]
                start = middle - thick / 2 + (series * wide if grouped else 0)
                ends = sorted((values(low), values(value)))
                box = (start, ends[0], wide, ends[1] - ends[0])
                if flat:
                    box = (ends[0], start, ends[1] - ends[0], wide)
                fill = _fill(mark, series, index, n_series)
                pen.box(*box, fill, faded(colour(mark.stroke), 1.0), mark.stroke_width)


def boxes_extents(mark: Any, width: float) -> Iterator[Extent]:
    """What boxes show."""
    yield Extent(mark.scales["x"], "x", mark.x, _box_width(mark, width) / 2 + 1)
    yield Extent(mark.scales["y"], "y", mark.y)


def boxes(mark: Any, plot: Plot) -> None:
    """Box plots: whiskers from the least to the greatest, a box between the quartiles."""
    across, down = plot.across(mark), plot.down(mark)
    wide = _box_width(mark, plot.width)
    ink, fill = colour(mark.stroke), colour(mark.box_fill_color)
    with plot.canvas.pen(plot.left, plot.top, plot.width, plot.height) as pen:
        for place, (x, values) in enumerate(zip(mark.x, np.asarray(mark.y), strict=False)):
            middle = across(x)
            shown = np.sort(values[np.isfinite(values)])
            if not shown.size or not np.isfinite(middle):
                continue
            five = shown if len(shown) == 5 else np.quantile(shown, [0, 0.25, 0.5, 0.75, 1])
            low, first, half, third, high = down.all(five)
            opacity = mark.opacities[place % len(mark.opacities)] if mark.opacities else 1.0
            line = faded(ink, opacity)
            left, right = middle - wide / 2, middle + wide / 2
            pen.line([(middle, third), (middle, high)], line, 1, WHISKER)
            pen.line([(middle, first), (middle, low)], line, 1, WHISKER)
            for end in (low, high):
                pen.line([(middle - wide / 4, end), (middle + wide / 4, end)], line, 1)
            pen.box(left, third, wide, first - third, faded(fill, opacity), line, 1)
            pen.line([(left, half), (right, half)], line, 2)


def _box_width(mark: Any, width: float) -> float:
    if mark.box_width:
        return float(mark.box_width)
    return min(width / (len(mark.x) + 1) / 1.5, width / 10)


def _tops(mark: Any) -> np.ndarray:
    """The ends of all bars."""
    heights = np.nan_to_num(np.atleast_2d(np.asarray(mark.y, np.float64)))
    if mark.type == "grouped" or len(heights) == 1:
        return heights
    from_base = heights - mark.base
    up, down = np.maximum(from_base, 0).sum(axis=0), np.minimum(from_base, 0).sum(axis=0)
    return mark.base + np.concatenate([up, down])


def _spacing(places: list[float], plot: Plot, flat: bool) -> float:
    """Room of a bar on a scale of numbers."""
    gaps = np.diff(np.sort(np.unique(np.round(places, 6))))
    whole = plot.height if flat else plot.width
    return float(gaps.min()) if gaps.size else whole / 2


def _fill(mark: Any, series: int, index: int, n_series: int) -> Colour:
    colours = list(mark.colors) or ["steelblue"]
    by_element = mark.color_mode == "element" or (mark.color_mode == "auto" and n_series == 1)
    place = index if by_element else series
    opacities = mark.opacities
    opacity = opacities[place % len(opacities)] if opacities else 1.0
    return faded(colour(colours[place % len(colours)]), opacity)
