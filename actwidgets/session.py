"""What the user is looking at, and the model it is looked at through."""

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t

from actwidgets._traits import Index, Indices
from actwidgets.background import BackgroundReader, Reading
from actwidgets.core import probes
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.images import Pixels
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.model_numbers import ModelNumbers
from actwidgets.core.outcomes import predicted_classes
from actwidgets.core.probes import Probe
from actwidgets.core.samples import Samples
from actwidgets.core.selection import FIELDS, Selection, known_rows, resolve
from actwidgets.errors import DataError, ModelError


class Session(t.HasTraits):
    """Shared state of all views of one model.

    Set a field, or several at once with `select()`. Observe `selection` and `revision`; the
    single fields are for writing and for `traitlets.link`.

    Args:
        model: A Keras model, or anything that satisfies `Probe`. It is on loan: unchanged.
        x: Samples: an array, a list or dict of arrays, or a re-iterable of batches, of which
            the first `max_samples` are kept.
        y: `(sample,)` class indices or one-hot; optional.
        class_names: One per class of the model's output; optional.
        head: Which of several outputs is predicted, by name or index; the first by default.
        training: Whether layers such as dropout act as they do in training.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
        max_samples: How many samples of a stream are kept. Arrays are used whole, uncopied.
        **choice: The first selection: `layer`, `sample`, …

    Raises:
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: No samples, labels outside the classes, class names that do not fit.
        SelectionError: A first selection that does not exist.
    """

    layer = t.Unicode(help="name of the layer in view")
    sample = Index(0, help="row of the data in focus; always one of `samples`")
    samples = Indices((0,), help="rows of the data on show")
    unit = Index(0, help="channel of the layer in focus")
    class_index = Index(None, allow_none=True, help="class in focus, or None")
    threshold = t.Float(0.0, help="a unit fires when its value is above it")
    selection = t.Instance(Selection, read_only=True, help="all fields as one value")
    revision = t.Int(0, read_only=True, help="raised when weights or data change")
    reading = t.Instance(Reading, allow_none=True, read_only=True, help="a pass under way")

    _model: Any
    _probe: Probe
    _infos: dict[str, LayerInfo]

    def __init__(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        head: str | int | None = None,
        training: bool = False,
        memory_budget_bytes: int = 512 * 2**20,
        max_samples: int = 2000,
        **choice: Any,
    ) -> None:
        self.lock = threading.RLock()
        self.memory_budget_bytes = memory_budget_bytes
        self._applying = True  # no validation before there is something to validate against
        self._options: dict[str, Any] = {"head": head, "training": training}
        self._samples = Samples(x, y, max_samples=max_samples)
        self._given_names = class_names
        self._read(model)
        self._reader = BackgroundReader(self._report)
        self._forget()
        super().__init__()
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
            self._forget()
            layer = self.layer if self.layer in self._infos else next(iter(self._infos))
            has_class = (self.class_index or 0) < len(self.class_names)
            class_index = self.class_index if has_class else None
            self._apply(self._resolved({"layer": layer, "class_index": class_index}))
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
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None where no labels were given."""
        return self._samples.labels

    @property
    def predicts_classes(self) -> bool:
        """Whether the model tells classes apart: a value for each, or one for two of them.

        A single output without labels may as well be a regression: it predicts no class.
        """
        n_outputs = self._probe.n_classes
        return n_outputs > 1 or (n_outputs == 1 and self.labels is not None)

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

    # --- the numbers behind the pictures -------------------------------------------------

    def pictures(self, rows: Sequence[int] | None = None) -> Pixels:
        """The image input of `rows`, or of `samples`: `(sample, row, column, 3)` uint8."""
        shown = self.samples if rows is None else known_rows(rows, self.n_samples)
        return self._samples.pictures(shown)

    def maps(self) -> Array:
        """Activations of the chosen layer on `samples`.

        Returns:
            `(sample, …, unit)` float32, read-only, in the order of `samples`.

        Cost: one forward pass to that layer, unless it was asked for before.
        """
        with self.lock:
            self._reader.touch()
            return self._numbers.maps(self.layer, self.samples)

    def kernels(self) -> Array:
        """The weights of the chosen layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels.
        """
        with self.lock:
            return probes.kernels(self._probe, self.layer)

    def predictions(self, rows: Sequence[int] | None = None) -> Floats:
        """The model's output on `rows`, or on all samples: `(sample, class)` float32.

        Raises:
            DataError: The model's output is not `(sample, class)`.

        Cost: a forward pass for the rows that were not asked for before.
        """
        if not self.predicts_classes:
            raise DataError("this model's output is not one value per class: no predictions")
        with self.lock:
            rows = range(self.n_samples) if rows is None else known_rows(rows, self.n_samples)
            return self._numbers.predictions(rows)

    def predicted_classes(self, rows: Sequence[int] | None = None) -> Integers:
        """The predicted class of `rows`, or of all samples: `(sample,)` int64."""
        return predicted_classes(self.predictions(rows))

    def profiles(self, *, partial: bool = False) -> ClassProfiles:
        """Class profiles of the chosen layer at the chosen threshold, over all samples.

        Args:
            partial: Return at once with what has been read so far, at least one batch, and
                read on in the background; `reading` tells how far it is.

        Raises:
            DataError: The session has no labels.

        Cost: one pass over the samples per layer. Another threshold then costs a comparison
        per sample and unit, while the peaks fit into a quarter of the memory budget.
        """
        with self.lock:
            threshold = self.threshold
            profile_pass = self._numbers.profile_pass((self.layer,), threshold)
        if not profile_pass.n_read:
            profile_pass.step()
        if partial and not profile_pass.complete:
            self._reader.read(profile_pass)
        while not (partial or profile_pass.complete):
            profile_pass.step()
        return profile_pass.profiles(threshold)

    def similarity(self, statistic: str = "firing_rate", metric: str = "mean_abs_diff") -> Doubles:
        """How far the classes are apart in the chosen layer; see `ClassProfiles.similarity`."""
        return self.profiles().similarity(self.layer, statistic, metric)

    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value that `profiles` has read of the chosen layer."""
        with self.lock:
            return self._numbers.profile_pass((self.layer,), self.threshold).peak_range(self.layer)

    def exemplars(self, class_index: int, limit: int = 1) -> tuple[int, ...]:
        """The first `limit` samples of a class; none where it has none."""
        return self._samples.of_class(class_index, limit)

    def wait(self) -> None:
        """Return when the pass under way, if there is one, is finished."""
        self._reader.wait()

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        self._reader.stop()
        probes.stop(self._probe)

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
        n_classes = count_classes(probe.n_classes, self._given_names)
        class_names = checked_class_names(self._given_names, n_classes)
        probe.check(one)
        self._samples.read_labels(n_classes)
        self._model, self._probe, self.class_names = model, probe, class_names
        self._infos = {info.name: info for info in probe.layers}

    def _forget(self) -> None:
        self._reader.cancel()
        self._numbers = ModelNumbers(
            self._probe, self._samples, self.class_names, self.memory_budget_bytes
        )

    def _report(self, reading: Reading) -> None:
        with self.lock:
            self.set_trait("reading", reading)

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
