"""Input images as people see them, and the PNG files that carry pictures to a browser."""

import io
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from actwidgets.core.arrays import as_maps, to_unit_range
from actwidgets.core.colormaps import GAP

Pixels = NDArray[np.uint8]


def is_image(shape: tuple[int | None, ...]) -> bool:
    """Whether samples of this shape, batch axis first, are `(row, column[, channel])`."""
    return len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))


def to_rgb(samples: ArrayLike, low: float, high: float) -> Pixels:
    """Samples as colour pictures.

    Args:
        samples: `(sample, row, column, channel)`, `(sample, row, column)`, or vectors
            `(sample, feature)`, which become one row of pixels.
        low: Value shown black.
        high: Value shown white.

    Returns:
        `(sample, row, column, 3)` uint8. One channel is grey, of four the first three are
        shown, and of any other number the mean over channels. Non-finite pixels are black.
    """
    samples = np.asarray(samples)
    if samples.ndim == 2:
        samples = samples[:, None, :, None]
    elif samples.ndim == 3:
        samples = samples[..., None]
    else:
        samples = as_maps(samples)
    scaled = np.nan_to_num(to_unit_range(samples, low=low, high=high), nan=0.0)
    if scaled.shape[-1] in (3, 4):
        scaled = scaled[..., :3]
    else:
        scaled = scaled.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    pixels: Pixels = (scaled * 255 + 0.5).astype(np.uint8)
    return pixels


def fit(pixels: Pixels, height: int, width: int) -> Pixels:
    """One picture in a box of `height` x `width`, with its proportions, in the middle.

    Args:
        pixels: `(row, column, 3)` uint8.
        height: Of the box.
        width: Of the box.

    Returns:
        `(height, width, 4)` uint8, transparent around the picture. Enlarged by whole pixels;
        reduced by averaging.
    """
    rows, columns = pixels.shape[:2]
    scale = min(height / rows, width / columns)
    if scale >= 1:
        scale = int(scale)
    new_height, new_width = max(1, round(rows * scale)), max(1, round(columns * scale))
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    resized = np.asarray(Image.fromarray(pixels).resize((new_width, new_height), method))
    box = np.zeros((height, width, 4), np.uint8)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    box[top : top + new_height, left : left + new_width, :3] = resized
    box[top : top + new_height, left : left + new_width, 3] = 255
    return box


def palette_png(codes: Pixels, colours: Pixels) -> bytes:
    """A PNG of palette codes.

    Args:
        codes: `(row, column)` uint8.
        colours: `(256, 3)` uint8; the code `GAP` is transparent whatever its colour.

    Cost: 0.1 to 1 ms for a mosaic; the fastest compression, since the link is local.
    """
    image = Image.fromarray(np.ascontiguousarray(codes))
    image.putpalette(colours.tobytes())
    return _encoded(image, transparency=GAP)


def rgba_png(pixels: Pixels) -> bytes:
    """A PNG of `(row, column, 4)` uint8 pixels."""
    return _encoded(Image.fromarray(np.ascontiguousarray(pixels)))


def _encoded(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", compress_level=1, **options)
    return file.getvalue()
