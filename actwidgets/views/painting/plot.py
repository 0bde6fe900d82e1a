"""What the marks and axes of one figure are painted into."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from actwidgets.views.painting.canvas import Canvas
from actwidgets.views.painting.scales import Reach


@dataclass
class Plot:
    """A figure at its place: lengths are CSS pixels of the canvas.

    Attributes:
        canvas: What is painted on.
        left: Of the area that marks are drawn in.
        top: Likewise.
        width: Likewise.
        height: Likewise.
        reach: From a scale and "x" or "y" to where its values lie.
    """

    canvas: Canvas
    left: float
    top: float
    width: float
    height: float
    reach: Callable[[Any, str], Reach]

    def across(self, mark: Any, name: str = "x") -> Reach:
        """Where the values of a mark lie from left to right."""
        return self.reach(mark.scales[name], "x")

    def down(self, mark: Any, name: str = "y") -> Reach:
        """Where the values of a mark lie from top to bottom."""
        return self.reach(mark.scales[name], "y")


@dataclass(frozen=True)
class Extent:
    """What a mark shows along a scale, and how much room it wants beyond it, in pixels."""

    scale: Any
    way: str
    values: Any
    beyond: float = 0.0


def reaches(
    extents: Iterable[Extent], figure: Any, left: float, top: float, width: float, height: float
) -> Callable[[Any, str], Reach]:
    """Look up where the values of a scale lie, as bqplot has it from all marks together."""
    data: dict[int, list[Any]] = defaultdict(list)
    beyond: dict[tuple[int, str], float] = defaultdict(float)
    for each in extents:
        data[id(each.scale)].append(np.asarray(each.values))
        key = id(each.scale), each.way
        beyond[key] = max(beyond[key], each.beyond)
    made: dict[tuple[int, str], Reach] = {}

    def reach(scale: Any, way: str) -> Reach:
        key = id(scale), way
        if key not in made:
            padded = getattr(scale, "allow_padding", True)
            whole = width if way == "x" else height
            share = figure.padding_x if way == "x" else figure.padding_y
            spare = beyond[key] + whole * share if padded else 0.0
            ends = (left + spare, left + width - spare)
            if way == "y":
                ends = (top + height - spare, top + spare)
            made[key] = Reach(scale, data[id(scale)], *ends)
        return made[key]

    return reach
