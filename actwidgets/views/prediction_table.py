"""Class probabilities, confidence, margin and loss of each sample as a table."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.predictions import SORTED_BY, VALUES_SORTED_BY, ClassScores, ValueScores
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import palette
from actwidgets.images.encode import palette_png
from actwidgets.images.heatmap import (
    HEAD_PX,
    ProbabilitySheet,
    classes_within,
    sheet_within,
    shown_classes,
)
from actwidgets.session.tasks import Progress
from actwidgets.views.base import PassView
from actwidgets.views.charts import ValueLines, left_out, output_note, summary
from actwidgets.views.controls import (
    NEUTRAL,
    RIGHT,
    WRONG,
    PageRange,
    Readout,
    choice,
    control_row,
    note,
    shorten,
    unique_short,
)
from actwidgets.views.picture import Picture

ORDERS = tuple(dict.fromkeys((*SORTED_BY, *VALUES_SORTED_BY)))
SCOPES = ("auto", "chosen", "all")
OF_ALL = 4_000_000  # probabilities that are sorted where all samples are shown
DARK, LIGHT = "#1b1b1b", "#ffffff"
SEVERAL = (
    "several labels a sample: right where all are; confidence and margin are those of the most "
    "probable one"
)
KINDS = {
    "probabilities": "",
    "shares": "the outputs do not sum to one: the loss is of their shares of the sum",
    "margins": "scores without probabilities: margin only, no confidence and no loss",
    "scores": "the outputs are no probabilities: confidence, margin and loss are of their softmax",
}


class PredictionTable(PassView):
    """Class probabilities of samples as a colored table; a click chooses the sample.

    Of a regression the predicted values, and where `y` holds them the targets and residuals.

    A line per sample: what it is, what it is taken for, each class's probability, the
    confidence, the margin to the next class and the loss. Sorted by one of these the doubtful
    or the worst come first. Shown are the chosen samples where there are any, with the
    perturbation and the ablations in force, and else all of them.
    """

    every_layer = True
    watched = ("sample", "samples", "confusion_cell", "perturbation", "ablations")
    scope = t.Enum(SCOPES, "auto", help="which samples have a line").tag(option=True)
    sort = t.Enum(ORDERS, "row", help="what the lines are sorted by").tag(option=True)
    lines = t.Int(20, min=1, help="samples on a page").tag(option=True)
    page = t.Int(0, min=0, help="page of samples").tag(option=True)
    width_px = t.Int(720, min=200, help="width of the table at most").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        self._sheet = Picture(with_words=True)
        self._sheet.on_click(self._on_user_click)
        self._sheet.on_hover(self._on_user_hover)
        self._pager = self._make_pager()
        self._rows: np.ndarray = np.arange(0)  # of the data, in the order of the table
        self._scores: ClassScores | None = None
        self._columns: np.ndarray = np.arange(0)
        self._names = unique_short(self._session.class_names, 9)
        scopes = [("selected, or all", "auto"), ("selected", "chosen"), ("all", "all")]
        controls = control_row(
            self._control("scope", choice("samples", scopes, "226px")),
            self._control("sort", choice("sort", self._orders(), "150px")),
            self._pager,
        )
        self._values = ValueLines(self._on_user_value)
        self._classes = w.VBox([self._sheet, self._readout])
        self._picture = w.VBox([self._classes, self._values], layout={"overflow": "auto"})
        return self._title, controls, self._note, self._picture

    @t.validate("sort")
    def _validate_sort(self, proposal: Any) -> Any:
        if proposal.value not in self._orders():
            orders = ", ".join(self._orders())
            raise t.TraitError(f"no order {proposal.value!r} here; there are {orders}")
        return proposal.value

    def _orders(self) -> tuple[str, ...]:
        if self._is_of_values:
            return VALUES_SORTED_BY if self._session.targets is not None else VALUES_SORTED_BY[:2]
        return SORTED_BY if self._session.labels is not None else SORTED_BY[:-1]

    def _heading(self, selection: Selection) -> tuple[str, str]:
        n_shown = len(selection.samples) if self._of_chosen(selection) else self._session.n_samples
        return "Predictions", f"{n_shown:,} sample{'s' * (n_shown != 1)}"

    @property
    def _is_of_values(self) -> bool:
        return bool(self._session.n_outputs) and self._session.output.kind == "value"

    def _missing(self) -> str:
        return "" if self._is_of_values else self._session.missing_for_predictions()

    def _follows(self, reading: Progress) -> bool:
        return reading.what == "predictions" and not self._of_chosen(self._session.selection)

    def _of_chosen(self, selection: Selection) -> bool:
        return self.scope == "chosen" or (self.scope == "auto" and bool(selection.chosen))

    def _begin(self) -> bool:
        return True

    def _gathered(self) -> tuple[np.ndarray, ClassScores | ValueScores]:
        session, of_values = self._session, self._is_of_values
        scores: Any = session.value_scores if of_values else session.scores
        if self._of_chosen(session.selection):
            return np.array(session.samples), scores()
        n_columns = session.n_outputs if of_values else len(session.class_names)
        limit = max(OF_ALL // n_columns, 20 if of_values else self.lines)
        rows = session.predictions.rows(partial=True)[:limit]
        return rows, scores(rows)

    def _draw(
        self, selection: Selection, gathered: tuple[np.ndarray, ClassScores | ValueScores]
    ) -> bool:
        rows, scores = gathered
        is_of_values = isinstance(scores, ValueScores)
        self._classes.layout.display = "none" if is_of_values else None
        self._values.layout.display = None if is_of_values else "none"
        order = scores.order(self.sort)
        page = PageRange(self.page, self.lines, len(order))
        self._rows, self._on_page = rows[order], order[page.rows]
        if isinstance(scores, ValueScores):
            text = self._draw_values(selection, rows, scores)
        else:
            text = self._draw_classes(selection, rows, scores)
        self._pager.show(page, page.span_text())
        self._note.value = (note(text) if text else "") + output_note(self._session.output)
        return True

    def _draw_classes(self, selection: Selection, rows: np.ndarray, scores: ClassScores) -> str:
        """Draw the table, and describe it."""
        self._scores = scores
        values = scores.values[self._on_page]
        self._columns = shown_classes(values, classes_within(self.width_px, values.shape[1]))
        sheet = sheet_within(self.width_px, len(self._on_page), len(self._columns))
        self._sheet.set_size(sheet.height_px, sheet.width_px)
        self._sheet.set_cells(sheet.row_edges, sheet.column_edges)
        shares = self._shares(scores)
        self._sheet.show(palette_png(sheet.codes(shares), palette("likelihood")))
        shown = values[:, self._columns]
        # Of a thousand classes that are about as probable two decimals tell nothing.
        self._n_decimals = 3 if np.nanmax(np.abs(shown), initial=0) < 0.1 else 2
        self._write(sheet, shares, rows, selection.sample)
        return self._describe(len(rows), scores, sheet)

    def _draw_values(self, selection: Selection, all_rows: np.ndarray, scores: ValueScores) -> str:
        """Write the lines, and describe them."""
        self._scores = None
        rows = all_rows[self._on_page].tolist()
        self._values.show(scores, self._on_page.tolist(), rows, selection.sample)
        parts = [summary(scores), left_out(self._session.output), self._first_of(len(all_rows))]
        return "; ".join(filter(None, parts))

    def _first_of(self, n_found: int) -> str:
        """That not all samples have a place in the table; "" where they have."""
        n_samples, chosen = self._session.n_samples, self._of_chosen(self._session.selection)
        few = n_found < n_samples and not chosen
        return f"the first {n_found:,} of {n_samples:,} samples" if few else ""

    def _shares(self, scores: ClassScores) -> np.ndarray:
        """What colors the cells, 0..1: scores without bounds by where they lie in their line."""
        values = scores.values[np.ix_(self._on_page, self._columns)]
        if scores.kind not in ("scores", "margins"):
            return values
        is_finite = np.isfinite(values)
        low = np.where(is_finite, values, np.inf).min(axis=1, keepdims=True)
        high = np.where(is_finite, values, -np.inf).max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # lines without a finite score
            shares = (values - low) / np.where(high > low, high - low, 1.0)
        return np.where(values == -np.inf, 0.0, shares)

    def _write(
        self, sheet: ProbabilitySheet, shares: np.ndarray, rows: np.ndarray, focus: int
    ) -> None:
        scores, labels = self._scores, list[tuple[float, float, str, str]]()
        right = sheet.width_px - sheet.right_px
        for place, index in enumerate(self._columns):
            up = HEAD_PX - (12 if place % 2 else 28)  # in two lines, so that names have room
            labels.append((sheet.class_middle(place), up, self._names[index], NEUTRAL))
        beside = HEAD_PX - (28 if len(self._columns) % 2 == 0 else 12)  # not on the last class's
        for place, name in enumerate(("confid.", "margin", "loss") if sheet.right_px else ()):
            labels.append((right + 26 + 46 * place, beside, name, NEUTRAL))
        assert scores is not None
        told_of = (scores.confidence, scores.margin, scores.loss) if sheet.right_px else ()
        for line, index in enumerate(self._on_page):
            row, middle = int(rows[index]), sheet.middle(line)
            verdict, color = self._verdict(row, int(scores.predicted[index]))
            mark = "▸ " if row == focus else ""
            labels += [(30.0, middle, f"{mark}{row}", NEUTRAL), (108.0, middle, verdict, color)]
            for place, share in enumerate(shares[line]):
                text = _figure(float(scores.values[index, self._columns[place]]), self._n_decimals)
                color = LIGHT if share > 0.55 else DARK
                labels.append((sheet.class_middle(place), middle, text, color))
            for place, figures in enumerate(told_of):
                value = float(figures[index])
                text = "–" if np.isnan(value) else f"{value:.3f}"
                labels.append((right + 26 + 46 * place, middle, text, NEUTRAL))
        _, _, texts, colors = zip(*labels, strict=True)
        self._sheet.set_words([label[:2] for label in labels], texts, colors)

    def _verdict(self, row: int, predicted: int) -> tuple[str, str]:
        session, said = self._session, self._session.class_names[predicted]
        true = session.label_words(row)
        is_right = session.labels is not None and session.labels[row] == predicted
        if session.label_sets is not None:
            said = session.predicted_words(row) or ""
            is_right = said == true
        if true is None:
            return f"→ {shorten(said, 16)}", NEUTRAL
        if is_right:
            return f"✓ {shorten(said, 16)}", RIGHT
        return f"{shorten(true, 8)} ✗ {shorten(said, 8)}", WRONG

    def _describe(self, n_found: int, scores: ClassScores, sheet: ProbabilitySheet) -> str:
        parts = [self._first_of(n_found)]
        if len(self._columns) < scores.values.shape[1]:
            parts.append(f"{len(self._columns)} of {scores.values.shape[1]:,} classes")
        if not sheet.right_px:
            parts.append("too narrow for confidence, margin and loss")
        if self._session.label_sets is not None:
            parts.append(SEVERAL)
        else:
            parts.append(KINDS[scores.kind])
        return "; ".join(filter(None, parts))

    def _row_at(self, line: int) -> int | None:
        if not 0 <= line < len(self._on_page):
            return None
        start = PageRange(self.page, self.lines, len(self._rows)).rows.start
        return int(self._rows[start + line])

    def _on_option(self, change: Any) -> None:
        if change.name in ("sort", "scope") and self.page:
            self.page = 0  # repaints, in the new order
        else:
            super()._on_option(change)

    def _on_user_click(self, row: int, _column: int) -> None:
        self._on_user_value(self._row_at(row - 1))

    def _on_user_value(self, chosen: int | None) -> None:
        with self._guard("could not choose the sample"):
            if chosen is None:
                return
            if chosen in self._session.samples:
                self._session.select(sample=chosen)
            else:
                self._session.select(sample=chosen, samples=(chosen,))

    def _readout_of_cell(self, row: int, column: int) -> str:
        chosen = self._row_at(row - 1)
        if chosen is None or self._scores is None:
            return ""
        text = f"sample {chosen}"
        if column == 0:
            label = self._session.label_words(chosen)
            text += "" if label is None else f", is {label}"
            if self._session.label_sets is None:
                predicted = int(self._scores.predicted[self._on_page[row - 1]])
                text += f", predicted {self._session.class_names[predicted]}"
        if 1 <= column <= len(self._columns):
            index = self._columns[column - 1]
            value = self._scores.values[self._on_page[row - 1], index]
            text += f", {self._session.class_names[index]}: {value:.6g}"
        return text


def _figure(value: float, n_decimals: int) -> str:
    if np.isnan(value):
        return "nan"
    if 0 <= value <= 1:
        text = f"{value:.{n_decimals}f}"
        return "" if float(text) == 0 else text[float(text) < 1 :]
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
