"""What an attribution view says in words: captions, the legend of its colours, its account."""

import html
from collections.abc import Sequence

import numpy as np

from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.method import Method
from actwidgets.core.pictures.attribution_pictures import COLOURINGS
from actwidgets.core.pictures.colormaps import TOP, palette
from actwidgets.views._controls import note, shorten

STOPS = 9  # colours of which the legend is mixed


def figure(value: float) -> str:
    """A number as short as it may be read."""
    return "–" if not np.isfinite(value) else f"{value:.3g}"


def gap_told(attribution: Attribution, place: int) -> str:
    """By how much the sum is missed, beside the score; "" where none is promised."""
    gap = float(attribution.gap[place])
    if not np.isfinite(gap):
        return ""
    score = abs(float(attribution.scores[place]))
    share = abs(gap) / score if score else np.inf
    return f"gap {share:.2%}" if share < 10 else f"gap {figure(gap)}"


def caption(attribution: Attribution, place: int, class_name: str) -> str:
    """The second line below a tile: the score asked about, and the gap."""
    score = f"{shorten(class_name, 12)} {figure(float(attribution.scores[place]))}"
    return " · ".join(filter(None, (score, gap_told(attribution, place))))


def sample_told(row: int, true: str | None, asked: str) -> str:
    """The first line below a tile: the sample, and whether it is what was asked about."""
    if true is None:
        return f"sample {row}"
    return f"sample {row} ✓" if true == asked else f"sample {row}, is {shorten(true, 12)}"


def legend(colouring: str, limits: Sequence[float], *, shared: bool) -> str:
    """The colours and what their ends mean, as HTML."""
    codes = np.linspace(0, TOP, STOPS).astype(int)
    stops = ", ".join(
        "rgb({},{},{})".format(*palette(COLOURINGS[colouring])[each]) for each in codes
    )
    if shared or len(limits) == 1:
        end = figure(limits[0])
        low, high = (f"-{end}", f"+{end}") if colouring == "signed" else ("0", end)
    else:
        low, high = ("against", "for") if colouring == "signed" else ("nothing", "most")
    bar = (
        f'<span style="display:inline-block;width:120px;height:10px;margin:0 6px;'
        f'background:linear-gradient(to right,{stops})"></span>'
    )
    scale = ""
    if len(limits) > 1:
        scale = " (one scale for all)" if shared else " (each on a scale of its own)"
    return f'<div class="aw-note">{low}{bar}{high}{scale}</div>'


def account(method: Method, attributions: Sequence[Attribution]) -> str:
    """What the map means, what its sum promises, and what went wrong, as HTML."""
    told = [method.tells]
    if method.promise:
        told.append(f"Its values sum to {method.promise}.")
    told += sorted({each.note for each in attributions if each.note})
    source = f' <span style="opacity:.75">{html.escape(method.source)}</span>'
    return note(" ".join(told)).removesuffix("</div>") + source + "</div>"
