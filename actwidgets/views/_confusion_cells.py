"""A confusion matrix as cells with figures, and recall and precision at its sides."""

from collections.abc import Callable, Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.core.selection import Cell
from actwidgets.views._class_figure import below_px, class_ticks, tick_count
from actwidgets.views._controls import unique_short
from actwidgets.views._picture import CellHover, cell_of, plain_figure

RIGHT_FILL, PAPER, WRONG_FILL = "#3fa7a0", "#f4f1ea", "#ef8a4c"
INK, FAINT = "#222222", "#7a766d"  # on paper
LEFT_PX, RIGHT_PX = 112, 8  # beside the cells
FIGURES_UP_TO = 12  # classes; more leave no room for figures
RECALL, PRECISION = "recall", "precision"


class ConfusionCells(w.Box):
    """True classes down, predicted ones across; what is right in one colour, wrong in another.

    Both are shaded each by its own largest value, so that a few mistakes are seen beside
    thousands of hits. The last column holds the recall of each class, the last row the
    precision: a click there means the whole row or column.

    Args:
        class_names: Of all classes.
        width_px: With the names.
        n_shown: How many classes are shown at most.
        on_click: Called with row and column as indices of classes; None for all.
        on_hover: Likewise; with nothing for no cell.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        n_shown: int,
        on_click: Callable[[int | None, int | None], None],
        on_hover: Callable[..., None],
    ) -> None:
        self._names = unique_short(class_names, 12)
        self._shown: tuple[int, ...] = ()
        # Not reversed, as in `ClassCells`. Padded, as bqplot does for the height of words, the
        # cells would drift from the line around one of them.
        self._rows = bq.OrdinalScale(allow_padding=False)
        self._columns = bq.OrdinalScale(allow_padding=False)
        colours = bq.ColorScale(colors=[RIGHT_FILL, PAPER, WRONG_FILL], min=-1, mid=0, max=1)
        self.matrix = bq.GridHeatMap(
            color=np.zeros((2, 2), np.float32),
            row=["", " "],
            column=["", " "],
            scales={"row": self._rows, "column": self._columns, "color": colours},
            stroke="rgba(0,0,0,0)",
        )
        self.matrix.on_element_click(lambda _mark, event: on_click(*self._classes(*cell_of(event))))
        self._hover = CellHover(
            self.matrix, lambda *cell: on_hover(*(self._classes(*cell) if cell else ()))
        )
        self.figures = bq.Label(
            x=[],
            y=[],
            text=[],
            scales={"x": self._columns, "y": self._rows},
            align="middle",
            default_size=10,
            font_weight="normal",
        )
        # Its corners lie between the cells, where an ordinal scale has no places.
        self._along = bq.LinearScale(min=0, max=1, allow_padding=False)
        self._below = bq.LinearScale(min=0, max=1, reverse=True, allow_padding=False)
        self.line = bq.Lines(
            x=np.zeros(5),
            y=np.zeros(5),
            scales={"x": self._along, "y": self._below},
            colors=[INK],
            stroke_width=3,
            visible=False,
        )
        small = {"font-size": "11px"}
        self._room_px = (width_px - LEFT_PX - RIGHT_PX) / (min(len(self._names), n_shown) + 1)
        below = below_px(self._names, self._room_px)
        self._across = bq.Axis(
            scale=self._columns,
            side="bottom",
            label="predicted",
            label_offset=f"{below + 10}px",
            **class_ticks(self._names, self._room_px),
            grid_lines="none",
        )
        self._down = bq.Axis(
            scale=self._rows,
            side="left",
            label="true",
            label_offset="104px",
            tick_style=small,
            grid_lines="none",
        )
        self._height_px = round(width_px * 0.88) - below - 28  # of the cells
        width, height = f"{width_px}px", f"{round(width_px * 0.88)}px"
        figure = plain_figure(
            [self.matrix, self.line, self.figures],
            axes=[self._across, self._down],
            margin={"top": 4, "bottom": below + 24, "left": LEFT_PX, "right": RIGHT_PX},
            layout={"width": width, "min_width": width, "height": height, "min_height": height},
        )
        super().__init__(children=(figure,))
        self.add_class("aw-outlined")

    def show(
        self,
        values: np.ndarray,
        order: np.ndarray,
        recall: np.ndarray,
        precision: np.ndarray,
        *,
        are_shares: bool,
        highest: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Show some classes.

        Args:
            values: `(class, class)` counts or shares of all classes; NaN where there is none.
            order: Indices of the classes to show.
            recall: `(class,)`, NaN where a class has no samples.
            precision: `(class,)`, NaN where nothing was predicted as the class.
            are_shares: Whether the values are written as such; one count of 1 is no share of 1.
            highest: How far the colours of what is right and wrong reach at least.
        """
        shown = values[np.ix_(order, order)]
        self._show_names(order)
        with self.matrix.hold_sync(), self.matrix.hold_trait_notifications():
            self.matrix.color = np.pad(_shades(shown, highest), ((0, 1), (0, 1))).astype(np.float32)
            names = self._axis_names()
            if list(self.matrix.row) != names[0]:
                self.matrix.row, self.matrix.column = names
        if len(order) > FIGURES_UP_TO:
            texts: list[list[str]] = []
        else:
            texts = _texts(shown, recall[order], precision[order], are_shares)
        self._write(texts)

    def outline(self, cell: Cell | None) -> None:
        """Draw a line around a cell, a row, a column, or nothing.

        Args:
            cell: True and predicted class, None for all of them; or None for no line.
        """
        ends = None if cell is None else [self._ends(index) for index in cell]
        if ends is None or None in ends:
            self.line.visible = False
            return
        self._along.max = self._below.max = float(len(self._shown) + 1)
        (top, bottom), (left, right) = ends
        with self.line.hold_sync(), self.line.hold_trait_notifications():
            self.line.x = np.array([left, right, right, left, left], float)
            self.line.y = np.array([top, top, bottom, bottom, top], float)
            self.line.visible = True

    def _ends(self, index: int | None) -> tuple[int, int] | None:
        """Where a row or column begins and ends, all of them for None; None for one not on show."""
        if index is None:
            return 0, len(self._shown) + 1
        if index not in self._shown:
            return None
        place = self._shown.index(index)
        return place, place + 1

    def _show_names(self, order: np.ndarray) -> None:
        shown = tuple(int(index) for index in order)
        if shown == self._shown:
            return
        self._shown = shown
        rows, columns = self._axis_names()
        # bqplot keeps the order of names that stay the same, unless it is told one.
        self._rows.domain, self._columns.domain = rows[::-1], columns
        self._across.num_ticks = tick_count(len(rows), self._room_px, self._names)
        self._down.num_ticks = tick_count(len(rows), self._height_px / len(rows))
        self._hover.again()

    def _axis_names(self) -> tuple[list[str], list[str]]:
        names = [self._names[index] for index in self._shown]
        return [*names, _other(PRECISION, names)], [*names, _other(RECALL, names)]

    def _write(self, texts: list[list[str]]) -> None:
        rows, columns = self._axis_names()
        n_shown = len(self._shown)
        words = [
            (columns[across], rows[down], text, INK if max(down, across) < n_shown else FAINT)
            for down, line in enumerate(texts)
            for across, text in enumerate(line)
            if text
        ]
        with self.figures.hold_sync(), self.figures.hold_trait_notifications():
            self.figures.x = [x for x, _, _, _ in words]
            self.figures.y = [y for _, y, _, _ in words]
            self.figures.text = [text for _, _, text, _ in words]
            self.figures.colors = [ink for _, _, _, ink in words] or [INK]

    def _classes(self, row: int, column: int) -> tuple[int | None, int | None]:
        n_shown = len(self._shown)
        return (
            self._shown[row] if row < n_shown else None,
            self._shown[column] if column < n_shown else None,
        )


