"""Samples by class in each split of the data."""

import html
import itertools
from collections.abc import Mapping
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.labels import multi_hot
from actwidgets.core.predictions import class_counts, pixel_counts
from actwidgets.core.selection import Selection
from actwidgets.session.session import Session
from actwidgets.views.base import View
from actwidgets.views.charts import class_figure, on_select
from actwidgets.views.controls import note, show, title, unique_short

COLORS = ("#3fa7a0", "#ef8a4c", "#7f8fc9", "#c9a227", "#b56a9c")
CLASSES_UP_TO = 40
NO_CLASSES = "the model's output is not one value per class, and no class_names are given"


class ClassCounts(View):
    """Bars of samples by class, a color for each split; a click on a bar chooses the class.

    Args:
        session: Whose labels are counted where no splits are given.
        splits: Labels by name of the split: `{"train": y_train, "test": y_test}`; class
            indices or names, or one-hot.
        **options: Of the view.

    Raises:
        DataError: Labels outside the classes.
    """

    watched = ("class_index",)
    width_px = t.Int(560, min=200, help="width of the plot").tag(option=True)

    def __init__(
        self, session: Session, splits: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        labels = session.labels if session.label_sets is None else session.label_sets
        self._of_masks = splits is None and session.masks is not None
        if splits is None:
            name = "samples" if session.label_sets is None else "labels"
            splits = {} if labels is None else {name: labels}
        names = session.class_names  # without them nothing can be counted
        self._counts = {
            name: class_counts(labels, len(names), names)
            for name, labels in splits.items()
            if names
        }
        if self._of_masks:
            self._counts = {"pixels": pixel_counts(session.masks, len(names))}
        of_labels = () if self._of_masks else splits.values()
        self._several = any(multi_hot(labels) is not None for labels in of_labels)
        super().__init__(session, **options)

    def _build(self) -> tuple[w.Widget, ...]:
        what = "Pixels" if self._of_masks else "Samples"
        self._title, self._note = w.HTML(title(f"{what} by class")), w.HTML()
        names = unique_short(self._session.class_names, 12)
        table = np.array([*self._counts.values()] or [np.zeros(len(names), int)], float)
        # Of very many classes those with the most samples.
        self._classes = np.sort(np.argsort(-table.sum(axis=0), kind="stable")[:CLASSES_UP_TO])
        values = bq.LinearScale(min=0, max=1.04 * table.max(initial=1))
        self.bars = bq.Bars(
            x=[names[index] for index in self._classes],
            y=table[:, self._classes],
            scales={"x": bq.OrdinalScale(), "y": values},
            colors=list(COLORS),
            type="grouped",
            labels=list(self._counts),
        )
        on_select(self.bars, self._on_user_bar)
        figure = class_figure(
            [self.bars],
            self.bars.scales,
            names,
            n_shown=CLASSES_UP_TO,
            width_px=self.width_px,
            height_share=0.46,
        )
        self._picture = w.VBox([figure])
        return self._title, self._note, self._picture

    def _render(self, selection: Selection) -> None:
        show(self._picture, bool(self._counts))
        if not self._counts:
            missing = "this needs labels" if self._session.class_names else NO_CLASSES
            self._note.value = note(f"nothing to count: {missing}")
            return
        parts = [f"{name} {counts.sum():,}" for name, counts in self._counts.items()]
        if self._several:
            parts.append("a sample counts in every class that it has")
        empty = np.count_nonzero(np.sum([*self._counts.values()], axis=0) == 0)
        if empty:
            what = "pixels" if self._of_masks else "samples"
            n_classes = len(self._session.class_names)
            parts.append(f"{empty:,} of {n_classes:,} classes without {what}")
        if len(self._classes) < len(self._session.class_names):
            parts.append(f"the {len(self._classes)} largest classes")
        if selection.class_index is not None:
            name = self._session.class_names[selection.class_index]
            numbers = (f"{counts[selection.class_index]:,}" for counts in self._counts.values())
            parts.append(f"{name}: {' and '.join(numbers)}")
        if self._session.class_order:
            parts.append(self._session.class_order)
        self._note.value = note("; ".join(parts)) + self._legend()

    def _legend(self) -> str:
        """What the colors mean, as HTML: above the bars, where it hides none."""
        marks = (
            f'<span style="color:{color}">■</span> {html.escape(name)}'
            for name, color in zip(self._counts, itertools.cycle(COLORS), strict=False)
        )
        line = f'<div class="aw-note">{" &nbsp; ".join(marks)}</div>'
        return line if len(self._counts) > 1 else ""

    def _on_user_bar(self, place: int) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=int(self._classes[place]))
