"""PNG files that are kept: smaller than those that only cross to a browser, and slower made."""

import io
from typing import Any

import numpy as np
from PIL import Image

from actwidgets.core.arrays import Array
from actwidgets.core.pictures.colormaps import GAP, palette
from actwidgets.errors import DataError


def codes_png(codes: Array, colours: str) -> bytes:
    """A PNG of palette codes, transparent where there is no tile.

    Args:
        codes: `(row, column)` uint8.
        colours: Name of a colour map.

    Raises:
        DataError: No such colour map.
    """
    image = Image.fromarray(np.ascontiguousarray(codes))
    image.putpalette(palette(colours).tobytes())
    return _encoded(image, transparency=GAP)


def pixels_png(pixels: Array) -> bytes:
    """A PNG of pixels.

    Args:
        pixels: `(row, column)`, `(row, column, 3)` or `(row, column, 4)` uint8.

    Raises:
        DataError: Pixels of another kind.
    """
    pixels = np.asarray(pixels)
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not is_picture or 0 in pixels.shape:
        raise DataError(
            "a picture is (row, column), (row, column, 3) or (row, column, 4) uint8; "
            f"got {pixels.dtype} of shape {pixels.shape}"
        )
    return _encoded(Image.fromarray(np.ascontiguousarray(pixels)))


def _encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", compress_level=9, **options)
    return file.getvalue()
