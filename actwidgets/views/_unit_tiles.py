"""A tile for each unit of a layer, to be pointed at."""

from collections.abc import Callable, Collection

import numpy as np

from actwidgets.core.pictures.images import rgba_png
from actwidgets.views._picture import Picture

TILE_PX = 26
ROWS_UP_TO = 8
ON, OFF, FOCUS = (207, 231, 228, 255), (217, 83, 79, 255), (255, 127, 14, 255)
ON_INK, OFF_INK = "#2b4a47", "#ffffff"


class UnitTiles(Picture):
    """Numbered tiles; those in a set are filled with another colour, the one in focus framed.

    Args:
        width_px: Of a row of tiles.
        on_click: Called with the unit.
    """

    def __init__(self, width_px: int, on_click: Callable[[int], None]) -> None:
        super().__init__(with_words=True)
        self._columns = max(1, width_px // TILE_PX)
        self.capacity = self._columns * ROWS_UP_TO
        self._units = slice(0, 0)
        self._drawn: object = None

        def clicked(row: int, column: int) -> None:
            unit = self._units.start + row * self._columns + column
            if column < self._columns and unit < self._units.stop:
                on_click(unit)

        self.on_click(clicked)

    def display(self, units: slice, filled: Collection[int], focus: int) -> None:
        """Show some units.

        Args:
            units: Which of them are on show.
            filled: Those with the other colour.
            focus: The one with a frame.
        """
        wanted = units, tuple(filled), focus
        if wanted == self._drawn:
            return
        self._drawn, self._units = wanted, units
        n_units = units.stop - units.start
        n_rows = max(-(-n_units // self._columns), 1)  # of no units an empty one
        picture = np.zeros((n_rows * TILE_PX, self._columns * TILE_PX, 4), np.uint8)
        places, colours = [], []
        for place, unit in enumerate(range(units.start, units.stop)):
            row, column = divmod(place, self._columns)
            tile = picture[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX :][:, :TILE_PX]
            if unit == focus:
                tile[:-1, :-1] = FOCUS
                tile[2:-3, 2:-3] = 0
            tile[2:-3, 2:-3] = OFF if unit in filled else ON
            places.append(((column + 0.5) * TILE_PX - 0.5, (row + 0.5) * TILE_PX - 0.5))
            colours.append(OFF_INK if unit in filled else ON_INK)
        self.set_size(*picture.shape[:2])
        self.set_cells(np.arange(n_rows + 1) * TILE_PX, np.arange(self._columns + 1) * TILE_PX)
        self.show(rgba_png(picture))
        self.set_words(places, [str(unit) for unit in range(units.start, units.stop)], colours)
