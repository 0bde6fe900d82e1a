"""Maps of what speaks for a class as colours over the picture that they are about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.pictures.colormaps import FRAME_COLOUR, NAN_COLOUR, TOP, palette
from actwidgets.core.pictures.images import Pixels, fit

COLOURINGS = {"signed": "blue-red", "absolute": "inferno"}  # and the map of each
STRIP = 8  # how many times as long as it is high a row of places is drawn
_LUMINANCE = (0.299, 0.587, 0.114)
_OUTLIERS = 1.0  # per cent of the values that may lie beyond the ends of the colours
_SMALLEST_PX = 64  # below that, tiles are enlarged, so that frames come out thin


def as_planes(
    values: Array, picture_shape: tuple[int, ...], colouring: str, *, channels: bool = True
) -> Floats:
    """Attributions as one plane per sample: the axes that are no position are summed over.

    Args:
        values: `(sample, …)` as an attribution holds them.
        picture_shape: Rows and columns where the samples are pictures, or ().
        colouring: "signed", or "absolute": then sizes are summed, whatever their signs.
        channels: Whether the last axis is one of channels, where there are several.

    Returns:
        `(sample, row, column)`. Of pictures, vectors shown as such included, their shape or a
        coarser one. Of sequences a row with a place per step, of vectors one with a place
        per feature, of numbers one place; of volumes the planes of positions, summed over
        their depth. Of four axes that are no picture the channels are the first or the last
        behind that of samples, whichever is shorter.
    """
    values = np.asarray(values, np.float32)
    values = np.abs(values) if colouring == "absolute" else values
    n_samples = len(values)
    n_places = int(np.prod(picture_shape)) if picture_shape else 0
    if n_places and values.ndim == 2 and values.shape[1] % n_places == 0:
        return values.reshape(n_samples, *picture_shape, -1).sum(axis=-1)
    if values.ndim < 3:
        return values.reshape(n_samples, 1, -1)
    if values.ndim == 3:
        return values.sum(axis=-1)[:, None, :] if channels and not picture_shape else values
    if values.ndim == 4:
        is_last = channels and (picture_shape or values.shape[-1] <= values.shape[1])
        return values.sum(axis=-1 if is_last else 1)
    return values.sum(axis=(1, *range(4, values.ndim)))


def map_on_picture(
    values: Array | Mapping[str, Array], picture_shape: tuple[int, ...]
) -> tuple[Array, bool]:
    """The map to draw, and whether it goes on the picture of the samples.

    Args:
        values: `(sample, …)`, one array or one by input.
        picture_shape: Rows and columns of the picture, or ().

    Returns:
        Of several, the first in the picture's shape, else the first. That of another input
        that is a vector would be smeared over a picture: it is drawn beside none.
    """
    maps = list(values.values()) if isinstance(values, Mapping) else [values]
    n_places = int(np.prod(picture_shape)) if picture_shape else 0
    for each in maps:
        is_vector = n_places and each.ndim == 2 and each.shape[1] % n_places == 0
        if picture_shape and (is_vector or each.shape[1:3] == picture_shape):
            return each, True
    return maps[0], bool(picture_shape) and maps[0].ndim > 2


def of_one_size(groups: Sequence[Floats]) -> list[Floats]:
    """Planes of one size, that of the largest: coarser ones repeat their values.

    Where all are rows of places, each is some pixels high, so that it can be seen.

    Args:
        groups: `(plane, row, column)` each.
    """
    rows, columns = (max(each.shape[axis] for each in groups) for axis in (1, 2))
    if rows == 1:
        rows = max(1, round(columns / STRIP))
    return [
        each if each.shape[1:] == (rows, columns) else _resized(each, rows, columns)
        for each in groups
    ]


def colour_limits(planes: Floats, *, shared: bool) -> NDArray[np.float64]:
    """The value at which the colours end, for each plane: all but its outliers lie within.

    Args:
        planes: `(plane, row, column)`.
        shared: Whether all planes have the same.

    Returns:
        `(plane,)`, above 0; the size of the largest value where nearly all are 0.
    """
    if not len(planes):
        return np.zeros(0)
    sizes = np.abs(planes.reshape(1 if shared else len(planes), -1)).astype(np.float64)
    sizes = np.where(np.isfinite(sizes), sizes, 0.0)
    limits = np.percentile(sizes, 100 - _OUTLIERS, axis=1)
    limits = np.where(limits > 0, limits, sizes.max(axis=1))
    return np.broadcast_to(np.where(limits > 0, limits, 1.0), (len(planes),)).copy()


def overlay(
    pictures: Pixels | None,
    planes: Floats,
    limits: NDArray[np.float64],
    *,
    colouring: str = "signed",
    opacity: float = 0.5,
) -> Pixels:
    """Colour each plane over the grey of its picture.

    Args:
        pictures: `(plane, row, column, 3)` uint8; None for planes alone.
        planes: `(plane, row, column)`, finer or coarser than the pictures.
        limits: `(plane,)` the value at which the colours end.
        colouring: One of `COLOURINGS`.
        opacity: 0 shows the picture, 1 the plane. At 0.5 a value covers the picture by its
            size: what is 0 leaves it as it is.

    Returns:
        `(plane, row, column, 3)` uint8, in the size of the pictures; NaN in a colour of its own.
    """
    if pictures is not None and pictures.shape[1:3] != planes.shape[1:3]:
        planes = _resized(planes, *pictures.shape[1:3])
    share = np.clip(planes / limits[:, None, None], -1, 1)
    is_nan = np.isnan(share)
    share = np.where(is_nan, 0, share)
    strength = np.abs(share)
    level = (share + 1) / 2 if colouring == "signed" else strength
    colours = palette(COLOURINGS[colouring])[(level * TOP + 0.5).astype(np.uint8)]
    if pictures is None:
        found = colours
    else:
        grey = (pictures @ np.array(_LUMINANCE, np.float32))[..., None]
        cover = 2 * opacity * strength
        if opacity > 0.5:
            cover = strength + (2 * opacity - 1) * (1 - strength)
        cover = cover[..., None]
        found = (grey * (1 - cover) + colours * cover + 0.5).astype(np.uint8)
    found[is_nan] = NAN_COLOUR
    return found


@dataclass(frozen=True)
class TileSheet:
    """Tiles of one size in a grid, each with room for words below it; in pixels of the sheet.

    Attributes:
        height: Of a tile.
        width: Of a tile.
        columns: Tiles in a row.
        rows: Rows of tiles.
        enlarged: How often each pixel of what is drawn is repeated.
        zoom: Pixels on the screen for one of the sheet.
        words_px: Room for words below a tile, on the screen.
        least_px: Width of a cell on the screen, at least: that of its words.
        gap: Between tiles.
    """

    height: int
    width: int
    columns: int
    rows: int
    enlarged: int
    zoom: int
    words_px: int = 36
    least_px: int = 156
    gap: int = 3

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of a tile with its words and its margin."""
        words = -(-self.words_px // self.zoom)
        width = max(self.width + 2 * self.gap, -(-self.least_px // self.zoom))
        return self.height + words + 2 * self.gap, width

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width on the screen."""
        height, width = self.cell
        return height * self.rows * self.zoom, width * self.columns * self.zoom

    def compose(self, tiles: Pixels, framed: int | None = None) -> Pixels:
        """Draw the sheet.

        Args:
            tiles: `(tile, row, column, 3)` uint8, not yet enlarged.
            framed: The tile that has a frame.

        Returns:
            `(height, width, 4)` uint8, transparent between the tiles.
        """
        height, width = self.cell
        sheet = np.zeros((height * self.rows, width * self.columns, 4), np.uint8)
        for place, tile in enumerate(tiles):
            row, column = divmod(place, self.columns)
            top, left = row * height + self.gap, column * width + (width - self.width) // 2
            if place == framed:
                edge = 2 if self.zoom == 1 else 1
                box = sheet[
                    top - edge : top + self.height + edge, left - edge : left + self.width + edge
                ]
                box[...] = (*FRAME_COLOUR, 255)
            large = tile.repeat(self.enlarged, axis=0).repeat(self.enlarged, axis=1)
            sheet[top : top + self.height, left : left + self.width, :3] = large
            sheet[top : top + self.height, left : left + self.width, 3] = 255
        return sheet


def tile_sheet(n_tiles: int, rows: int, columns: int, *, tile_px: int, width_px: int) -> TileSheet:
    """Lay tiles out in a grid.

    Args:
        n_tiles: How many.
        rows: Of a tile, as it is drawn.
        columns: Of a tile.
        tile_px: Its longer side on the screen, at most, where it is not larger by itself.
        width_px: Of the whole grid, at most, where one tile is not wider.
    """
    most = max(1, tile_px // max(rows, columns))  # pixels on the screen for one of the tile
    needed = min(-(-_SMALLEST_PX // max(rows, columns)), most)
    zoom = max(1, most // needed)
    enlarged = max(1, most // zoom)
    one = TileSheet(rows * enlarged, columns * enlarged, 1, 1, enlarged, zoom)
    across = min(max(1, width_px // one.size_px[1]), max(n_tiles, 1))
    return replace(one, columns=across, rows=max(1, -(-n_tiles // across)))


def shrunk(pictures: Pixels, longest: int) -> Pixels:
    """Pictures whose longer side is no longer than that; those that are short stay."""
    rows, columns = pictures.shape[1:3]
    scale = longest / max(rows, columns)
    if scale >= 1:
        return pictures
    size = max(1, round(rows * scale)), max(1, round(columns * scale))
    return np.stack([fit(each, *size)[..., :3] for each in pictures])


def _resized(planes: Floats, rows: int, columns: int) -> Floats:
    """Planes with the nearest values at other positions."""
    down = (np.arange(rows) + 0.5) * planes.shape[1] / rows
    across = (np.arange(columns) + 0.5) * planes.shape[2] / columns
    found: Floats = planes[:, down.astype(int)][:, :, across.astype(int)]
    return found
