"""Nearest classes of each class in the selected layer."""

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.accumulators import STATISTICS
from actwidgets.core.class_distances import ranking
from actwidgets.core.class_profiles import METRICS, ClassProfiles
from actwidgets.core.selection import Selection
from actwidgets.views.base import PassView
from actwidgets.views.controls import PageRange, choice, control_row, note, option_labels
from actwidgets.views.matrix import (
    METRIC,
    STATISTIC,
    ExemplarSheet,
    class_distances,
    classes_with_samples,
    mean_button,
    offer_mean,
    why_nothing,
)


class ClassRanking(PassView):
    """The classes nearest to each class in the selected layer, as pictures.

    The first picture of a row is a class, shown by a sample of it; behind it follow the
    others, the nearest first, each with its distance. A click chooses a class. Classes
    without samples are left out.
    """

    watched = ("layer", "threshold")
    statistic = t.Enum(STATISTICS, STATISTIC, help="what describes a class").tag(option=True)
    metric = t.Enum(METRICS, METRIC, help="how classes differ").tag(option=True)
    rows = t.Int(10, min=1, help="classes on a page").tag(option=True)
    places = t.Int(10, min=2, help="classes in a row").tag(option=True)
    page = t.Int(0, min=0, help="page of classes").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note = w.HTML(), w.HTML()
        controls = control_row(
            self._control("statistic", choice("statistic", option_labels(STATISTICS), "170px")),
            self._control("metric", choice("metric", option_labels(METRICS), "190px")),
        )
        self._sheet = ExemplarSheet(self._session, self._on_user_class)
        self._pager = self._make_pager()
        self._picture = w.VBox([self._sheet, self._pager])
        self._use_mean = mean_button(self._on_user_mean)
        return self._title, controls, self._note, self._use_mean, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Nearest classes", selection.layer

    def _missing(self) -> str:
        return self._session.missing_for_classes()

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        matrix = class_distances(profiles, selection.layer, self.statistic, self.metric)
        read = self._read_text(profiles.n_samples, complete=profiles.complete)
        nothing = why_nothing(profiles, selection.layer, matrix, self.statistic, self.metric)
        offer_mean(self._use_mean, nothing, self.statistic, self.metric)
        if nothing:
            self._note.value = note(f"{nothing}; {read}")
            return False
        present = classes_with_samples(profiles)
        order = present[ranking(matrix[np.ix_(present, present)])]
        page = PageRange(self.page, self.rows, len(present))
        shown = order[page.rows, : self.places]
        rows = present[page.rows]
        self._sheet.show_classes(shown, np.take_along_axis(matrix[rows], shown, axis=1))
        self._pager.show(page, f"{page.text('classes')}, the {shown.shape[1]} nearest to each")
        if n_empty := len(profiles.empty_classes):
            read += f"; {n_empty:,} of {len(matrix):,} classes have no samples and are left out"
        self._note.value = note(read)
        return True

    def _on_user_mean(self) -> None:
        with self._guard("could not compare means"):
            self.statistic = "mean"

    def _on_user_class(self, class_index: int) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=class_index)
