"""Rows of classes shown by real samples, with words below each."""

from collections.abc import Callable, Sequence

import numpy as np

from actwidgets.core.pictures.images import ContactSheet, rgba_png
from actwidgets.session import Session
from actwidgets.views._controls import unique_short
from actwidgets.views._picture import Picture
from actwidgets.views._style import NEUTRAL

CELL_PX = 52  # width of a class


class ExemplarSheet(Picture):
    """Classes in a grid: one or more samples of each, its name and a figure below them.

    Args:
        session: Whose samples are shown.
        on_class: Called with the index of a class that was clicked.
        exemplars: Samples of each class, above one another.
        letters: How many of a name there is room for.
    """

    def __init__(
        self,
        session: Session,
        on_class: Callable[[int], None],
        *,
        exemplars: int = 1,
        letters: int = 8,
    ) -> None:
        super().__init__(with_words=True)
        self._session, self._exemplars, self._letters = session, exemplars, letters
        self._order = np.zeros((0, 0), int)
        self._drawn: object = None
        self.on_click(lambda row, column: self._clicked(row, column, on_class))

    @property
    def order(self) -> np.ndarray:
        """`(row, place)`: the classes on show."""
        return self._order

    def show_classes(self, order: np.ndarray, figures: np.ndarray) -> None:
        """Show classes.

        Args:
            order: `(row, place)` class indices.
            figures: What is written below each, of the same shape.
        """
        session, self._order = self._session, order
        n_rows, n_places = order.shape
        sheet = ContactSheet(n_places, self._exemplars, 46, CELL_PX, 50)
        height = sheet.height_px + 30
        drawn = order.tobytes(), order.shape, session.revision
        if drawn != self._drawn:
            self.set_size(n_rows * height, sheet.width_px)
            self.set_cells(np.arange(n_rows + 1) * height, sheet.column_edges)
            below = np.zeros((30, sheet.width_px, 4), np.uint8)
            parts = [part for row in order for part in (self._row(sheet, row), below)]
            self.show(rgba_png(np.vstack(parts)))
            self._drawn = drawn
        names = unique_short(session.class_names, self._letters)
        places, texts = [], []
        for row in range(n_rows):
            top = row * height + sheet.height_px
            for place, index in enumerate(order[row]):
                x = (place + 0.5) * sheet.cell_width_px
                places += [(x, top + 8), (x, top + 21)]
                figure = figures[row, place]
                texts += [names[index], "–" if np.isnan(figure) else f"{figure:.3f}"]
        self.set_words(places, texts, [NEUTRAL] * len(texts))

    def _row(self, sheet: ContactSheet, classes: Sequence[int]) -> np.ndarray:
        rows = [self._session.exemplars(int(index), self._exemplars) for index in classes]
        cells = [
            row[place] if place < len(row) else None
            for place in range(self._exemplars)
            for row in rows
        ]
        pictures = [None if each is None else self._session.pictures([each])[0] for each in cells]
        return sheet.compose(pictures, [0] * len(pictures))

    def _clicked(self, row: int, column: int, on_class: Callable[[int], None]) -> None:
        if row < self._order.shape[0] and column < self._order.shape[1]:
            on_class(int(self._order[row, column]))
