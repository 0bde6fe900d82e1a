"""Thumbnails of the samples, to select what all views of a session show."""

from dataclasses import replace
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.predictions import OUTCOMES, filter_rows, needs_predictions
from actwidgets.core.selection import Selection
from actwidgets.images.encode import ContactSheet, rgba_png
from actwidgets.views.base import View
from actwidgets.views.controls import (
    HINT,
    NEUTRAL,
    RIGHT,
    WRONG,
    PageRange,
    Readout,
    choice,
    control_row,
    fitted,
    labeled,
    share_text,
    title,
    toggle,
)
from actwidgets.views.picture import FRAME_PX, Picture

ALL = -1
DEBOUNCE_S = 0.3  # the slider's: the page is turned so long after it came to rest
BETWEEN_PX = 2  # captions of neighbors
NAMES_PX = 12  # room for the names of several inputs
MARGIN_PX = 10
UNSHRUNK = {"flex": "0 0 auto"}  # where there is no room, a row is begun


class SampleGallery(View):
    """Thumbnails with predicted and true class; the chosen ones are `session.samples`.

    Below each sample stands its prediction: behind ✓ where it is right, behind ✗ and with
    the true class below it where it is wrong. Of several labels a sample it is right only where
    all of them are, and is of each class that it has. All image inputs of a sample stand side
    by side, named where there are several. A click chooses a sample, or with `several`
    adds it and takes it away again; the current sample has the thicker frame. Where another
    view, or a program, chooses several samples, or those of a cell of the confusion matrix, the
    gallery shows those alone. The slider is debounced: the page is turned when it rests.
    """

    watched = ("sample", "samples", "confusion_cell", "ablations")
    class_filter = t.Int(ALL, help="only samples of this class; -1 for all").tag(option=True)
    outcome = t.Enum(OUTCOMES, "all", help="only right or wrong predictions").tag(option=True)
    several = t.Bool(False, help="a click adds to the selection").tag(option=True)
    only_chosen = t.Bool(False, help="only the selected samples").tag(option=True)
    page = t.Int(0, min=0, help="page of samples").tag(option=True)
    columns = t.Int(4, min=1, help="thumbnails in a row").tag(option=True)
    rows = t.Int(3, min=1, help="rows of thumbnails").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        session = self._session
        self._title, self._readout = w.HTML(), Readout(self._readout_of_cell)
        self._slider = labeled(
            w.IntSlider,
            "sample",
            tooltip="the current sample, by its row in the data",
            max=session.n_samples - 1,
            layout={"width": "auto", "max_width": f"{max(70 * self.columns, 280)}px"},
            style={"description_width": "52px"},
        )
        self._slider.observe(self._on_user_slider, names="value")
        self._slider.add_class(HINT)
        self._picture = Picture(with_words=True, with_frames=True)
        self._picture.on_click(self._on_user_click)
        self._picture.on_hover(self._on_user_hover)
        self._pager = self._make_pager()
        classes = [("all", ALL), *((name, i) for i, name in enumerate(session.class_names))]
        self._filters = control_row(
            self._control("class_filter", choice("class", classes, "152px")),
            self._control("outcome", choice("show", OUTCOMES, "118px")),
        )
        tip = "a click adds a sample to the selection or removes it"
        several = self._control("several", toggle("multi-select", "94px", tooltip=tip))
        tip = "show only the selected samples"
        only = self._control("only_chosen", toggle("selected", "78px", tooltip=tip))
        toggles = w.HBox([only, several], layout=UNSHRUNK)
        self._pager.layout.flex = UNSHRUNK["flex"]
        below = control_row(self._pager, toggles)
        below.layout.justify_content = "space-between"
        below.layout.max_width = f"{max(70 * self.columns, 340)}px"
        is_labeled = session.labels is not None or session.label_sets is not None
        self._filters.layout.display = None if is_labeled else "none"
        self._rows = np.arange(session.n_samples)
        self._cleanup.callback(session.context.queue.drop_call, self._turn_at_rest)
        self._filtered: Any = None
        self._drawn: Any = None
        self._known: tuple[Any, ...] = (session.samples, session.confusion_cell)
        self._choosing = False
        return self._title, self._slider, self._filters, self._picture, below, self._readout

    def _render(self, selection: Selection) -> None:
        self._slider.value = selection.sample
        self._filter()
        page = self._page()
        rows, sheet = self._rows[page.rows], self._sheet()
        self._show_thumbnails(rows, sheet, page, selection)
        self._show_frames(rows, sheet, selection)

    def _show_thumbnails(
        self, rows: np.ndarray, sheet: ContactSheet, page: PageRange, selection: Selection
    ) -> None:
        """The page, which mostly stays as it is when another sample is chosen."""
        session = self._session
        counted = f"{session.n_samples:,}"
        if self.only_chosen:
            counted = f"{len(self._rows):,} selected of {counted}"
        drawn = rows.tobytes(), session.revision, selection.ablations, sheet, page, counted
        if drawn == self._drawn:
            return
        self._picture.set_size(sheet.height_px, sheet.width_px)
        self._picture.set_cells(sheet.row_edges, sheet.column_edges)
        pictures = list(session.pictures(rows.tolist()))
        self._picture.show(rgba_png(sheet.compose(pictures, [0] * len(pictures))))
        self._write(rows, sheet)
        self._pager.show(page, page.span_text())
        self._title.value = title("Samples", counted)
        self._drawn = drawn

    def _show_frames(self, rows: np.ndarray, sheet: ContactSheet, selection: Selection) -> None:
        """Frame what is chosen, the current sample in bold; the pictures need not be sent anew."""
        chosen = {*selection.samples, selection.sample}
        places = [place for place, row in enumerate(rows.tolist()) if row in chosen]
        focus = np.flatnonzero(rows[places] == selection.sample)
        # A pixel stays free between a picture and its frame.
        beyond = (1 + FRAME_PX / 2) * np.array([-1, 1, 1, -1])
        edges = [sheet.edges_of(place) + beyond for place in places]
        self._picture.set_frames(edges, bold=int(focus[0]) if focus.size else None)

    def _filter(self) -> None:
        session = self._session
        chosen = session.samples if self.only_chosen else None
        altered = session.ablations if needs_predictions(self.outcome) else ()
        key = self.class_filter, self.outcome, session.revision, chosen, altered
        if key != self._filtered:
            predictions = session.predictions() if needs_predictions(self.outcome) else None
            self._rows = filter_rows(
                session.n_samples,
                session.labels if session.label_sets is None else session.label_sets,
                predictions,
                class_index=None if self.class_filter == ALL else self.class_filter,
                outcome=self.outcome,
                among=chosen,
                output=session.output if predictions is not None else None,
            )
            self._filtered = key

    @property
    def _n_across(self) -> int:
        """How many samples stand in a row: fewer where each has several pictures."""
        return max(1, self.columns // len(self._session.picture_inputs))

    def _sheet(self) -> ContactSheet:
        """Thumbnails, those of several inputs of a sample side by side with their names."""
        n_pictures = len(self._session.picture_inputs)
        one = ContactSheet(self._n_across, self.rows)
        if n_pictures == 1:
            return one
        width_px = one.cell_width_px + (n_pictures - 1) * one.picture_px
        height_px = one.cell_height_px + NAMES_PX
        return replace(one, cell_width_px=width_px, cell_height_px=height_px, across=n_pictures)

    def _page(self) -> PageRange:
        return PageRange(self.page, self._n_across * self.rows, len(self._rows))

    def _turn_to_focus(self) -> None:
        """Go to the page of the current sample, where the filters let it through."""
        with self._session.lock, self._guard("could not turn the page"):
            self._filter()
            places = np.flatnonzero(self._rows == self._session.sample)
            if places.size:
                self.page = int(places[0]) // (self._n_across * self.rows)

    def _write(self, rows: np.ndarray, sheet: ContactSheet) -> None:
        places, texts, colors = [], [], []
        names = self._session.picture_inputs
        if len(rows) and self._session.predicts_classes:
            self._session.predictions(rows.tolist())  # one forward pass: each is known then
        for place, row in enumerate(rows):
            down, across = divmod(place, sheet.columns)
            x = (across + 0.5) * sheet.cell_width_px
            y = down * sheet.cell_height_px + sheet.picture_px + MARGIN_PX
            if len(names) > 1:
                left = x - sheet.picture_width_px / 2
                for number, name in enumerate(names):
                    places.append((left + (number + 0.5) * sheet.picture_px, y + 7))
                    texts.append(fitted(name, sheet.picture_px))
                    colors.append(NEUTRAL)
                y += NAMES_PX
            width_px = sheet.cell_width_px - BETWEEN_PX
            above, below, color = _caption(*self._classes(int(row)), width_px)
            places += [(x, y + 7), (x, y + 18)]
            texts += [above, below]
            colors += [color, color]
        self._picture.set_words(places, texts, colors)

    def _classes(self, row: int) -> tuple[str | None, str | None]:
        """Names of the predicted and of the true class of a sample, where there are any."""
        session = self._session
        return session.predicted_words(row), session.label_words(row)

    def _row_at(self, row: int, column: int) -> int | None:
        place = row * self._n_across + column
        shown = self._rows[self._page().rows]
        return int(shown[place]) if column < self._n_across and place < len(shown) else None

    def _show_what_was_chosen(self) -> None:
        """Where others chose several samples or a cell's, show those; where one, all again."""
        selection = self._session.selection
        known = selection.samples, selection.confusion_cell
        if known != self._known:
            was_of_cell, self._known = self._known[1] is not None, known
            if not self._choosing or (was_of_cell and not selection.chosen):
                self.only_chosen = bool(selection.chosen)

    def _select(self, **choice: Any) -> None:
        self._choosing = True
        try:
            self._session.select(**choice)
        finally:
            self._choosing = False

    def _on_session(self, change: Any = None) -> None:
        if not self.watching:
            return
        self._show_what_was_chosen()
        if not self._session.context.queue.is_put_off(self._turn_at_rest):  # the slider moves
            self._turn_to_focus()
            super()._on_session(change)

    def _on_option(self, change: Any) -> None:
        if change.name in ("class_filter", "outcome", "only_chosen") and self.page:
            self.page = 0  # repaints, with the new filter
        else:
            super()._on_option(change)

    def _on_user_slider(self, change: Any) -> None:
        with self._guard("could not choose the sample"):
            if change.new == self._session.sample:
                return
            self._session.context.queue.call_later(DEBOUNCE_S, self._turn_at_rest)
            self._select(sample=change.new)

    def _turn_at_rest(self) -> None:
        with self._guard("could not turn the page"):
            self._on_session()

    def _on_user_click(self, row: int, column: int) -> None:
        with self._guard("could not choose the sample"):
            chosen = self._row_at(row, column)
            if chosen is None:
                return
            samples = self._session.samples
            if self.several and chosen in samples and len(samples) > 1:
                self._select(samples=tuple(sample for sample in samples if sample != chosen))
            elif self.several and chosen not in samples:
                self._select(sample=chosen, samples=(*samples, chosen))
            elif self.only_chosen:
                self._select(sample=chosen)
            elif not self.several:
                self._select(sample=chosen, samples=(chosen,))

    def _readout_of_cell(self, row: int, column: int) -> str:
        chosen = self._row_at(row, column)
        if chosen is None:
            return ""
        predicted, true = self._classes(chosen)
        parts = [f"sample {chosen}"]
        if predicted is not None:
            sure = ""
            if self._session.label_sets is None:
                confidence = float(self._session.scores([chosen]).confidence[0])
                sure = "" if np.isnan(confidence) else f" ({share_text(confidence)})"
            parts.append(f"predicted {predicted}{sure}")
        if true is not None:
            parts.append(f"is {true}")
        return ", ".join(parts)


def _caption(predicted: str | None, true: str | None, width_px: float) -> tuple[str, str, str]:
    """Two lines below a thumbnail, and their color; the sign before a name always stays."""
    if predicted is None:
        return fitted(true or "", width_px), "", NEUTRAL
    if true is None:
        return fitted(f"→ {predicted}", width_px), "", NEUTRAL
    if predicted == true:
        return fitted(f"✓ {predicted}", width_px), "", RIGHT
    return fitted(f"✗ {predicted}", width_px), fitted(f"is {true}", width_px), WRONG
