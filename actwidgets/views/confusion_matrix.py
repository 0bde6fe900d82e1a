"""Confusion matrix and classification report."""

from collections.abc import Callable, Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.confusion import (
    COLUMNS,
    NORMALIZED,
    AnyConfusion,
    ClassificationReport,
    ConfusedPair,
    ConfusionCounts,
    MultilabelConfusion,
    PixelConfusion,
)
from actwidgets.core.selection import Cell, Selection
from actwidgets.recording.replay import RecordedSession
from actwidgets.session.tasks import Progress
from actwidgets.views.base import PassView
from actwidgets.views.charts import (
    SMALL,
    below_px,
    class_axis,
    exact,
    fixed_size,
    margins,
    output_note,
    table_row,
    tick_count,
)
from actwidgets.views.controls import (
    Readout,
    choice,
    class_search,
    control_row,
    line_list,
    note,
    setting,
    shorten,
    unique_short,
    update,
)
from actwidgets.views.picture import CellHover, cell_of, plain_figure


class PredictionView(PassView):
    """A view of the predictions of all samples: of those so far, until there are all."""

    every_layer = True
    of_each_label = False

    def _missing(self) -> str:
        return self._session.predictions.missing_for_confusion()

    def _begin(self) -> bool:
        return True

    def _gathered(self) -> Any:
        return self._session.predictions.confusion(partial=True)

    def _read_of(self, confusion: AnyConfusion) -> str:
        """How many samples it is of, and of how many the predicted class means nothing."""
        text = self._read_text(len(confusion.rows), complete=confusion.complete)
        if confusion.n_nan:
            text += f"; {confusion.n_nan:,} with NaN for an output: their class means nothing"
        return text

    def _follows(self, reading: Progress) -> bool:
        return reading.what == "predictions"


ROWS = 30


def report_table(report: ClassificationReport, chosen: int | None = None) -> str:
    """The report as HTML, with names escaped; the chosen class stands out.

    Of more than 30 classes those with the lowest F1 of those that have samples. A figure that
    is 0 because there was nothing to divide by is a dash.
    """
    n_classes = len(report.class_names)
    rows = np.arange(n_classes)
    if n_classes > ROWS:
        known = np.flatnonzero(report.support)
        rows = known[np.argsort(report.f1[known], kind="stable")[:ROWS]]
    support, n_predicted, iou = report.support, report.n_predicted, report.iou
    of_both = support + n_predicted
    shares = [(report.precision, n_predicted), (report.recall, support), (report.f1, of_both)]
    if iou is not None:
        shares.append((iou, of_both))
    lines = [table_row("", COLUMNS if iou is None else (*COLUMNS, "IoU"), cell="th")]
    for index in rows.tolist():
        cells = [_report_share(values[index], counts[index]) for values, counts in shares]
        cells.insert(3, f"{support[index]:,}")
        kind = "aw-chosen" if index == chosen else ""
        lines.append(table_row(report.class_names[index], cells, kind))
    total = f"{int(support.sum()):,}"
    whole = "accuracy" if report.micro is None else "all labels right"
    none = [] if iou is None else [""]
    accuracy = ["", "", _report_share(report.accuracy, 1), total, *none]
    lines.append(table_row(whole, accuracy, "aw-rule"))
    for name, average in report.averages:
        values = (average.precision, average.recall, average.f1)
        cells = [*(_report_share(value, 1) for value in values), total, *none]
        if iou is not None and name == "macro avg":
            cells[-1] = _report_share(float(iou.mean()), 1)
        lines.append(table_row(name.replace("avg", "average"), cells))
    table = f'<table class="aw-table">{"".join(lines)}</table>'
    if n_classes > ROWS:
        table += f'<div class="aw-note">{len(rows)} of {n_classes:,} classes, lowest F1 first</div>'
    return table


def _report_share(value: float, count: int) -> str:
    return "–" if not count or np.isnan(value) else f"{value:.3f}"


RIGHT_FILL, EMPTY_FILL, WRONG_FILL = "#3fa7a0", "#f4f1ea", "#ef8a4c"
TEXT, FAINT_TEXT = "#222222", "#7a766d"  # on these fills
LEFT_PX, RIGHT_PX = 112, 8  # beside the cells
FIGURES_UP_TO = 12  # classes; more leave no room for figures
RECALL, PRECISION = "recall", "precision"


