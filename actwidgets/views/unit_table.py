"""Unusual units: dead, always active, or selective for a class, with the evidence."""

from collections import Counter
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.class_profiles import ClassProfiles, UnitFinding
from actwidgets.core.selection import Selection
from actwidgets.views.base import PassView
from actwidgets.views.controls import line_list, note, setting

LINES_UP_TO = 200


class UnitTable(PassView):
    """The units of the selected layer that are dead, always active or selective for a class.

    Each line tells what it rests on: on how many samples a dead unit was never above the
    threshold, and how often it may fire all the same; how far a selective unit prefers its
    class. Choosing a line chooses the unit.
    """

    watched = ("layer", "unit", "threshold")
    lines = t.Int(8, min=2, help="lines of the list").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note = w.HTML(), w.HTML()
        self._list = line_list(self._on_user_line)
        self._findings: tuple[UnitFinding, ...] = ()
        self._picture = w.VBox([self._list])
        return self._title, self._note, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Unusual units", selection.layer

    def _gathered(self) -> ClassProfiles:
        return self._session.profiles.units(partial=True)

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        findings = profiles.unit_findings(selection.layer)
        self._findings = findings[:LINES_UP_TO]
        n_units = profiles.sums[selection.layer].fired.shape[1]
        read = self._read_text(profiles.n_samples, complete=profiles.complete)
        self._note.value = note(f"{_counted(findings, n_units)}; {read}")
        names, threshold = self._session.class_names, profiles.threshold
        of = "samples" if self._session.label_sets is None else "labels"
        lines = tuple(_line(finding, names, threshold, of) for finding in self._findings)
        units = [finding.unit for finding in self._findings]
        index = self._list.index  # a unit may stand in two lines: the chosen one stays
        if index is None or units[index : index + 1] != [selection.unit]:
            index = units.index(selection.unit) if selection.unit in units else None
        with setting(self._list):
            self._list.rows = self.lines
            if lines != self._list.options:
                self._list.options = lines
            self._list.index = index
        return bool(findings)

    def _on_user_line(self, change: Any) -> None:
        with self._guard("could not choose the unit"):
            if change.new is not None:
                self._session.select(unit=self._findings[change.new].unit)


def _line(finding: UnitFinding, class_names: tuple[str, ...], threshold: float, of: str) -> str:
    """One finding and its evidence, as a line of text; `of` names what was counted."""
    unit, n_samples = f"{finding.unit:>5}", f"{finding.n_samples:,} {of}"
    if finding.kind == "dead":
        text = f"dead: above {threshold:g} on none of {n_samples}; it fires on <{finding.bound:.2%}"
    elif finding.kind == "always active":
        rate = 1 - finding.bound
        text = f"always active: above {threshold:g} on all of {n_samples}; it fires on >{rate:.2%}"
    else:
        assert finding.class_index is not None
        name = class_names[finding.class_index]
        text = f"selective for {name}: index {finding.selectivity:.2f} on {n_samples}"
    return f"{unit}  {text}".replace(" ", "\u00a0")


def _counted(findings: tuple[UnitFinding, ...], n_units: int) -> str:
    if not findings:
        return f"nothing unusual about {n_units:,} units: none dead, always active or selective"
    counts = Counter(finding.kind for finding in findings)
    text = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("dead", "always active", "selective"))
    text = f"{text} of {n_units:,} units"
    return text if len(findings) <= LINES_UP_TO else f"{text}, the first {LINES_UP_TO} below"
