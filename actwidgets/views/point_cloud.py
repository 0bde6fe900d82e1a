"""A canvas scatter plot with lasso, its colors and legend."""

import colorsys
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets as t
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Integers, finite_range, to_unit_range
from actwidgets.images.colormap import NAN, NAN_COLOR, TOP, css_color
from actwidgets.views.controls import shorten

# Ten colors that readers of any color vision tell apart as far as ten can be, on white and
# on black: searched for the largest of the least distances in OKLab between two of them, with
# normal vision (0.19) and without one of the three kinds of cones (0.10, Machado 2009).
_TEN = "007ea9 eb6e00 02b075 bc336e 9879fa becd07 04c4ff 6e38b2 1d6e10 f98ac3"
_MOST = 250  # further classes begin anew
_GOLDEN = 0.61803398875  # of the color circle: neighbors in number are far apart in hue
RIGHT_OR_WRONG = ("93a7ba", "e5401f")  # what is right stays quiet
_RAMP = ("a3b1bd", "e9b44c", "d1223f")  # from no activity on; none is lost on white or black
ONE = "007ea9"


@dataclass(frozen=True)
class PointColors:
    """Colors of points: `(point,)` places in a `(color, 3)` palette.

    Rising, points of higher code are to lie on top. Where colors are values, `low` is that of the
    first one and `high` that of the last.
    """

    codes: NDArray[np.uint8]
    palette: NDArray[np.uint8]
    rising: bool = False
    low: float | None = None
    high: float | None = None


@cache
def class_palette(n_classes: int) -> NDArray[np.uint8]:
    """A color for each class: `(class, 3)` uint8, read-only; at most 250 of them.

    Of more than ten classes hues and lightness vary; they cannot all be told apart.
    """
    if n_classes <= 10:
        colors = _rgb(*_TEN.split()[: max(n_classes, 1)])
    else:
        made = [
            colorsys.hls_to_rgb(index * _GOLDEN % 1, (0.42, 0.56, 0.68)[index % 3], 0.62)
            for index in range(min(n_classes, _MOST))
        ]
        colors = (np.array(made) * 255).round().astype(np.uint8)
    colors.flags.writeable = False
    return colors


def by_class(classes: Integers, n_classes: int) -> PointColors:
    """Colors of `(point,)` class indices."""
    palette = class_palette(n_classes)
    return PointColors((classes % len(palette)).astype(np.uint8), palette)


def by_outcome(predicted: Integers, labels: Integers) -> PointColors:
    """Two colors: right ones, and on top of them wrong ones; of `(point,)` class indices."""
    return PointColors((predicted != labels).astype(np.uint8), _rgb(*RIGHT_OR_WRONG), True)


def by_value(values: Array) -> PointColors:
    """A color for each `(point,)` value, the largest on top.

    NaN and infinity have a color of their own, on top of all.
    """
    low, high = finite_range(values)
    shares = to_unit_range(values, low=low, high=high)
    lost = np.isnan(shares)
    codes = np.where(lost, NAN, np.nan_to_num(shares) * TOP + 0.5).astype(np.uint8)
    palette = np.zeros((NAN + 1, 3), np.uint8)
    places = np.linspace(0, len(_RAMP) - 1, TOP + 1)
    steps = _rgb(*_RAMP)
    palette[: TOP + 1] = np.stack(
        [np.interp(places, range(len(steps)), channel) for channel in steps.T], axis=1
    ).round()
    palette[NAN] = NAN_COLOR
    return PointColors(codes, palette, True, low, high)


def in_one_color(n_points: int) -> PointColors:
    """All points alike."""
    return PointColors(np.zeros(n_points, np.uint8), _rgb(ONE))


def most_frequent(classes: Integers, n_classes: int, limit: int) -> list[int]:
    """At most `limit` classes, those of most points, in the order of their index."""
    counts = np.bincount(classes, minlength=n_classes)
    return sorted(int(index) for index in np.argsort(-counts, kind="stable")[:limit])


