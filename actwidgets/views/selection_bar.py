"""The selection as a line of chips, each of which a click clears."""

from typing import Any

import ipywidgets as w

from actwidgets.core.selection import Chip, Selection, chips
from actwidgets.errors import ActwidgetsError
from actwidgets.views.base import View
from actwidgets.views.controls import shorten, title

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
        self.buttons = {kind: self._button(kind) for kind in KINDS}
        self.clear = w.Button(
            description="clear all",
            tooltip="clear all of these",
            layout={"width": "76px", "height": "24px"},
        )
        self.clear.on_click(self._on_user_clear)
        return (
            w.HBox(
                [self._where, *self.buttons.values(), self.clear],
                layout={"flex_flow": "row wrap", "align_items": "center", "min_height": "30px"},
            ),
        )

    def _button(self, kind: str) -> w.Button:
        button = w.Button(layout={"width": "auto", "height": "24px"})
        button.add_class("aw-chip")
        button.on_click(lambda _button: self._on_user_chip(kind))
        return button

    def _render(self, selection: Selection) -> None:
        session = self._session
        unit = f" · unit {selection.unit}" if session.layer_info.n_units != 1 else ""
        where = f"{selection.layer}{unit}"
        self._where.value = title(where)
        self._chips = {chip.kind: chip for chip in chips(*self._chip_arguments(selection))}
        for kind, button in self.buttons.items():
            chip = self._chips.get(kind)
            button.layout.display = None if chip else "none"
            if chip:
                with button.hold_sync():
                    button.description = f"{shorten(chip.text, LETTERS)}  ×"
                    button.tooltip = f"{chip.text}: click to clear"
        self.clear.layout.display = None if len(self._chips) > 1 else "none"

    def _chip_arguments(self, selection: Selection) -> tuple[Any, ...]:
        session, rows = self._session, list(selection.samples)
        labels = predicted = None
        if selection.chosen and len(rows) <= TOLD_UP_TO:
            if session.labels is not None:
                labels = session.labels[rows].tolist()
            predicted = self._predicted(rows)
        elif session.labels is not None:
            labels = session.labels[rows].tolist()
        return selection, session.class_names, labels, predicted

    def _predicted(self, rows: list[int]) -> list[int] | None:
        """What they are taken for, where that is known: ablations may be what prevents it."""
        try:
            classes = self._session.predicted_classes(rows)
            return (
                classes.tolist() if classes.ndim == 1 else None
            )  # several labels have no one class
        except ActwidgetsError:
            return None

    def _on_user_chip(self, kind: str) -> None:
        with self._guard("could not clear the selection"):
            if kind in self._chips:
                self._take_back(self._chips[kind])

    def _on_user_clear(self, _button: w.Button) -> None:
        with self._guard("could not clear the selections"):
            self._take_back(*self._chips.values())

    def _take_back(self, *taken: Chip) -> None:
        fields = {name: value for chip in taken for name, value in chip.clear}
        if "samples" in fields:
            fields["samples"] = (self._session.sample,)
        self._session.select(**fields)
