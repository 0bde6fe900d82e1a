"""The workbench: all views of one session, laid out."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as w

from actwidgets.errors import ModelError, ShapeError
from actwidgets.images.tile_grid import TILE_PX
from actwidgets.recording.replay import RecordedSession, Recording
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap
from actwidgets.views.base import WRAPPING, Pages, View, ViewBox
from actwidgets.views.class_separation import ClassSeparation
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.comms import opened_together
from actwidgets.views.comparison import Comparison
from actwidgets.views.confusion_matrix import ConfusionMatrix
from actwidgets.views.embedding_scatter import EmbeddingScatter
from actwidgets.views.epoch_slider import EpochSlider
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.input_lab import InputLab
from actwidgets.views.kernel_grid import KernelGrid
from actwidgets.views.layer_picker import LayerPicker
from actwidgets.views.prediction_table import PredictionTable
from actwidgets.views.sample_gallery import SampleGallery
from actwidgets.views.selection_bar import SelectionBar
from actwidgets.views.top_samples import TopSamples
from actwidgets.views.training_monitor import TrainingMonitor
from actwidgets.views.unit_ablation import UnitAblation
from actwidgets.views.unit_box_plot import UnitBoxPlot
from actwidgets.views.unit_importance import UnitImportance
from actwidgets.views.unit_table import UnitTable
from actwidgets.views.weight_histogram import WeightHistogram

PADDING_PX = 22  # of a view
# Made as wide as their column:
FITTED = (
    AttributionMap,
    KernelGrid,
    PredictionTable,
    TrainingMonitor,
    UnitBoxPlot,
    WeightHistogram,
)


class Workbench(ViewBox):
    """The views of one session: what chooses to the left, what shows behind tabs.

    Over a recording a slider of its snapshots stands above them.

    Args:
        session: The session.

    Attributes:
        session: What all of them show.
        views: The views made so far, by class name; those behind a tab once it was opened.
        pages: The tabs; `pages.turn_to("units")` turns to one.
    """

    @opened_together()
    def __init__(self, session: Session) -> None:
        self.session = session
        self.views: dict[str, View] = {}
        above: w.Widget = self._add(SelectionBar(session), None)
        if isinstance(session, RecordedSession):
            above = w.VBox([self._add(EpochSlider(session), None), above])
        picker = self._add(LayerPicker(session, letters=47), 360)
        gallery = self._add(SampleGallery(session), 354)
        self.pages = Pages(
            {
                "layers": self._layers,
                "predictions": self._predictions,
                "units": self._units,
                "attributions": self._attributions,
                "interventions": self._interventions,
                "training": self._training,
            },
            lambda views: None,
        )
        super().__init__(above, [picker, gallery], self.pages)

    def _add(self, view: View, width: int | None) -> View:
        if width:
            view.layout.width, view.layout.max_width = f"{width}px", "100%"
        self.views[type(view).__name__] = view
        return view

    def _page(self, *columns: Sequence[tuple[type[View], int]]) -> tuple[w.Widget, list[View]]:
        """Columns of views side by side, which wrap; each view with its width."""
        views, boxes = [], []
        for column in columns:
            made = []
            for kind, width in column:
                made.append(self._view(kind, width))
            boxes.append(
                w.VBox(
                    made,
                    layout={
                        "width": f"{max(width_px for _, width_px in column)}px",
                        "max_width": "100%",
                    },
                )
            )
            views += made
        return w.Box(boxes, layout=WRAPPING), views

    def _view(self, kind: type[View], width: int) -> View:
        """The view of a kind, made where there is none yet."""
        if kind.__name__ not in self.views:
            options: dict[str, Any] = {"width_px": width - PADDING_PX} if kind in FITTED else {}
            options |= {"spelled": "app.callback"} if kind is TrainingMonitor else {}
            options |= (
                {"columns": (width - PADDING_PX) // TILE_PX} if kind is ClassSeparation else {}
            )
            self._add(kind(self.session, **options), width)
        return self.views[kind.__name__]

    def _layers(self) -> tuple[w.Widget, list[View]]:
        return self._page(
            [(FeatureMapGrid, 584), (ClassSeparation, 584)], [(ClassSimilarityMatrix, 540)]
        )

    def _predictions(self) -> tuple[w.Widget, list[View]]:
        return self._page([(ConfusionMatrix, 950), (EmbeddingScatter, 740), (PredictionTable, 700)])

    def _units(self) -> tuple[w.Widget, list[View]]:
        return self._page(
            [(UnitBoxPlot, 552), (KernelGrid, 552)],
            [(TopSamples, 584), (UnitTable, 584)],
            [(UnitImportance, 790)],
        )

    def _attributions(self) -> tuple[w.Widget, list[View]]:
        return self._page([(AttributionMap, 790)])

    def _interventions(self) -> tuple[w.Widget, list[View]]:
        return self._page([(UnitAblation, 584)], [(InputLab, 540)])

    def _training(self) -> tuple[w.Widget, list[View]]:
        if isinstance(self.session, RecordedSession):
            return self._page([(WeightHistogram, 790)])
        return self._page([(TrainingMonitor, 790), (WeightHistogram, 790)])

    @property
    def callback(self) -> Any:
        """For `model.fit(…, callbacks=[app.callback])`: all views follow the training.

        The tab "training" tells how it goes.

        Raises:
            ModelError: A recording, or a model that cannot be trained.
        """
        if isinstance(self.session, RecordedSession):
            raise ModelError("a recording cannot be trained; explore the model itself")
        monitor = self._view(TrainingMonitor, 790)
        assert isinstance(monitor, TrainingMonitor)
        return monitor.callback

    def _sessions(self) -> list[Session]:
        return [self.session]


def explore(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> Workbench | Comparison:
    """Look into a model: the whole workbench in one line. Or into several, side by side.

    Args:
        model: A built Keras model. It is on loan: nothing about it is changed. Or a session,
            or a recording, which bring their samples along. Or several of these by name,
            `{"before": model, "after": other}`, which see the same samples.
        x: Samples `(sample, …)`, as the model takes them; those of a recording it holds.
        y: `(sample,)` class indices or one-hot; optional.
        class_names: One per class; optional.
        **options: Further arguments of `Session`, such as the first `layer` or `sample`. Of a
            single model the first layer that has weights is shown first.

    Returns:
        A widget with a layer picker, a sample gallery, and behind tabs the views of layers,
        predictions, units, attributions, interventions and training, linked through its
        `.session`; `.callback` goes into `fit`. Of several models a `Comparison`, with
        `.sessions`. Over recordings with a slider of their snapshots. `close()` gives every
        widget back.

    Raises:
        TypeError: Samples or options for a session, which has its own.
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: No samples, labels outside the classes, class names that do not fit.
        SelectionError: A first selection that does not exist.

    Cost: eager calls on the samples on show; in the background one trace of each model, and a
    pass over the samples, of all layers at once.
    """
    given = {"x": x, "y": y, "class_names": class_names, **options}
    if not isinstance(model, Mapping):
        session = _session(model, given)
        if "layer" not in options and session is not model:
            with_weights = (layer.name for layer in session.layers if layer.n_params)
            session.layer = next(with_weights, session.layer)
        return Workbench(session)
    sessions: dict[str, Session] = {}
    try:
        for name, source in model.items():
            try:
                sessions[name] = _session(source, given if not isinstance(source, Session) else {})
            except ShapeError as error:
                raise ShapeError(f"{name}: {error}") from error
        return Comparison(sessions)
    except Exception:
        for name, session in sessions.items():  # which prepare their models in the background
            if session is not model[name]:
                session.close()
        raise


def _session(model: Any, given: Mapping[str, Any]) -> Session:
    """The session itself, or a new one over a model or a recording."""
    settings = {name: value for name, value in given.items() if value is not None}
    if isinstance(model, Session):
        if settings:
            raise TypeError(f"a session has its own {', '.join(settings)}: give it alone")
        return model
    if isinstance(model, Recording):
        if "x" in settings or "y" in settings:
            raise TypeError("a recording holds its samples: give no x and no y")
        return model.session(**settings)
    return Session(model, settings.pop("x", None), settings.pop("y", None), **settings)
