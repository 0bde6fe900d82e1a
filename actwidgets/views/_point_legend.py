"""What the colours of points mean, as a line of HTML."""

import html
from collections.abc import Sequence

from actwidgets.core.arrays import Integers
from actwidgets.core.embeddings.point_colours import PointColours, most_frequent
from actwidgets.core.pictures.colormaps import TOP, css_colour
from actwidgets.views._controls import shorten

NAMES_UP_TO = 12
LETTERS = 16


def class_legend(classes: Integers, class_names: Sequence[str], colours: PointColours) -> str:
    """The names of the classes in their colours, the most frequent where there are many."""
    known = most_frequent(classes, len(class_names), NAMES_UP_TO)
    shown = [
        (shorten(class_names[index], LETTERS), _colour(colours, index % len(colours.palette)))
        for index in known
    ]
    left = len(class_names) - len(shown)
    return _line([_dot(*each) for each in shown] + ([f"and {left:,} more"] if left else []))


def outcome_legend(colours: PointColours) -> str:
    """Right and wrong, each with its number of points."""
    n_wrong = int(colours.codes.sum())
    counts = (len(colours.codes) - n_wrong, n_wrong)
    return _line(
        [
            _dot(f"{name} {count:,}", _colour(colours, code))
            for code, (name, count) in enumerate(zip(("right", "wrong"), counts, strict=True))
        ]
    )


def value_legend(unit: int, layer: str, colours: PointColours) -> str:
    """From the lowest to the highest value of a unit."""
    stops = ", ".join(_colour(colours, code) for code in (0, TOP // 2, TOP))
    ramp = f'<i class="aw-ramp" style="background: linear-gradient(90deg, {stops})"></i>'
    name = html.escape(f"unit {unit} of {layer}", quote=True)
    return _line([f"{name}: {colours.low:.3g} {ramp} {colours.high:.3g}"])


def plain_legend(text: str) -> str:
    """Words alone; they are escaped."""
    return _line([html.escape(text, quote=True)])


def _dot(name: str, colour: str) -> str:
    return f'<i style="background: {colour}"></i>{html.escape(name, quote=True)}'


def _colour(colours: PointColours, code: int) -> str:
    red, green, blue = (int(each) for each in colours.palette[code])
    return css_colour((red, green, blue))


def _line(parts: Sequence[str]) -> str:
    return f'<div class="aw-legend">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


LEGEND_SHEET = """<style>
.aw-legend { display: flex; flex-wrap: wrap; gap: 0 14px;
  font: 12px/20px var(--jp-ui-font-family, sans-serif); color: var(--jp-ui-font-color1, #212121); }
.aw-legend span { white-space: nowrap; }
.aw-legend i { display: inline-block; width: 9px; height: 9px; border-radius: 50%;
  margin-right: 5px; }
.aw-legend i.aw-ramp { width: 110px; border-radius: 2px; margin: 0 4px; }
</style>"""
