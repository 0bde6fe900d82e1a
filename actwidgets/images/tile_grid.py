"""Many small maps in one picture: grids of tiles."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from actwidgets.core.arrays import Doubles, as_maps, finite_range
from actwidgets.errors import ShapeError
from actwidgets.images.colormap import (
    FRAME,
    FRAME_COLOR,
    GAP,
    TOP,
    ValueRange,
    color_codes,
    palette,
    value_range,
)

Codes = NDArray[np.uint8]
MAX_TILE_PX = 64
STRIP_PX = 12  # height of a sequence
MAX_STEP_PX = 16  # width of one step of a sequence


@dataclass(frozen=True)
class Mosaic:
    """A grid of tiles: a block per sample, and in it a tile per unit, row by row.

    Lengths are in pixels of the picture. Around every tile runs a margin, in which a frame
    can be drawn; between two samples lies a wider gap.
    """

    n_samples: int
    n_units: int
    tile_height: int
    tile_width: int
    columns: int
    margin: int = 1
    gap: int = 4

    @cached_property
    def rows_per_sample(self) -> int:
        """Rows of tiles in the block of one sample."""
        return max(1, -(-self.n_units // self.columns))

    @cached_property
    def block_height(self) -> int:
        """Height of one sample's block."""
        return self.rows_per_sample * (self.tile_height + 2 * self.margin)

    @cached_property
    def height(self) -> int:
        """Height of the picture."""
        return self.n_samples * (self.block_height + self.gap) - self.gap

    @cached_property
    def width(self) -> int:
        """Width of the picture."""
        return self.columns * (self.tile_width + 2 * self.margin)

    @cached_property
    def row_edges(self) -> NDArray[np.float64]:
        """`(row + 1,)`: where each row of tiles begins, from the top, and the last one ends.

        The gap below a sample belongs to its last row.
        """
        starts = [
            sample * (self.block_height + self.gap) + row * (self.tile_height + 2 * self.margin)
            for sample in range(self.n_samples)
            for row in range(self.rows_per_sample)
        ]
        return np.array([*starts, self.height], np.float64)

    @cached_property
    def column_edges(self) -> NDArray[np.float64]:
        """`(column + 1,)`: where each column of tiles begins, and the last one ends."""
        return np.arange(self.columns + 1, dtype=np.float64) * (self.tile_width + 2 * self.margin)

    def at(self, row: int, column: int) -> tuple[int, int] | None:
        """Sample and unit, as positions in this picture, of a tile; None where there is none."""
        sample, row = divmod(row, self.rows_per_sample)
        unit = row * self.columns + column
        inside = 0 <= sample < self.n_samples and 0 <= column < self.columns
        return (sample, unit) if inside and 0 <= unit < self.n_units else None

    def assemble(self, codes: Codes) -> Codes:
        """Put the tiles in their places.

        Args:
            codes: `(sample, row, column, unit)` uint8 palette codes.

        Returns:
            `(height, width)` uint8; `GAP` where there is no tile.

        Raises:
            ShapeError: The codes are not those of this grid.
        """
        expected = (self.n_samples, self.tile_height, self.tile_width, self.n_units)
        if codes.shape != expected:
            raise ShapeError(f"this mosaic takes codes of shape {expected}; got {codes.shape}")
        rows, margin = self.rows_per_sample, self.margin
        height, width = self.tile_height + 2 * margin, self.tile_width + 2 * margin
        spare = rows * self.columns - self.n_units
        if spare:
            codes = np.pad(codes, ((0, 0), (0, 0), (0, 0), (0, spare)), constant_values=GAP)
        tiles = codes.reshape(*codes.shape[:3], rows, self.columns).transpose(0, 3, 1, 4, 2)
        blocks = np.full((self.n_samples, rows, height, self.columns, width), GAP, np.uint8)
        blocks[:, :, margin : height - margin, :, margin : width - margin] = tiles
        blocks = blocks.reshape(self.n_samples, self.block_height, self.width)
        if self.n_samples > 1:
            blocks = np.pad(blocks, ((0, 0), (0, self.gap), (0, 0)), constant_values=GAP)
        return blocks.reshape(-1, self.width)[: self.height]

    def draw_frame(self, picture: Codes, unit: int) -> None:
        """Frame the tile of a unit in every sample, in the picture itself."""
        row, column = divmod(unit, self.columns)
        height, width = self.tile_height + 2 * self.margin, self.tile_width + 2 * self.margin
        left, right = column * width, (column + 1) * width
        for sample in range(self.n_samples):
            top = sample * (self.block_height + self.gap) + row * height
            box = picture[top : top + height, left:right]
            inner = box[self.margin : -self.margin, self.margin : -self.margin].copy()
            box[:] = FRAME
            box[self.margin : -self.margin, self.margin : -self.margin] = inner


