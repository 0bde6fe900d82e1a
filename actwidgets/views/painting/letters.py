"""Words as masks: Pillow's own font, and by other means what it has no letter for."""

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFont

from actwidgets.views.painting.glyphs import ACCENTS, RAISED, draw_sign, sign_width, strokes

ABSENT = "\U000f0000"  # in no font: what it looks like is what a missing letter looks like
ELSEWHERE = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")
BOLDER = 0.045  # a bold letter is drawn twice, so far apart in its size
SMALL = 0.62  # of raised figures
MONO = 0.602  # advance of a letter of fixed width, in its size


@dataclass(frozen=True)
class Hand:
    """How words are written.

    Attributes:
        size: In pixels of the canvas.
        bold: Whether they are.
        fixed: Whether every letter takes the same room.
    """

    size: float
    bold: bool = False
    fixed: bool = False


def width_of(text: str, hand: Hand) -> float:
    """How wide a text is, in pixels of the canvas."""
    if hand.fixed:
        return len(text) * MONO * hand.size
    extra = BOLDER * hand.size if hand.bold else 0.0
    return sum(_width(part, hand.size) for part in _parts(text)) + (extra if text else 0.0)


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
    return float(_font(hand.size).getmetrics()[0])


def capital(hand: Hand) -> float:
    """Height of a capital."""
    return _capital(hand.size)


@lru_cache(maxsize=4096)
def mask_of(text: str, hand: Hand) -> Image.Image:
    """The words as a mask (mode "L"): as wide as they are, and a line high."""
    font = _font(hand.size)
    height = sum(font.getmetrics())
    mask = Image.new("L", (math.ceil(width_of(text, hand)) + 2, height), 0)
    if hand.fixed:
        for place, letter in enumerate(text):
            step = MONO * hand.size
            beside = (step - _width(letter, hand.size)) / 2
            _draw(mask, letter, place * step + beside, hand.size)
    else:
        x = 0.0
        for part in _parts(text):
            _draw(mask, part, x, hand.size)
            x += _width(part, hand.size)
    if not hand.bold:
        return mask
    again = mask.transform(
        mask.size,
        Image.Transform.AFFINE,
        (1, 0, -BOLDER * hand.size, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )
    return ImageChops.lighter(mask, again)


@lru_cache(maxsize=256)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@lru_cache(maxsize=256)
def _capital(size: float) -> float:
    _, top, _, bottom = _font(size).getbbox("H")
    return float(bottom - top)


@lru_cache(maxsize=64)
def _elsewhere(size: float) -> ImageFont.FreeTypeFont | None:
    """A font of the machine, for letters of other scripts, where there is one."""
    for name in ELSEWHERE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@lru_cache(maxsize=8192)
def _has(letter: str) -> bool:
    return letter.isspace() or _in_font(_font(20), letter)


@lru_cache(maxsize=8192)
def _is_elsewhere(letter: str) -> bool:
    font = _elsewhere(20)
    return font is not None and _in_font(font, letter)


def _in_font(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    return bytes(font.getmask(letter)) != bytes(font.getmask(ABSENT))


def _parts(text: str) -> Iterator[str]:
    """The text in pieces that are drawn in one way: words as they are, other signs singly."""
    known = ""
    for letter in _spelled(text):
        if _has(letter):
            known += letter
            continue
        if known:
            yield known
        known = ""
        yield letter
    if known:
        yield known


@lru_cache(maxsize=8192)
def _spelled(text: str) -> str:
    """The text with every letter replaced that could not be drawn in any way."""
    return "".join(letter if _can_be_drawn(letter) else _nearest(letter) for letter in text)


def _can_be_drawn(letter: str) -> bool:
    if _has(letter) or letter in RAISED or sign_width(letter) is not None:
        return True
    return _accented(letter) is not None or _is_elsewhere(letter)


def _nearest(letter: str) -> str:
    plain = "".join(each for each in unicodedata.normalize("NFKD", letter) if _has(each))
    if plain:
        return plain
    return "" if unicodedata.combining(letter) or not letter.isprintable() else "?"


@lru_cache(maxsize=1024)
def _accented(letter: str) -> tuple[str, str] | None:
    """A letter of the font and the mark over it."""
    spelled = unicodedata.normalize("NFD", letter)
    if len(spelled) == 2 and _has(spelled[0]) and spelled[1] in ACCENTS:
        return spelled[0], spelled[1]
    return None


def _width(part: str, size: float) -> float:
    if part in RAISED:
        return _font(size * SMALL).getlength(RAISED[part])
    sign = sign_width(part)
    if sign is not None and not _has(part):
        return sign * _capital(size)
    if len(part) == 1 and not _has(part):
        accented = _accented(part)
        if accented:
            return _font(size).getlength(accented[0])
        other = _elsewhere(size)
        return other.getlength(part) if other else 0.0
    return _font(size).getlength(part)


def _draw(mask: Image.Image, part: str, x: float, size: float) -> None:
    """Draw one piece into a mask."""
    font = _font(size)
    line = font.getmetrics()[0]
    top = line - _capital(size)
    if part in RAISED:
        small = _font(size * SMALL)
        _write(mask, small, RAISED[part], x, top - size * 0.08 + _capital(size * SMALL))
    elif _has(part[0]):
        _write(mask, font, part, x, line)
    elif sign_width(part) is not None:
        draw_sign(mask, part, x, top, _capital(size))
    elif accented := _accented(part):
        base, mark = accented
        base = "\u0131" if base == "i" and _has("\u0131") else base
        _write(mask, font, base, x, line)
        left, over, right, _ = font.getbbox(base, anchor="ls")
        strokes(mask, ACCENTS[mark], x + (left + right) / 2, line + over, _capital(size))
    elif other := _elsewhere(size):
        _write(mask, other, part, x, line)


def _write(
    mask: Image.Image, font: ImageFont.FreeTypeFont, text: str, x: float, line: float
) -> None:
    ImageDraw.Draw(mask).text((x, line), text, 255, font, anchor="ls")
