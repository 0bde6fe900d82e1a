"""Feature maps on a canvas in place of an image and a figure: how near to an echo that would come.

Palette codes go to the page as they are, in one binary trait, and a dozen lines of JavaScript
color them: no PNG is encoded or decoded, and no image is loaded before the next frame. A
benchmark, not a view: there is no hover, no click, no words, and nothing that `figure()` could
draw. A view would keep the transparent bqplot figure over the canvas for the first three, and the
codes in the kernel for the last; it would need another road for pictures in full color, and a
page saved without a kernel would need anywidget's part of it. Neither an image without a text of
its own nor a canvas tells a screen reader anything. `echo.py --rows keys` measures it.
"""

from typing import NamedTuple

import anywidget
import numpy as np
import traitlets as t

import actwidgets as aw
from actwidgets.views import feature_map_grid

DRAW = """
function render({model, el}) {
    const canvas = document.createElement('canvas');
    canvas.style.imageRendering = 'pixelated';
    el.append(canvas);
    let drawn = 0;
    const bytes = (name, Kind) => {
        const view = model.get(name);
        const copy = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
        return new Kind(copy);
    };
    const draw = () => {
        const [rows, columns, height, width] = model.get('shape');
        if (!rows) return;
        const codes = bytes('codes', Uint8Array), colors = bytes('colors', Uint32Array);
        if (canvas.height !== rows || canvas.width !== columns) {
            canvas.height = rows;
            canvas.width = columns;
        }
        canvas.style.height = height + 'px';
        canvas.style.width = width + 'px';
        const image = new ImageData(columns, rows);
        const pixels = new Uint32Array(image.data.buffer);
        for (let place = 0; place < codes.length; place++) pixels[place] = colors[codes[place]];
        canvas.getContext('2d').putImageData(image, 0, 0);
        drawn += 1;
        canvas.dataset.drawn = drawn;
    };
    model.on('change:codes change:colors', draw);
    draw();
}
export default {render};
"""


class Codes(NamedTuple):
    """What would be a PNG: `(row, column)` codes, and their `(code, 3)` colors."""

    codes: np.ndarray
    palette: np.ndarray


class CanvasPicture(anywidget.AnyWidget):
    """A canvas with as much of the interface of a `Picture` as a `FeatureMapGrid` needs."""

    _esm = DRAW
    shape = t.List([0, 0, 0, 0]).tag(sync=True)
    codes = t.Bytes().tag(sync=True)
    colors = t.Bytes().tag(sync=True)

    def set_size(self, height_px, width_px):
        """How large the picture is on the screen."""
        self._size = height_px, width_px

    def set_cells(self, _row_edges, _column_edges):
        """There are none."""

    def show(self, picture):
        """Paint other codes: one message, with the colors only where they are others."""
        opaque = np.full((len(picture.palette), 1), 255, np.uint8)
        with self.hold_sync():
            self.colors = np.hstack([picture.palette, opaque]).astype(np.uint8).tobytes()
            self.shape = [*picture.codes.shape, *self._size]
            self.codes = np.ascontiguousarray(picture.codes, np.uint8).tobytes()


class CanvasGrid(aw.FeatureMapGrid):
    """A `FeatureMapGrid` with a canvas."""

    def _build(self):
        children = super()._build()
        self._maps.close()
        self._maps = CanvasPicture()
        self._pictures.children = (self._inputs, self._maps)
        return children

    def _render(self, selection):
        png, feature_map_grid.palette_png = feature_map_grid.palette_png, Codes
        try:
            super()._render(selection)
        finally:
            feature_map_grid.palette_png = png
