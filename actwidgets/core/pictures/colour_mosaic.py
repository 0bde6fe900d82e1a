"""Small colour pictures in one: a mosaic whose tiles have colours of their own."""

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.pictures.colormaps import FRAME, FRAME_COLOUR, GAP
from actwidgets.core.pictures.mosaic import Mosaic


def colour_mosaic(
    mosaic: Mosaic, colours: NDArray[np.uint8], framed: int | None = None
) -> NDArray[np.uint8]:
    """Put coloured tiles in their places.

    Args:
        mosaic: Where they lie.
        colours: `(sample, row, column, unit, 3)` uint8.
        framed: The unit that has a frame.

    Returns:
        `(height, width, 4)` uint8, transparent where there is no tile.

    Raises:
        ShapeError: The colours are not those of this grid.
    """
    cover = mosaic.assemble(np.zeros(colours.shape[:-1], np.uint8))
    if framed is not None:
        mosaic.draw_frame(cover, framed)
    channels = [mosaic.assemble(colours[..., channel]) for channel in range(3)]
    pixels = np.stack([*channels, np.full_like(cover, 255)], axis=-1)
    pixels[cover == FRAME, :3] = FRAME_COLOUR
    pixels[cover == GAP] = 0
    return pixels
