"""Very many classes by the same: the whole as pixels, a part of it as cells."""

from collections.abc import Callable, Sequence

import ipywidgets as w
import numpy as np

from actwidgets.core.arrays import finite_range
from actwidgets.core.pictures.colormaps import palette
from actwidgets.core.pictures.colour_codes import ValueRange, colour_codes
from actwidgets.core.pictures.images import palette_png
from actwidgets.core.profiles.class_order import nearest_pairs
from actwidgets.views._class_cells import ClassCells
from actwidgets.views._controls import note, shorten
from actwidgets.views._picture import Picture

WINDOW = 24  # classes in the part that is shown as cells
BLOCKS = 40  # along a side: what a click or the mouse tells apart
SIDE_PX = 400
PAIRS = 100


class ClassOverview(w.VBox):
    """A picture of the whole matrix, a pixel or more to a class; what is clicked is enlarged.

    Above it the classes can be searched by name, and the nearest pairs chosen from a list:
    a thousand classes are one picture and 24 x 24 cells, not a million.

    Args:
        class_names: Of all classes.
        width_px: Of the enlarged part.
        on_class: Called with the class that was chosen.
        on_click: Called with the classes of row and column of a cell.
        on_hover: Likewise.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        on_class: Callable[[int], None],
        on_click: Callable[[int, int], None],
        on_hover: Callable[..., None],
    ) -> None:
        self._class_names, self._on_class = list(class_names), on_class
        self._order = np.arange(len(class_names))
        self._first, self._width_px = 0, width_px
        self._matrix: np.ndarray | None = None
        self._highest = 0.0
        self._codes: bytes | None = None
        self.search = w.Combobox(
            options=self._class_names,
            placeholder="find a class",
            ensure_option=False,
            layout={"width": "210px"},
        )
        self.search.observe(self._on_user_search, names="value")
        self.pairs = w.Select(rows=6, layout={"width": f"{width_px}px"})
        self.pairs.add_class("aw-list")
        self.pairs.observe(self._on_user_pair, names="index")
        self.whole = Picture()
        self.whole.on_click(self._on_user_block)
        self._told = w.HTML()
        self.cells = ClassCells(class_names, width_px, on_click, on_hover, n_shown=WINDOW)
        self._showing = False
        super().__init__(
            children=(
                w.HBox([self.search, self._told], layout={"align_items": "center"}),
                self.whole,
                self.cells,
                w.HTML(note("the nearest pairs")),
                self.pairs,
            )
        )

    def show(
        self,
        matrix: np.ndarray,
        order: np.ndarray,
        class_index: int | None,
        highest: float = 0.0,
    ) -> None:
        """Show a matrix of all classes in an order; enlarge where the chosen class is.

        Args:
            matrix: `(class, class)` distances.
            order: Indices of the classes to show, two or more.
            class_index: The chosen one, or None; it may be one that is not shown.
            highest: How far the colours reach at least, in the whole and in the part.
        """
        n_classes = len(order)
        self._matrix, self._order, self._highest = matrix, order, highest
        reach = max(finite_range(matrix)[1], highest) or 1.0
        codes = colour_codes(
            matrix[np.ix_(order, order)][None, :, :, None], ValueRange(0.0, reach)
        )[0, :, :, 0]
        scale = max(1, SIDE_PX // n_classes)
        side = n_classes * scale
        if codes.tobytes() != self._codes:
            self._codes = codes.tobytes()
            shown_px = min(side, self._width_px)
            self.whole.set_size(shown_px, shown_px)
            edges = np.linspace(0, n_classes, min(BLOCKS, n_classes) + 1)
            self.whole.set_cells(edges, edges)
            large = codes.repeat(scale, axis=0).repeat(scale, axis=1)
            self.whole.show(palette_png(large, palette("nearness")))
            self._show_pairs(matrix)
        if class_index is not None and class_index in order:
            place = int(np.flatnonzero(order == class_index)[0])
            if not self._first <= place < self._first + WINDOW:
                self._first = place - WINDOW // 2
        self._show_window()

    def _show_window(self) -> None:
        assert self._matrix is not None
        self._first = min(max(self._first, 0), max(len(self._order) - WINDOW, 0))
        window = self._order[self._first : self._first + WINDOW]
        self.cells.show(self._matrix, window, None, self._highest)
        self._told.value = note(
            f"{len(self._order):,} classes; enlarged below: {self._first + 1:,}–"
            f"{self._first + len(window):,} in this order"
        )

    def _show_pairs(self, matrix: np.ndarray) -> None:
        self._nearest = nearest_pairs(matrix, PAIRS)
        names = [shorten(name, 28) for name in self._class_names]
        self._showing = True
        try:
            self.pairs.options = [
                f"{matrix[a, b]:8.4f}  {names[a]} – {names[b]}" for a, b in self._nearest
            ]
            self.pairs.index = None
        finally:
            self._showing = False

    def _on_user_search(self, change: object) -> None:
        wanted = self.search.value
        if wanted in self._class_names:
            self._on_class(self._class_names.index(wanted))

    def _on_user_pair(self, _change: object) -> None:
        if not self._showing and self.pairs.index is not None:
            self._on_class(int(self._nearest[self.pairs.index][0]))

    def _on_user_block(self, row: int, _column: int) -> None:
        n_classes = len(self._order)
        n_blocks = min(BLOCKS, n_classes)
        place = int((row + 0.5) * n_classes / n_blocks)
        self._first = place - WINDOW // 2
        self._on_class(int(self._order[min(place, n_classes - 1)]))
