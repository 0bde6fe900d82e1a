"""Units of the selected layer by importance for the class."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.core.selection import Selection
from actwidgets.core.unit_importance import MEASURES, ImportanceTable
from actwidgets.session.context import BackgroundWork
from actwidgets.views.base import View
from actwidgets.views.charts import exact, fixed_size
from actwidgets.views.controls import (
    NEUTRAL,
    ProgressLine,
    button,
    choice,
    control_row,
    decimals,
    duration,
    fade,
    note,
    show,
    title,
    update,
)
from actwidgets.views.picture import CLEAR, plain_figure


def bar_ends(values: ArrayLike) -> tuple[float, Doubles]:
    """Where zero lies, and where each bar ends that begins there, scaled to span 0..1.

    Of `(bar,)` values of any sign; NaN and infinity have no bar. Where no value differs from zero
    all bars end where they begin, at 0.
    """
    known: Doubles = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    low, high = min(known.min(initial=0.0), 0.0), max(known.max(initial=0.0), 0.0)
    span = (high - low) or np.inf
    return -low / span, (known - low) / span


TITLES = {
    "forest": "Random forest",
    "mutual_information": "Mutual information",
    "ablation": "Ablation effect",
}
DOING = {
    **{"reading": "reading samples", "forest": "growing the forest"},
    **{"mutual_information": "mutual information", "ablation": "ablating units"},
}
MINUS = "\u2212"
HEAD = "position:absolute;white-space:nowrap;color:var(--jp-ui-font-color1,#212121)"
FAINT = "color:var(--jp-ui-font-color2,#616161)"


def _header(table: ImportanceTable, by: str, lefts_px: Sequence[int], width_px: int) -> str:
    """The names of the measures and their units, each over its panel, as HTML."""
    lost = "accuracy" if table.class_name is None else "recall"
    units = ("% of the forest's gain", "nats", f"points of {lost} lost")
    cells = [f'<div style="{HEAD};left:2px"><b>Unit</b></div>']
    for measure, unit, left in zip(MEASURES, units, lefts_px, strict=True):
        mark = " ▾" if measure == by else ""
        cells.append(
            f'<div style="{HEAD};left:{left}px"><b>{TITLES[measure]}{mark}</b><br>'
            f'<span style="{FAINT}">{unit}</span></div>'
        )
    style = f"position:relative;height:36px;width:{width_px}px;line-height:16px;font-size:12px"
    return f'<div style="{style}">{"".join(cells)}</div>'


def figures(table: ImportanceTable, measure: str, units: Integers) -> list[str]:
    """The values behind the bars; nothing where one is not known yet, – where it never is."""
    values = table.of(measure) * (1 if measure == "mutual_information" else 100)
    highest = float(np.nanmax(np.abs(values), initial=0.0))
    places = min(decimals(highest) + (measure == "ablation"), 2)  # one sample is to be seen
    unknown = "–" if table.complete else ""
    return [
        unknown if np.isnan(values[unit]) else f"{values[unit]:.{places}f}".replace("-", MINUS)
        for unit in units
    ]


def account(table: ImportanceTable) -> str:
    """A row per measure: what it cost, what it found, what to mind; as HTML."""
    rows = [
        f'<tr><td style="{_CELL};white-space:nowrap"><b>{TITLES[measure]}</b></td>'
        f'<td style="{_CELL};width:215px">{html.escape(_found(table, measure))}</td>'
        f'<td style="{_CELL}">{html.escape(table.caveats[measure])}</td></tr>'
        for measure in MEASURES
    ]
    names = ("measure", "cost and result", "caveats")
    heads = "".join(f'<th style="{_CELL};{FAINT}">{name}</th>' for name in names)
    style = 'class="aw-table" style="margin:10px 0 0 0;line-height:16px"'
    return f"<table {style}><tr>{heads}</tr>{''.join(rows)}</table>"


_CELL = "text-align:left;vertical-align:top;padding:2px 14px 6px 0;white-space:normal"


def _found(table: ImportanceTable, measure: str) -> str:
    seconds = f"{table.seconds[measure]:.1f} s"
    if not table.n_units or np.isnan(table.of(measure)).all():
        return "not known" if table.complete else "not yet"
    if measure == "forest":
        text = f"{seconds} for {_counted(table.n_trees, 'tree')} on {table.n_finite:,} samples"
        if np.isnan(table.out_of_bag_accuracy):
            return text
        text += f"; out-of-bag accuracy {table.out_of_bag_accuracy:.1%}, where the most frequent"
        return f"{text} class makes {table.majority_share:.1%}"
    n_known = int((~np.isnan(table.of(measure)[table.measured])).sum())
    units = _counted(n_known, "unit")
    if measure == "mutual_information":
        return f"{seconds} for {units} on {table.n_finite:,} samples"
    name = "accuracy" if table.class_name is None else "recall"
    return (
        f"{seconds} for {units} on {table.n_ablated:,} samples; {name} {table.baseline:.1%} with "
        f"all units; one sample is {100 / table.n_ablated:.2g} points"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


ROW_PX = 18
GAP = 0.22  # between bars, of a row
LABELS = 0.2  # width of the column of names, a panel being 1
BARS = 0.7  # of a panel; the rest is for the figure behind the bar
BAR, CHOSEN = "#3fa7a0", "#e08a2e"


class MeasureBars(w.VBox):
    """A table with a bar in every cell. The rows are clicked, not the bars alone: `on_row(row)`."""

    def __init__(self, n_panels: int, width_px: int, on_row: Callable[[int], None]) -> None:
        self.n_panels, self._width_px = n_panels, width_px
        self.header = w.HTML()
        self._rows = bq.OrdinalScale(domain=[0])
        self._across = bq.LinearScale(min=-LABELS, max=n_panels)
        scales = {"x": self._rows, "y": self._across}
        flat = {"orientation": "horizontal", "stroke": CLEAR, "stroke_width": 0.0, "x": []}
        self.bands = bq.Bars(
            scales=scales, y=[], base=-2 * LABELS, padding=0.0, colors=[BAR], **flat
        )
        self.bars = [
            bq.Bars(scales=scales, y=[], base=float(panel), padding=GAP, colors=[BAR], **flat)
            for panel in range(n_panels)
        ]
        style = {"x": [], "y": [], "text": [], "default_size": 11, "font_weight": "normal"}
        # Padded, they would drift from the bars.
        style |= {"scales": {"x": self._across, "y": exact(reverse=True)}, "colors": [NEUTRAL]}
        self.names = bq.Label(align="end", **style)
        self.figures = bq.Label(align="start", **style)
        for mark in (self.bands, *self.bars):
            mark.on_element_click(lambda _mark, event: on_row(int(event["data"]["index"])))
        self._figure = plain_figure(
            [self.bands, *self.bars, self.names, self.figures], layout=fixed_size(width_px, ROW_PX)
        )
        super().__init__(children=(self.header, self._figure))

    def left_px(self, panel: int) -> int:
        """Where a panel begins."""
        return round(self._width_px * (LABELS + panel) / (LABELS + self.n_panels))

    def show(
        self,
        names: Sequence[str],
        chosen: int | None,
        panels: Sequence[tuple[float, np.ndarray, Sequence[str]]],
    ) -> None:
        """Show other rows, the first on top; the chosen one stands out.

        A panel is a measure: where zero lies, where the bars end, both in 0..1, and what is written
        behind each bar.
        """
        n_rows = len(names)
        rows = np.arange(n_rows, dtype=np.float32)
        if n_rows > len(self._rows.domain):  # a row outside the domain would have no place
            self._set_rows(n_rows)
        colors = [CHOSEN if row == chosen else BAR for row in range(n_rows)]
        opacities = [0.2 if row == chosen else 0.0 for row in range(n_rows)]
        update(self.bands, x=rows, y=np.full(n_rows, float(self.n_panels)), opacities=opacities)
        places, texts = [], []
        for panel, (zero, ends, values) in enumerate(panels):
            base, y = panel + BARS * zero, panel + BARS * np.asarray(ends)
            update(self.bars[panel], base=base, x=rows, y=y, colors=colors)
            places += list(panel + BARS * np.maximum(ends, zero) + 0.02)
            texts += list(values)
        if n_rows < len(self._rows.domain):
            self._set_rows(n_rows)
        middles = (rows + 0.5) / n_rows
        named, written = (np.array(words, dtype=str) for words in (names, texts))
        update(self.names, x=np.full(n_rows, -0.03), y=middles, text=named)
        heights = np.tile(middles, len(panels))
        update(self.figures, x=np.array(places), y=heights, text=written)

    def _set_rows(self, n_rows: int) -> None:
        self._rows.domain = list(range(n_rows))[::-1]  # bqplot begins at the bottom
        height = f"{n_rows * ROW_PX}px"
        update(self._figure.layout, height=height, min_height=height)


ROWS_UP_TO = 30
MARGINS_PX = 4  # of a picture, both sides
STYLE = """<style>.aw-old .aw-measures { pointer-events: none; }
.aw-measures .bqplot .zeroLine { stroke: rgba(128, 128, 128, .55); pointer-events: none; }
.aw-measures .bqplot .bargroup { cursor: pointer; }</style>"""


class UnitImportance(View):
    """Random forest, mutual information and ablation of the units of the selected layer.

    They cost seconds to minutes, so nothing is measured before the button is pressed or
    `measure()` called. Another layer or class has to be measured anew; until then the last
    picture stays, faded. A click on a row chooses the unit.
    """

    watched = ("layer", "unit", "class_index")
    by = t.Enum((*MEASURES, "unit"), "forest", help="what the rows are sorted by").tag(option=True)
    rows = t.Int(ROWS_UP_TO, min=1, max=ROWS_UP_TO, help="units shown at most").tag(option=True)
    width_px = t.Int(760, min=480, help="width of the bars").tag(option=True)

    def measure(self) -> None:
        """Measure the units of the selected layer, in the background; go on if cancelled.

        Raises:
            DataError: The session has no labels or a single class, or the layer no units.
        """
        with self._session.lock:  # or a failure at once would be told before this picture
            self._importance.request()
            self._importance.resume()
            self._repaint()

    def _build(self) -> tuple[w.Widget, ...]:
        self._importance = self._session.importance
        self._shown: np.ndarray = np.arange(0)
        self._is_old = True
        self._title, self._note, self._account = w.HTML(), w.HTML(), w.HTML()
        self._button = button("Measure", self._on_user_measure, "92px")
        names = [*((TITLES[measure].lower(), measure) for measure in MEASURES), ("unit", "unit")]
        controls = control_row(
            self._control("by", choice("sorted by", names, "220px")), self._button
        )
        self._progress = ProgressLine(self._importance.cancel, self._importance.resume)
        self._bars = MeasureBars(len(MEASURES), self.width_px, self._on_user_row)
        self._picture = w.VBox(
            [self._bars, self._account], layout={"max_width": f"{self.width_px + MARGINS_PX}px"}
        )
        show(self._picture, False)
        self._bars.add_class("aw-measures")
        self._subscribe(self._importance, self._on_reading, "reading")
        style = w.HTML(STYLE, layout={"display": "none"})
        return self._title, self._progress, controls, self._note, self._picture, style

    def _render(self, selection: Selection) -> None:
        what = selection.layer
        if selection.class_index is not None:
            what += f", {self._session.class_names[selection.class_index]} against the rest"
        self._title.value = title("Unit importance", what)
        missing = self._importance.missing()
        table = None if missing else self._importance.known()
        self._tell_progress(selection, table)
        if missing:
            self._note.value = note(f"nothing to show for {selection.layer}: {missing}")
            show(self._picture, False)
        is_known = table is not None and any(table.known(measure) for measure in MEASURES)
        if table is not None and is_known:
            self._draw(selection, table)
            show(self._picture, True)
        elif not missing:
            self._note.value = note(self._nothing_yet(what, table))
        self._is_old = not is_known
        fade(self._picture, self._is_old)

    def _draw(self, selection: Selection, table: ImportanceTable) -> None:
        by = self.by  # until that is known, by what is known first
        if by != "unit" and not table.known(by):
            by = next(measure for measure in MEASURES if table.known(measure))
        self._shown, counted = _rows(table, by, selection.unit, self.rows)
        panels = []
        for measure in MEASURES:
            zero, ends = bar_ends(table.of(measure))
            panels.append((zero, ends[self._shown], figures(table, measure, self._shown)))
        units = self._shown.tolist()
        chosen = units.index(selection.unit) if selection.unit in units else None
        self._bars.show(list(map(str, units)), chosen, panels)
        lefts = [self._bars.left_px(panel) for panel in range(len(MEASURES))]
        self._bars.header.value = _header(table, by, lefts, self.width_px)
        self._note.value = note(_describe(table, counted, self._session.layer_info.output_shape))
        self._account.value = account(table)

    def _nothing_yet(self, what: str, table: ImportanceTable | None) -> str:
        if table is not None and table.complete:
            return f"nothing could be measured for {what}. {' '.join(table.notes)}"
        measuring = table is not None and self._is_of(self._session.selection)
        return "" if measuring else f"not measured yet for {what}"

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
            left = f"; about {duration(table.seconds_left)} left in all"
            text = DOING[table.stage] + (", cancelled" if reading.cancelled else left)
            self._progress.show(reading, text)
        else:
            self._progress.show(reading, f"measuring {', '.join(reading.layers)}")
        done = table is not None and table.complete
        to_do = not done and not (mine and reading is not None and not reading.failure)
        shown = to_do and not self._importance.missing()
        self._button.layout.display = None if shown else "none"

    def _on_reading(self, _change: Any) -> None:
        reading = self._importance.reading
        self._on_news()
        if self.watching and reading is not None and reading.failure:
            self._show_error(f"could not measure the units: {reading.failure}")

    def _on_user_measure(self) -> None:
        with self._guard("could not measure the units"):
            self.measure()

    def _on_user_row(self, row: int) -> None:
        with self._guard("could not choose the unit"):
            if not self._is_old and row < len(self._shown):
                self._session.select(unit=int(self._shown[row]))


def _rows(table: ImportanceTable, by: str, chosen: int, limit: int) -> tuple[np.ndarray, str]:
    """The visible units, the selected one always among them, and how many they are in words."""
    order = table.order(by)
    order = order[np.isin(order, table.measured)]
    n_units = f"{table.n_units:,} units" if table.n_units > 1 else "1 unit"
    how = "by index" if by == "unit" else f"by {TITLES[by].lower()}"
    shown = order[:limit]
    if len(order) == table.n_units <= limit:
        return shown, f"{n_units}, {how}"
    text = f"{len(shown)} of {n_units}, {how}"
    if chosen in order and chosen not in shown:
        place = int(np.flatnonzero(order == chosen)[0]) + 1
        shown = np.append(shown[:-1], chosen)
        text += f"; the last row is the selected unit, rank {place:,}"
    elif chosen not in order:
        text += f"; the selected unit, {chosen}, is not measured"
    return shown, text


def _describe(table: ImportanceTable, counted: str, shape: tuple[int | None, ...]) -> str:
    text = f"{counted}; {table.n_samples:,} samples"
    if table.n_samples < table.n_total:
        text += f", evenly spread over {table.n_total:,}"
    if len(shape) > 2:
        text += "; of each map the mean over its positions"
    return " ".join([f"{text}.", *table.notes])
