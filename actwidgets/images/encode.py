"""Arrays as PNG bytes, and input images as RGB."""

import struct
import textwrap
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from actwidgets.core.arrays import as_maps, to_unit_range
from actwidgets.images.colormap import FRAME_COLOR, GAP

Pixels = NDArray[np.uint8]
Box = tuple[tuple[int, int], tuple[int, int]]  # first row and the one behind the last; columns
OUTLINE_PX = 2  # around a part of a picture
_LETTER_PX = 11
_LONG = 4  # a picture so many times longer than wide is a sequence


def is_image(shape: tuple[int | None, ...]) -> bool:
    """Whether samples of this shape, batch axis first, are `(row, column[, channel])`."""
    return len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))


def to_rgb(samples: ArrayLike, low: float, high: float) -> Pixels:
    """Samples as color pictures.

    Args:
        samples: `(sample, row, column, channel)`, `(sample, row, column)`, or vectors
            `(sample, feature)`, which become one row of pixels.
        low: Value shown black.
        high: Value shown white.

    Returns:
        `(sample, row, column, 3)` uint8; the rows of a thin band are repeated. One channel is
        gray, of four the first three are shown, and of any other number the mean over
        channels. Non-finite pixels are black.
    """
    samples = np.asarray(samples)
    if samples.ndim == 2:
        samples = samples[:, None, :, None]
    elif samples.ndim == 3:
        samples = samples[..., None]
    else:
        samples = as_maps(samples)
    scaled = to_unit_range(samples, low=low, high=high)
    scaled[np.isnan(scaled)] = 0
    if scaled.shape[-1] in (3, 4):
        scaled = scaled[..., :3]
    elif scaled.shape[-1] > 1:
        scaled = scaled.mean(axis=-1, keepdims=True)
    pixels: Pixels = (scaled * 255 + 0.5).astype(np.uint8)
    if pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, axis=-1)
    if pixels.shape[2] > _LONG * pixels.shape[1]:  # a thread: make it a band
        pixels = pixels.repeat(max(1, pixels.shape[2] // (_LONG * pixels.shape[1])), axis=1)
    return pixels


def text_pictures(texts: Sequence[Any], side: int = 60) -> Pixels:
    """Texts as pictures: dark letters on white, as many as there is room for.

    Args:
        texts: One per sample; `bytes` are read as UTF-8.
        side: Height and width in pixels.

    Returns:
        `(sample, row, column, 3)` uint8.
    """
    font = ImageFont.load_default(size=_LETTER_PX)
    pictures = np.empty((len(texts), side, side, 3), np.uint8)
    for picture, value in zip(pictures, texts, strict=True):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        image = Image.new("RGB", (side, side), "white")
        lines = textwrap.wrap(text, width=max(1, 2 * side // _LETTER_PX))
        ImageDraw.Draw(image).multiline_text((2, 1), "\n".join(lines), "#333333", font, spacing=1)
        picture[:] = np.asarray(image)
    return pictures


def fit(pixels: Pixels, height: int, width: int) -> Pixels:
    """One picture in a box of `height` x `width`, with its proportions, in the middle.

    Args:
        pixels: `(row, column, 3)` uint8.
        height: Of the box.
        width: Of the box.

    Returns:
        `(height, width, 4)` uint8, transparent around the picture. Enlarged by whole pixels
        where the box is at least twice as large, smoothly where it is not; reduced by averaging.
    """
    scale, top, left, new_height, new_width = fitted(pixels.shape[:2], height, width)
    if isinstance(scale, int):
        drawn = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    else:
        drawn = resized(pixels, new_height, new_width)
    box = np.zeros((height, width, 4), np.uint8)
    box[top : top + new_height, left : left + new_width, :3] = drawn
    box[top : top + new_height, left : left + new_width, 3] = 255
    return box


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """One picture `(row, column, 3)` uint8 of another size: enlarged smoothly, reduced by means."""
    method = Image.Resampling.BOX if height < pixels.shape[0] else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width, height), method))


def fitted(
    shape: tuple[int, ...], height: int, width: int
) -> tuple[int | float, int, int, int, int]:
    """Scale, top, left, height and width of a picture of this shape in a box, as `fit` has it.

    The scale is an `int` where the picture is enlarged by whole pixels.
    """
    rows, columns = shape
    scale = min(height / rows, width / columns)
    if scale >= 2:
        scale = int(scale)
    new_height, new_width = max(1, round(rows * scale)), max(1, round(columns * scale))
    return scale, (height - new_height) // 2, (width - new_width) // 2, new_height, new_width


@dataclass(frozen=True)
class ContactSheet:
    """Pictures of one size in a grid, row by row, each with room for words below it.

    Attributes:
        columns: Pictures in a row.
        rows: Rows of pictures.
        picture_px: Height and width of the box that a picture is fitted into.
        cell_width_px: Width of a picture with its margins.
        cell_height_px: Height of a picture with its margins and its words.
        across: How many pictures of a sample stand side by side, as one picture.
    """

    columns: int
    rows: int
    picture_px: int = 60
    cell_width_px: int = 70
    cell_height_px: int = 94
    across: int = 1

    @property
    def picture_width_px(self) -> int:
        """Width of the box that a picture is fitted into."""
        return self.picture_px * self.across

    @property
    def height_px(self) -> int:
        """Height of the whole sheet."""
        return self.rows * self.cell_height_px

    @property
    def width_px(self) -> int:
        """Width of the whole sheet."""
        return self.columns * self.cell_width_px

    @property
    def row_edges(self) -> NDArray[np.float64]:
        """Where each row of cells begins, and the last one ends."""
        return np.arange(self.rows + 1, dtype=np.float64) * self.cell_height_px

    @property
    def column_edges(self) -> NDArray[np.float64]:
        """Where each column of cells begins, and the last one ends."""
        return np.arange(self.columns + 1, dtype=np.float64) * self.cell_width_px

    def edges_of(self, place: int) -> tuple[int, int, int, int]:
        """Top, right, bottom and left of the box of a picture, in pixels of the sheet."""
        row, column = divmod(place, self.columns)
        side = (self.cell_width_px - self.picture_width_px) // 2
        top, left = row * self.cell_height_px + side, column * self.cell_width_px + side
        return top, left + self.picture_width_px, top + self.picture_px, left

    def compose(
        self,
        pictures: Sequence[Pixels | None],
        frames: Sequence[int],
        boxes: Sequence[Box] | None = None,
    ) -> Pixels:
        """Draw the sheet.

        Args:
            pictures: `(row, column, 3)` uint8 each; None leaves a place empty.
            frames: Width in pixels of the frame around each picture; 0 for none.
            boxes: A part of each picture that is outlined, in pixels of the picture: the
                outline lies around them, and hides none of them.

        Returns:
            `(height_px, width_px, 4)` uint8, transparent where there is no picture.
        """
        canvas = np.zeros((self.height_px, self.width_px, 4), np.uint8)
        for place, (picture, frame) in enumerate(zip(pictures, frames, strict=True)):
            if picture is None:
                continue
            top, right, bottom, left = self.edges_of(place)
            if frame:
                box = canvas[
                    top - frame - 1 : bottom + frame + 1, left - frame - 1 : right + frame + 1
                ]
                box[...] = (*FRAME_COLOR, 255)
                box[frame:-frame, frame:-frame] = 0
            canvas[top:bottom, left:right] = fit(picture, self.picture_px, self.picture_width_px)
            if boxes is not None:
                self._outline(canvas, top, left, picture.shape[:2], boxes[place])
        return canvas

    def _outline(
        self, canvas: Pixels, top: int, left: int, shape: tuple[int, ...], box: Box
    ) -> None:
        """Draw a line around a part of the picture whose place on the sheet begins there."""
        _, down, across, height, width = fitted(shape, self.picture_px, self.picture_width_px)
        edges = []
        for first, length, n_pixels, ends in (
            (top + down, height, shape[0], box[0]),
            (left + across, width, shape[1], box[1]),
        ):
            start, end = (first + round(edge * length / n_pixels) for edge in ends)
            edges.append((start, max(end, start + 1)))  # of a large picture less than a pixel
        (upper, lower), (near, far) = edges
        outer = canvas[
            max(upper - OUTLINE_PX, 0) : lower + OUTLINE_PX,
            max(near - OUTLINE_PX, 0) : far + OUTLINE_PX,
        ]
        kept = canvas[upper:lower, near:far].copy()
        outer[...] = (*FRAME_COLOR, 255)
        canvas[upper:lower, near:far] = kept


def palette_png(codes: Pixels, colors: Pixels) -> bytes:
    """A PNG of palette codes.

    Args:
        codes: `(row, column)` uint8.
        colors: `(256, 3)` uint8; the code `GAP` is transparent whatever its color.

    Cost: 0.1 to 1 ms for a mosaic; the fastest compression, since the link is local.
    """
    alpha = np.full(GAP + 1, 255, np.uint8)
    alpha[GAP] = 0
    tables = _chunk(b"PLTE", colors.tobytes()) + _chunk(b"tRNS", alpha.tobytes())
    return _png(codes, _PALETTE, tables, _UNFILTERED)


def rgb_png(pixels: Pixels) -> bytes:
    """A PNG of `(row, column, 3)` uint8 pixels; where all are gray, with a third of the bytes."""
    if (pixels[..., :1] == pixels[..., 1:]).all():
        return _png(pixels[..., 0], _GRAY, b"", _UNFILTERED)
    return _png(_differences(pixels), _RGB, b"", _ABOVE)


def rgba_png(pixels: Pixels) -> bytes:
    """A PNG of `(row, column, 4)` uint8 pixels."""
    return _png(_differences(pixels), _RGBA, b"", _ABOVE)


def _differences(pixels: Pixels) -> Pixels:
    """What differs from the pixel above: enlarged pictures are rows of zeros then."""
    differences = pixels.copy()
    differences[1:] -= pixels[:-1]
    return differences


_GRAY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6  # types of color, as the header has them
_UNFILTERED, _ABOVE = 0, 2  # filters of a row


def _png(rows: Pixels, color_type: int, tables: bytes, row_filter: int) -> bytes:
    """A PNG of filtered rows. Pillow takes twice as long, which a tick would wait for.

    W3C, Portable Network Graphics (Third Edition), sections 5, 9 and 11.
    """
    height, width = rows.shape[:2]
    filtered = np.empty((height, 1 + rows[:1].size), np.uint8)
    filtered[:, 0], filtered[:, 1:] = row_filter, rows.reshape(height, -1)
    deflate = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, color_type, 0, 0, 0)),
            tables,
            _chunk(b"IDAT", deflate.compress(filtered.data) + deflate.flush()),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    content = kind + content
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
