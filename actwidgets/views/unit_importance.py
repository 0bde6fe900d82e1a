"""Which units of the chosen layer carry the class, by three measures side by side."""

import html
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.background_work import BackgroundWork
from actwidgets.core.importance.bar_ends import bar_ends
from actwidgets.core.importance.unit_importance import MEASURES, ImportanceTable
from actwidgets.session import Selection
from actwidgets.views._controls import choice, note, show
from actwidgets.views._importance_words import (
    TITLES,
    account,
    figures,
    header,
    progress,
    subject,
)
from actwidgets.views._measure_bars import MeasureBars
from actwidgets.views._progress import ProgressLine
from actwidgets.views.base import View

ROWS_UP_TO = 30
MARGINS_PX = 4  # of a picture, both sides
OLD = "aw-importance-old"
STYLE = f"""<style>.{OLD} {{ opacity: .35; pointer-events: none; }}
.aw-measures .bqplot .zeroLine {{ stroke: rgba(128, 128, 128, .55); pointer-events: none; }}
.aw-measures .bqplot .bargroup {{ cursor: pointer; }}</style>"""


class UnitImportance(View):
    """Random forest, mutual information and ablation of the units of the chosen layer.

    They cost seconds to minutes, so nothing is measured before the button is pressed or
    `measure()` called. Another layer or class has to be measured anew; until then the last
    picture stays, faded. A click on a row chooses the unit.
    """

    watched = ("layer", "unit", "class_index")
    by = t.Enum((*MEASURES, "unit"), "forest", help="what the rows are sorted by").tag(option=True)
    rows = t.Int(ROWS_UP_TO, min=1, max=ROWS_UP_TO, help="units on show").tag(option=True)
    width_px = t.Int(760, min=480, help="width of the bars").tag(option=True)

    def measure(self) -> None:
        """Measure the units of the chosen layer, in the background; go on if cancelled.

        Raises:
            DataError: The session has no labels or a single class, or the layer no units.
        """
        self._importance.get(partial=True)
        self._importance.resume()
        self._repaint()

    def _build(self) -> tuple[w.Widget, ...]:
        self._importance = self._session.importance
        self._shown: np.ndarray = np.arange(0)
        self._is_old = True
        self._title, self._note, self._account = w.HTML(), w.HTML(), w.HTML()
        self._button = w.Button(description="Measure", layout={"width": "92px"})
        self._button.on_click(self._on_user_measure)
        names = [*((TITLES[each].lower(), each) for each in MEASURES), ("unit", "unit")]
        controls = w.HBox(
            [self._control("by", choice("sorted by", names, "220px")), self._button],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
        self._progress = ProgressLine(self._importance.cancel, self._importance.resume)
        self._bars = MeasureBars(len(MEASURES), self.width_px, self._on_user_row)
        self._picture = w.VBox(
            [self._bars, self._account], layout={"max_width": f"{self.width_px + MARGINS_PX}px"}
        )
        show(self._picture, False)
        self._bars.add_class("aw-measures")
        self._importance.observe(self._on_reading, names="reading")
        style = w.HTML(STYLE, layout={"display": "none"})
        return self._title, self._progress, controls, self._note, self._picture, style

    def _render(self, selection: Selection) -> None:
        class_name = None
        if selection.class_index is not None:
            class_name = self._session.class_names[selection.class_index]
        what = subject(selection.layer, class_name)
        self._title.value = (
            f'<div class="aw-title">What units tell of the class <span>{html.escape(what)}</span>'
            "</div>"
        )
        missing = self._importance.missing()
        table = None if missing else self._importance.known()
        self._tell_progress(selection, table)
        if missing:
            self._note.value = note(f"nothing to show for {selection.layer}: {missing}")
            self._fade(True)
            show(self._picture, False)
        elif table is None or not any(table.known(measure) for measure in MEASURES):
            self._fade(True)
            self._note.value = note(self._nothing_yet(what, table))
        else:
            self._draw(selection, table)
            self._fade(False)
            show(self._picture, True)

    def _draw(self, selection: Selection, table: ImportanceTable) -> None:
        by = self.by  # until that is known, by what is known first
        if by != "unit" and not table.known(by):
            by = next(measure for measure in MEASURES if table.known(measure))
        self._shown, told = _rows(table, by, selection.unit, self.rows)
        panels = []
        for measure in MEASURES:
            zero, ends = bar_ends(table.of(measure))
            panels.append((zero, ends[self._shown], figures(table, measure, self._shown)))
        chosen = np.flatnonzero(self._shown == selection.unit)
        self._bars.show(
            [str(unit) for unit in self._shown], chosen[0] if chosen.size else None, panels
        )
        lefts = [self._bars.left_px(panel) for panel in range(len(MEASURES))]
        self._bars.header.value = header(table, by, lefts, self.width_px)
        self._note.value = note(_describe(table, told, self._session.layer_info.output_shape))
        self._account.value = account(table)

    def _nothing_yet(self, what: str, table: ImportanceTable | None) -> str:
        if table is not None and table.complete:
            return f"nothing could be measured for {what}. {' '.join(table.notes)}"
        measuring = table is not None and self._is_of(self._session.selection)
        return "" if measuring else f"not measured yet for {what}"

    def _fade(self, is_old: bool) -> None:
        self._is_old = is_old
        (self._picture.add_class if is_old else self._picture.remove_class)(OLD)

    # --- what is under way ---------------------------------------------------------------

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._importance,)

    def _is_of(self, selection: Selection) -> bool:
        return self._importance.of == (selection.layer, selection.class_index)

    def _tell_progress(self, selection: Selection, table: ImportanceTable | None) -> None:
        reading = self._importance.reading
        under_way = reading is not None and reading.under_way
        mine = reading is not None and self._is_of(selection) and table is not None
        if reading is None or not (mine or under_way):
            self._progress.show(None)
        elif mine and table is not None:
            self._progress.show(reading, progress(table, reading.cancelled))
        else:
            self._progress.show(reading, f"measuring {', '.join(reading.layers)}")
        done = table is not None and table.complete
        to_do = not done and not (mine and reading is not None and not reading.failure)
        shown = to_do and not self._importance.missing()
        self._button.layout.display = None if shown else "none"

    def _on_reading(self, _change: Any) -> None:
        if not self.watching:
            self._painted = None  # there is more to show by then
            return
        reading = self._importance.reading
        self._repaint()
        if reading is not None and reading.failure:
            self._show_error(f"could not measure the units: {reading.failure}")

    def _on_user_measure(self, _button: w.Button) -> None:
        with self._guard("could not measure the units"):
            self.measure()

    def _on_user_row(self, row: int) -> None:
        with self._guard("could not choose the unit"):
            if not self._is_old and row < len(self._shown):
                self._session.select(unit=int(self._shown[row]))

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._importance.unobserve(self._on_reading, names="reading")
        super().close()