class ConfusionCells(w.Box):
    """True classes down, predicted ones across; what is right in one color, wrong in another.

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
        colors = bq.ColorScale(colors=[RIGHT_FILL, EMPTY_FILL, WRONG_FILL], min=-1, mid=0, max=1)
        self.matrix = bq.GridHeatMap(
            color=np.zeros((2, 2), np.float32),
            row=["", " "],
            column=["", " "],
            scales={"row": self._rows, "column": self._columns, "color": colors},
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
        self._along, self._below = exact(), exact(reverse=True)
        self.line = bq.Lines(
            x=np.zeros(5),
            y=np.zeros(5),
            scales={"x": self._along, "y": self._below},
            colors=[TEXT],
            stroke_width=3,
            visible=False,
        )
        self._room_px = (width_px - LEFT_PX - RIGHT_PX) / (min(len(self._names), n_shown) + 1)
        below = below_px(self._names, self._room_px)
        named = {"label": "predicted", "label_offset": f"{below + 10}px"}
        self._across = class_axis(self._columns, self._names, self._room_px, **named)
        named = {"label": "true", "label_offset": "104px", "side": "left", "grid_lines": "none"}
        self._down = bq.Axis(scale=self._rows, tick_style=SMALL, **named)
        height_px = round(width_px * 0.88)
        self._height_px = height_px - below - 28  # of the cells
        figure = plain_figure(
            [self.matrix, self.line, self.figures],
            axes=[self._across, self._down],
            margin=margins(4, below + 24, LEFT_PX, RIGHT_PX),
            layout=fixed_size(width_px, height_px),
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
        """Show the classes of an order.

        Args:
            values: `(class, class)` counts or shares of all classes; NaN where there is none.
            order: Indices of the classes to show.
            recall: `(class,)`, NaN where a class has no samples.
            precision: `(class,)`, NaN where nothing was predicted as the class.
            are_shares: Whether the values are written as such; one count of 1 is no share of 1.
            highest: How far the colors of what is right and wrong reach at least.
        """
        shown = values[np.ix_(order, order)]
        self._show_names(order)
        with self.matrix.hold_sync(), self.matrix.hold_trait_notifications():
            self.matrix.color = np.pad(_shades(shown, highest), ((0, 1), (0, 1))).astype(np.float32)
            names = self._axis_names()
            if list(self.matrix.row) != names[0]:
                self.matrix.row, self.matrix.column = names
        has_room = len(order) <= FIGURES_UP_TO
        self._write(_texts(shown, recall[order], precision[order], are_shares) if has_room else [])

    def outline(self, cell: Cell | None) -> None:
        """Draw a line around a cell, a row or a column: None is all classes, no cell no line."""
        down, across = (None, None) if cell is None else map(self._ends, cell)
        if down is None or across is None:
            self.line.visible = False
            return
        self._along.max = self._below.max = float(len(self._shown) + 1)
        (top, bottom), (left, right) = down, across
        update(
            self.line,
            x=np.array([left, right, right, left, left], float),
            y=np.array([top, top, bottom, bottom, top], float),
            visible=True,
        )

    def _ends(self, index: int | None) -> tuple[int, int] | None:
        """Where a row or column begins and ends, all of them for None; None for one not visible."""
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
        labels = [
            (columns[across], rows[down], text, TEXT if max(down, across) < n_shown else FAINT_TEXT)
            for down, line in enumerate(texts)
            for across, text in enumerate(line)
            if text
        ]
        x, y, text, colors = (
            map(list, zip(*labels, strict=True)) if labels else ([], [], [], [TEXT])
        )
        update(self.figures, x=x, y=y, text=text, colors=colors)

    def _classes(self, row: int, column: int) -> tuple[int | None, int | None]:
        row_class, column_class = (
            self._shown[place] if place < len(self._shown) else None for place in (row, column)
        )
        return row_class, column_class


def _shades(values: np.ndarray, highest: tuple[float, float]) -> np.ndarray:
    """-1..0 on the diagonal, 0..1 beside it, as a share of its largest value or of the `highest`.

    A cell without samples to take a share of is 0: bqplot draws NaN black.
    """
    known, is_right = np.nan_to_num(values), np.eye(len(values), dtype=bool)
    right, wrong = np.where(is_right, known, 0), np.where(is_right, 0, known)
    most_right, most_wrong = max(right.max(), highest[0]), max(wrong.max(), highest[1])
    return wrong / (most_wrong or 1) - right / (most_right or 1)


def _texts(
    values: np.ndarray, recall: np.ndarray, precision: np.ndarray, are_shares: bool
) -> list[list[str]]:
    """The figures of each cell; nothing where it is 0, so that what is there stands out."""
    figures = [
        [*(_figure(value, are_shares) for value in line), _share(share)]
        for line, share in zip(values.tolist(), recall.tolist(), strict=True)
    ]
    return [*figures, [*map(_share, precision.tolist()), ""]]


def _figure(value: float, is_share: bool) -> str:
    if np.isnan(value) or not value:
        return ""
    share = f"{value:.2f}"[value < 1 :] if value >= 0.005 else "<.01"
    return share if is_share else f"{value:.0f}"


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"[value < 0.995 :]


def _other(name: str, names: Sequence[str]) -> str:
    return name if name not in names else f"{name} of all"


CELLS_UP_TO = 40  # classes; of more, some
PART = 24
PAIRS = 100
LETTERS = 18
SHOWN = [
    *(("counts", "counts"), ("share of the row", "row")),
    *(("share of the column", "column"), ("share of all", "all")),
]
OF_LABEL_PX = 360  # two by two cells


class ConfusionMatrix(PredictionView):
    """Counts or shares of true against predicted classes; a click chooses the samples behind.

    A click on a cell chooses its samples for all views, one at the side those of a whole row
    or column; what is chosen is outlined. The most confused pairs are
    listed, and beside them stand precision, recall and F1 of each class as scikit-learn defines
    them.

    Of several labels a sample there are two by two counts of each label: in a list, and as a
    matrix those of the chosen class; of masks the pixels are counted, and a click chooses the
    samples that have such pixels.

    Of more than 40 classes those are shown that the chosen class is mixed up with, or those
    with the most mistakes.
    """

    watched = ("class_index", "ablations", "confusion_cell")
    normalized = t.Enum(NORMALIZED, "counts", help="what the cells hold").tag(option=True)
    width_px = t.Int(520, min=240, help="width of the matrix").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        names = self._session.class_names
        self._several = self._session.label_sets is not None
        self._label = 0
        self._confusion: ConfusionCounts | None = None
        self._pairs: tuple[ConfusedPair, ...] = ()
        cells = ("no", "yes") if self._several else names
        width_px = min(self.width_px, OF_LABEL_PX) if self._several else self.width_px
        n_shown = PART if len(cells) > CELLS_UP_TO else len(cells)
        handlers = self._on_user_cell, self._on_user_hover
        self._cells = ConfusionCells(cells, width_px, n_shown, *handlers)
        self.matrix = self._cells.matrix
        controls = control_row(self._control("normalized", choice("show", SHOWN, "180px")))
        search = class_search(names, self._on_user_class)
        search.layout.display = None if len(names) > CELLS_UP_TO else "none"
        self.pairs = line_list(self._on_user_pair, "352px", rows=7)
        self._report, self._pairs_title = w.HTML(), w.HTML()
        beside = w.VBox([self._report, self._pairs_title, self.pairs])
        self._picture = w.HBox(
            [w.VBox([search, self._cells, self._readout]), beside],
            layout={"flex_flow": "row wrap", "align_items": "flex-start"},
        )
        return self._title, controls, self._note, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        altered = " · with ablated units" if selection.ablations else ""
        names = self._session.class_names
        of = f" of {names[selection.class_index or 0]}" if self._several else ""
        return f"Confusion matrix{of}", f"true down, predicted across{altered}"

    def _draw(self, selection: Selection, given: AnyConfusion) -> bool:
        table, text = given.report, self._read_of(given)
        if isinstance(given, MultilabelConfusion):
            self._label = selection.class_index or 0
            confusion: ConfusionCounts = given.of_label(self._label)
            self._list_labels(given)
        else:
            confusion = given
        self._confusion = confusion
        report = confusion.report
        recall = np.where(report.support > 0, report.recall, np.nan)
        precision = np.where(report.n_predicted > 0, report.precision, np.nan)
        order = np.arange(len(confusion.class_names))
        if len(order) > CELLS_UP_TO:
            order = confusion.mixed_up(selection.class_index, PART)
        session, common = self._session, None
        if isinstance(session, RecordedSession):
            common = session.confusion_scale(self.normalized)
        self._cells.show(
            confusion.normalized(self.normalized),
            order,
            recall,
            precision,
            are_shares=self.normalized != "counts",
            highest=common or (0.0, 0.0),
        )
        cell = selection.confusion_cell  # outlined while its samples are those that are chosen
        is_so = cell is not None and set(confusion.samples(*cell)) == set(selection.samples)
        self._cells.outline(cell if is_so else None)
        chosen = self._label if self._several else selection.class_index
        self._report.value = report_table(table, chosen)
        if not self._several:
            self._list_pairs(confusion.worst_pairs(PAIRS))
        if isinstance(given, PixelConfusion):
            text += f", {int(given.counts.sum()):,} pixels"
        what = "all labels right" if self._several else "accuracy"
        text += f", {what} {given.accuracy:.4f}"
        if len(order) < len(confusion.class_names):
            text += f"; {len(order)} of {len(confusion.class_names):,} classes"
        if session.class_order:
            text += f"; {session.class_order}"
        if common is not None:
            text += "; colors mean the same at all epochs"
        self._note.value = note(text) + output_note(session.output)
        return True

    def _list_pairs(self, pairs: tuple[ConfusedPair, ...]) -> None:
        if pairs == self._pairs and self._pairs_title.value:
            return
        names = [shorten(name, LETTERS) for name in self._session.class_names]
        self._pairs = pairs
        with setting(self.pairs):
            self.pairs.options = [
                f"{pair.count:5,}  {pair.share:6.1%}  {names[pair.true]} → {names[pair.predicted]}"
                for pair in pairs
            ]
            self.pairs.index = None
        what = "samples" if self._session.masks is None else "pixels"
        shares = f"most confused pairs, with the share of the class's {what}"
        self._pairs_title.value = note(shares if pairs else "no errors")
        self.pairs.layout.display = None if pairs else "none"

    def _list_labels(self, confusion: MultilabelConfusion) -> None:
        """The counts of every label, two by two in a line."""
        names = [shorten(name, LETTERS) for name in self._session.class_names]
        counts = zip(confusion.counts.tolist(), names, strict=True)
        lines = [
            f"{yes:6,} {missed:6,} {false:6,} {no:6,}  {name}"
            for ((no, false), (missed, yes)), name in counts
        ]
        with setting(self.pairs):
            if list(self.pairs.options) != lines:
                self.pairs.options = lines
            self.pairs.index = self._label
        self._pairs_title.value = note("samples: TP, FN, FP, TN")

    def _choose(self, true: int | None, predicted: int | None) -> None:
        """Choose the samples of a cell, a row or a column."""
        if self._confusion is None:
            return
        rows = self._confusion.samples(true, predicted)
        if not rows:
            self._on_user_hover(true, predicted)
            return
        class_index = predicted if true is None else true
        cell: Cell | None = (true, predicted)
        if self._several:
            class_index, cell = self._label, None  # it is a cell of one label's matrix
        self._session.select(
            samples=rows, sample=rows[0], class_index=class_index, confusion_cell=cell
        )

    def _readout_of_cell(self, true: int | None, predicted: int | None) -> str:
        if self._confusion is None:
            return ""
        names, count = self._confusion.class_names, len(self._confusion.samples(true, predicted))
        samples = f"{count:,} sample" + ("s" if count != 1 else "")
        if self._confusion.unit == "pixel":
            rows = slice(None) if true is None else true
            columns = slice(None) if predicted is None else predicted
            n_pixels = int(self._confusion.counts[rows, columns].sum())
            samples = f"{n_pixels:,} pixels in {samples},"
        of_class = "" if true is None else f" of {names[true]}"
        as_class = "" if predicted is None else f" predicted as {names[predicted]}"
        return samples + of_class + as_class

    def _on_user_cell(self, true: int | None, predicted: int | None) -> None:
        with self._guard("could not choose the samples"):
            self._choose(true, predicted)

    def _on_user_pair(self, _change: Any) -> None:
        with self._guard("could not choose the samples"):
            if self.pairs.index is None:
                return
            if self._several:
                self._session.select(class_index=self.pairs.index)
            else:
                pair = self._pairs[self.pairs.index]
                self.pairs.index = None  # so that the same one may be chosen again
                self._choose(pair.true, pair.predicted)

    def _on_user_class(self, class_index: int) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=class_index)
