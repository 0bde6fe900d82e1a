"""A pixel image below a bqplot figure, repainted in place, with cells for hover and click."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
from ipywidgets.widgets.trait_types import CByteMemoryView
from numpy.typing import ArrayLike

from actwidgets.images.colormap import FRAME_COLOR, css_color

CLEAR = "rgba(0,0,0,0)"
FRAME_PX = 2


class Image(w.Image):
    """An image widget whose bytes go to the page as a data URL.

    Of plain bytes an `ipywidgets.Image` makes a blob, which the page has to ask back from
    another process of the browser before it can decode it.

    Attributes:
        value: The PNG.
    """

    value = CByteMemoryView(help="the PNG").tag(
        sync=True, to_json=lambda png, _image: _data_url(png) if png else b""
    )

    def __init__(self) -> None:
        # Not a default of the class: a saved page leaves those out, and the page's own is "png".
        super().__init__(format="url")


def _data_url(png: bytes) -> bytes:
    return b"data:image/png;base64," + base64.b64encode(png)


class Picture(w.Box):
    """A picture made of pixels.

    A new one is a single message: the value of an image widget. Over it lies a
    transparent figure with a grid of cells for hover and click, and with words. An image mark
    in the figure would take two, as bqplot repaints only when the mark is given another widget.

    Args:
        with_words: Whether `set_words` will be used.
        with_frames: Whether `set_frames` will be used.
    """

    def __init__(self, *, with_words: bool = False, with_frames: bool = False) -> None:
        # Without padding: words would have bqplot leave a margin, and cells lie beside pixels.
        self._x = bq.LinearScale(min=0, max=1, allow_padding=False)
        self._y = bq.LinearScale(min=0, max=1, reverse=True, allow_padding=False)
        self.scales = {"x": self._x, "y": self._y}
        self.image = Image()
        self.cells = bq.GridHeatMap(
            color=np.zeros((2, 2), np.float32),
            row=np.array([0, 1, 1], np.float32),
            column=np.array([0, 1, 1], np.float32),
            scales={
                "row": self._y,
                "column": self._x,
                "color": bq.ColorScale(colors=[CLEAR, CLEAR], min=0, max=1),
            },
            stroke=CLEAR,
            null_color=CLEAR,
        )
        self.words: bq.Label | None = None
        if with_words:
            self.words = bq.Label(
                x=[],
                y=[],
                text=[],
                scales=self.scales,
                align="middle",
                default_size=10,
                font_weight="normal",
            )
        self.frames: bq.Lines | None = None
        if with_frames:
            self.frames = bq.Lines(
                x=[0, 0],
                y=[0, 0],
                scales=self.scales,
                colors=[css_color(FRAME_COLOR)],
                stroke_width=FRAME_PX,
                visible=False,
            )
        marks = [mark for mark in (self.frames, self.cells, self.words) if mark is not None]
        self.figure = plain_figure(marks, scale_x=self._x, scale_y=self._y)
        self._size: tuple[int, int] | None = None
        self._edges: tuple[bytes, bytes] | None = None
        self._hover: CellHover | None = None
        self._words: tuple[list[str], list[str], bytes] | None = None
        self._frames: tuple[bytes, int | None] | None = None
        # No bars to scroll by: the margin of the figure alone would bring them up.
        layout = {"overflow": "hidden", "flex": "0 0 auto"}
        super().__init__(children=(self.image, self.figure), layout=layout)
        self.add_class("aw-picture")  # which lays the figure over the image

    def show(self, png: bytes) -> None:
        """Paint another picture of the size that `set_size` gave."""
        self.image.value = png

    def set_size(self, height_px: int, width_px: int) -> None:
        """How large the picture is on the screen."""
        if (height_px, width_px) == self._size:
            return
        self._size = height_px, width_px
        height, width = f"{height_px}px", f"{width_px}px"
        for layout in (self.image.layout, self.figure.layout):
            with layout.hold_sync():
                layout.height, layout.width = height, width
                layout.min_height, layout.min_width = height, width
        self.layout.min_width = width  # so that what is around it can scroll

    def set_cells(self, row_edges: ArrayLike, column_edges: ArrayLike) -> None:
        """Where the cells lie.

        Args:
            row_edges: `(row + 1,)` ascending from the top.
            column_edges: `(column + 1,)` ascending from the left.

        The picture spans from the first edge to the last.
        """
        rows, columns = _with_spare(row_edges), _with_spare(column_edges)
        edges = rows.tobytes(), columns.tobytes()
        if edges == self._edges:
            return
        self._edges = edges
        self._x.max, self._y.max = float(columns[-1]), float(rows[-1])
        with self.cells.hold_sync(), self.cells.hold_trait_notifications():
            self.cells.color = np.zeros((len(rows) - 1, len(columns) - 1), np.float32)
            self.cells.row, self.cells.column = rows, columns
        if self._hover is not None:
            self._hover.leave()  # if the mouse is over another cell now, that is told anew

    def set_words(self, places: ArrayLike, texts: Sequence[str], colors: Sequence[str]) -> None:
        """Write words over the picture, in the middle of their places.

        Args:
            places: `(word, 2)`: x and y, in the lengths of the cells.
            texts: One per place.
            colors: One per place, as CSS.
        """
        assert self.words is not None
        places = np.asarray(places, np.float32).reshape(-1, 2)
        key = list(texts), list(colors), places.tobytes()
        if key == self._words:
            return
        self._words = key
        with self.words.hold_sync(), self.words.hold_trait_notifications():
            self.words.colors = list(colors)
            self.words.x, self.words.y = places[:, 0], places[:, 1]
            self.words.text = np.array(texts, dtype=str)

    def set_frames(self, edges: ArrayLike, *, bold: int | None = None) -> None:
        """Draw frames `FRAME_PX` wide, between the words and the cells' pixels.

        Args:
            edges: `(frame, 4)`: the middles of the line at the top, right, bottom and left, in
                the lengths of the cells, which are pixels here.
            bold: The frame that is half as wide again, outward.
        """
        assert self.frames is not None
        edges = np.asarray(edges, np.float32).reshape(-1, 4)
        key = edges.tobytes(), bold
        if key == self._frames:
            return
        self._frames = key
        inner, outer = edges, edges.copy()
        if bold is not None:  # all lines of a mark are equally wide: a second one around it
            outer[bold] += FRAME_PX / 2 * np.array([-1, 1, 1, -1])
        around = [_around(each) for each in (inner, outer)]
        with self.frames.hold_sync(), self.frames.hold_trait_notifications():
            if len(edges):
                self.frames.x, self.frames.y = map(np.hstack, zip(*around, strict=True))
            self.frames.visible = bool(len(edges))

    def on_click(self, handler: Callable[[int, int], None]) -> None:
        """Call `handler(row, column)` when a cell is clicked."""
        self.cells.on_element_click(lambda _mark, event: handler(*cell_of(event)))

    def on_hover(self, handler: Callable[..., None]) -> None:
        """Call `handler(row, column)` as the mouse comes over a cell, `handler()` for none."""
        self._hover = CellHover(self.cells, handler)


class CellHover:
    """Follows the mouse over the cells of a `GridHeatMap`.

    bqplot tells of every cell that the mouse comes over, and not that it leaves; for that see
    `Readout`.

    Args:
        mark: The cells.
        over: Called with row and column, and with nothing where there are other cells now.
    """

    def __init__(self, mark: bq.GridHeatMap, over: Callable[..., None]) -> None:
        self._over = over
        self._cell: tuple[int, int] | None = None
        mark.on_hover(self._on_message)

    def _on_message(self, _mark: Any, event: Any) -> None:
        self._cell = cell_of(event)
        self._over(*self._cell)

    def leave(self) -> None:
        """Forget the cell."""
        if self._cell is not None:
            self._cell = None
            self._over()

    def again(self) -> None:
        """Tell the cell once more: it means something else now."""
        if self._cell is not None:
            self._over(*self._cell)


def plain_figure(
    marks: Sequence[bq.Mark], *, margin: dict[str, int] | None = None, **options: Any
) -> bq.Figure:
    """A figure that fills its layout, whatever its proportions, with nothing behind it."""
    return bq.Figure(
        marks=list(marks),
        fig_margin=margin or {"top": 0, "bottom": 0, "left": 0, "right": 0},
        padding_x=0,
        padding_y=0,
        min_aspect_ratio=0.001,
        max_aspect_ratio=1000,
        background_style={"fill": "none"},
        animation_duration=0,
        display_toolbar=False,  # it comes up under the mouse, and takes clicks meant for cells
        **options,
    )


def _around(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines around `(frame, 4)` edges, x and y; amid an edge they meet without a notch."""
    top, right, bottom, left = edges.T
    middle = (left + right) / 2
    across, down = (middle, right, right, left, left, middle), (top, top, bottom, bottom, top, top)
    return np.stack(across, 1), np.stack(down, 1)


def _with_spare(edges: ArrayLike) -> np.ndarray:
    """The edges and a last cell of no size: bqplot drops axes of length 1."""
    edges = np.asarray(edges, np.float32)
    return np.append(edges, edges[-1])


def cell_of(event: Any) -> tuple[int, int]:
    """Row and column of the cell that a click or hover message of a `GridHeatMap` is about."""
    cell = event.get("data") or event["point"]
    return int(cell["rowNum"]), int(cell["columnNum"])
