"""Words as masks, and how much room they take."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops

from actwidgets.core.pictures.lettering.alphabet import capital_height, metrics, text_width, write

FINE = 4  # drawn so many times larger: then widths are the same at every scale
BOLDER = 0.055  # a bold letter is drawn twice, so far apart in its size
MONO = 0.602  # advance of a letter of fixed width, in its size
_CELL = re.compile(r"\S+(?: \S+)*")


@dataclass(frozen=True)
class Hand:
    """How words are written.

    Attributes:
        size: In pixels of the canvas.
        bold: Whether they are.
        fixed: Whether columns that are made with spaces stand below one another.
    """

    size: float
    bold: bool = False
    fixed: bool = False


@lru_cache(maxsize=16384)
def width_of(text: str, hand: Hand) -> float:
    """How wide a text is, in pixels of the canvas."""
    if hand.fixed:
        return len(text) * MONO * hand.size
    extra = BOLDER * hand.size if hand.bold and text else 0.0
    return text_width(text, hand.size * FINE) / FINE + extra


def cut(text: str, hand: Hand, room: float) -> str:
    """The text, with … for what has no room."""
    if width_of(text, hand) <= room:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        if width_of(text[:middle].rstrip() + "…", hand) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def ascent(hand: Hand) -> float:
    """From the top of a mask to the line that the words stand on."""
    return metrics(hand.size * FINE)[0] / FINE


def capital(hand: Hand) -> float:
    """Height of a capital."""
    return capital_height(hand.size * FINE) / FINE


@lru_cache(maxsize=4096)
def mask_of(text: str, hand: Hand, shift: float = 0.0) -> Image.Image:
    """The words as a mask (mode "L"): as wide as they are, and a line high.

    Args:
        text: The words.
        hand: How they are written.
        shift: How far below the top of the mask the line begins, a share of a pixel.
    """
    size = hand.size * FINE
    width = math.ceil(width_of(text, hand)) + 2
    height = math.ceil(sum(metrics(size)) / FINE) + 1
    mask = Image.new("L", (width * FINE, height * FINE), 0)
    if hand.fixed:
        for cell in _CELL.finditer(text):
            write(mask, cell[0], _start(cell, size), size)
    else:
        write(mask, text, 0.0, size)
    if hand.bold:
        mask = ImageChops.lighter(mask, ImageChops.offset(mask, round(BOLDER * size), 0))
    if shift:
        mask = ImageChops.offset(mask, 0, round(shift * FINE))
    return mask.reduce(FINE)


def _start(cell: re.Match[str], size: float) -> float:
    """Where a cell of a line begins: figures end where their column ends."""
    if cell[0][0].isdigit():
        return cell.end() * MONO * size - text_width(cell[0], size)
    return cell.start() * MONO * size
