"""The small controls that several views use."""

import html
import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from actwidgets.views._style import HINT

_EM = {
    0.32: "iljI|.,:;'! ",
    0.37: "-/\\",
    0.42: "tfr()[]",
    0.6: "sckvxyz_",
    0.64: "EFLPSTY",
    0.7: "ABCKRVXZ",
    0.84: "✓✗+=<>~^#",
    1.0: "mwMW",
}


def choice(label: str, options: Sequence[Any], width: str = "150px") -> w.Dropdown:
    """A list to choose from, with its label.

    Like every widget with a label it has a tooltip: without one the browser shows "null".
    """
    return w.Dropdown(
        options=options,
        description=label,
        tooltip=label,
        layout={"width": width},
        style={"description_width": "initial"},
    )


def words(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of options as a reader sees them, each with itself."""
    return [
        (name.replace("_", " ").replace("mean abs diff", "mean |difference|"), name)
        for name in names
    ]


class Readout(w.HTML):
    """A line that tells what the mouse is over, as that is now; empty once it has left.

    Args:
        tell: Given where the mouse is, returns the words; "" for none.
    """

    def __init__(self, tell: Callable[..., str]) -> None:
        super().__init__("&nbsp;")
        self._tell = tell
        self._place: tuple[Any, ...] = ()

    def over(self, *place: Any) -> None:
        """Tell of another place, or of none."""
        self._place = place
        self.refresh()

    def refresh(self) -> None:
        """Tell of the same place again: what is there may have changed."""
        self.value = note(self._tell(*self._place) if self._place else "")


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


def text_px(text: str, size_px: float) -> float:
    """How wide a text is at most, in the sans-serif fonts that browsers come with."""
    return size_px * sum(map(_em, text))


def _em(letter: str) -> float:
    """The width of a letter over the size of the font: of DejaVu Sans, one of the widest."""
    for width, letters in _EM.items():
        if letter in letters:
            return width
    if unicodedata.combining(letter):
        return 0.0
    is_wide = unicodedata.east_asian_width(letter) in "WF" or not letter.isalnum()
    return 1.0 if is_wide else 0.79 if letter.isupper() or not letter.isascii() else 0.64


def fitted(text: str, width_px: float, size_px: float = 10) -> str:
    """A text that is no wider, with … for what had to go; its first letters stay."""
    for letters in range(len(text), 3, -1):
        short = shorten(text, letters)
        if text_px(short, size_px) <= width_px:
            return short
    return shorten(text, 3)


def shorten_path(name: str, letters: int) -> str:
    """The name of a nested layer that fits: the end tells layers apart, so the front goes."""
    if len(name) <= letters or "/" not in name:
        return shorten(name, letters)
    kept = name[len(name) - letters + 1 :]
    whole = kept.find("/")  # where whole parts of the name fit, no half of one stands before
    return "…" + (kept[whole:] if whole >= 0 else kept)


def unique_short(
    names: Sequence[str], letters: int, short: Callable[[str, int], str] = shorten
) -> list[str]:
    """Names that fit and still differ: one that would repeat another gets its number."""
    cut = [short(name, letters) for name in names]
    return [
        name if cut.count(name) == 1 else f"{short(name, letters - 4)} {place}"
        for place, name in enumerate(cut)
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


def share_text(share: float) -> str:
    """A probability in two decimals, or in two figures where it is small: 0.98, 0.0012."""
    return f"{share:.2g}" if 0 < abs(share) < 0.095 else f"{share:.2f}"


def decimals(highest: float) -> int:
    """How many decimals tell figures up to `highest` apart in three or four digits."""
    if highest <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(highest)), 0), 4)
