"""What the user is looking at, and the model it is looked at through."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t

from actwidgets._traits import Index, Indices
from actwidgets.background import Reading as Reading
from actwidgets.core import probes
from actwidgets.core.interventions.disturbance import UNDISTURBED
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.predictions.output_kind import checked_output_is
from actwidgets.core.probes import Probe
from actwidgets.core.samples import Samples
from actwidgets.core.selection import FIELDS, Selection, resolve
from actwidgets.errors import ModelError
from actwidgets.session_attributions import Attributions
from actwidgets.session_embeddings import Embeddings
from actwidgets.session_histograms import Histograms
from actwidgets.session_importance import Importance
from actwidgets.session_predictions import SessionPredictions
from actwidgets.session_training import Training


class Session(SessionPredictions):
    """Shared state of all views of one model.

    Set a field, or several at once with `select()`. Observe `selection` and `revision`; the
    single fields are for writing and for `traitlets.link`.

    Args:
        model: A Keras model, or anything that satisfies `Probe`. It is on loan: unchanged.
        x: Samples: an array, a list or dict of arrays, or a re-iterable of batches, of which
            the first `max_samples` are kept. A table of pandas or Polars, a sparse matrix, and
            what is read row by row from a store (h5py, zarr, Dask, xarray) are arrays too.
        y: `(sample,)` class indices or names, or one-hot, or the targets of a regression;
            optional.
        class_names: One per class of the model's output; optional. By default the categories
            of a categorical `y`, the columns of a one-hot table, or other names in `y` in
            alphabetical order: `class_order` says so.
        head: Which of several outputs is predicted, by name or index; the first by default.
        output_is: What that output is: "logit", "probability" or "value". None has it read
            off the model: its last function, the loss it was compiled with, what `y` and
            `class_names` are. `output` tells what was found, and why.
        training: Whether layers such as dropout act as they do in training.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
        max_samples: How many samples of a stream are kept. Arrays are used whole, uncopied.
        image_shape: `(rows, columns)` or `(rows, columns, channels)` of samples given as
            vectors, for their pictures only. None takes a length that is the square of 8 or
            more for a square grey picture, () takes none.
        axes: What the axes of samples are, such as `("time", "feature")` or `("row", "column",
            "channel")`; of several inputs a dict of these by name. By default what the layers
            that take them say, and where none does, what their number says.
        **choice: The first selection: `layer`, `sample`, …

    Raises:
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: No samples, labels outside the classes, class names that do not fit, an
            `image_shape` that is none.
        SelectionError: A first selection that does not exist.
    """

    layer = t.Unicode(help="name of the layer in view")
    sample = Index(0, help="row of the data in focus; always one of `samples`")
    samples = Indices((0,), help="rows of the data on show")
    unit = Index(0, help="channel of the layer in focus")
    class_index = Index(None, allow_none=True, help="class in focus, or None")
    threshold = t.Float(0.0, help="a unit fires when its value is above it")
    disturbance = t.Any(UNDISTURBED, help="what is done to the pictures of `samples`")
    ablations = t.Any((), help="what is done to units of the model before it predicts")
    confusion_cell = t.Any(None, help="cell (true, predicted) that `samples` are of, or None")
    selection = t.Instance(Selection, read_only=True, help="all fields as one value")
    revision = t.Int(0, read_only=True, help="raised when weights or data change")

    _model: Any
    _attributions: Attributions | None = None
    _embeddings: Embeddings | None = None
    _importance: Importance | None = None
    _histograms: Histograms | None = None

    def __init__(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        head: str | int | None = None,
        output_is: str | None = None,
        training: bool = False,
        memory_budget_bytes: int = 512 * 2**20,
        max_samples: int = 2000,
        image_shape: Sequence[int] | None = None,
        axes: Any = None,
        **choice: Any,
    ) -> None:
        self._applying = True  # no validation before there is something to validate against
        checked_output_is(output_is)
        self._options: dict[str, Any] = {"head": head, "output_is": output_is, "training": training}
        self._given_names = class_names
        kept = Samples(x, y, max_samples=max_samples, image_shape=image_shape, axes=axes)
        super().__init__(kept, memory_budget_bytes)
        self._read(model)
        self._forget()
        self.layer = next(iter(self._infos))
        self._apply(self._resolved(choice))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; fields one at a time, whichever thread asks."""
        if name in FIELDS:
            with self.lock:
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    # --- what is looked at ---------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The model. Assign another one and layers, units and selection follow."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        with self.lock:
            before = self._probe
            self._read(model)
            probes.stop(before)
            self._forget(everything=True)
            layer = self.layer if self.layer in self._infos else next(iter(self._infos))
            has_class = (self.class_index or 0) < len(self.class_names)
            class_index = self.class_index if has_class else None
            fields = {"layer": layer, "class_index": class_index, "confusion_cell": None}
            self._apply(self._resolved(fields))
            self.set_trait("revision", self.revision + 1)

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers, in the model's order."""
        return self._probe.layers

    @property
    def layer_info(self) -> LayerInfo:
        """The layer in view."""
        return self._infos[self.layer]

    @property
    def embeddings(self) -> Embeddings:
        """Samples as points in the plane: by their input, or by what a layer makes of them."""
        with self.lock:
            if self._embeddings is None:
                self._embeddings = Embeddings(self)
            return self._embeddings

    @property
    def attributions(self) -> Attributions:
        """Which part of a sample speaks for a class, by many methods."""
        with self.lock:
            if self._attributions is None:
                self._attributions = Attributions(self)
            return self._attributions

    @property
    def importance(self) -> Importance:
        """Which units of the chosen layer carry the class; measured when asked for."""
        with self.lock:
            if self._importance is None:
                self._importance = Importance(self)
            return self._importance

    @property
    def training(self) -> Training:
        """Whether the model is being trained, and a callback that tells of it."""
        return Training(self)

    @property
    def histograms(self) -> Histograms:
        """How weights and activations are spread, now and at moments that were kept."""
        with self.lock:
            if self._histograms is None:
                self._histograms = Histograms(self)
            return self._histograms

    def select(self, **choice: Any) -> None:
        """Change several fields as one step: all or nothing.

        Raises:
            SelectionError: A layer, sample, unit or class that does not exist.
            TypeError: No field of that name.
        """
        with self.lock:
            self._apply(self._resolved(choice))

    def refresh(self) -> None:
        """Say that weights, layers or data changed: forget arrays, have the views repaint."""
        with self.lock:
            if probes.is_stale(self._probe):
                self.model = self._model
                return
            self._forget()
            self.set_trait("revision", self.revision + 1)

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        for part in (self._attributions, self._embeddings, self._importance):
            if part is not None:
                part.close()
        super().close()

    # --- how it is kept consistent -------------------------------------------------------

    def _read(self, model: Any) -> None:
        """Take a model, if it goes with the samples; otherwise all stays as it is."""
        one = self._samples.rows([0])
        probe: Probe
        if isinstance(model, Probe):
            probe = model
        else:
            from actwidgets.probe.keras_probe import KerasProbe

            probe = KerasProbe(model, one, warm=True, **self._options)
        if not probe.layers:
            raise ModelError("this model has no layer with an output to show")
        probe.check(one)
        said, samples = self._options["output_is"], self._samples
        given = self._given_names
        if given is None:  # those that came with the file of the model, if any
            given = getattr(probe, "class_names", None)
        with samples.unchanged_by_failure():
            samples.choose_y(probes.output_kind(probe))
            output, names = probes.settled_output_kind(probe, samples, given, said)
            output = samples.settled(output)
            has_masks = output is not None and samples.holds_masks(output)
            n_outputs = output.n_outputs if output and has_masks else probe.n_classes
            n_classes = count_classes(n_outputs, names, output, samples.y)
            class_names = checked_class_names(names, n_classes)
            samples.read_inputs(probes.input_names(probe, samples.x), probes.input_axes(probe))
            samples.read_y(output, n_classes, class_names, head=self._options["head"])
        if output is not None:
            probes.settle_output_kind(probe, output)
        self._model, self._probe, self.class_names = model, probe, class_names
        self._named_by_labels = given is None and names is not None
        self._output = output
        self._infos = {info.name: info for info in probe.layers}

    def _resolved(self, choice: Mapping[str, Any]) -> Selection:
        now = Selection(**{name: getattr(self, name) for name in FIELDS})
        # Where the number of units varies from sample to sample, any may be chosen.
        n_units = {name: info.n_units or sys.maxsize for name, info in self._infos.items()}
        sizes = {"n_samples": self.n_samples, "n_classes": len(self.class_names)}
        return resolve(now, choice, n_units=n_units, **sizes)

    def _apply(self, target: Selection) -> None:
        self._applying = True
        try:
            with self.hold_trait_notifications():
                for name in FIELDS:
                    setattr(self, name, getattr(target, name))
                self.set_trait("selection", target)
        finally:
            self._applying = False

    @t.validate(*FIELDS)
    def _validate_field(self, proposal: Any) -> Any:
        if self._applying:
            return proposal.value
        return getattr(self._resolved({proposal.trait.name: proposal.value}), proposal.trait.name)

    @t.observe(*FIELDS)
    def _fold(self, change: Any) -> None:
        if not self._applying:
            self._apply(self._resolved({change.name: change.new}))