def _rows(table: ImportanceTable, by: str, chosen: int, limit: int) -> tuple[np.ndarray, str]:
    """The units on show, the chosen one always among them, and how many they are in words."""
    order = table.order(by)
    order = order[np.isin(order, table.measured)]
    n_units = f"{table.n_units:,} units" if table.n_units > 1 else "1 unit"
    how = "as numbered" if by == "unit" else f"by {TITLES[by].lower()}"
    shown = order[:limit]
    if len(order) == table.n_units <= limit:
        return shown, f"{n_units}, {how}"
    text = f"{len(shown)} of {n_units}, {how}"
    if chosen in order and chosen not in shown:
        place = int(np.flatnonzero(order == chosen)[0]) + 1
        shown = np.append(shown[:-1], chosen)
        text += f"; the last row is the chosen one, number {place:,}"
    elif chosen not in order:
        text += f"; the chosen one, {chosen}, is not measured"
    return shown, text


def _describe(table: ImportanceTable, told: str, shape: tuple[int | None, ...]) -> str:
    text = f"{told}; {table.n_samples:,} samples"
    if table.n_samples < table.n_total:
        text += f", evenly spread over {table.n_total:,}"
    if len(shape) > 2:
        text += "; of each map the mean over its positions"
    return " ".join([f"{text}.", *table.notes])
