"""Box plots of the selected unit's activation by class, with a table of ranges."""

from collections.abc import Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import finite_range
from actwidgets.core.class_profiles import BoxStatistics, ClassProfiles
from actwidgets.core.labels import label_pairs
from actwidgets.core.selection import Selection
from actwidgets.views.base import PassView
from actwidgets.views.charts import class_figure, on_select, table_row
from actwidgets.views.controls import NEUTRAL, note, unique_short, update

CLASSES_UP_TO = 30
CHOSEN_UP_TO = 100  # samples that are dots
CHOSEN = "#ef8a4c"
COLUMNS = ("samples", "lowest", "quartile", "median", "quartile", "highest")


class UnitBoxPlot(PassView):
    """Box plots of the selected unit by class, and a table of its range.

    A box runs from quartile to quartile, with the median in it; whiskers end at the last
    value within 1.5 times its height, and dots are values beyond (of each class the farthest
    40). For a layer with maps, a sample's value is the largest at any position. The chosen
    samples, where there are several, are dots of another color. A click on a box chooses the
    class.
    """

    watched = ("layer", "unit", "class_index", "chosen")
    width_px = t.Int(560, min=200, help="width of the plot").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._table = w.HTML(), w.HTML(), w.HTML()
        self._names = unique_short(self._session.class_names, 12)
        self._classes: np.ndarray = np.arange(0)
        self._across = bq.OrdinalScale(domain=self._names[:CLASSES_UP_TO])
        self._values = bq.LinearScale(min=0, max=1)
        scales = {"x": self._across, "y": self._values}
        places = self._across.domain  # hidden as yet, but bqplot leaves room for them, or finds NaN
        self.boxes = bq.Boxplot(
            x=places,
            y=np.zeros((len(places), 5)),
            scales=scales,
            stroke=NEUTRAL,
            box_fill_color="#8cc9c4",
            auto_detect_outliers=False,  # it gets the five numbers of each box
        )
        on_select(self.boxes, self._on_user_box)
        self.outliers, self.chosen = (
            bq.Scatter(
                x=[], y=[], scales=scales, colors=[color], default_size=size, opacities=[opacity]
            )
            for color, size, opacity in ((NEUTRAL, 9, 0.5), (CHOSEN, 26, 0.75))
        )
        figure = class_figure(
            [self.outliers, self.boxes, self.chosen],
            scales,
            self._names,
            n_shown=CLASSES_UP_TO,
            width_px=self.width_px,
            height_share=0.5,
        )
        self._picture = w.VBox([figure, self._table])
        return self._title, self._note, self._picture

    def _missing(self) -> str:
        return self._session.profiles.missing_for_unit_boxes()

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return f"Unit {selection.unit} by class", selection.layer

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        session = self._session
        boxes = session.unit_boxes()
        self._note.value = note(self._describe(boxes, profiles.complete))
        self._paint(boxes)
        self._paint_chosen(selection)
        self._table.value = _table(boxes, session.class_names, selection.class_index)
        return True

    def _paint(self, boxes: BoxStatistics) -> None:
        known = np.flatnonzero(_has_box(boxes))
        if len(known) > CLASSES_UP_TO:
            highest = np.argsort(-boxes.fives[known, 2], kind="stable")
            known = known[highest[:CLASSES_UP_TO]]
        names = [self._names[index] for index in known]
        if len(self._names) > CLASSES_UP_TO:
            self._across.domain = names
        self._classes = known
        ends = (boxes.min[known], boxes.max[known], boxes.fives[known].ravel())
        low, high = finite_range(np.concatenate(ends))
        margin = 0.04 * (high - low) or 0.5
        update(self._values, min=low - margin, max=high + margin)
        update(self.boxes, x=names, y=boxes.fives[known])
        beyond = [
            (self._names[index], value)
            for index in known
            for value in boxes.outliers[index]
            if np.isfinite(value)
        ]
        _show_dots(self.outliers, beyond)

    def _paint_chosen(self, selection: Selection) -> None:
        rows = selection.chosen[:CHOSEN_UP_TO]
        shown = set(self._classes.tolist())
        session = self._session
        labels = session.labels if session.label_sets is None else session.label_sets
        assert labels is not None
        places, classes = label_pairs(labels[list(rows)])
        values = session.peak_values(rows)
        dots = [
            (self._names[index], value)
            for index, value in zip(classes.tolist(), values[places].tolist(), strict=True)
            if index in shown and np.isfinite(value)
        ]
        _show_dots(self.chosen, dots)

    def _describe(self, boxes: BoxStatistics, complete: bool) -> str:
        text = self._read_text(int(boxes.counts.sum()), complete=complete)
        if len(self._session.layer_info.output_shape) > 2:
            text += "; the largest value on each map"
        if boxes.error:
            text += f"; from histograms, quartiles within {boxes.error:.2g}"
        n_beyond = int(boxes.n_outliers.sum())
        if n_beyond:
            n_drawn = sum(np.isfinite(outliers).sum() for outliers in boxes.outliers)
            drawn = "" if n_drawn == n_beyond else f"{n_drawn:,} of "
            text += f"; {drawn}{n_beyond:,} beyond the whiskers"
        n_chosen = len(self._session.selection.chosen)
        if n_chosen:
            first = f"the first {CHOSEN_UP_TO} of " if n_chosen > CHOSEN_UP_TO else ""
            text += f"; dots: {first}{n_chosen:,} selected sample" + "s" * (n_chosen != 1)
        n_without = int(((boxes.counts > 0) & ~_has_box(boxes)).sum())
        if n_without:
            classes = "class" if n_without == 1 else "classes"
            text += f"; no box for {n_without:,} {classes} with infinite quartiles"
        if _has_box(boxes).sum() > CLASSES_UP_TO:
            text += f"; the {CLASSES_UP_TO} classes with the highest medians"
        return text

    def _on_user_box(self, place: int) -> None:
        with self._guard("could not choose the class"):
            if place < len(self._classes):
                self._session.select(class_index=int(self._classes[place]))


def _show_dots(mark: bq.Scatter, dots: Sequence[tuple[str, float]]) -> None:
    if dots or len(mark.x):
        update(mark, x=[name for name, _ in dots], y=[value for _, value in dots])


def _has_box(boxes: BoxStatistics) -> np.ndarray:
    """`(class,)` bool: whether a class has values, and no infinity among its five numbers."""
    return np.asarray(np.isfinite(boxes.fives).all(axis=1))


def _table(boxes: BoxStatistics, class_names: tuple[str, ...], chosen: int | None) -> str:
    """The range of each class as a table; the class of the largest value stands out."""
    known = np.where(np.isnan(boxes.max), -np.inf, boxes.max)
    largest = int(np.argmax(known)) if len(np.unique(known)) > 1 else None
    lines = [table_row("", COLUMNS, cell="th")]
    rows = np.arange(len(class_names))
    if len(class_names) > CLASSES_UP_TO:
        rows = np.argsort(-known, kind="stable")[:CLASSES_UP_TO]
    for index in rows:
        figures = (boxes.min[index], *boxes.fives[index, 1:4], boxes.max[index])
        cells = [f"{boxes.counts[index]:,}"]
        cells += ["–" if np.isnan(value) else f"{value:.3g}" for value in figures]
        if index == largest:
            cells[-1] = f"<b>{cells[-1]}</b>"
        kind = "aw-chosen" if index == chosen else ""
        lines.append(table_row(class_names[index], cells, kind))
    return f'<table class="aw-table">{"".join(lines)}</table>'
