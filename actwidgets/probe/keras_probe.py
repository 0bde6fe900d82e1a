"""KerasProbe: read layer outputs, weights and gradients of a built Keras model."""

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.ablation import Edit, combined
from actwidgets.core.accumulators import Reduce, SampleSummary, summarize
from actwidgets.core.arrays import Array
from actwidgets.core.class_profiles import ClassProfiles, ProfileBuilder, ProfileSpec
from actwidgets.core.labels import (
    checked_class_names,
    class_labels,
    count_classes,
    label_names,
    names_of_classes,
)
from actwidgets.core.layers import LayerInfo, ReceptiveField
from actwidgets.core.output_kind import OutputKind, checked_output_is
from actwidgets.errors import ActwidgetsError, DataError, LayerError, ShapeError
from actwidgets.images.kernels import as_kernels
from actwidgets.probe.base import Probe
from actwidgets.probe.callbacks import ListeningCallback, gradient_norms
from actwidgets.probe.compiled import PositionReduction
from actwidgets.probe.extractors import EditedExtractor, EditedTraces, FeatureExtractor
from actwidgets.probe.fingerprint import fingerprint, number_of_settings
from actwidgets.probe.frameworks import step_gate_of
from actwidgets.probe.layer_weights import UnreadableWeightError, effective_weight, layer_weights
from actwidgets.probe.model_file import class_names_of
from actwidgets.probe.output_kind import read_output_kind
from actwidgets.probe.randomized import RandomizedKerasScores, RandomizedModel
from actwidgets.probe.scores import MEMORY_BUDGET_BYTES, KerasScoreFunction, ScoreModel
from actwidgets.training.events import TrainingListener


class ScoreModels:
    """Cache of score models: one of the layers as they are, one of the last edited set.

    Args:
        model: A built Keras model.
        training: Whether layers act as they do in training.
    """

    def __init__(self, model: Any, *, training: bool = False) -> None:
        self._model, self._training = model, training
        self._kept: dict[Any, ScoreModel] = {}
        self._making = threading.Lock()

    def of(
        self, extractor: FeatureExtractor | EditedExtractor, memory_budget_bytes: int
    ) -> ScoreModel:
        """The model whose layers these are; ModelError where it cannot be differentiated."""
        edited = getattr(extractor.inputs, "edited", ())
        key = tuple(output.name for output in edited), memory_budget_bytes
        with self._making:
            if key not in self._kept:
                for other in [each for each in self._kept if bool(each[0]) == bool(edited)]:
                    del self._kept[other]
                self._kept[key] = ScoreModel(
                    self._model,
                    extractor.inputs,
                    extractor.layer_index,
                    training=self._training,
                    memory_budget_bytes=memory_budget_bytes,
                )
            return self._kept[key].with_numbers(extractor.numbers)

    def forget(self) -> None:
        """Trace anew when something is wanted."""
        with self._making:
            self._kept.clear()


_KERNELS = ("depthwise_kernel", "kernel")


