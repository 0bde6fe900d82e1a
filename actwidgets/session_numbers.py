"""Forward passes for what a session looks at. Arrays come from methods, never from traits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets as t

from actwidgets.core import probes
from actwidgets.core.arrays import Array, Bools, Floats, Integers
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.model_numbers import ModelNumbers
from actwidgets.core.pictures.images import Pixels
from actwidgets.core.predictions.outcomes import predicted_classes
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.core.probes import Probe
from actwidgets.core.receptive_field import ReceptiveField
from actwidgets.core.samples import Samples
from actwidgets.core.selection import known_rows
from actwidgets.core.training.lock_amid_steps import LockAmidSteps
from actwidgets.errors import DataError, NotRecordedError


class SessionNumbers(t.HasTraits):
    """What a model says of the samples, for the selection that `Session` keeps.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    class_names: tuple[str, ...]
    layer: Any
    samples: Any
    unit: Any
    threshold: Any
    disturbance: Any
    ablations: Any
    _probe: Probe
    _output: OutputKind | None = None
    _infos: dict[str, LayerInfo]
    _named_by_labels = False

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self.lock = LockAmidSteps()
        self.memory_budget_bytes = memory_budget_bytes
        self._samples = samples
        super().__init__()

    # --- samples -------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None where no labels were given."""
        return self._samples.labels

    @property
    def label_sets(self) -> Bools | None:
        """`(sample, class)`: which labels samples have that may have several; None else."""
        return self._samples.label_sets

    @property
    def masks(self) -> Any:
        """The class of each position, by sample, where `y` held masks; None else."""
        return self._samples.masks

    @property
    def missing_labels(self) -> str:
        """Why there is no one class for each sample: "" where there is."""
        if self.labels is not None:
            return ""
        if self.masks is not None:
            return "this needs one class a sample, and y holds masks"
        if self.label_sets is not None:
            return "this needs one class a sample, and y holds several"
        if self.targets is not None:
            return "this needs class labels, and y holds the targets of a regression"
        return "this needs labels"

    def label_words(self, row: int) -> str | None:
        """What the labels say of a sample, in words; None where there are none.

        The name of its class; of several those of all, "none" of none.
        """
        if self.label_sets is not None:
            return self._words_of(self.label_sets[row])
        return None if self.labels is None else self.class_names[self.labels[row]]

    def _words_of(self, has: Bools) -> str:
        """Names of the classes that a sample has, `(class,)` bool."""
        names = [name for name, each in zip(self.class_names, has, strict=True) if each]
        return ", ".join(names) or "none"

    @property
    def class_order(self) -> str:
        """By what the classes are in their order, where the labels decided it; else ""."""
        return self._samples.class_order if self._named_by_labels else ""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of samples that were given as a table; () else."""
        return self._samples.feature_names

    def exemplars(self, class_index: int, limit: int = 1) -> tuple[int, ...]:
        """The first `limit` samples of a class; none where it has none."""
        return self._samples.of_class(class_index, limit)

    def pictures(
        self,
        rows: Sequence[int] | None = None,
        *,
        as_shown: bool | None = None,
        name: str | Sequence[str] | None = None,
    ) -> Pixels:
        """The image input of `rows`, or of `samples`: `(sample, row, column, 3)` uint8.

        Of several image inputs all, side by side. What runs in time is a picture in which it
        runs to the right, with a row for each feature.

        Args:
            rows: Rows of the data; `samples` by default.
            as_shown: Whether disturbed as the selection has it; by default where they are
                `samples`, which are on show.
            name: One of `picture_inputs`, or some; all of them by default.
        """
        disturbance = self.disturbance if self._as_shown(rows, as_shown) else None
        shown = self.samples if rows is None else known_rows(rows, self.n_samples)
        return self._samples.pictures(shown, disturbance, name)

    @property
    def picture_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that are drawn of a sample; `("",)` where it has no name."""
        return self._samples.picture_inputs

    def picture_inputs_of(self, layer: str | None = None) -> tuple[str, ...]:
        """Those of them that a layer sees; all where it sees none, or that is not known.

        Args:
            layer: The chosen one by default.
        """
        with self.lock:
            seen = probes.inputs_of(self._probe, self.layer if layer is None else layer)
        mine = tuple(each for each in self.picture_inputs if seen is not None and each in seen)
        return mine or self.picture_inputs

    def places_first(self, name: str, values: Array) -> Array:
        """A map in the shape of an input with its places before its channels, as it is drawn.

        Args:
            name: Of the input.
            values: `(sample, …)`.
        """
        return self._samples.places_first(name, values)

    def picture_shape_of(self, name: str) -> tuple[int, ...]:
        """Rows and columns of one of `picture_inputs`; () where it is no picture."""
        return self._samples.picture_shape_of(name)

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Rows and columns of the image input, of a vector that is one too; () where none is."""
        return self._samples.picture_shape

    # --- forward passes ------------------------------------------------------------------

    def maps(self, rows: Sequence[int] | None = None, *, limit: int | None = None) -> Array:
        """Activations of the chosen layer on `rows`, or on `samples`.

        Args:
            rows: Rows of the data, as they were given. `samples` by default, which are on
                show: with the disturbance and the ablations of the selection.
            limit: How many samples at most.

        Returns:
            `(sample, …, unit)` float32, read-only, in the order of the rows.

        Cost: one forward pass to that layer, unless it was asked for before.
        """
        with self.lock:
            self._give_way()
            if rows is None:
                shown = self.samples[:limit]
                return self._numbers.maps(self.layer, shown, self.disturbance, self.ablations)
            return self._numbers.maps(self.layer, known_rows(rows, self.n_samples)[:limit])

    def kernels(self) -> Array:
        """The weights of the chosen layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels.
        """
        with self.lock:
            return probes.kernels(self._probe, self.layer)

    @property
    def n_outputs(self) -> int:
        """How many values the model puts out per sample; 0 where that is no vector."""
        return self._probe.n_classes

    @property
    def output(self) -> OutputKind:
        """What the model's output means: logits, probabilities or values, and why.

        Decided once, when the model is read; `output_is` of a session overrules it.
        """
        if self._output is None:  # of a probe that does not tell
            with self.lock:
                self._output = self._numbers.output_kind()
        return self._output

    @property
    def targets(self) -> Floats | None:
        """`(sample, output)` what a regression is to put out; None where `y` held none."""
        return self._samples.targets

    @property
    def predicts_classes(self) -> bool:
        """Whether the model tells classes apart: a value for each, or one for two of them."""
        return not self.missing_for_predictions()

    def missing_for_predictions(self) -> str:
        """Why the model predicts no classes: "" where it does."""
        if missing := self.output.missing_for_classes:
            return missing
        return "" if self._probe.n_classes else "the model's output is not one value per class"

    def predictions(self, rows: Sequence[int] | None = None, *, ablated: bool = True) -> Floats:
        """The model's output on `rows`, or on all samples: `(sample, class)` float32.

        Args:
            rows: Rows of the data, as they were given; all of them by default.
            ablated: Whether the ablations of the selection are in force.

        Raises:
            DataError: The model's output is not `(sample, class)`.

        Cost: a forward pass for the rows that were not asked for before.
        """
        self._require_classes()
        with self.lock:
            rows = range(self.n_samples) if rows is None else known_rows(rows, self.n_samples)
            return self._numbers.predictions(rows, self.ablations if ablated else ())

    def predictions_on_show(self, *, limit: int | None = None) -> Array:
        """The same of `samples`, with the disturbance and the ablations of the selection.

        Args:
            limit: How many samples at most.

        Returns:
            `(sample, class)` float32, read-only, in the order of `samples`.

        Raises:
            DataError: The model's output is not `(sample, class)`.
        """
        self._require_classes()
        return self.outputs(self.samples[:limit], as_shown=True)

    def outputs(
        self, rows: Sequence[int], *, as_shown: bool = False, ablated: bool = True
    ) -> Array:
        """What the model puts out, whether or not it tells classes apart.

        Args:
            rows: Rows of the data.
            as_shown: Whether with the disturbance of the selection.
            ablated: Whether with its ablations.

        Returns:
            `(sample, output)` float32, read-only where as shown.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        if not self._probe.n_classes:
            raise DataError("the model's output is not one vector per sample")
        with self.lock:
            self._give_way()
            known = known_rows(rows, self.n_samples)
            ablations = self.ablations if ablated else ()
            if not as_shown:
                return self._numbers.predictions(known, ablations)
            return self._numbers.predictions_on_show(known, self.disturbance, ablations)

    def predicted_classes(self, rows: Sequence[int] | None = None) -> Integers:
        """The predicted class of `rows`, or of all samples: `(sample,)` int64."""
        return predicted_classes(self.predictions(rows), output=self.output)

    def require_changes(self) -> None:
        """Refuse what alters units or disturbs samples, where there is no model to ask then.

        Raises:
            NotRecordedError: This is a session over a recording.
        """
        with self.lock:
            if missing := probes.missing_for_changes(self._probe):
                raise NotRecordedError(missing)

    def _as_shown(self, rows: Sequence[int] | None, as_shown: bool | None) -> bool:
        return rows is None if as_shown is None else as_shown

    def _require_classes(self) -> None:
        if missing := self.missing_for_predictions():
            raise DataError(f"no predictions: {missing}")

    def receptive_field(self) -> ReceptiveField | None:
        """The part of the input that a position of the chosen layer's map sees.

        None where it sees everything, or where that cannot be told.
        """
        with self.lock:
            return probes.receptive_field(self._probe, self.layer)

    def peak_values(self, rows: Sequence[int]) -> Floats:
        """The largest value of the chosen unit on each of `rows`, `(sample,)` float32.

        On a map at any position; NaN where there is a value that is not a number and no other.

        Cost: a forward pass over the rows.
        """
        if not len(rows):
            return np.zeros(0, np.float32)
        values = self._of_unit(self.maps(rows)).reshape(len(rows), -1)
        peaks: Floats = np.fmax.reduce(values, axis=1)
        return peaks

    def peak_positions(self, rows: Sequence[int]) -> Integers:
        """Where on its map the chosen unit has its largest value.

        Returns:
            `(sample, axis)` int64: an index for each axis of positions, in the order of
            `rows`; no axes for a layer without maps.

        Cost: a forward pass over the rows.
        """
        values = np.nan_to_num(self._of_unit(self.maps(rows)), nan=-np.inf)
        flat = values.reshape(len(values), -1).argmax(axis=1)
        return np.stack(np.unravel_index(flat, values.shape[1:] or (1,)), axis=1)[
            :, : values.ndim - 1
        ]

    def _of_unit(self, maps: Array) -> Array:
        """The values of the chosen unit, `(sample, …)`, of a layer that may put out scalars."""
        values: Array = maps[..., self.unit] if maps.ndim > 1 else maps
        return values

    def _forget(self) -> None:
        """Drop what the model said, as it may say something else now."""
        self._numbers = ModelNumbers(
            self._probe, self._samples, self.class_names, self.memory_budget_bytes, self._output
        )

    def _give_way(self) -> None:
        """Somebody is moving something: what is done in the background can wait."""