def _rgb(*colors: str) -> NDArray[np.uint8]:
    return np.array([tuple(bytes.fromhex(color)) for color in colors], np.uint8)


NAMES_UP_TO = 12
LETTERS = 16


def class_legend(classes: Integers, class_names: Sequence[str], colors: PointColors) -> str:
    """The names of the classes in their colors, the most frequent where there are many."""
    known = most_frequent(classes, len(class_names), NAMES_UP_TO)
    shown = [
        _dot(shorten(class_names[index], LETTERS), colors, index % len(colors.palette))
        for index in known
    ]
    left = len(class_names) - len(shown)
    return _line([*shown, f"and {left:,} more"] if left else shown)


def outcome_legend(colors: PointColors) -> str:
    """Right and wrong, each with its number of points."""
    n_wrong = int(colors.codes.sum())
    right = _dot(f"right {len(colors.codes) - n_wrong:,}", colors, 0)
    return _line([right, _dot(f"wrong {n_wrong:,}", colors, 1)])


def value_legend(unit: int, layer: str, colors: PointColors) -> str:
    """From the lowest to the highest value of a unit."""
    stops = ", ".join(_color(colors, code) for code in (0, TOP // 2, TOP))
    ramp = f'<i class="aw-ramp" style="background: linear-gradient(90deg, {stops})"></i>'
    name = html.escape(f"unit {unit} of {layer}", quote=True)
    return _line([f"{name}: {colors.low:.3g} {ramp} {colors.high:.3g}"])


def plain_legend(text: str) -> str:
    """Words alone; they are escaped."""
    return _line([html.escape(text, quote=True)])


def _dot(name: str, colors: PointColors, code: int) -> str:
    return f'<i style="background: {_color(colors, code)}"></i>{html.escape(name)}'


def _color(colors: PointColors, code: int) -> str:
    red, green, blue = (int(part) for part in colors.palette[code])
    return css_color((red, green, blue))


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


HERE = Path(__file__).parent
MARGIN_PX = 14  # around the points, as in `_point_cloud.js`
POINT = 72 / 96  # of a pixel: matplotlib's unit of sizes
RASTERIZED_FROM = 2000  # points in a file of vector graphics
PLAIN, CHOSEN, IN_FOCUS = 0, 1, 2  # what a point may be in the mask


class PointCloud(anywidget.AnyWidget):
    """Points in the plane, colored by a palette.

    Where more than one is chosen, the others are dimmed; the current one has a ring. A drag is
    a lasso or a box, a click takes the point under it, shift adds; a double click or Escape
    takes the choice back. The arrow keys go from point to point, Enter chooses.

    Args:
        on_choose: Called with `(point,)` int64 indices, and whether they are added.
        on_clear: Called when the choice is taken back.
        on_hover: Called with the point under the mouse, -1 for none; answers with `show_card`.
    """

    _esm = "".join((HERE / f"_point_{part}.js").read_text("utf-8") for part in ("places", "cloud"))
    _css = (HERE / "_point_cloud.css").read_text("utf-8")  # anywidget keeps what it gives a path

    points = t.Bytes(b"", help="(point, 2) float32").tag(sync=True)
    codes = t.Bytes(b"", help="(point,) uint8 places in the palette").tag(sync=True)
    palette = t.Bytes(b"", help="(color, 3) uint8").tag(sync=True)
    mask = t.Bytes(b"", help="(point,) uint8").tag(sync=True)
    rising = t.Bool(False, help="points of higher code lie on top").tag(sync=True)
    fill = t.Bool(False, help="each axis has a scale of its own").tag(sync=True)
    gesture = t.Enum(("lasso", "box"), "lasso", help="what a drag draws").tag(sync=True)
    label = t.Unicode("", help="what a screen reader says").tag(sync=True)
    width_px = t.Int(340).tag(sync=True)
    height_px = t.Int(340).tag(sync=True)

    def __init__(
        self,
        *,
        on_choose: Callable[[np.ndarray, bool], None],
        on_clear: Callable[[], None],
        on_hover: Callable[[int], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._on_choose, self._on_clear, self._on_hover = on_choose, on_clear, on_hover
        self.on_msg(self._on_message)

    @property
    def count(self) -> int:
        """How many points there are."""
        return len(self.points) // 8

    def show(self, points: np.ndarray) -> None:
        """Show `(point, 2)` float32 points."""
        self.points = np.ascontiguousarray(points, "<f4").tobytes()

    def color(self, codes: np.ndarray, palette: np.ndarray, *, rising: bool = False) -> None:
        """Color the points: `(point,)` places in a `(color, 3)` uint8 palette."""
        self.codes = codes.astype(np.uint8).tobytes()
        self.palette = palette.astype(np.uint8).tobytes()
        self.rising = rising

    def emphasize(self, mask: np.ndarray) -> None:
        """Say of each point whether it is `PLAIN`, `CHOSEN` or `IN_FOCUS`: `(point,)` uint8."""
        self.mask = mask.astype(np.uint8).tobytes()

    def show_card(self, point: int, png: bytes, lines: Sequence[str]) -> None:
        """Show a card beside a point, if the mouse is still there: a picture and words."""
        self.send({"event": "card", "point": point, "lines": list(lines)}, [png])

    def mark(self, point: int) -> None:
        """Draw a ring around a point; -1 takes it away."""
        self.send({"event": "mark", "point": point})

    def draw_on(self, axes: Any, foreground: str) -> None:
        """Draw the points as `_point_cloud.js` does, into matplotlib's axes of the same size."""
        points = np.frombuffer(bytes(self.points), "<f4").reshape(-1, 2).astype(np.float64)
        if not len(points):
            return
        size = np.array([self.width_px, self.height_px], np.float64)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        spans = np.ptp(points, axis=0)
        scales = (size - 2 * MARGIN_PX) / np.where(spans > 0, spans, 1.0)  # pixels to a unit
        if not self.fill:
            scales[:] = min(scales[spans > 0], default=1.0)
        (left, bottom), (right, top) = middle - size / scales / 2, middle + size / scales / 2
        axes.set(xlim=(left, right), ylim=(bottom, top))
        codes, mask = (
            np.resize(np.frombuffer(bytes(codes), np.uint8), len(points)) if codes else
            np.zeros(len(points), np.uint8) for codes in (self.codes, self.mask)
        )  # fmt: skip
        palette = np.frombuffer(bytes(self.palette), np.uint8).reshape(-1, 3)
        palette = palette if len(palette) else np.full((1, 3), 128, np.uint8)
        radius = max(1.6, min(4.0, 120 / np.sqrt(len(points))))
        order = np.argsort(codes, kind="stable") if self.rising else np.arange(len(points))
        dims = np.count_nonzero(mask) > 1
        layers = [(order, radius, 0.82)]
        if dims:
            faint, strong = order[mask[order] == 0], order[mask[order] > 0]
            layers = [(faint, radius, 0.13), (strong, radius + 0.5, 0.95)]
        for rows, radius_px, alpha in layers:
            axes.scatter(
                *points[rows].T, s=(2 * radius_px * POINT) ** 2, alpha=alpha, linewidths=0,
                c=palette[codes[rows] % len(palette)] / 255,
                rasterized=len(points) > RASTERIZED_FROM,
            )  # fmt: skip
        focus = points[mask == IN_FOCUS]
        axes.scatter(
            *focus.T, s=(2 * (radius + 3) * POINT) ** 2, facecolors="none",
            edgecolors=foreground, linewidths=2 * POINT,
        )  # fmt: skip

    def _on_message(self, _widget: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        event = content.get("event")
        if event == "hover":
            self._on_hover(min(int(content["point"]), self.count - 1))
        elif event == "clear":
            self._on_clear()
        elif event == "choose":
            points = np.frombuffer(buffers[0], "<u4").astype(np.int64)
            self._on_choose(points[points < self.count], bool(content["adds"]))