class KerasProbe(Probe):
    """Read a built Keras model. Nothing about the model is changed.

    `n_classes` is 0 where the chosen output of the model is not `(sample, class)`. `class_names`
    are those that came with its file, or None.

    Args:
        model: A built Keras model.
        like: A few samples, for a subclassed model that does not say what it takes.
        head: Which of the model's outputs is predicted: a name or an index.
        output_is: What that output is: "logit", "probability" or "value"; None has it read
            off the model.
        training: Whether layers such as dropout act as they do in training.
        warm: Whether functions of layers are compiled in the background, ahead of use.

    Raises:
        ModelError: Not a Keras model, not built, without layers, or without such an output.
    """

    def __init__(
        self,
        model: Any,
        like: Any = None,
        *,
        head: str | int | None = None,
        output_is: str | None = None,
        training: bool = False,
        warm: bool = False,
    ) -> None:
        self._model, self._training = model, training
        extractor = FeatureExtractor(model, like, training=training, warm=warm)
        self._settings = number_of_settings(model)
        self.step_gate = step_gate_of(model)
        self._extractor: FeatureExtractor | EditedExtractor = extractor
        self._whole = extractor
        self._score_models = ScoreModels(model, training=training)
        self._edited_traces, self._edits = EditedTraces(extractor), dict[str, Edit]()
        self.layers: tuple[LayerInfo, ...] = extractor.layer_index.layers
        outputs = extractor.layer_index.outputs
        self._unit_axes = {name: output.unit_axis for name, output in outputs.items()}
        output = extractor.layer_index.head(head)
        self._head = output.name
        checked_output_is(output_is)
        self._output_is, self._output_kind = output_is, dict[str, OutputKind]()
        shape = output.shape
        is_table = len(shape) == 2 and shape[1] is not None and not output.refused
        self.n_classes = int(shape[1] or 0) if is_table else 0
        self.class_names = class_names_of(model) if self.n_classes else None

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the model's outputs, in its order."""
        return self._whole.layer_index.head_names

    @property
    def output_kind(self) -> OutputKind:
        """What the chosen output of the model means. Read once; may be set by who knows more.

        Cost: as `read_output_kind`, the first time.
        """
        if self._head not in self._output_kind:  # a dict is shared with edited probes
            inputs, layer_index = self._whole.inputs, self._whole.layer_index
            self._output_kind[self._head] = read_output_kind(
                self._model, inputs, layer_index, layer_index.require(self._head), self._output_is
            )
        return self._output_kind[self._head]

    @output_kind.setter
    def output_kind(self, output: OutputKind) -> None:
        self._output_kind[self._head] = output

    def outputs(self, layers: Sequence[str], x: Any) -> dict[str, np.ndarray]:
        """Outputs of layers on one batch, in one forward pass that ends at the last of them.

        Args:
            layers: Names, as in `self.layers`.
            x: One batch: an array `(sample, …)`, or a list or dict with one per input.

        Returns:
            Name to an array with the axes of `LayerInfo.output_shape`, float32.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
            ModelError: A layer raised.
        """
        found = self._extractor.outputs(layers, x)
        return {name: _floats(output) for name, output in zip(layers, found, strict=True)}

    def _units_last(self, layers: Sequence[str], found: Sequence[Any]) -> dict[str, np.ndarray]:
        return {
            name: np.moveaxis(_floats(output), axis, -1)
            if (axis := self._unit_axes[name]) > 0
            else _floats(output)
            for name, output in zip(layers, found, strict=True)
        }

    def activations(self, layers: Sequence[str], x: Any) -> dict[str, np.ndarray]:
        """The same with the units last: name to `(sample, …, unit)`, float32."""
        return self._units_last(layers, self._extractor.outputs(layers, x))

    def summaries(
        self, layers: Sequence[str], x: Any, *, above: float | None = None, low: bool = True
    ) -> dict[str, SampleSummary]:
        """What layers put out for each sample of one batch, positions folded away.

        The folding is part of the compiled forward pass, but where a value is NaN or
        infinite: then the layer's whole output is looked at.

        Args:
            layers: Names, as in `self.layers`.
            x: One batch.
            above: Count the positions above this; None counts none.
            low: Whether the smallest values are wanted.

        Raises: as `outputs`.
        """
        axes = tuple(
            (len(output.shape), output.unit_axis)
            for output in map(self._whole.layer_index.require, layers)
        )
        fold = PositionReduction(axes, above, low)
        found = dict(zip(layers, fold.read(self._extractor.folded(layers, x, fold)), strict=True))
        odd = [name for name, summary in found.items() if summary is None]
        if odd:
            whole = self.activations(odd, x)
            found |= {name: summarize(whole[name], above) for name in odd}
        return {name: summary for name, summary in found.items() if summary is not None}

    def summarizes_at_once(self, layers: Sequence[str]) -> bool:
        """Whether their function is compiled; or cannot be, and they are called eagerly."""
        return self._whole.is_folded(layers)

    def predictions(self, x: Any) -> np.ndarray:
        """The chosen output of the model on one batch, float32."""
        return _floats(self._extractor.outputs((self._head,), x)[0])

    def outputs_and_predictions(
        self, layers: Sequence[str], x: Any
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """`activations` and `predictions` of one batch, in one forward pass; to be read only."""
        *outputs, predicted = map(np.asarray, self._extractor.outputs((*layers, self._head), x))
        return self._units_last(layers, outputs), _floats(predicted)

    def class_profiles(
        self,
        x: Any,
        y: Any = None,
        layers: Sequence[str] | str | None = None,
        threshold: float = 0.0,
        reduce: Reduce = "any",
        batch_size: int = 256,
        progress: Callable[[int], None] | None = None,
        class_names: Sequence[str] | None = None,
        statistics: Sequence[str] | str | None = None,
    ) -> ClassProfiles:
        """One pass over labeled samples; see `actwidgets.class_profiles`."""
        names_of_statistics = (statistics,) if isinstance(statistics, str) else statistics
        spec = ProfileSpec(
            threshold, reduce, None if names_of_statistics is None else tuple(names_of_statistics)
        )
        names = self.layer_names(layers, lambda info: info.n_units and 0 not in info.output_shape)
        given = self.class_names if class_names is None else class_names
        class_names = names_of_classes(given, label_names(y), self.n_classes)
        n_classes = count_classes(self.n_classes, class_names)
        if not n_classes:
            raise DataError("this model's output is not (sample, class): give class_names")
        known_names = checked_class_names(class_names, n_classes)
        if y is not None:
            try:
                y = class_labels(y, n_classes=n_classes, class_names=known_names)
            except (DataError, ShapeError) as failure:
                if len(self.head_names) < 2:
                    raise
                told = f"{failure}. The model has several outputs ({', '.join(self.head_names)}): "
                raise type(failure)(f"{told}choose the one that y is of with head=") from failure
        builder = ProfileBuilder(known_names, spec)
        number = 0
        try:
            for batch, labels in batches.iterate(x, y, batch_size=batch_size):
                indices = _checked_labels(batch, labels, known_names)
                summaries = self.summaries(
                    names, batch, above=spec.positions_above, low=spec.wants("min", "max")
                )
                builder.add(summaries, indices)
                number += 1
                if progress is not None:
                    progress(builder.n_samples)
        except ActwidgetsError as failure:
            if not builder.n_samples:
                raise
            at_batch = type(failure)(
                f"batch {number}, after {builder.n_samples:,} samples: {failure}; "
                "what was gathered before is in this error's .partial"
            )
            at_batch.partial = builder.profiles(complete=False)
            raise at_batch from failure
        except BaseException as failure:  # an interrupt, or whatever a stream of the user's raises
            failure.partial = builder.profiles(complete=False)  # type: ignore[attr-defined]
            raise
        if not builder.n_samples:
            raise DataError("x holds no samples")
        return builder.profiles()

    def layer_names(
        self,
        layers: Sequence[str] | str | None,
        is_taken: Callable[[LayerInfo], Any] = lambda info: True,
    ) -> tuple[str, ...]:
        """Names as they were given, or of all layers that are taken where none were."""
        if layers is None:
            return tuple(info.name for info in self.layers if is_taken(info))
        names = (layers,) if isinstance(layers, str) else tuple(layers)
        self.require(names)
        return names

    def edited(self, edits: Mapping[str, Edit]) -> "KerasProbe":
        """The same model with the outputs of some layers altered on their way to the rest.

        Activations of an edited layer are the altered ones, later layers and predictions
        follow, earlier layers are as they were. Weights are read live.

        Args:
            edits: By name of layer; the call `shared#1` alone is edited, and of an output of
                several tensors `lstm:1` alone.

        Returns:
            Another probe, which closes with this one; this one itself for no edits. Edits of
            an edited probe come behind those that it has.

        Raises:
            LayerError: No such layer, or one that cannot be shown; values that are not
                floating-point; a number of units that varies.
            ShapeError: An edit for another number of units.

        Cost: little. Forward passes cost what they do without edits, and one trace for each
        new set of edited layers; other numbers for the same layers need none.
        """
        if not edits:
            return self
        probe = copy.copy(self)
        probe._edits = combined(self._edits, edits)
        probe._extractor = self._edited_traces.edited(probe._edits)
        return probe

    def kernels(self, layer: str) -> np.ndarray:
        """The weights of a layer as they are now, as its call applies them.

        Of a quantized layer the codes times their scales, of one adapted by LoRA the sum.

        Returns:
            `(row, column, in_channel, out_channel)` float32, a copy; see `core.kernels`.

        Raises:
            LayerError: The model has no such layer, it has no kernels, or it is quantized in a
                way that is not known.
        """
        found = self._whole.layer_index.require(layer).layer
        kind = type(found).__name__
        names = [each for each in _KERNELS if getattr(found, each, None) is not None]
        if not names:
            raise LayerError(f"layer {layer!r} ({kind}) has no kernels")
        try:
            values = effective_weight(found, names[0]).astype(np.float32)
        except UnreadableWeightError as failure:
            raise LayerError(f"layer {layer!r} {failure}") from failure
        return as_kernels(values, kind)

    def weights(self, layer: str) -> dict[str, np.ndarray]:
        """The weights of a layer as they are now, float32 copies by name; see `layer_weights`.

        Raises:
            LayerError: The model has no such layer, or it is quantized in a way that is not
                known.
        """
        found = self._whole.layer_index.require(layer).layer
        try:
            with self.read_lock():
                return layer_weights(found)
        except UnreadableWeightError as failure:
            raise LayerError(f"layer {layer!r} {failure}") from failure

    def gradient_norms(self, layers: Sequence[str], x: Any, labels: np.ndarray) -> dict[str, float]:
        """How steep the compiled loss is in the weights of layers; see `gradient_norms.py`."""
        found = {name: self._whole.layer_index.require(name).layer for name in layers}
        with self.read_lock():
            inputs = self._whole.inputs
            return gradient_norms(self._model, found, inputs.arguments(inputs.tensors(x)), labels)

    def training_callback(self, listener: TrainingListener) -> ListeningCallback:
        """A callback for this model's `fit` that tells a listener of the training."""
        return ListeningCallback(listener, self._model)

    def receptive_field(self, layer: str) -> ReceptiveField | None:
        """The part of the input that a position of a layer's map sees; None for all of it.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.

        Cost: a trace of the model, where there is none yet.
        """
        return self._whole.receptive_field(layer)

    def score_function(
        self,
        layer: str | None = None,
        output: str = "logit",
        *,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    ) -> KerasScoreFunction:
        """The model from its inputs to the scores of its classes, for attributions.

        Args:
            layer: Whose maps are looked at; the last with as many axes as an input by default.
            output: "logit" or "probability".
            memory_budget_bytes: How much a batch may take, about.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
            ModelError: It cannot be traced or differentiated.

        Cost: a trace the first time. Weights are read live.
        """
        model = self._score_models.of(self._extractor, memory_budget_bytes)
        return KerasScoreFunction(model, self._head, layer, output, kind=self.output_kind)

    def randomized_score_function(
        self,
        layer: str | None = None,
        output: str = "logit",
        *,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
        seed: int = 0,
    ) -> RandomizedKerasScores:
        """The same with weights of its own, which can be made random.

        Raises:
            ModelError: A model of Keras 2. And as `score_function`.

        Cost: a trace, and the weights once more in memory.
        """
        model = RandomizedModel(
            self._model,
            self._extractor.inputs,
            self._extractor.layer_index,
            seed=seed,
            training=self._training,
            memory_budget_bytes=memory_budget_bytes,
        ).with_numbers(self._extractor.numbers)
        return RandomizedKerasScores(model, self._head, layer, output, kind=self.output_kind)

    def check(self, x: Any) -> None:
        """Refuse samples that the model cannot take, without running it.

        Raises:
            ShapeError: Another shape, another number of inputs, or other names.
            DataError: Values of the wrong kind.
        """
        self._whole.inputs.check(x)

    def input_names(self, x: Any) -> tuple[str, ...]:
        """What the arrays in `x` are called: the names of the inputs; "" for what is none."""
        return self._whole.inputs.part_names(x)

    def input_axes(self) -> dict[str, tuple[str, ...]]:
        """What the axes of inputs are, as far as the layers that take them tell; by name."""
        flow, names = self._whole.layer_index.flow, self._whole.inputs.names
        if flow is None:
            return {}
        return {name: axes for name, axes in zip(names, flow.axes, strict=True) if axes is not None}

    def inputs_of(self, layer: str) -> tuple[str, ...] | None:
        """The inputs that a layer sees, by name; None where that is not known."""
        flow, names = self._whole.layer_index.flow, self._whole.inputs.names
        places = None if flow is None else flow.inputs_of(layer.partition(":")[0])
        return None if places is None else tuple(names[place] for place in sorted(places))

    def require(self, layers: Sequence[str]) -> None:
        """Refuse layers that the model does not have, or that cannot be shown.

        Raises:
            LayerError: Says which, and why.
        """
        for name in layers:
            self._whole.layer_index.require(name)

    def wait(self) -> None:
        """Return when what was requested is compiled."""
        self._extractor.wait()

    def fingerprint(self) -> tuple[int, ...]:
        """Numbers that change when the weights do, or what a trace bakes in.

        What was traced is forgotten then, so that what is asked for anew is of the model as it
        is now.
        """
        found = fingerprint(self._model)
        if found[0] != self._settings:
            self._settings = found[0]
            self._whole.renew()
            self._score_models.forget()
            self._edited_traces.close()
        return found

    def is_stale(self) -> bool:
        """Whether layers of the model were exchanged, so that it must be read anew."""
        return self._whole.is_stale()

    def close(self) -> None:
        """Compile nothing more ahead, nor for edited probes; of an edited one do nothing."""
        if not self._edits:
            self._whole.close()
            self._edited_traces.close()


def _floats(tensor: Any) -> np.ndarray:
    values = tensor if isinstance(tensor, np.ndarray) else tensor.numpy()
    return values.astype(np.float32, copy=False)


def _checked_labels(batch: Any, labels: Any, class_names: tuple[str, ...]) -> Array:
    """Class indices of one batch, as many as it has samples."""
    if labels is None:
        raise DataError("class_profiles needs labels: give y, or batches of (x, y) pairs")
    indices = class_labels(labels, n_classes=len(class_names), class_names=class_names)
    n_batch = batches.count_samples(batch)
    if n_batch != len(indices):
        raise ShapeError(f"it has {n_batch} samples and {len(indices)} labels")
    return indices
