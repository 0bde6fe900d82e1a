"""bqplot's Lines."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from actwidgets.views.painting.canvas import Place
from actwidgets.views.painting.colours import Colour, colour, faded
from actwidgets.views.painting.plot import Extent, Plot

DASHES = {"solid": (), "dashed": (10.0, 10.0), "dotted": (2.0, 10.0), "dash_dotted": (10, 5, 2, 5)}


def line_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """What lines show."""
    beyond = mark.stroke_width / 2
    yield Extent(mark.scales["x"], "x", mark.x, beyond)
    yield Extent(mark.scales["y"], "y", mark.y, beyond)


def lines(mark: Any, plot: Plot) -> None:
    """Lines, and what lies below or between them where they are filled."""
    across, down = plot.across(mark), plot.down(mark)
    ys = np.atleast_2d(np.asarray(mark.y))
    xs = np.asarray(mark.x)
    xs = np.broadcast_to(xs, (len(ys), *xs.shape)) if xs.ndim == 1 else xs
    ys = np.broadcast_to(ys, xs.shape) if len(ys) == 1 else ys
    with plot.canvas.pen(plot.left, plot.top, plot.width, plot.height) as pen:
        for place, (x, y) in enumerate(zip(xs, ys, strict=True)):
            at = list(zip(across.all(x), down.all(y), strict=False))
            if mark.curves_subset and place not in mark.curves_subset:
                continue
            ink = faded(_cycled(mark.colors, place), _opacity(mark.opacities, place))
            for part in unbroken(at):
                if mark.fill != "none":
                    pen.area(_filled(part, mark.fill, plot), _fill(mark, place))
                if mark.interpolation.startswith("step"):
                    part = _stepped(part, mark.interpolation)
                pen.line(part, ink, mark.stroke_width, DASHES.get(mark.line_style, ()))
                if mark.marker:
                    radius = (mark.marker_size / np.pi) ** 0.5
                    for x_px, y_px in part:
                        pen.disc(x_px, y_px, radius, ink)


def rules(mark: Any, plot: Plot) -> None:
    """Lines from side to side."""
    lines(mark, plot)


def unbroken(places: list[Place]) -> Iterator[list[Place]]:
    """The parts of a line between gaps."""
    part: list[Place] = []
    for place in places:
        if np.isfinite(place).all():
            part.append(place)
        else:
            if part:
                yield part
            part = []
    if part:
        yield part


def _filled(part: list[Place], fill: str, plot: Plot) -> list[Place]:
    if fill in ("inside", "between"):
        return part
    edge = plot.top if fill == "top" else plot.top + plot.height
    return [(part[0][0], edge), *part, (part[-1][0], edge)]


def _stepped(part: list[Place], how: str) -> list[Place]:
    found = part[:1]
    for before, after in pairwise(part):
        if how == "step-before":
            found.append((before[0], after[1]))
        elif how == "step-after":
            found.append((after[0], before[1]))
        else:
            middle = (before[0] + after[0]) / 2
            found += [(middle, before[1]), (middle, after[1])]
        found.append(after)
    return found


def _fill(mark: Any, place: int) -> Colour:
    colours = mark.fill_colors or mark.colors
    return faded(_cycled(colours, place), _opacity(mark.fill_opacities, place))


def _cycled(colours: Any, place: int) -> Colour:
    return colour(colours[place % len(colours)]) if colours else (0, 0, 0, 0)


def _opacity(opacities: Any, place: int) -> float:
    return float(opacities[place % len(opacities)]) if opacities else 1.0
