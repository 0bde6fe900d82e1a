"""A picture on which the mouse draws, moves and takes away a rectangle."""

from collections.abc import Callable
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.core.interventions.disturbance import patch_between
from actwidgets.core.pictures.colormaps import FRAME_COLOUR, css_colour
from actwidgets.core.pictures.images import Pixels, fit, rgba_png
from actwidgets.views._picture import Picture

SMALL = 128  # pixels; pictures up to there are shown with hard edges
SHEET = f"""<style>
.aw-patch .bqplot > svg .brushintsel .selection {{ fill-opacity: 0;
  stroke: {css_colour(FRAME_COLOUR)}; stroke-width: 2px; shape-rendering: crispEdges; }}
.aw-patch.aw-small image {{ image-rendering: pixelated; }}
</style>"""
Patch = tuple[int, int, int, int]
Edges = tuple[tuple[float, ...], tuple[float, ...]]  # down and across the picture


class PatchPicture(w.Box):
    """A picture enlarged, and a rectangle over it that the mouse moves.

    Args:
        shape: Rows and columns of the model's input, in whose pixels the patch is told.
        side_px: The longer side on the screen.
        on_patch: Called with `(top, left, height, width)` when the mouse moves the rectangle,
            with None when it is taken away by a click beside it.
    """

    def __init__(
        self, shape: tuple[int, ...], side_px: int, on_patch: Callable[[Patch | None], None]
    ) -> None:
        self._shape, self._side_px, self._tell = shape, side_px, on_patch
        self._patch: Patch | None = None
        self.picture = Picture()
        scales = self.picture.image.scales
        self.brush = bq.interacts.BrushSelector(x_scale=scales["x"], y_scale=scales["y"])
        self._shown: Any = self._edges()
        self.brush.observe(self._on_user_brush, names=["selected_x", "selected_y", "brushing"])
        self.picture.figure.interaction = self.brush
        sheet = w.HTML(SHEET, layout={"display": "none"})
        super().__init__(children=(sheet, self.picture), layout={"overflow": "hidden"})
        self.add_class("aw-patch")
        if max(shape, default=0) <= SMALL:
            self.add_class("aw-small")

    def show(self, pixels: Pixels, patch: Patch | None) -> None:
        """Paint the picture and put the rectangle where the patch is.

        While the mouse drags the rectangle it is left alone: it gets its whole pixels when the
        mouse lets go.

        Args:
            pixels: `(row, column, 3)` uint8, as `Session.pictures` gives them.
            patch: `(top, left, height, width)`, or None.
        """
        rows, columns = self._shape
        scale = self._side_px / max(pixels.shape[:2])
        self.picture.set_size(*(max(1, round(side * scale)) for side in pixels.shape[:2]))
        self.picture.set_cells([0, rows], [0, columns])
        self.picture.show(rgba_png(fit(pixels, *pixels.shape[:2])))
        self._patch = patch
        if not self.brush.brushing:
            self._put(self._edges_of(patch))

    def _edges_of(self, patch: Patch | None) -> Edges | None:
        """The part of a patch that lies on the picture; None where there is none."""
        if patch is None:
            return None
        top, left, height, width = patch
        rows = max(top, 0), min(top + height, self._shape[0])
        columns = max(left, 0), min(left + width, self._shape[1])
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return None
        return rows, columns

    def _put(self, wanted: Edges | None) -> None:
        """Lay the rectangle there."""
        self._shown = wanted
        if wanted == self._edges():
            return
        down, across = (None, None) if wanted is None else np.array(wanted, np.float64)
        with self.brush.hold_sync(), self.brush.hold_trait_notifications():
            self.brush.selected_x, self.brush.selected_y = across, down

    def _edges(self) -> Edges | None:
        """The rectangle as it lies there now."""
        across, down = self.brush.selected_x, self.brush.selected_y
        if across is None or down is None or not (len(across) and len(down)):
            return None
        return tuple(map(float, down)), tuple(map(float, across))

    def _on_user_brush(self, _change: Any) -> None:
        edges = self._edges()
        if edges != self._shown and not (edges is None and self.brush.brushing):
            self._shown = edges
            self._tell(None if edges is None else self._patch_at(edges))
        if not self.brush.brushing:
            self._put(self._edges_of(self._patch))

    def _patch_at(self, edges: Edges) -> Patch:
        return patch_between(*edges, self._shape)
