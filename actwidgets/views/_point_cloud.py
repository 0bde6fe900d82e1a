"""A widget that paints points on a canvas: 10,000 of them while a mouse moves over them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets as t

HERE = Path(__file__).parent
MARGIN_PX = 14  # around the points, as in `_point_cloud.js`
POINT = 72 / 96  # of a pixel: matplotlib's unit of sizes
RASTERIZED_FROM = 2000  # points in a file of vector graphics
PLAIN, CHOSEN, IN_FOCUS = 0, 1, 2  # what a point may be in the mask


class PointCloud(anywidget.AnyWidget):
    """Points in the plane, coloured by a palette.

    Where more than one is chosen, the others are dimmed; the one in focus has a ring. A drag is
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
    palette = t.Bytes(b"", help="(colour, 3) uint8").tag(sync=True)
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

    def colour(self, codes: np.ndarray, palette: np.ndarray, *, rising: bool = False) -> None:
        """Colour the points: `(point,)` places in a `(colour, 3)` uint8 palette."""
        self.codes = codes.astype(np.uint8).tobytes()
        self.palette = palette.astype(np.uint8).tobytes()
        self.rising = rising

    def emphasise(self, mask: np.ndarray) -> None:
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
            np.resize(np.frombuffer(bytes(each), np.uint8), len(points)) if each else
            np.zeros(len(points), np.uint8) for each in (self.codes, self.mask)
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
