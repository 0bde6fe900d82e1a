"""A plot with classes side by side and values upwards."""

from collections.abc import Sequence
from typing import Any

import bqplot as bq
import numpy as np

from actwidgets.views._picture import plain_figure

STRAIGHT_UP_TO = 3  # letters of a name that needs no slant
SMALL = {"font-size": "11px"}


def class_figure(
    marks: Sequence[bq.Mark],
    scales: dict[str, bq.Scale],
    names: Sequence[str],
    *,
    width_px: int,
    height_share: float,
    label: str = "",
    ticks: Sequence[float] | None = None,
) -> bq.Figure:
    """A figure with its axes.

    Args:
        marks: What is drawn, the lowest first.
        scales: "x" of the classes, "y" of the values.
        names: Of the classes: they decide how much room is left below.
        width_px: Of the whole.
        height_share: Height as a share of the width.
        label: What the values are.
        ticks: The values to write beside them; as many as there are round ones by default.
    """
    across = bq.Axis(scale=scales["x"], side="bottom", grid_lines="none", **class_ticks(names))
    upwards = bq.Axis(
        scale=scales["y"],
        side="left",
        label=label,
        label_offset="38px",
        tick_style=SMALL | {"transform": "translate(-4px, 0)"},  # off the end of its axis
        grid_color="rgba(128,128,128,.18)",
        tick_values=None if ticks is None else np.asarray(ticks, np.float64),
    )
    width, height = f"{width_px}px", f"{round(width_px * height_share)}px"
    return plain_figure(
        marks,
        axes=[across, upwards],
        margin={"top": 10, "bottom": below_px(names), "left": 56, "right": 12},
        layout={"width": width, "min_width": width, "height": height, "min_height": height},
    )


def class_ticks(names: Sequence[str]) -> dict[str, Any]:
    """How an axis below a plot writes the names of classes: slanted where they are long."""
    if _are_short(names):
        return {"tick_style": SMALL}
    return {"tick_rotate": -40, "tick_style": {"text-anchor": "end", **SMALL}}


def below_px(names: Sequence[str]) -> int:
    """Room for them below a plot."""
    return 26 if _are_short(names) else 64


def _are_short(names: Sequence[str]) -> bool:
    return max((len(name) for name in names), default=0) <= STRAIGHT_UP_TO
