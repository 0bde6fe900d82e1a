"""The small controls that several views use."""

import html
import math
from collections.abc import Sequence
from typing import Any

import ipywidgets as w

from actwidgets.views._style import HINT


def choice(label: str, options: Sequence[Any], width: str = "150px") -> w.Dropdown:
    """A list to choose from, with its label."""
    return w.Dropdown(
        options=options,
        description=label,
        layout={"width": width},
        style={"description_width": "initial"},
    )


def words(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of options as a reader sees them, each with itself."""
    return [
        (name.replace("_", " ").replace("mean abs diff", "mean |difference|"), name)
        for name in names
    ]


def note(text: str) -> str:
    """A line of ordinary words, as HTML; the text is escaped."""
    return f'<div class="aw-note">{html.escape(text, quote=True)}</div>' if text else "&nbsp;"


def hint(text: str) -> str:
    """What a mouse can do here, as HTML; left out where the view is painted as a picture."""
    return f'<div class="aw-note {HINT}">{html.escape(text, quote=True)}</div>'


def show(widget: w.Box, shown: bool) -> None:
    """Show a box or fold it away, its figures at full size: bqplot fails on one without any."""
    widget.layout.height, widget.layout.overflow = (None, "auto") if shown else ("0px", "hidden")


def fade(widget: w.Widget, is_old: bool) -> None:
    """Make faint what shows something else than what was asked for."""
    (widget.add_class if is_old else widget.remove_class)("aw-old")


def shorten(name: str, letters: int) -> str:
    """A name that fits, with … for what had to go."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def unique_short(names: Sequence[str], letters: int) -> list[str]:
    """Names that fit and still differ: one that would repeat another gets its number."""
    short = [shorten(name, letters) for name in names]
    return [
        name if short.count(name) == 1 else f"{shorten(name, letters - 4)} {place}"
        for place, name in enumerate(short)
    ]


def set_slider(slider: w.FloatSlider, low: float, high: float, value: float) -> None:
    """Give a slider its ends and its value, in an order in which nothing is clamped."""
    low, high = min(low, value), max(high, value)
    if high <= low:
        high = low + 1.0
    if (slider.min, slider.max, slider.value) == (low, high, value):
        return
    with slider.hold_sync():
        slider.min = min(slider.min, low)
        slider.max = max(slider.max, high)
        slider.value = value
        slider.min, slider.max = low, high


def decimals(highest: float) -> int:
    """How many decimals tell figures up to `highest` apart in three or four digits."""
    if highest <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(highest)), 0), 4)
