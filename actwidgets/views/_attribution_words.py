"""What an attribution view says in words: captions, the legend of its colours, its account."""

import html
from collections.abc import Sequence

import numpy as np

from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.method import Method
from actwidgets.core.pictures.attribution_pictures import COLOURINGS
from actwidgets.core.pictures.colormaps import TOP, palette
from actwidgets.views._controls import note, shorten

FEATURES = 6  # of a table, that are named
STOPS = 9  # colours of which the legend is mixed


def figure(value: float) -> str:
    """A number as short as it may be read."""
    return "–" if not np.isfinite(value) else f"{value:.3g}"


def caption(attribution: Attribution, place: int, class_name: str) -> str:
    """The second line below a tile: the score asked about, and how much its parts miss."""
    told = f"S({shorten(class_name, 12)}) {figure(float(attribution.scores[place]))}"
    gap, share = float(attribution.gap[place]), float(attribution.gap_share[place])
    if not np.isfinite(gap):
        return told
    return f"{told} · gap {share:.2%}" if share < 10 else f"{told} · gap {figure(gap)}"


def sample_told(row: int, true: str | None, asked: str) -> str:
    """The first line below a tile: the sample, and whether it is what was asked about."""
    if true is None:
        return f"sample {row}"
    return f"sample {row} ✓" if true == asked else f"sample {row}, is {shorten(true, 12)}"


def legend(
    colouring: str, limits: Sequence[float], *, shared: bool, score: str, has_negative: bool
) -> str:
    """The colours and what their ends mean, and what the score S is, as HTML."""
    if not any(limits):
        return f'<div class="aw-note">zero everywhere · S: {score}</div>'
    is_signed = colouring == "signed"
    first = TOP // 2 if is_signed and not has_negative else 0  # half of them are not used
    codes = np.linspace(first, TOP, STOPS).astype(int)
    colours = palette(COLOURINGS[colouring])[codes]
    stops = ", ".join("rgb({},{},{})".format(*each) for each in colours)
    low, high = ("against", "for") if is_signed else ("nothing", "most")
    if shared or len(limits) == 1:
        low, high = f"-{figure(limits[0])}", figure(limits[0])
    if not (is_signed and has_negative):
        low = "0"
    bar = (
        f'<span style="display:inline-block;width:120px;height:10px;margin:0 6px;'
        f'background:linear-gradient(to right,{stops})"></span>'
    )
    scale = ""
    if len(limits) > 1:
        scale = ", one scale for all" if shared else ", each on a scale of its own"
    return f'<div class="aw-note">{low}{bar}{high}{scale} · S: {score}</div>'


def features_told(row: int, attribution: Attribution, place: int, names: Sequence[str]) -> str:
    """Which features of a sample speak most, by name; "" where they have no names."""
    most = attribution.by_feature(place, names)[:FEATURES]
    if not most:
        return ""
    told = ", ".join(f"{shorten(name, 20)} {value:+.3g}" for name, value in most)
    return f"sample {row}: {told}"


def account(method: Method, attributions: Sequence[Attribution], *, is_value: bool = False) -> str:
    """What the map means, what its sum promises, and what went wrong, as HTML.

    Args:
        method: That made the maps.
        attributions: The maps.
        is_value: Whether they are of an output that is a value, of no class.
    """
    told = [method.tells.replace("the class", "the output") if is_value else method.tells]
    if method.promise:
        told.append(f"Its values sum to {method.promise}.")
    told += sorted({each.note for each in attributions if each.note})
    source = f' <span style="opacity:.75">{html.escape(method.source)}</span>'
    return note(" ".join(told)).removesuffix("</div>") + source + "</div>"
