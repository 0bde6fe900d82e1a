"""A small picture of a matrix for each layer, and a bar for one number below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Doubles, finite_range
from actwidgets.core.pictures.colormaps import FRAME, GAP, TOP
from actwidgets.core.pictures.colour_codes import ValueRange, colour_codes

TILE_PX = 88  # width of a tile with its margins
BAR = 0  # colour code of the bars: the near end of the map


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
            matrices: `(class, class)` distances for each tile; colours run from 0 to the
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
        codes = colour_codes(shown[None, :, :, None], ValueRange(0.0, highest))
        return np.minimum(codes[0, :, :, 0], TOP + 1).astype(np.uint8)
