"""Several models or recordings side by side on the same samples."""

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.selection import FIELDS, Selection
from actwidgets.errors import DataError, SelectionError
from actwidgets.recording.replay import RecordedSession
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap
from actwidgets.views.base import WRAPPING, Page, Pages, View, ViewBox
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.comms import opened_together
from actwidgets.views.confusion_matrix import ConfusionMatrix
from actwidgets.views.controls import note
from actwidgets.views.epoch_slider import EpochSlider
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.kernel_grid import KernelGrid
from actwidgets.views.layer_picker import LayerPicker
from actwidgets.views.layer_similarity import LayerSimilarity
from actwidgets.views.prediction_table import PredictionTable
from actwidgets.views.sample_gallery import SampleGallery
from actwidgets.views.selection_bar import SelectionBar
from actwidgets.views.unit_box_plot import UnitBoxPlot

COLUMN_PX = 476  # two stay side by side in a JupyterLab of 1,150 pixels
PADDING_PX = 24  # of a view and its frame
PAGES: dict[str, tuple[type[View], ...]] = {
    "layers": (FeatureMapGrid, ClassSimilarityMatrix),
    "predictions": (ConfusionMatrix, PredictionTable),
    "units": (UnitBoxPlot, KernelGrid),
    "attributions": (AttributionMap,),
}


class Comparison(ViewBox):
    """Two models or more, a column each; layers, samples, units and classes are chosen for all.

    Each that is a recording has a slider of its snapshots, above the tabs. Layers are matched by
    name; a model that has no layer of that name keeps the one it shows, and its column says so.

    Args:
        sessions: By name of the model, over the same samples.

    Attributes:
        views: The views made so far: "before: FeatureMapGrid", …
        pages: The tabs; `pages.turn_to("units")` turns to one.

    Raises:
        DataError: Fewer than two sessions, or other numbers of samples.
    """

    @opened_together()
    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._linked = LinkedSessions(sessions)
        self.sessions = self._linked.sessions
        self.views: dict[str, View] = {}
        first, session = next(iter(self.sessions.items()))
        chips = self._add(first, SelectionBar(session))
        picker = self._add(first, LayerPicker(session, letters=47))
        gallery = self._add(first, SampleGallery(session))
        picker.layout.width, gallery.layout.width = "360px", "354px"
        self._notes: dict[str, list[w.HTML]] = {name: [] for name in self.sessions}
        pages = {title: self._columns(kinds) for title, kinds in PAGES.items()}
        self.pages = Pages(pages | {"layer by layer": self._layer_by_layer}, self._show_unmatched)
        self._linked.observe(lambda _change: self._show_unmatched(), names="unmatched")
        legend = w.HTML(note(f"✓ and ✗ are those of {first}"))
        showing = w.VBox([*self._sliders(), self.pages])
        super().__init__(chips, [picker, w.VBox([gallery, legend])], showing)
        # Where two columns have no room beside what chooses, they go below it, side by side.
        showing.layout.flex = f"9999 1 {2 * COLUMN_PX + PADDING_PX}px"

    def _add(self, name: str, view: View) -> View:
        self.views[f"{name}: {type(view).__name__}"] = view
        return view

    def _sliders(self) -> list[w.Widget]:
        """A slider of its snapshots for each recording, as wide as the columns; in one row."""
        if not any(isinstance(session, RecordedSession) for session in self.sessions.values()):
            return []
        columns = []
        for name, session in self.sessions.items():
            made = []
            if isinstance(session, RecordedSession):
                made.append(self._add(name, EpochSlider(session, **_fitted(EpochSlider))))
            columns.append(_column(name, *made))
        return [w.Box(columns, layout=WRAPPING | {"padding": "0 0 0 6px"})]

    def _columns(self, kinds: Sequence[type[View]]) -> Page:
        def make() -> tuple[w.Widget, list[View]]:
            views, columns = [], []
            for name, session in self.sessions.items():
                message = w.HTML()
                self._notes[name].append(message)
                made = [self._add(name, kind(session, **_fitted(kind))) for kind in kinds]
                columns.append(_column(name, message, *made))
                views += made
            return w.Box(columns, layout=WRAPPING), views

        return make

    def _layer_by_layer(self) -> tuple[w.Widget, list[View]]:
        """How alike each layer of the first model is to those of each other one."""
        first, *others = self.sessions
        views = [
            self._add(
                f"{first} and {name}", LayerSimilarity(self.sessions[first], self.sessions[name])
            )
            for name in others
        ]
        return w.Box(views, layout=WRAPPING), views

    def _show_unmatched(self, _views: Sequence[View] = ()) -> None:
        for name, notes in self._notes.items():
            lacking = self._linked.unmatched.get(name)
            shown = self.sessions[name].layer
            text = note(f"no layer {lacking} here: {shown} is shown") if lacking else ""
            for widget in notes:
                widget.value = text

    def _sessions(self) -> list[Session]:
        self._linked.close()
        return list(self.sessions.values())


def _column(name: str, *below: w.Widget) -> w.VBox:
    head = w.HTML(f'<div class="aw-title aw-model">{html.escape(name)}</div>')
    return w.VBox([head, *below], layout={"width": f"{COLUMN_PX}px"})


def _fitted(kind: type[View]) -> dict[str, int]:
    """The options that make a view as wide as its column."""
    fits = "width_px" in kind.class_trait_names()
    return {"width_px": COLUMN_PX - PADDING_PX} if fits else {}


class LinkedSessions(t.HasTraits):
    """Keeps the selections of several sessions the same, as far as their models allow.

    What is chosen in one is chosen in the others; of a layer, unit, class or ablation that a
    model does not have, its session keeps its own, and `unmatched` says which layer it lacks.
    They share one lock, so that no two threads choose in two of them at a time.

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
    with suppress(SelectionError):
        session.select(**wanted)
        return
    parts = ("layer",), ("sample", "samples", "confusion_cell"), *((name,) for name in FIELDS[3:])
    with session.hold_trait_notifications():
        for fields in parts:
            if "layer" in wanted and fields == ("unit",) and session.layer != wanted["layer"]:
                continue  # it is a unit of a layer that this model does not have
            with suppress(SelectionError):  # this model has no such layer, unit, class
                session.select(**{name: wanted[name] for name in fields if name in wanted})
