"""Letters of Pillow's own font, and by other means what it has no letter for.

Pillow's font knows no accents and few signs. Accents and signs are drawn; letters of other
scripts are taken from a font of the machine where there is one, else written plainly.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from actwidgets.core.pictures.lettering.glyphs import (
    ACCENTS,
    RAISED,
    draw_sign,
    sign_width,
    strokes,
)

ABSENT = "\U000f0000"  # in no font: what it looks like is what a missing letter looks like
ELSEWHERE = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")
SMALL = 0.62  # of raised figures


def text_width(text: str, size: float) -> float:
    """How wide a text is in letters of a size."""
    return sum(_width(part, size) for part in _parts(text))


def write(mask: Image.Image, text: str, x: float, size: float) -> None:
    """Write a text into a mask (mode "L") that is a line of this size high."""
    for part in _parts(text):
        _draw(mask, part, x, size)
        x += _width(part, size)


def metrics(size: float) -> tuple[int, int]:
    """From the top of a line to what words stand on, and from there to its bottom."""
    return _font(size).getmetrics()


@lru_cache(maxsize=256)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@lru_cache(maxsize=256)
def capital_height(size: float) -> float:
    """Height of a capital."""
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
    if letter.isspace():
        return letter == " "  # the font has no others
    if _has(letter) or letter in RAISED or sign_width(letter) is not None:
        return True
    return _accented(letter) is not None or _is_elsewhere(letter)


def _nearest(letter: str) -> str:
    if letter.isspace():
        return " "
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
        return sign * capital_height(size)
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
    top = line - capital_height(size)
    if part in RAISED:
        small = _font(size * SMALL)
        _write(mask, small, RAISED[part], x, top - size * 0.08 + capital_height(size * SMALL))
    elif _has(part[0]):
        _write(mask, font, part, x, line)
    elif sign_width(part) is not None:
        draw_sign(mask, part, x, top, capital_height(size))
    elif accented := _accented(part):
        base, mark = accented
        base = "\u0131" if base == "i" and _has("\u0131") else base
        _write(mask, font, base, x, line)
        left, over, right, _ = font.getbbox(base, anchor="ls")
        strokes(mask, ACCENTS[mark], x + (left + right) / 2, line + over, capital_height(size))
    elif other := _elsewhere(size):
        _write(mask, other, part, x, line)


def _write(
    mask: Image.Image, font: ImageFont.FreeTypeFont, text: str, x: float, line: float
) -> None:
    ImageDraw.Draw(mask).text((x, line), text, 255, font, anchor="ls")
