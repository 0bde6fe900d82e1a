"""Sessions over the same samples that look at the same: layers are matched by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t

from actwidgets.core.selection import FIELDS, Selection
from actwidgets.errors import DataError, SelectionError
from actwidgets.session import Session


class LinkedSessions(t.HasTraits):
    """Keeps the selections of several sessions the same, as far as their models allow.

    What is chosen in one is chosen in the others; of a layer, unit, class or ablation that a
    model does not have, its session keeps its own, and `unmatched` says which layer it lacks.
    They share one lock, so that no two threads choose in two of them at a time.

    Args:
        sessions: By name, two or more, with as many samples each.

    Raises:
        DataError: Fewer than two sessions, or other numbers of samples.
    """

    unmatched = t.Dict(read_only=True, help="by name of a session: the layer that it lacks")

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        if len(sessions) < 2:
            raise DataError(f"a comparison needs two models or more; got {len(sessions)}")
        counts = {name: session.n_samples for name, session in sessions.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"all sessions must hold the same samples; they hold {counts}")
        super().__init__()
        self.sessions = dict(sessions)
        self._following, self._watching = False, True
        first = next(iter(self.sessions.values()))
        for session in self.sessions.values():
            session.lock = first.lock
            session.observe(self._on_selection, names="selection")
        self._follow(first, first.selection, FIELDS)

    def _on_selection(self, change: Any) -> None:
        if not self._following:
            fields = [n for n in FIELDS if getattr(change.old, n) != getattr(change.new, n)]
            self._follow(change.owner, change.new, fields)

    def _follow(self, leader: Session, selection: Selection, fields: Sequence[str]) -> None:
        self._following = True
        unmatched = {}
        try:
            for name, session in self.sessions.items():
                if session is leader:
                    continue
                if selection.layer not in {info.name for info in session.layers}:
                    unmatched[name] = selection.layer
                _take_over(session, selection, fields)
        finally:
            self._following = False
        if "layer" in fields:
            self.set_trait("unmatched", unmatched)

    def close(self) -> None:
        """Let each session go its own way. Safe to call twice."""
        if self._watching:
            self._watching = False
            for session in self.sessions.values():
                session.unobserve(self._on_selection, names="selection")


def _take_over(session: Session, selection: Selection, changed: Sequence[str]) -> None:
    """Choose what has changed and a session's model has, field by field where not all goes."""
    wanted = {name: getattr(selection, name) for name in changed}
    try:
        session.select(**wanted)
        return
    except SelectionError:
        pass
    with session.hold_trait_notifications():
        for fields in (
            ("layer",),
            ("sample", "samples", "confusion_cell"),
            *((name,) for name in FIELDS[3:]),
        ):
            if "layer" in wanted and fields == ("unit",) and session.layer != wanted["layer"]:
                continue  # it is a unit of a layer that this model does not have
            try:
                session.select(**{name: wanted[name] for name in fields if name in wanted})
            except SelectionError:  # this model has no such layer, unit, class
                continue
