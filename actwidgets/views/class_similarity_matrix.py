"""Distances between class profiles in the selected layer."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import finite_range
from actwidgets.core.class_distances import cluster, ranking
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.selection import Selection
from actwidgets.recording.replay import RecordedSession
from actwidgets.views.controls import (
    Readout,
    choice,
    control_row,
    hint,
    labeled,
    note,
    set_slider,
    title,
)
from actwidgets.views.matrix import (
    CELL_PX,
    ClassCells,
    ClassOverview,
    DistanceView,
    ExemplarSheet,
    classes_with_samples,
)

CELLS_UP_TO = 60  # classes; beyond, a picture of the whole and a part of it enlarged
RANKED = 10  # classes below the matrix
NAMED_UP_TO = 8  # classes without samples
ORDERS = ("class", "clustered", "nearest first")


class ClassSimilarityMatrix(DistanceView):
    """Distances between classes in the selected layer, and what is nearest to the chosen class.

    Every pair of classes is a cell: the darker, the more alike are the profiles of the two.
    A click chooses the class of the row, `session.class_index`; below the matrix follow real
    samples of all classes, the nearest to it first. Classes stand in their own order, or like
    beside like with the tree of the clustering, or from the chosen one outwards.

    Over a recording colors mean the same at all epochs, where the largest distance of all of
    them is known at once; the line above the matrix says how far they reach.

    Classes without samples have no distance: of very many classes they are left out. Where
    no class differs from another nothing is drawn.

    Profiles are read over all samples in the background; until then the picture is that of
    the samples read so far, and says so.
    """

    watched = ("layer", "class_index", "threshold")
    order = t.Enum(ORDERS, "class", help="how rows and columns are sorted").tag(option=True)
    width_px = t.Int(520, min=200, help="width of the matrix").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._readout = Readout(self._readout_of_cell)
        self._threshold = labeled(
            w.FloatSlider,
            "threshold",
            "260px",
            tooltip="a unit fires when its value is above it",
            step=None,  # the browser would round a value set from Python, and send it back
            readout_format=".2f",
            style={"description_width": "62px"},
        )
        self._threshold.observe(self._on_user_threshold, names="value")
        statistic, metric = self._build_measures()
        metric.layout.width = "214px"
        order = self._control("order", choice("order", ORDERS, "190px"))
        controls = control_row(statistic, metric, order, self._threshold)
        names = self._session.class_names
        self._overview: ClassOverview | None = None
        on_cell = self._on_user_cell, self._on_user_hover
        if len(names) > CELLS_UP_TO:
            self._overview = ClassOverview(names, self.width_px, self._choose, *on_cell)
            self._cells = self._overview.cells
        else:
            self._cells = ClassCells(names, self.width_px, *on_cell)
        self.matrix = self._cells.matrix
        self._ranked_title = w.HTML()
        self._ranked = ExemplarSheet(self._session, self._choose, exemplars=3)
        self._picture = w.VBox(
            [self._overview or self._cells, self._readout, self._ranked_title, self._ranked]
        )
        return self._title, controls, self._note, self._use_mean, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Class similarity", selection.layer

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        session = self._session
        matrix, nothing = self._distances(profiles, selection.layer)
        self._threshold.disabled = not self._by_firing
        low, high = session.value_range()
        set_slider(self._threshold, min(low, 0.0), high, selection.threshold)
        self._threshold.layout.display = None if self._by_firing else "none"
        if nothing:
            self._note.value = note(f"{nothing}; {self._describe(profiles)}")
            return False
        self._present = classes_with_samples(profiles)
        highest, reach = self._scale(matrix)
        self._note.value = note(self._describe(profiles) + reach)
        self._paint_matrix(matrix, selection.class_index, highest)
        self._paint_ranked(matrix, selection.class_index)
        return True

    def _scale(self, matrix: np.ndarray) -> tuple[float, str]:
        """How far colors reach at least, and the same in words, where epochs are compared."""
        if not isinstance(self._session, RecordedSession):
            return 0.0, ""
        common = self._session.distance_scale(self.statistic, self.metric)
        reach = max(finite_range(matrix)[1], common or 0.0)
        of = "the largest of this epoch" if common is None else "at all epochs"
        return common or 0.0, f"; colors from 0 to {reach:.3g}, {of}"

    def _paint_matrix(self, matrix: np.ndarray, class_index: int | None, highest: float) -> None:
        self._matrix = matrix
        order, joins = np.arange(len(matrix)), None
        if self.order == "clustered":
            tree = cluster(matrix)
            order, joins = tree.order, tree.joins
        elif self.order == ORDERS[2] and class_index is not None:
            order = ranking(matrix)[class_index]
        if self._overview is None:
            self._cells.show(matrix, order, joins, highest)
        else:
            order = order[np.isin(order, self._present)]
            self._overview.show(matrix, order, class_index, highest)

    def _paint_ranked(self, matrix: np.ndarray, class_index: int | None) -> None:
        self._ranked.layout.display = "none" if class_index is None else None
        if class_index is None:
            self._ranked_title.value = hint("click a row to see which classes are nearest to it")
            return
        name = self._session.class_names[class_index]
        has_distance = ~np.isnan(matrix[class_index])
        if not has_distance.any():
            self._ranked.layout.display = "none"
            self._ranked_title.value = note(f"{name} has no samples or no activity here")
            return
        n_ranked = max(1, min(RANKED, self.width_px // CELL_PX))
        order = ranking(matrix)[class_index]
        nearest = order[has_distance[order]][None, :n_ranked]
        count = f"{nearest.size} of {np.count_nonzero(has_distance):,} classes"
        self._ranked_title.value = title(f"Nearest to {name}", count)
        self._ranked.show_classes(nearest, matrix[class_index][nearest])

    def _describe(self, profiles: ClassProfiles) -> str:
        text = self._read_text(profiles.n_samples, complete=profiles.complete)
        if not profiles.complete:
            return text
        if profiles.threshold != self._session.threshold:
            text += f", at threshold {profiles.threshold:.3g}"
        if profiles.firing_error and not self._threshold.disabled:
            text += f"; firing rates within {profiles.firing_error:.2g}, from histograms"
        n_classes, n_empty = len(profiles.class_names), len(profiles.empty_classes)
        if n_empty > NAMED_UP_TO:
            text += f"; {n_classes - n_empty:,} of {n_classes:,} classes have samples"
        elif n_empty:
            text += f"; no samples of {', '.join(profiles.empty_classes)}"
        return text

    def _on_user_threshold(self, change: Any) -> None:
        with self._guard("could not set the threshold"):
            self._session.select(threshold=change.new)

    def _on_user_cell(self, row: int, _column: int) -> None:
        self._choose(row)

    def _readout_of_cell(self, row: int, column: int) -> str:
        names, value = self._session.class_names, self._matrix[row, column]
        text = "no activity or no samples" if np.isnan(value) else f"{value:.4f}"
        return f"{names[row]} – {names[column]}: {text}"
