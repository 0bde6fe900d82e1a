"""Which classes the model takes for which, and the report that belongs to it."""

import html
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.predictions.confusion import (
    NORMALISED,
    AnyConfusion,
    ConfusedPair,
    ConfusionCounts,
    MultilabelConfusion,
    PixelConfusion,
)
from actwidgets.core.selection import Cell
from actwidgets.recording.recorded_session import RecordedSession
from actwidgets.session import Selection
from actwidgets.views._confusion_cells import ConfusionCells
from actwidgets.views._controls import Readout, choice, note, shorten
from actwidgets.views._prediction_view import PredictionView
from actwidgets.views._report_table import report_table
from actwidgets.views._value_lines import output_note

CELLS_UP_TO = 40  # classes; of more, some
PART = 24
PAIRS = 100
LETTERS = 18
OF_LABEL_PX = 360  # two by two cells


class ConfusionMatrix(PredictionView):
    """Counts or shares of true against predicted classes; a click chooses the samples behind.

    A click on a cell chooses its samples for all views, one at the side those of a whole row
    or column; what is chosen is outlined. The pairs that are taken for one another most are
    listed, and beside them stand precision, recall and F1 of each class as scikit-learn defines
    them.

    Of several labels a sample there are two by two counts of each label: in a list, and as a
    matrix those of the chosen class; of masks the pixels are counted, and a click chooses the
    samples that have such pixels.

    Of more than 40 classes those are shown that the chosen class is mixed up with, or those
    with the most mistakes.
    """

    watched = ("class_index", "ablations", "confusion_cell")
    normalised = t.Enum(NORMALISED, "counts", help="what the cells hold").tag(option=True)
    width_px = t.Int(520, min=240, help="width of the matrix").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._tell_cell)
        names = self._session.class_names
        self._several = self._session.label_sets is not None
        self._label = 0
        self._confusion: ConfusionCounts | None = None
        self._pairs: tuple[ConfusedPair, ...] = ()
        cells = ("no", "yes") if self._several else names
        width_px = min(self.width_px, OF_LABEL_PX) if self._several else self.width_px
        n_shown = PART if len(cells) > CELLS_UP_TO else len(cells)
        self._cells = ConfusionCells(
            cells, width_px, n_shown, self._on_user_cell, self._on_user_hover
        )
        self.matrix = self._cells.matrix
        ways = [("counts", "counts"), *((f"share of the {each}", each) for each in NORMALISED[1:])]
        controls = w.HBox(
            [self._control("normalised", choice("show", ways, "180px"))],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._search = w.Combobox(
            options=list(names),
            placeholder="find a class",
            ensure_option=False,
            layout={"width": "210px", "display": None if len(names) > CELLS_UP_TO else "none"},
        )
        self._search.observe(self._on_user_search, names="value")
        self._report = w.HTML()
        self.pairs = w.Select(rows=7, layout={"width": "352px"})
        self.pairs.add_class("aw-list")
        self.pairs.observe(self._on_user_pair, names="index")
        self._pairs_title = w.HTML()
        self._listing = False
        beside = w.VBox([self._report, self._pairs_title, self.pairs])
        self._picture = w.HBox(
            [w.VBox([self._search, self._cells, self._readout]), beside],
            layout={"flex_flow": "row wrap", "align_items": "flex-start"},
        )
        return self._title, controls, self._note, self._picture

    def _heading(self, selection: Selection) -> str:
        altered = " with ablated units" if selection.ablations else ""
        of = ""
        if self._several:
            name = self._session.class_names[selection.class_index or 0]
            of = f" of {html.escape(name, quote=True)}"
        return f"Confusion matrix{of} <span>true down, predicted across{altered}</span>"

    def _draw(self, selection: Selection, given: AnyConfusion) -> bool:
        table, text = given.report, self._read_of(given)
        confusion: ConfusionCounts
        if isinstance(given, MultilabelConfusion):
            self._label = selection.class_index or 0
            confusion = given.of_label(self._label)
            self._list_labels(given)
        else:
            confusion = given
        self._confusion = confusion
        report = confusion.report
        recall = np.where(report.support > 0, report.recall, np.nan)
        precision = np.where(report.n_predicted > 0, report.precision, np.nan)
        order = self._order(confusion, selection.class_index)
        is_recorded = isinstance(self._session, RecordedSession)
        common = self._session.confusion_scale(self.normalised) if is_recorded else None
        self._cells.show(
            confusion.normalised(self.normalised),
            order,
            recall,
            precision,
            are_shares=self.normalised != "counts",
            highest=common or (0.0, 0.0),
        )
        self._cells.outline(self._outlined(selection, confusion))
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
        if self._session.class_order:
            text += f"; {self._session.class_order}"
        if common is not None:
            text += "; colours mean the same at all epochs"
        self._note.value = note(text) + output_note(self._session.output)
        return True

    def _outlined(self, selection: Selection, confusion: ConfusionCounts) -> Cell | None:
        """The cell whose samples are chosen, while they are what it holds."""
        cell = selection.confusion_cell
        is_so = cell is not None and set(confusion.samples(*cell)) == set(selection.samples)
        return cell if is_so else None

    def _order(self, confusion: ConfusionCounts, class_index: int | None) -> np.ndarray:
        if len(confusion.class_names) <= CELLS_UP_TO:
            return np.arange(len(confusion.class_names))
        return confusion.mixed_up(class_index, PART)

    def _list_pairs(self, pairs: tuple[ConfusedPair, ...]) -> None:
        if pairs == self._pairs and self._pairs_title.value:
            return
        names = [shorten(name, LETTERS) for name in self._session.class_names]
        self._pairs = pairs
        self._listing = True
        try:
            self.pairs.options = [
                f"{each.count:5,}  {each.share:6.1%}  {names[each.true]} → {names[each.predicted]}"
                for each in pairs
            ]
            self.pairs.index = None
        finally:
            self._listing = False
        what = "samples" if self._session.masks is None else "pixels"
        told = f"taken for another most, of the {what} of the class" if pairs else "no mistakes"
        self._pairs_title.value = note(told)
        self.pairs.layout.display = None if pairs else "none"

    def _list_labels(self, confusion: MultilabelConfusion) -> None:
        """The counts of every label, two by two in a line."""
        names = [shorten(name, LETTERS) for name in self._session.class_names]
        lines = [
            f"{yes:6,} {missed:6,} {false:6,} {no:6,}  {name}"
            for ((no, false), (missed, yes)), name in zip(
                confusion.counts.tolist(), names, strict=True
            )
        ]
        self._listing = True
        try:
            if list(self.pairs.options) != lines:
                self.pairs.options = lines
            self.pairs.index = self._label
        finally:
            self._listing = False
        self._pairs_title.value = note("samples: found, missed, falsely said, rightly not")

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

    def _tell_cell(self, true: int | None, predicted: int | None) -> str:
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
        return (
            samples + of_class + (f" taken for {names[predicted]}" if predicted is not None else "")
        )

    def _on_user_cell(self, true: int | None, predicted: int | None) -> None:
        with self._guard("could not choose the samples"):
            self._choose(true, predicted)

    def _on_user_pair(self, _change: Any) -> None:
        with self._guard("could not choose the samples"):
            if self._several:
                if not self._listing and self.pairs.index is not None:
                    self._session.select(class_index=self.pairs.index)
            elif not self._listing and self.pairs.index is not None:
                pair = self._pairs[self.pairs.index]
                self.pairs.index = None  # so that the same one may be chosen again
                self._choose(pair.true, pair.predicted)

    def _on_user_search(self, change: Any) -> None:
        with self._guard("could not choose the class"):
            if change.new in self._session.class_names:
                self._session.select(class_index=self._session.class_names.index(change.new))