def _shades(values: np.ndarray, highest: tuple[float, float]) -> np.ndarray:
    """-1..0 on the diagonal, 0..1 beside it, each as a share of its own largest value.

    Or of the `highest` there are elsewhere, if they are larger.

    A cell without samples to take a share of is 0: bqplot draws NaN black.
    """
    known = np.nan_to_num(values)
    is_right = np.eye(len(values), dtype=bool)
    right, wrong = np.where(is_right, known, 0), np.where(is_right, 0, known)
    most_right, most_wrong = max(right.max(), highest[0]), max(wrong.max(), highest[1])
    return wrong / (most_wrong or 1) - right / (most_right or 1)


def _texts(
    values: np.ndarray, recall: np.ndarray, precision: np.ndarray, are_shares: bool
) -> list[list[str]]:
    """The figures of each cell; nothing where it is 0, so that what is there stands out."""
    figures = [[_figure(value, are_shares) for value in line] for line in values.tolist()]
    for line, share in zip(figures, recall.tolist(), strict=True):
        line.append(_share(share))
    return [*figures, [*map(_share, precision.tolist()), ""]]


def _figure(value: float, is_share: bool) -> str:
    if np.isnan(value) or not value:
        return ""
    if not is_share:
        return f"{value:.0f}"
    return f"{value:.2f}"[value < 1 :] if value >= 0.005 else "<.01"


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"[value < 0.995 :]


def _other(name: str, names: Sequence[str]) -> str:
    return name if name not in names else f"{name} of all"
