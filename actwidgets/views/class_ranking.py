"""Nearest classes of each class in the selected layer."""

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.class_distances import ranking
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.selection import Selection
from actwidgets.views.controls import PageRange, control_row, note
from actwidgets.views.matrix import DistanceView, ExemplarSheet, classes_with_samples


class ClassRanking(DistanceView):
    """The classes nearest to each class in the selected layer, as pictures.

    The first picture of a row is a class, shown by a sample of it; behind it follow the
    others, the nearest first, each with its distance. A click chooses a class. Classes
    without samples are left out.
    """

    watched = ("layer", "threshold")
    rows = t.Int(10, min=1, help="classes on a page").tag(option=True)
    places = t.Int(10, min=2, help="classes in a row").tag(option=True)
    page = t.Int(0, min=0, help="page of classes").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        controls = control_row(*self._build_measures())
        self._sheet = ExemplarSheet(self._session, self._choose)
        self._pager = self._make_pager()
        self._picture = w.VBox([self._sheet, self._pager])
        return self._title, controls, self._note, self._use_mean, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Nearest classes", selection.layer

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        matrix, nothing = self._distances(profiles, selection.layer)
        read = self._read_text(profiles.n_samples, complete=profiles.complete)
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
