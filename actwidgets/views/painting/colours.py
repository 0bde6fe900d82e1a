"""Colours as style sheets write them, as numbers."""

import re
from collections.abc import Mapping
from functools import lru_cache

from PIL import ImageColor

Colour = tuple[int, int, int, int]
CLEAR: Colour = (0, 0, 0, 0)
_VARIABLE = re.compile(r"var\(\s*(--[\w-]+)\s*(?:,\s*([^()]*(?:\([^()]*\))?[^()]*))?\)")
_FUNCTION = re.compile(r"rgba?\(([^)]*)\)")


def resolved(text: str, variables: Mapping[str, str]) -> str:
    """A CSS value with its `var(--name, fallback)` replaced."""
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[2] or ""), text)


@lru_cache(maxsize=4096)
def colour(text: str | None) -> Colour:
    """Red, green, blue and alpha, each 0..255; what cannot be read is transparent."""
    text = (text or "").strip().lower()
    if text in ("", "none", "transparent"):
        return CLEAR
    function = _FUNCTION.fullmatch(text)
    try:
        if function:
            parts = re.split(r"[\s,/]+", function[1].strip())
            red, green, blue = (round(float(part)) for part in parts[:3])
            alpha = float(parts[3]) if len(parts) > 3 else 1.0
            return red, green, blue, round(255 * alpha)
        found = ImageColor.getrgb(text)
    except ValueError:
        return CLEAR
    return (*found[:3], found[3] if len(found) > 3 else 255)


def faded(rgba: Colour, opacity: float) -> Colour:
    """The colour at a share of its opacity."""
    return (*rgba[:3], round(rgba[3] * min(max(opacity, 0.0), 1.0)))


def between(low: Colour, high: Colour, share: float) -> Colour:
    """The colour at a share of the way from one to another."""
    mixed = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    red, green, blue, alpha = mixed
    return red, green, blue, alpha


def ramp(stops: list[Colour], share: float) -> Colour:
    """The colour at a place, 0..1, of stops at equal distances."""
    if len(stops) == 1:
        return stops[0]
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    return between(stops[first], stops[first + 1], place - first)
