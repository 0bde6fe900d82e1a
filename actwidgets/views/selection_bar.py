"""The selection as a line of chips, each of which a click clears."""

from functools import cached_property, partial

import ipywidgets as w

from actwidgets.core.selection import Chip, Selection, chips
from actwidgets.errors import ActwidgetsError
from actwidgets.views.base import View
from actwidgets.views.comms import opened_together
from actwidgets.views.controls import button, control_row, shorten, title, update

KINDS = ("samples", "class_index", "threshold", "perturbation", "ablations")
LETTERS = 44
TOLD_UP_TO = 256  # samples whose classes are looked at


class SelectionBar(View):
    """One line: the current layer and unit, and what else is selected as chips with a ×."""

    watched = (
        *("layer", "chosen", "unit", "class_index", "confusion_cell"),
        *("threshold", "perturbation", "ablations"),
    )

    def _build(self) -> tuple[w.Widget, ...]:
        self._where = w.HTML()
        self._chips: dict[str, Chip] = {}
        self._row = control_row(self._where)
        self._row.layout.min_height = "30px"
        return (self._row,)

    @cached_property
    def buttons(self) -> dict[str, w.Button]:
        """A button for each kind of chip; made when there is the first chip."""
        with opened_together():
            made = {
                kind: button("", partial(self._on_user_chip, kind), height="24px") for kind in KINDS
            }
            for chip in made.values():
                chip.add_class("aw-chip")
                chip.layout.display = "none"
            self._row.children = (self._where, *made.values(), self.clear)
        return made

    @cached_property
    def clear(self) -> w.Button:
        """The button that clears all of them."""
        tip = "clear all of these"
        made = button("clear all", self._on_user_clear, "76px", "24px", tooltip=tip)
        made.layout.display = "none"
        return made

    def _render(self, selection: Selection) -> None:
        session = self._session
        unit = f" · unit {selection.unit}" if session.layer_info.n_units != 1 else ""
        self._where.value = title(f"{selection.layer}{unit}")
        rows, predicted = list(selection.samples), None
        labels = None if session.labels is None else session.labels[rows].tolist()
        if selection.chosen and len(rows) <= TOLD_UP_TO:
            predicted = self._predicted(rows)
        shown = chips(selection, session.class_names, labels, predicted)
        self._chips = {chip.kind: chip for chip in shown}
        if not self._chips and "buttons" not in vars(self):
            return
        for kind, widget in self.buttons.items():
            chip = self._chips.get(kind)
            widget.layout.display = None if chip else "none"
            if chip:
                text = f"{shorten(chip.text, LETTERS)}  ×"
                update(widget, description=text, tooltip=f"{chip.text}: click to clear")
        self.clear.layout.display = None if len(self._chips) > 1 else "none"

    def _predicted(self, rows: list[int]) -> list[int] | None:
        """What they are taken for, where that is known: ablations may be what prevents it."""
        try:
            classes = self._session.predicted_classes(rows)
            return classes.tolist() if classes.ndim == 1 else None  # of several labels no one
        except ActwidgetsError:
            return None

    def _on_user_chip(self, kind: str) -> None:
        with self._guard("could not clear the selection"):
            if kind in self._chips:
                self._take_back(self._chips[kind])

    def _on_user_clear(self) -> None:
        with self._guard("could not clear the selections"):
            self._take_back(*self._chips.values())

    def _take_back(self, *taken: Chip) -> None:
        fields = {name: value for chip in taken for name, value in chip.clear}
        if "samples" in fields:
            fields["samples"] = (self._session.sample,)
        self._session.select(**fields)
