"""A plot with classes side by side and values upwards."""

import math
from collections.abc import Sequence
from typing import Any

import bqplot as bq
import numpy as np

from actwidgets.views._picture import plain_figure

LETTER_PX = 6.6  # of a name at an axis
SLANTED_PX, UPRIGHT_PX = 17, 12  # room for a name that is slanted, or turned by a right angle
SMALL = {"font-size": "11px"}
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
    """A figure with its axes.

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
    across = bq.Axis(
        scale=scales["x"], side="bottom", grid_lines="none", **class_ticks(names, room_px)
    )
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
        margin={
            "top": 10,
            "bottom": below_px(names, room_px),
            "left": LEFT_PX,
            "right": RIGHT_PX,
        },
        layout={"width": width, "min_width": width, "height": height, "min_height": height},
    )


def class_ticks(names: Sequence[str], room_px: float) -> dict[str, Any]:
    """How an axis below a plot writes the names of classes: slanted or upright where they are long.

    Args:
        names: Of the classes.
        room_px: For each of them.
    """
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

    Args:
        n_names: How many there are.
        room_px: For each of them.
        names: Those that stand straight beside one another; none where they stand in lines.
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
