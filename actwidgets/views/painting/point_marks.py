"""bqplot's Scatter and Label."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from actwidgets.views.painting.canvas import Pen, middle_line
from actwidgets.views.painting.colours import Colour, colour, faded
from actwidgets.views.painting.plot import Extent, Plot
from actwidgets.views.painting.scales import colour_scale

SQUARE = {"square", "rectangle"}


def point_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """What points show."""
    beyond = np.sqrt(mark.default_size) / 2 + 1
    yield Extent(mark.scales["x"], "x", mark.x, beyond)
    yield Extent(mark.scales["y"], "y", mark.y, beyond)


def points(mark: Any, plot: Plot) -> None:
    """Points in their colours."""
    inks = _inks(mark, "steelblue")
    with plot.canvas.pen(plot.left, plot.top, plot.width, plot.height) as pen:
        for place, (x, y) in enumerate(_places(mark, plot)):
            if np.isfinite([x, y]).all():
                _point(pen, mark, x, y, inks[place])


def _point(pen: Pen, mark: Any, x: float, y: float, ink: Colour) -> None:
    """`default_size` is the area of a marker."""
    area = float(mark.default_size)
    if mark.marker in SQUARE:
        side = area**0.5
        pen.box(x - side / 2, y - side / 2, side, side, ink)
    elif mark.marker in ("cross", "plus"):
        arm = (area / 5) ** 0.5 * 1.5
        pen.line([(x - arm, y), (x + arm, y)], ink, arm * 2 / 3)
        pen.line([(x, y - arm), (x, y + arm)], ink, arm * 2 / 3)
    else:
        radius = (area / np.pi) ** 0.5 + float(mark.stroke_width) / 2
        pen.disc(x, y, radius, ink) if mark.fill else pen.ring(x, y, radius, ink, 1.5)


def label_extents(mark: Any, _width: float) -> Iterator[Extent]:
    """Where words lie."""
    beyond = np.sqrt(mark.default_size) / 2 + 1
    yield Extent(mark.scales["x"], "x", mark.x, beyond)
    yield Extent(mark.scales["y"], "y", mark.y, beyond)


def labels(mark: Any, plot: Plot) -> None:
    """Words at their places."""
    inks = _inks(mark, plot.canvas.theme.ink)
    size = float(mark.default_size)
    bold = mark.font_weight in ("bold", "bolder")
    for place, (x, y) in enumerate(_places(mark, plot)):
        if place >= len(mark.text) or not np.isfinite([x, y]).all():
            continue
        line = middle_line(y + mark.y_offset, size, plot.canvas.scale)
        plot.canvas.words(
            x + mark.x_offset,
            line,
            str(mark.text[place]),
            size,
            inks[place],
            bold=bold,
            anchor=mark.align,
            turned=float(mark.rotate_angle or 0),
        )


def _places(mark: Any, plot: Plot) -> list[tuple[float, float]]:
    xs, ys = plot.across(mark).all(mark.x), plot.down(mark).all(mark.y)
    return list(zip(xs, ys, strict=False))


def _inks(mark: Any, default: str) -> list[Colour]:
    """A colour for each point."""
    count = max(np.size(mark.x), 1)
    opacities = list(
        getattr(mark, "opacities", None) or getattr(mark, "default_opacities", None) or [1.0]
    )
    values = getattr(mark, "color", None)
    if values is not None and np.size(values) and "color" in mark.scales:
        fill = colour_scale(mark.scales["color"], values)
        inks = [fill(float(each)) for each in np.ravel(values)]
    else:
        inks = [colour(each) for each in (list(mark.colors or []) or [default])]
    return [
        faded(inks[place % len(inks)], float(opacities[place % len(opacities)]))
        for place in range(count)
    ]
