"""What the tests of kernels share: a layer of every kind, and how to read a tile."""

import re

import numpy as np
import shown
from fakes import FakeProbe

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import LayerError
from actwidgets.images.colormap import palette

SHAPES = {
    "color": (2, 3, 3, 100),
    "gray": (2, 3, 1, 5),
    "volume": (4, 2, 3, 2, 5),
    "series": (1, 6, 2, 5),
    "separable": (2, 3, 1, 6),
    "hidden": (1, 1, 24, 7),
    "out": (1, 1, 7, 3),
}


class Several(FakeProbe):
    """Layers of every kind, with seeded weights."""

    layers = (
        LayerInfo("color", "Conv2D", (None, 4, 6, 100), 100, 0),
        LayerInfo("gray", "Conv2D", (None, 4, 6, 5), 5, 0),
        LayerInfo("volume", "Conv3D", (None, 2, 2, 2, 5), 5, 0),
        LayerInfo("series", "Conv1D", (None, 4, 5), 5, 0),
        LayerInfo("separable", "SeparableConv2D", (None, 4, 6, 5), 5, 0),
        LayerInfo("pool", "MaxPooling2D", (None, 2, 3, 4), 4, 0),
        LayerInfo("flatten", "Flatten", (None, 24), 24, 0),
        LayerInfo("hidden", "Dense", (None, 7), 7, 0),
        LayerInfo("out", "Dense", (None, 3), 3, 0),
    )

    def kernels(self, layer):
        if layer not in SHAPES:
            raise LayerError("no kernels")
        generator = np.random.default_rng(len(layer))
        weights = generator.normal(size=SHAPES[layer]).astype(np.float32)
        weights.flat[-1] = 5  # the largest: of the last unit, in the last slice
        return weights


def tile(grid, channel, unit):
    """The pixels of a kernel within its margin; channels and units by their place on the page."""
    rows, columns = (len(each) - 1 for each in shown.edges(grid))
    n_channels = int((re.search(r"(\d+) of [\d,]+ input", shown.text(grid)) or [0, 1])[1])
    row, column = divmod(unit, columns)
    return shown.tile(grid, channel * (rows // n_channels) + row, column)[1:-1, 1:-1]


def shown_colors(grid, weights):
    """Colors of `(row, column)` weights on the symmetric scale that the note tells."""
    reach = float(re.search(r"colors from \S+ to ([\d.]+)", shown.text(grid))[1])
    codes = ((weights + reach) / (2 * reach) * 249 + 0.5).astype(int).clip(0, 249)
    return palette("RdBu_r")[codes].astype(int)


def pixels(grid, block, unit, shape):
    """A tile with its enlargement undone: one pixel for each weight."""
    found = tile(grid, block, unit)
    return found[:: found.shape[0] // shape[0], :: found.shape[1] // shape[1]].astype(int)
