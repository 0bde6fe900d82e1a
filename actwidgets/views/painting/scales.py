"""bqplot's scales as functions: from a value to a place or a colour, as in the browser."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import bqplot as bq
import numpy as np

from actwidgets.views.painting.colours import Colour, colour, ramp

DIVERGING = ("#d73027", "#fee08b", "#1a9850")  # bqplot's RdYlGn, where no colours are given


class Reach:
    """Where the values of a scale lie between two pixels.

    Args:
        scale: bqplot's.
        data: What the marks show along it: it decides the ends that the scale does not say.
        start: Pixel of its low end.
        end: Pixel of its high end.
    """

    def __init__(self, scale: Any, data: Iterable[Any], start: float, end: float) -> None:
        self.scale, self.start, self.end = scale, start, end
        self.is_ordinal = isinstance(scale, bq.OrdinalScale)
        self.low = self.high = 0.0
        if self.is_ordinal:
            self.domain = _domain(scale, data)
            self._order = {_key(each): place for place, each in enumerate(self.domain)}
            return
        values = [np.asarray(each, np.float64).ravel() for each in data]
        whole = np.concatenate([np.zeros(0), *values])
        whole = whole[np.isfinite(whole)]
        low = float(whole.min()) if scale.min is None and whole.size else scale.min
        high = float(whole.max()) if scale.max is None and whole.size else scale.max
        self.low = 0.0 if low is None else float(low)
        self.high = 1.0 if high is None else float(high)
        if getattr(scale, "reverse", False):
            self.start, self.end = end, start

    @property
    def step(self) -> float:
        """Room of one value of an ordinal scale."""
        return (self.end - self.start) / max(len(self.domain), 1)

    def __call__(self, value: Any) -> float:
        """The place of a value: of an ordinal one its middle; NaN where it has none."""
        if self.is_ordinal:
            place = self._order.get(_key(value))
            return math.nan if place is None else self.start + (place + 0.5) * self.step
        value = float(value)
        if isinstance(self.scale, bq.LogScale):
            if value <= 0 or self.low <= 0:
                return math.nan
            share = math.log(value / self.low) / (math.log(self.high / self.low) or 1.0)
        else:
            span = self.high - self.low
            share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def all(self, values: Iterable[Any]) -> list[float]:
        """The places of several values."""
        return [self(value) for value in values]


def _key(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _domain(scale: Any, data: Iterable[Any]) -> list[Any]:
    if len(scale.domain):
        return [_key(each) for each in scale.domain]
    found = dict.fromkeys(_key(each) for values in data for each in np.ravel(values))
    return list(found)[::-1] if scale.reverse else list(found)


def colour_scale(scale: Any, values: Any) -> Callable[[float], Colour]:
    """The colour of a value.

    Args:
        scale: A `ColorScale`, or None.
        values: All of them: they decide the ends that the scale does not say.
    """
    stops = [colour(each) for each in (getattr(scale, "colors", None) or DIVERGING)]
    known = np.asarray(values, np.float64).ravel()
    known = known[np.isfinite(known)]
    low = getattr(scale, "min", None)
    high = getattr(scale, "max", None)
    middle = getattr(scale, "mid", None)
    low = float(known.min()) if low is None and known.size else float(low or 0.0)
    high = (
        float(known.max()) if high is None and known.size else 1.0 if high is None else float(high)
    )

    def look_up(value: float) -> Colour:
        if middle is not None and low < middle < high:
            below = value < middle
            share = (value - low) / (middle - low) / 2 if below else 0.5
            if not below:
                share += (value - middle) / (high - middle) / 2
        else:
            share = (value - low) / (high - low) if high > low else 0.0
        return ramp(stops, share)

    return look_up


def ticks(low: float, high: float, count: int = 10) -> list[float]:
    """Round values from one to another, about so many."""
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return [low] if math.isfinite(low) else []
    low, high = min(low, high), max(low, high)
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    error = raw / power
    factor = (
        10 if error >= 7.0710678 else 5 if error >= 3.1622777 else 2 if error >= 1.4142136 else 1
    )
    step = factor * power
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def tick_texts(values: Sequence[float], form: str | None) -> list[str]:
    """Ticks in words: as `form` says (of d3, which is nearly Python's), else all equally exact."""
    if form:
        return [formatted(each, form) for each in values]
    if not values:
        return []
    largest = max(map(abs, values))
    step = min((abs(b - a) for a, b in pairwise(values)), default=largest or 1)
    if largest and (largest >= 1e6 or largest < 1e-4):
        return [f"{each:.2g}" for each in values]
    places = max(0, min(6, -math.floor(math.log10(step) + 1e-9))) if step else 2
    while places < 6 and any(abs(each - round(each, places)) > step / 1000 for each in values):
        places += 1  # such as of quarters
    return [_short(f"{each + 0.0:.{places}f}") for each in values]


def _short(text: str) -> str:
    """Without zeros that tell nothing."""
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "\u2212")


def formatted(value: float, form: str) -> str:
    """A number as d3 writes it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    try:
        return format(value, form.replace("~", "")).replace("-", "\u2212")
    except ValueError:
        return f"{value:.3g}"
