"""Each row a class, then all classes from the one most like it to the one least."""

import html

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.paging import Page
from actwidgets.core.profiles.class_profiles import METRICS, ClassProfiles
from actwidgets.core.profiles.similarity import ranking
from actwidgets.core.profiles.unit_statistics import STATISTICS
from actwidgets.session import Selection
from actwidgets.views._class_distances import class_distances
from actwidgets.views._controls import choice, note, words
from actwidgets.views._exemplar_sheet import ExemplarSheet
from actwidgets.views._pager import Pager
from actwidgets.views._pass_view import PassView


class ClassRanking(PassView):
    """The classes by likeness in the chosen layer, as pictures.

    The first picture of a row is a class, shown by a sample of it; behind it follow the
    others, the nearest first, each with its distance. A click chooses a class.
    """

    watched = ("layer", "threshold")
    statistic = t.Enum(STATISTICS, "firing_rate", help="what describes a class").tag(option=True)
    metric = t.Enum(METRICS, "mean_abs_diff", help="how classes differ").tag(option=True)
    rows = t.Int(10, min=1, help="classes on a page").tag(option=True)
    places = t.Int(10, min=2, help="classes in a row").tag(option=True)
    page = t.Int(0, min=0, help="which of the pages of classes").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note = w.HTML(), w.HTML()
        controls = w.HBox(
            [
                self._control("statistic", choice("statistic", words(STATISTICS), "170px")),
                self._control("metric", choice("metric", words(METRICS), "190px")),
            ],
            layout={"flex_flow": "row wrap"},
        )
        self._sheet = ExemplarSheet(self._session, self._on_user_class)
        self._pager = Pager(self._on_user_page)
        self._picture = w.VBox([self._sheet, self._pager])
        return self._title, controls, self._note, self._picture

    def _heading(self, selection: Selection) -> str:
        return f"Classes by likeness <span>{html.escape(selection.layer)}</span>"

    def _missing(self) -> str:
        return self._session.missing_for_classes()

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        matrix = class_distances(profiles, selection.layer, self.statistic, self.metric)
        order = ranking(matrix)
        page = Page(self.page, self.rows, len(matrix))
        shown = order[page.rows, : self.places]
        self._sheet.show_classes(shown, np.take_along_axis(matrix[page.rows], shown, axis=1))
        self._pager.show(page, f"{page.text('classes')}, the {shown.shape[1]} nearest to each")
        self._note.value = note(self._read_text(profiles.n_samples, complete=profiles.complete))
        return True

    def _on_user_class(self, class_index: int) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=class_index)

    def _on_user_page(self, step: int) -> None:
        with self._guard("could not turn the page"):
            page = Page(self.page, self.rows, len(self._session.class_names))
            self.page = page.turned(step)