def shrink(maps: NDArray[np.float32], longest: int) -> tuple[NDArray[np.float32], int]:
    """Average over squares until no side of a map is longer than `longest`.

    Args:
        maps: `(sample, row, column, unit)`.
        longest: Pixels.

    Returns:
        The maps, and the side of the squares: 1 where nothing had to be averaged. A square
        at the lower or right border may reach beyond the map; it then averages what is there.
    """
    factor = max(1, -(-max(maps.shape[1:3]) // longest))
    if factor == 1:
        return maps, 1
    rows = np.arange(0, maps.shape[1], factor)
    columns = np.arange(0, maps.shape[2], factor)
    with np.errstate(over="ignore", invalid="ignore"):  # inf - inf is NaN, without a warning
        sums = np.add.reduceat(maps, rows, axis=1, dtype=np.float32)
        sums = np.add.reduceat(sums, columns, axis=2)
    heights = np.diff([*rows, maps.shape[1]])[:, None, None]
    widths = np.diff([*columns, maps.shape[2]])[None, :, None]
    return (sums / (heights * widths)).astype(np.float32), factor


def enlarge(codes: Codes, rows: int, columns: int) -> Codes:
    """Repeat every pixel of `(sample, row, column, unit)` codes so often down and across."""
    codes = codes if rows == 1 else codes.repeat(rows, axis=1)
    return codes if columns == 1 else codes.repeat(columns, axis=2)


@dataclass(frozen=True)
class MosaicPlan:
    """A mosaic that fits its place on the screen.

    Attributes:
        mosaic: The grid of tiles.
        enlarged: How often `enlarge` repeats the maps' pixels, down and across, before they
            become tiles.
        zoom: Screen pixels to a pixel of the picture. The browser enlarges for nothing, but
            the margins with it, so this stays small.
    """

    mosaic: Mosaic
    enlarged: tuple[int, int]
    zoom: int

    @cached_property
    def height_px(self) -> int:
        """Height on the screen."""
        return self.mosaic.height * self.zoom

    @cached_property
    def width_px(self) -> int:
        """Width on the screen."""
        return self.mosaic.width * self.zoom


@lru_cache(64)  # a tick asks for the plan of the one before
def plan_mosaic(
    n_samples: int, n_units: int, height: int, width: int, *, width_px: int
) -> MosaicPlan:
    """Choose columns and size so that the picture fits a width and small maps are large.

    Maps of one row are sequences: each becomes a strip in which time runs to the right.

    Args:
        n_samples: Samples on show.
        n_units: Units on show.
        height: Rows of a map.
        width: Columns of a map.
        width_px: What the picture may take on the screen.
    """
    if height == 1 < width:
        return _plan_strips(n_samples, n_units, width, width_px)
    columns = 8 if n_units <= 32 and n_samples <= 2 else 16
    if height == width == 1:  # single values need less room than maps
        columns = 16
    columns = min(columns, n_units)
    while columns > 1 and width_px // columns < width + 2:
        columns //= 2
    across = (width_px // columns - 2) // width  # how often the map's width fits
    factor = max(1, min(across, MAX_TILE_PX // max(height, width)))
    enlarged = max(1, factor // 2)
    zoom = 2 if width_px // columns >= (enlarged * width + 2) * 2 else 1
    enlarged = enlarged if zoom == 2 else factor
    mosaic = Mosaic(n_samples, n_units, height * enlarged, width * enlarged, columns)
    return MosaicPlan(mosaic, (enlarged, enlarged), zoom)


def _plan_strips(n_samples: int, n_units: int, width: int, width_px: int) -> MosaicPlan:
    def used(columns: int) -> int:
        return columns * ((width_px // columns - 2) // width) * width

    columns = next((count for count in (4, 2) if used(count) > 0.8 * used(1)), 1)
    columns = min(columns, n_units)
    across = max(1, min((width_px // columns - 2) // width, MAX_STEP_PX))
    mosaic = Mosaic(n_samples, n_units, STRIP_PX, width * across, columns)
    return MosaicPlan(mosaic, (STRIP_PX, across), 1)


def color_mosaic(
    mosaic: Mosaic, colors: NDArray[np.uint8], framed: int | None = None
) -> NDArray[np.uint8]:
    """Put colored tiles in their places.

    Args:
        mosaic: Where they lie.
        colors: `(sample, row, column, unit, 3)` uint8.
        framed: The unit that has a frame.

    Returns:
        `(height, width, 4)` uint8, transparent where there is no tile.

    Raises:
        ShapeError: The colors are not those of this grid.
    """
    cover = mosaic.assemble(np.zeros(colors.shape[:-1], np.uint8))
    if framed is not None:
        mosaic.draw_frame(cover, framed)
    channels = [mosaic.assemble(colors[..., channel]) for channel in range(3)]
    pixels = np.stack([*channels, np.full_like(cover, 255)], axis=-1)
    pixels[cover == FRAME, :3] = FRAME_COLOR
    pixels[cover == GAP] = 0
    return pixels


MAX_UNITS = 512
SEEN_PX = 8  # a tile of fewer pixels is enlarged


@dataclass(frozen=True, eq=False)
class MapSheet:
    """A picture of maps, a block per sample and in it a tile per unit, row by row.

    Attributes:
        codes: `(row, column)` uint8 palette codes.
        mosaic: Where each tile lies.
        enlarged: How often a map's pixels are repeated, down and across.
        averaged: Side of the squares that large maps were averaged over; 1 for none.
        span: The values at the ends of the colormap.
        n_units: Of the layer; the first `mosaic.n_units` are shown.
    """

    codes: Codes
    mosaic: Mosaic
    enlarged: tuple[int, int]
    averaged: int
    span: ValueRange
    n_units: int

    def png(self, cmap: str = "viridis") -> bytes:
        """The picture as a file that is to be kept: smaller, and made more slowly, than others.

        Transparent where there is no tile.

        Raises:
            DataError: No such colormap.
        """
        image = Image.fromarray(np.ascontiguousarray(self.codes))
        image.putpalette(palette(cmap).tobytes())
        file = io.BytesIO()
        image.save(file, "png", compress_level=9, transparency=GAP)
        return file.getvalue()

    @property
    def shows_maps(self) -> bool:
        """Whether there is more than a value in a tile."""
        return (self.mosaic.tile_height, self.mosaic.tile_width) != self.enlarged

    def pixels(self, cmap: str = "viridis", background: tuple[int, int, int] = (255,) * 3) -> Codes:
        """The picture as `(row, column, 3)` uint8, `background` where there is no tile.

        Raises:
            DataError: No such colormap.
        """
        colors = palette(cmap)[self.codes]
        colors[self.codes == GAP] = background
        return colors

    def __str__(self) -> str:
        """What is to be said of the picture."""
        parts = [f"{self.span}"]
        if self.averaged > 1:
            parts.append(f"averaged over {self.averaged}×{self.averaged} positions")
        if self.mosaic.n_units < self.n_units:
            parts.append(f"the first {self.mosaic.n_units:,} of {self.n_units:,} units")
        return "; ".join(parts)


def map_sheet(
    outputs: ArrayLike,
    normalize: str = "per layer",
    *,
    width_px: int | None = None,
    max_units: int = MAX_UNITS,
) -> MapSheet:
    """Lay out and color the maps of a layer.

    Args:
        outputs: What the layer puts out, `(sample, …, unit)`; see `as_maps` for what becomes of
            vectors, sequences and volumes.
        normalize: What one color scale covers: "per layer", "per map" or "symmetric".
        width_px: Enlarge small maps to about this width; when omitted a value is one pixel,
            where tiles can be seen at all.
        max_units: No more units than these are shown.

    Raises:
        ShapeError: An output without values, or with too many axes.
        DataError: No such normalization.
    """
    maps = as_maps(outputs)
    if 0 in maps.shape:
        raise ShapeError(f"no picture of an output without values: its shape is {maps.shape}")
    span = value_range(maps, normalize)
    n_units = maps.shape[-1]
    maps = maps[..., :max_units]
    is_sequence = maps.shape[1] == 1 < maps.shape[2]
    longest = (width_px or 1024) - 2 if is_sequence else MAX_TILE_PX
    maps, averaged = shrink(maps, longest)
    n_samples, height, width, n_shown = maps.shape
    if width_px is None:
        mosaic, enlarged = _smallest(n_samples, n_shown, height, width)
    else:
        plan = plan_mosaic(n_samples, n_shown, height, width, width_px=width_px)
        down, across = (plan.zoom * times for times in plan.enlarged)  # no browser enlarges it
        mosaic = Mosaic(n_samples, n_shown, height * down, width * across, plan.mosaic.columns)
        enlarged = down, across
    codes = mosaic.assemble(enlarge(color_codes(maps, span), *enlarged))
    return MapSheet(codes, mosaic, enlarged, averaged, span, n_units)


def _smallest(
    n_samples: int, n_units: int, height: int, width: int
) -> tuple[Mosaic, tuple[int, int]]:
    """A pixel for a value, unless nobody could see it."""
    times = max(1, SEEN_PX // max(height, width))
    down, across = (STRIP_PX, times) if height == 1 < width else (times, times)
    columns = 1 if width > MAX_TILE_PX else min(n_units, 8 if n_units <= 32 else 16)
    return Mosaic(n_samples, n_units, height * down, width * across, columns), (down, across)


TILE_PX = 88  # width of a tile with its margins
BAR = 0  # color code of the bars: the near end of the map


@dataclass(frozen=True)
class MatrixStrip:
    """Where the tiles of a strip lie. Lengths in pixels.

    Attributes:
        n_tiles: How many matrices there are.
        columns: Tiles in a row.
        side: Height and width of a matrix.
        cell_width: Width of a tile with its margins.
        words_height: Room for a line of words, above each matrix.
        bar_height: Room for the bar and its figure, below each matrix.
    """

    n_tiles: int
    columns: int
    side: int = 72
    cell_width: int = TILE_PX
    words_height: int = 16
    bar_height: int = 34

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.n_tiles // self.columns)

    @property
    def cell_height(self) -> int:
        """Height of a tile with its words and its bar."""
        return self.words_height + self.side + self.bar_height

    @property
    def height(self) -> int:
        """Of the whole strip."""
        return self.rows * self.cell_height

    @property
    def width(self) -> int:
        """Of the whole strip."""
        return self.columns * self.cell_width

    def corner(self, tile: int) -> tuple[int, int]:
        """Top and left of a tile's matrix."""
        row, column = divmod(tile, self.columns)
        left = column * self.cell_width + (self.cell_width - self.side) // 2
        return row * self.cell_height + self.words_height, left

    def draw(
        self, matrices: Sequence[Doubles], numbers: Sequence[float], framed: int | None
    ) -> NDArray[np.uint8]:
        """Palette codes of the strip.

        Args:
            matrices: `(class, class)` distances for each tile; colors run from 0 to the
                largest of each.
            numbers: At least 0 for each tile: its bar is as long as the matrix is wide for
                the largest of them. None for NaN, full length for infinity.
            framed: The tile with a frame, or None.

        Returns:
            `(height, width)` uint8.
        """
        strip = np.full((self.height, self.width), GAP, np.uint8)
        longest = finite_range(np.array(numbers, np.float64))[1] or 1.0
        for tile, (matrix, number) in enumerate(zip(matrices, numbers, strict=True)):
            top, left = self.corner(tile)
            if tile == framed:
                strip[top - 2 : top + self.side + 2, left - 2 : left + self.side + 2] = FRAME
            strip[top : top + self.side, left : left + self.side] = self._picture(matrix)
            if not np.isnan(number):
                length = round(self.side * min(max(number, 0) / longest, 1))
                bar = top + self.side + 6
                strip[bar : bar + 6, left : left + length] = BAR
        return strip

    def _picture(self, matrix: Doubles) -> NDArray[np.uint8]:
        """One matrix in its square: enlarged cell by cell, or thinned out to fit."""
        n_classes = len(matrix)
        highest = finite_range(matrix)[1] or 1.0
        places = np.arange(self.side) * n_classes // self.side
        shown = matrix[np.ix_(places, places)]
        codes = color_codes(shown[None, :, :, None], ValueRange(0.0, highest))
        return np.minimum(codes[0, :, :, 0], TOP + 1).astype(np.uint8)
