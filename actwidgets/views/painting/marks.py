"""How each kind of bqplot's marks is painted, and what it shows along its scales."""

from collections.abc import Callable, Iterator
from typing import Any

import bqplot as bq
import numpy as np

from actwidgets.views.painting.cell_marks import cells, cells_extents, picture, picture_extents
from actwidgets.views.painting.class_marks import (
    bars,
    bars_extents,
    boxes,
    boxes_extents,
)
from actwidgets.views.painting.line_marks import line_extents, lines, rules
from actwidgets.views.painting.plot import Extent, Plot
from actwidgets.views.painting.point_marks import (
    label_extents,
    labels,
    point_extents,
    points,
)

Painter = Callable[[Any, Plot], None]
Extents = Callable[[Any, float], Iterator[Extent]]
# Those that are kinds of others come first.
PAINTERS: tuple[tuple[type, Painter, Extents], ...] = (
    (bq.Image, picture, picture_extents),
    (bq.GridHeatMap, cells, cells_extents),
    (bq.HeatMap, cells, cells_extents),
    (bq.Bars, bars, bars_extents),
    (bq.Boxplot, boxes, boxes_extents),
    (bq.HLine, rules, line_extents) if hasattr(bq, "HLine") else (bq.Lines, lines, line_extents),
    (bq.Lines, lines, line_extents),
    (bq.Label, labels, label_extents),
    (bq.Scatter, points, point_extents),
)


def painter_of(mark: Any) -> tuple[Painter, Extents] | None:
    """How a mark is painted; None where nobody knows."""
    return next(
        ((paint, extents) for kind, paint, extents in PAINTERS if isinstance(mark, kind)), None
    )


def is_there(mark: Any) -> bool:
    """Whether a mark is on show and has anything."""
    return bool(mark.visible) and np.size(getattr(mark, "x", 1)) > 0
