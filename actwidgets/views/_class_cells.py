"""A matrix of classes as cells with figures, names at its sides and a tree beside it."""

from collections.abc import Callable, Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.core.arrays import finite_range
from actwidgets.views._class_figure import below_px, class_ticks, tick_count
from actwidgets.views._controls import decimals, unique_short
from actwidgets.views._picture import CellHover, cell_of, plain_figure
from actwidgets.views._style import NEUTRAL

NEAR, FAR = "#3fa7a0", "#f4f1ea"  # black figures can be read on both
VALUES_UP_TO = 12  # more classes than that leave no room for figures
TREE_PX = 84
SIDES_PX = 100  # names and margin beside the cells
DIGIT_PX, BETWEEN_PX = 6.0, 4  # of figures, and between those of two cells


class ClassCells(w.HBox):
    """Up to 60 classes at a time by the same: the nearer two are, the darker their cell.

    Args:
        class_names: Of all classes.
        width_px: Of the matrix with its names and its tree.
        on_click: Called with the classes of row and column.
        on_hover: Likewise; with nothing for no cell.
        n_shown: How many are shown at a time; None for always all, in whatever order.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        on_click: Callable[[int, int], None],
        on_hover: Callable[..., None],
        *,
        n_shown: int | None = None,
    ) -> None:
        self._names, self._width_px = unique_short(class_names, 12), width_px
        self._order: tuple[int, ...] = ()
        self._all = n_shown is None
        first = self._names if self._all and len(self._names) > 1 else ["", " "]
        # Reversed, or told its order, never both: bqplot turns an order round that it gets with
        # the scale, after a page is loaded again, but not one that it is told later.
        self._rows, self._columns = bq.OrdinalScale(reverse=not self._all), bq.OrdinalScale()
        self.colours = bq.ColorScale(colors=[NEAR, FAR], min=0, max=1)
        self.matrix = bq.GridHeatMap(
            color=np.zeros((len(first), len(first)), np.float32),
            row=first,
            column=first,
            scales={"row": self._rows, "column": self._columns, "color": self.colours},
            stroke="rgba(0,0,0,0)",
            null_color="#9e9e9e",
            font_style={"font-size": "10px", "fill": "black"},
        )
        self.matrix.on_element_click(lambda _mark, event: on_click(*self._classes(*cell_of(event))))
        self._hover = CellHover(self.matrix, lambda *cell: on_hover(*self._classes(*cell)))
        room_px = (width_px - SIDES_PX) / max(n_shown or len(self._names), 1)
        below = below_px(self._names, room_px)
        small = {"font-size": "11px"}
        self._across = bq.Axis(
            scale=self._columns,
            side="bottom",
            **class_ticks(self._names, room_px),
            grid_lines="none",
        )
        self._down = bq.Axis(scale=self._rows, side="left", tick_style=small, grid_lines="none")
        height_px = round(width_px * 0.86)
        self._height_px = height_px - below - 4  # of the cells
        self._figure = plain_figure(
            [self.matrix],
            axes=[self._across, self._down],
            margin={"top": 4, "bottom": below, "left": 92, "right": SIDES_PX - 92},
            layout=_size(width_px, height_px),
        )
        self._heights = bq.LinearScale(min=0, max=1)
        self._places = bq.LinearScale(min=0, max=1, reverse=True)
        self.tree = bq.Lines(
            x=np.zeros((2, 4)),
            y=np.zeros((2, 4)),
            scales={"x": self._heights, "y": self._places},
            colors=[NEUTRAL],
            stroke_width=1,
        )
        tree_figure = plain_figure(
            [self.tree],
            scale_x=self._heights,
            scale_y=self._places,
            margin={"top": 4, "bottom": below, "left": 2, "right": 4},
            layout=_size(TREE_PX, height_px),
        )
        self._beside = w.Box([tree_figure], layout={"width": "0px", "overflow": "hidden"})
        super().__init__(children=(self._figure, self._beside))

    def show(
        self,
        matrix: np.ndarray,
        order: np.ndarray,
        joins: np.ndarray | None,
        highest: float = 0.0,
    ) -> None:
        """Show some classes.

        Args:
            matrix: `(class, class)` distances of all classes.
            order: Indices of the classes to show, two or more, in the order to show them in.
            joins: `(join, 4, 2)` place and height of the tree's lines, or None for no tree.
            highest: How far the colours reach at least.
        """
        shown = matrix[np.ix_(order, order)].astype(np.float32)
        highest = max(finite_range(shown)[1], highest)
        self.colours.max = highest if highest > 0 else 1.0
        same = tuple(order) == self._order
        if not same:
            self._order = tuple(int(index) for index in order)
            names = [self._names[index] for index in order]
            if self._all:
                # bqplot keeps the order of names that stay the same, unless it is told one;
                # told one, it has no place for a name that is not in it yet.
                self._rows.domain, self._columns.domain = names[::-1], names
            self._down.num_ticks = tick_count(len(order), self._height_px / len(order))
        with self.matrix.hold_sync(), self.matrix.hold_trait_notifications():
            if len(order) <= VALUES_UP_TO:
                self.matrix.display_format = self._figures(highest, len(order), joins is not None)
            elif self.matrix.display_format is not None:
                self.matrix.display_format = None
            self.matrix.color = shown
            if not same:
                self.matrix.row = self.matrix.column = names
        if not same:
            self._hover.again()
        across_px = self._width_px - SIDES_PX - (0 if joins is None else TREE_PX)
        self._across.num_ticks = tick_count(len(order), across_px / len(order), self._names)
        self._show_tree(joins, len(order))

    def _figures(self, highest: float, n_classes: int, with_tree: bool) -> str | None:
        """How the figures are written that have room in a cell; None where none has."""
        across_px = self._width_px - SIDES_PX - (TREE_PX if with_tree else 0)
        room = int((across_px / n_classes - BETWEEN_PX) // DIGIT_PX)
        whole = len(f"{highest:.0f}")
        n_decimals = min(decimals(highest), max(room - whole - 1, 0))
        tells = whole <= room and (highest <= 0 or float(f"{highest:.{n_decimals}f}") > 0)
        return f".{n_decimals}f" if tells else None

    def _show_tree(self, joins: np.ndarray | None, n_classes: int) -> None:
        beside_px = 0 if joins is None else TREE_PX
        self._beside.layout.width = f"{beside_px}px"
        width = f"{self._width_px - beside_px}px"  # the tree takes its room from the matrix
        with self._figure.layout.hold_sync():
            self._figure.layout.width = self._figure.layout.min_width = width
        if joins is None or not len(joins):
            return
        lines = joins if len(joins) > 1 else np.repeat(joins, 2, axis=0)  # bqplot drops axes of 1
        self._places.min, self._places.max = -0.5, n_classes - 0.5
        self._heights.max = max(float(joins[:, :, 1].max()) * 1.04, 1e-12)
        with self.tree.hold_sync(), self.tree.hold_trait_notifications():
            self.tree.x, self.tree.y = lines[:, :, 1], lines[:, :, 0]

    def _classes(self, *cell: int) -> tuple[int, ...]:
        """The classes of a row and a column; none where there is no cell."""
        is_shown = max(cell, default=0) < len(self._order)
        return tuple(self._order[place] for place in cell) if is_shown else ()


def _size(width_px: int, height_px: int) -> dict[str, str]:
    return {
        f"{least}{side}": f"{length}px"
        for side, length in (("width", width_px), ("height", height_px))
        for least in ("", "min_")
    }
