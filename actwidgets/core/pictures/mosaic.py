"""Many small maps in one picture: where each tile lies, and how the tiles are put together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.pictures.colormaps import FRAME, GAP
from actwidgets.errors import ShapeError

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

    @property
    def rows_per_sample(self) -> int:
        """Rows of tiles in the block of one sample."""
        return max(1, -(-self.n_units // self.columns))

    @property
    def block_height(self) -> int:
        """Height of one sample's block."""
        return self.rows_per_sample * (self.tile_height + 2 * self.margin)

    @property
    def height(self) -> int:
        """Height of the picture."""
        return self.n_samples * (self.block_height + self.gap) - self.gap

    @property
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

    @property
    def height_px(self) -> int:
        """Height on the screen."""
        return self.mosaic.height * self.zoom

    @property
    def width_px(self) -> int:
        """Width on the screen."""
        return self.mosaic.width * self.zoom


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

    columns = next((each for each in (4, 2) if used(each) > 0.8 * used(1)), 1)
    columns = min(columns, n_units)
    across = max(1, min((width_px // columns - 2) // width, MAX_STEP_PX))
    mosaic = Mosaic(n_samples, n_units, STRIP_PX, width * across, columns)
    return MosaicPlan(mosaic, (STRIP_PX, across), 1)
