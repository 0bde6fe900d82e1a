"""A confusion matrix as cells with figures, and recall and precision at its sides."""

from collections.abc import Callable, Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np

from actwidgets.views._class_figure import below_px, class_ticks
from actwidgets.views._controls import unique_short
from actwidgets.views._picture import cell_of, plain_figure

RIGHT_FILL, PAPER, WRONG_FILL = "#3fa7a0", "#f4f1ea", "#ef8a4c"
INK, FAINT = "#222222", "#7a766d"  # on paper
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
        on_click: Called with row and column as indices of classes; None for all.
        on_hover: Likewise.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        on_click: Callable[[int | None, int | None], None],
        on_hover: Callable[[int | None, int | None], None],
    ) -> None:
        self._names = unique_short(class_names, 12)
        self._shown: tuple[int, ...] = ()
        self._rows, self._columns = bq.OrdinalScale(reverse=True), bq.OrdinalScale()
        colours = bq.ColorScale(colors=[RIGHT_FILL, PAPER, WRONG_FILL], min=-1, mid=0, max=1)
        self.matrix = bq.GridHeatMap(
            color=np.zeros((2, 2), np.float32),
            row=["", " "],
            column=["", " "],
            scales={"row": self._rows, "column": self._columns, "color": colours},
            stroke="rgba(0,0,0,0)",
        )
        self.matrix.on_element_click(lambda _mark, event: on_click(*self._classes(event)))
        self.matrix.on_hover(lambda _mark, event: on_hover(*self._classes(event)))
        self.figures = bq.Label(
            x=[],
            y=[],
            text=[],
            scales={"x": self._columns, "y": self._rows},
            align="middle",
            default_size=10,
            font_weight="normal",
        )
        small = {"font-size": "11px"}
        self._across = bq.Axis(
            scale=self._columns,
            side="bottom",
            label="predicted",
            label_offset=f"{below_px(self._names) + 8}px",
            **class_ticks(self._names),
            grid_lines="none",
        )
        self._down = bq.Axis(
            scale=self._rows,
            side="left",
            label="true",
            label_offset="96px",
            tick_style=small,
            grid_lines="none",
        )
        width, height = f"{width_px}px", f"{round(width_px * 0.88)}px"
        figure = plain_figure(
            [self.matrix, self.figures],
            axes=[self._across, self._down],
            margin={"top": 4, "bottom": below_px(self._names) + 24, "left": 112, "right": 8},
            layout={"width": width, "min_width": width, "height": height, "min_height": height},
        )
        super().__init__(children=(figure,))

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

    def _show_names(self, order: np.ndarray) -> None:
        shown = tuple(int(index) for index in order)
        if shown == self._shown:
            return
        self._shown = shown
        rows, columns = self._axis_names()
        # bqplot keeps the order of names that stay the same, unless it is told one.
        self._rows.domain, self._columns.domain = rows[::-1], columns
        self._across.num_ticks = self._down.num_ticks = len(rows)

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

    def _classes(self, event: object) -> tuple[int | None, int | None]:
        row, column = cell_of(event)
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
