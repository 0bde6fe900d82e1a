"""Extract layer outputs of a model, as it is or with some layers edited."""

import copy
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.ablation import Edit
from actwidgets.core.arrays import Array
from actwidgets.core.layers import ReceptiveField
from actwidgets.errors import LayerError, ModelError, ShapeError
from actwidgets.probe.call_trace import (
    CallTrace,
    CallTraceError,
    element_name,
    trace_call,
)
from actwidgets.probe.compiled import (
    FEW_SAMPLES,
    N_COMPARED,
    CompiledFunction,
    PositionReduction,
    Trace,
    as_values,
    disagreement,
    flow_of,
    tolerance_of,
)
from actwidgets.probe.fingerprint import containers, grown, same_structure, structure
from actwidgets.probe.frameworks import failure_message, require_model, step_gate_of
from actwidgets.probe.inputs import InputSpec, Shapes, fixed_batch, input_spec_of, state_reset
from actwidgets.probe.layer_index import (
    LayerIndex,
    Output,
    describe,
    functional_layers,
    is_models_own,
)
from actwidgets.probe.prefetch import Prefetcher

MAX_FUNCTIONS = 256  # one of ResNet50 takes about 0.2 MB
MAX_SHAPES = 8  # of samples that a model is traced for; a trace of ResNet50 takes about 25 MB
A_PAGE = 16  # thumbnails: nobody waits for a trace to see them, where it is made meanwhile anyway
UNUSED_FOR = 4 * MAX_SHAPES  # questions after which a trace makes room for one of another shape
Key = tuple[str, ...]
log = logging.getLogger("actwidgets")


@dataclass
class _Traced:
    """A trace with the layers whose compiled values were compared with eager ones.

    Attributes:
        trace: None where the model cannot be traced.
        right: Layers whose compiled values were compared with an eager call's.
        wrong: Those that differed: they are called eagerly.
        used: When it was asked for last, in questions.
    """

    trace: Trace | None
    right: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    used: int = 0


class FeatureExtractor:
    """Layer outputs of one model: eager at first, then by compiled functions.

    The first time, a few samples are answered by an eager call that stops at the layer. The
    model is traced behind the scenes, or when many samples come, and a compiled function takes
    over. A model that cannot be traced (it branches in Python on the values it gets) goes on
    being called eagerly.

    A model that takes samples of several shapes is traced for each shape that comes, a few of
    them being kept: layers may act otherwise where they do not know a length. Each layer of
    each trace is compared once with an eager call, on some of the samples; where they differ
    (see `disagreement`) that layer goes on being called eagerly, and the log says so.

    A model that needs batches of a fixed size is given such; see `fixed_batch`.

    Args:
        model: A built Keras model; nothing about it is changed.
        like: A few samples, for a model that does not say what it takes.
        training: Whether layers act as they do in training.
        warm: Whether to compile in the background: for the layers asked for, then for
            those beside them.

    Raises:
        ModelError: Not a model that can be read; says why.
    """

    numbers: Sequence[tf.Tensor] = ()  # of edits

    def __init__(
        self, model: Any, like: Any = None, *, training: bool = False, warm: bool = False
    ) -> None:
        require_model(model)
        self._structure = structure(model, training=training)
        self._model, self._training, self._step_gate = model, training, step_gate_of(model)
        inputs = input_spec_of(model, like)
        self.inputs = inputs.of_fixed_batch(fixed_batch(model, inputs))
        self._tolerance, self._state = tolerance_of(model), state_reset(model)
        self._begin(warm)
        self.layer_index = functional_layers(model) or self._layer_index_of_a_call(like)
        keys = [(info.name,) for info in self.layer_index.layers]
        # By layer that can be shown: those that an arrow key goes to from there.
        self._neighbors: dict[str, list[Key]] = {
            name: [*keys[index + 1 : index + 2], *keys[max(index - 1, 0) : index]]
            for index, (name,) in enumerate(keys)
        }

    def _begin(self, warm: bool) -> None:
        self._traces: dict[Shapes, _Traced] = {}
        self._baked = self._structure
        self._set_by_calls: frozenset[tuple[int, str]] = frozenset()
        self._n_asked = 0
        self._tracing = threading.Lock()
        self._keeping = threading.Lock()
        self._functions: OrderedDict[
            tuple[Shapes, Key, PositionReduction | None], CompiledFunction
        ] = OrderedDict()
        self._looked_at: set[tuple[Shapes, Key]] = set()
        self._prefetcher = Prefetcher(self._make_ahead) if warm else None
        self._stopped_prefetcher: Prefetcher | None = None

    def taking(self, inputs: InputSpec) -> "FeatureExtractor":
        """The same model and layers with other inputs, and traces of their own."""
        other = copy.copy(self)
        other.inputs = inputs
        other._structure = self._baked
        other._begin(warm=self._prefetcher is not None)
        return other

    def outputs(
        self, names: Sequence[str], x: Any, numbers: Sequence[tf.Tensor] = ()
    ) -> list[tf.Tensor]:
        """Outputs of layers on one batch, in one forward pass that ends at the last of them.

        Args:
            names: Names of the layers.
            x: One batch.
            numbers: Of edited layers, `(2, unit)` for each in turn: its factors and its offsets.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
            ModelError: A layer raised.
        """
        key = self._known(names)
        tensors = [*self.inputs.tensors(x), *numbers]
        return self._in_batches(tensors, lambda batch: self._outputs(key, batch))

    def folded(
        self,
        names: Sequence[str],
        x: Any,
        fold: PositionReduction,
        numbers: Sequence[tf.Tensor] = (),
    ) -> list[tf.Tensor]:
        """What `fold` makes of the outputs of layers on one batch, in the same forward pass.

        Raises: as `outputs`.
        """
        key = self._known(names)

        def folded(batch: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            function = self._function(key, batch, fold)
            if function is None:
                return fold(self._look(key, batch))
            return self._run(key, function, batch, fold)

        return self._in_batches([*self.inputs.tensors(x), *numbers], folded)

    def is_folded(self, names: Sequence[str]) -> bool:
        """Whether `folded` traces and compiles nothing for these layers any more."""
        key = tuple(names)
        with self._keeping:
            if any(each == key and fold is not None for _, each, fold in self._functions):
                return True
        shapes = list(self._traces)
        return bool(shapes) and all(self._is_eager(each, key) for each in shapes)

    def _known(self, names: Sequence[str]) -> Key:
        for name in names:
            if name not in self._neighbors:  # an output of the model itself, or none
                self.layer_index.require(name)
        return tuple(names)

    def _in_batches(
        self, tensors: Sequence[tf.Tensor], read: Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]
    ) -> list[tf.Tensor]:
        """What is read of all samples, at once or in batches of the size that the model needs."""
        # Of no samples oneDNN's convolutions put out their input's shape: see `batches_of`.
        if self.inputs.fixed_batch is None and len(tensors[0]):
            return read(tensors)
        found = [
            [each[:n_rows] if each.shape.rank else each for each in read(batch)]
            for batch, n_rows in self.inputs.batches_of(tensors)
        ]
        if len(found) == 1:
            return found[0]
        # What has no sample axis, such as the number of positions, is the same for all.
        return [
            tf.concat(each, 0) if each[0].shape.rank else each[0]
            for each in zip(*found, strict=True)
        ]

    def _outputs(self, key: Key, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        prefetcher = self._prefetcher
        few = len(tensors[0]) <= (A_PAGE if prefetcher else FEW_SAMPLES)
        shapes = self.inputs.shapes_of(tensors)
        with prefetcher.give_way() if prefetcher and few else nullcontext():
            function = self._kept(shapes, key)
            if function is not None:
                return self._run(key, function, tensors)
            is_first = (shapes, key) not in self._looked_at
            if self._is_eager(shapes, key) or (few and (prefetcher or is_first)):
                self._looked_at.add((shapes, key))
                found = self._look(key, tensors)
                if prefetcher and not self._is_eager(shapes, key):
                    likely = self._neighbors.get(key[0], ()) if len(key) == 1 else ()
                    prefetcher.want(key, likely, self.inputs.first_of(tensors, N_COMPARED))
                return found
        function = self._function(key, tensors)
        return self._look(key, tensors) if function is None else self._run(key, function, tensors)

    def receptive_field(self, name: str) -> ReceptiveField | None:
        """What a position of a layer's map sees of the input; None for everything.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
        """
        self.layer_index.require(name)
        traced = self._traced(())
        return None if traced is None or not traced.trace else traced.trace.receptive_field(name)

    def close(self) -> None:
        """Compile nothing more ahead. Does not wait for what is under way; `wait` does."""
        if self._prefetcher:
            self._prefetcher.stop()
            self._stopped_prefetcher, self._prefetcher = self._prefetcher, None

    def is_stale(self) -> bool:
        """Whether layers were exchanged or set otherwise since the model was read.

        That goes for all that a trace has in it for good; see `fingerprint.structure`.
        """
        now = structure(self._model, training=self._training)
        return not same_structure(self._structure, now, self._set_by_calls)

    def renew(self) -> bool:
        """Forget what was traced, where the model is set otherwise now; says whether it was.

        `is_stale` goes on saying so: other settings may go with other layers and shapes.
        """
        now = structure(self._model, training=self._training)
        with self._tracing:
            if same_structure(self._baked, now, self._set_by_calls):
                return False
            self._baked = now
            with self._keeping:
                self._traces.clear()
                self._functions.clear()
            return True

    def wait(self) -> None:
        """Return when what was requested is compiled; after `close`, what is under way."""
        prefetcher = self._prefetcher or self._stopped_prefetcher
        if prefetcher:
            prefetcher.wait()

    # --- the two roads -------------------------------------------------------------------

    def _look(self, key: Key, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The values of one eager call that stops at the last of the layers."""
        found = {tap.name: tap.output for tap in self._call(tensors, only=key).taps}
        missing = [name for name in key if name not in found]
        if missing:
            raise LayerError(f"layer {missing[0]!r} is not called for these samples")
        return [found[name] for name in key]

    def _run(
        self,
        key: Key,
        function: CompiledFunction,
        tensors: Sequence[tf.Tensor],
        fold: PositionReduction | None = None,
    ) -> list[tf.Tensor]:
        try:
            with self._step_gate.read_lock(), self._state:
                return list(function(*tensors))
        except tf.errors.OpError as failure:
            found = self._look(key, tensors)  # mostly fails too, and says in which layer
            traced = self._traces.get(self.inputs.shapes_of(tensors))
            if traced is not None:
                self._distrust(traced, key, f"it fails: {failure_message(failure)}")
            return found if fold is None else fold(found)

    def _function(
        self, key: Key, tensors: Sequence[tf.Tensor], fold: PositionReduction | None = None
    ) -> CompiledFunction | None:
        """A compiled function, made if need be; None where an eager call is to answer."""
        shapes = self.inputs.shapes_of(tensors)
        function = self._kept(shapes, key, fold)
        if function is not None or self._is_eager(shapes, key):
            return function
        traced = self._traced(shapes)
        if traced is None or traced.trace is None:
            return None
        function = traced.trace.function(key, fold)
        if not self._is_right(traced, key, function, tensors, fold):
            return None
        with self._keeping:
            if self._traces.get(shapes) is traced:  # not forgotten meanwhile
                self._functions[shapes, key, fold] = function
                self._functions.move_to_end((shapes, key, fold))
            while len(self._functions) > MAX_FUNCTIONS:
                self._functions.popitem(last=False)
        return function

    def _make_ahead(self, key: Key, tensors: Sequence[tf.Tensor]) -> None:
        if self._kept(self.inputs.shapes_of(tensors), key) is None:
            function = self._function(key, tensors)
            if function is not None:  # TensorFlow optimizes a graph when it is first run
                self._run(key, function, self.inputs.first_of(tensors, 1))

    def _is_right(
        self,
        traced: _Traced,
        key: Key,
        function: CompiledFunction,
        tensors: Sequence[tf.Tensor],
        fold: PositionReduction | None,
    ) -> bool:
        """Whether a new function agrees with an eager call, on a few of the samples."""
        few = self.inputs.first_of(tensors, N_COMPARED)
        if traced.right.issuperset(key) or not len(few[0]):
            return True
        if not traced.wrong.isdisjoint(key):
            return False
        values = as_values if fold is None else fold.comparable
        try:
            with self._step_gate.read_lock(), self._state:
                compiled = values(function(*few))
        except tf.errors.OpError as failure:
            self._look(key, few)  # fails too, and says in which layer
            self._distrust(traced, key, f"it fails: {failure_message(failure)}")
            return False

        def look(batch: Sequence[tf.Tensor]) -> Sequence[Array]:
            found = self._look(key, batch)
            return values(found if fold is None else fold(found))

        try:
            found = disagreement(compiled, few, look, self._tolerance)
        except ModelError:  # an eager call fails where the function does not: nothing to compare
            return True
        if found is not None:
            place, share = found
            self._distrust(traced, key[place : place + 1], f"off by {share:.2g} of its size")
            return False
        traced.right.update(key)
        return True

    def _distrust(self, traced: _Traced, names: Sequence[str], why: str) -> None:
        traced.wrong.update(names)
        log.warning(
            "layer %s, compiled, does not give what an eager call of model %r gives (%s): "
            "it is called eagerly, which is right and slower",
            " and ".join(map(repr, names)),
            self._model.name,
            why,
        )

    def _is_eager(self, shapes: Shapes, key: Key) -> bool:
        """Whether the model could not be traced, or was traced wrongly for these layers."""
        traced = self._traces.get(shapes)
        return traced is not None and (traced.trace is None or not traced.wrong.isdisjoint(key))

    def _kept(
        self, shapes: Shapes, key: Key, fold: PositionReduction | None = None
    ) -> CompiledFunction | None:
        with self._keeping:
            function = self._functions.get((shapes, key, fold))
            if function is not None:
                self._functions.move_to_end((shapes, key, fold))
                self._n_asked += 1
                self._traces[shapes].used = self._n_asked
            return function

    # --- the model itself ----------------------------------------------------------------

    def _traced(self, shapes: Shapes) -> _Traced | None:
        """The trace for samples of these shapes, for () of any; None where there is none."""
        with self._tracing:
            self._n_asked += 1
            traced = self._traces.get(shapes)
            if traced is None and self._has_room():
                traced = self._traces[shapes] = _Traced(self._trace(shapes))
            if traced is not None:
                traced.used = self._n_asked
            return traced

    def _has_room(self) -> bool:
        """Whether another trace may be made; one that nobody asked for in a while goes."""
        others = [(each.used, shapes) for shapes, each in self._traces.items() if shapes]
        if len(others) < MAX_SHAPES:
            return True
        used, shapes = min(others)
        if self._n_asked - used < UNUSED_FOR:
            return False  # data of ever other lengths are sooner called eagerly than traced
        with self._keeping:
            for each in [each for each in self._functions if each[0] == shapes]:
                del self._functions[each]
            del self._traces[shapes]
        return True

    def _trace(self, shapes: Shapes) -> Trace | None:
        before = structure(self._model, training=self._training)
        boxes = containers(self._model)
        pause = self._prefetcher.pause if self._prefetcher else None
        inputs = self.inputs.of_shapes(shapes)
        try:
            trace = Trace(self._model, inputs, training=self._training, at_each_call=pause)
        except CallTraceError as failure:  # eager calls are left
            log.info("%s is called eagerly: %s", self._model.name, failure)
            return None
        after = structure(self._model, training=self._training)
        now = containers(self._model)
        kept = {key: each for key, each in boxes.items() if now.get(key) is each}
        self._set_by_calls |= trace.set_by_calls | grown(before, after, kept)
        return trace

    def _call(self, tensors: Sequence[tf.Tensor], only: Sequence[str] | None = None) -> CallTrace:
        try:
            with self._step_gate.read_lock(), self._state:
                return trace_call(
                    self._model,
                    self.inputs.arguments(tensors),
                    training=self._training,
                    only=only,
                    change=self.inputs.change(tensors),
                )
        except CallTraceError as failure:
            raise ModelError(f"model {self._model.name!r} cannot be run: {failure}") from failure

    def _layer_index_of_a_call(self, like: Any) -> LayerIndex:
        traced = self._traced(())
        if traced is not None and traced.trace is not None:
            return traced.trace.layer_index
        tensors = [] if like is None else self.inputs.tensors(like)
        if not tensors or not len(tensors[0]):
            tensors = self.inputs.blank(1)
        n_samples = self.inputs.fixed_batch or 3  # enough not to be taken for an axis of length 1
        tensors = [tf.repeat(each[:1], n_samples, axis=0) for each in tensors]
        try:
            recording = self._call(tensors)
        except ModelError as failure:
            if like is None and not getattr(self._model, "inputs", None):
                raise ModelError(f"{failure}; give it a few samples with x=") from failure
            raise
        return LayerIndex(
            [
                describe(tap.name, tap.layer, tap.output, tap.unit_axis, sample_axis=(n_samples,))
                for tap in recording.taps
                if tf.is_tensor(tap.output) and hasattr(tap.output, "numpy")
            ],
            recording.structure,
            flow=flow_of(recording, tensors),
        )


MAX_TRACES = 8  # one of ResNet50 takes about 25 MB


@dataclass(frozen=True)
class EditedInputSpec(InputSpec):
    """Input spec of a model with edited layers: its own inputs, then factors and offsets.

    The numbers are arguments of whatever is compiled: other numbers need no other trace.

    Attributes:
        edited: The outputs that are altered.
    """

    edited: tuple[Output, ...] = field(kw_only=True)

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """The kinds of the model's own inputs, then of the numbers."""
        return (*self.specs, *(tf.TensorSpec((2, _n_units(each))) for each in self.edited))

    def change(self, tensors: Sequence[Any]) -> Callable[[str, Any], Any]:
        """For `trace_call`: what is handed on in the place of a layer's output."""
        numbers = tensors[len(self.specs) :]
        edits = {
            output.name: (output.unit_axis, values)
            for output, values in zip(self.edited, numbers, strict=True)
        }

        def changed(name: str, output: Any) -> Any:
            parts = tf.nest.flatten(output)
            places = [place for place, part in enumerate(parts) if hasattr(part, "shape")]
            names = [element_name(name, index) for index in range(len(places))]
            if not edits.keys() & set(names):
                return output
            for place, element in zip(places, names, strict=True):
                if element in edits:
                    parts[place] = _altered(parts[place], *edits[element])
            return tf.nest.pack_sequence_as(output, parts)

        return changed


class EditedExtractor:
    """Layer outputs of one model with some layers edited.

    Args:
        edited: Of the model with these layers edited; it may serve other numbers too.
        numbers: Of each edit, `(2, unit)`.

    Attributes:
        layer_index: The layers.
        inputs: What the model takes, and behind it the numbers of the edits.
        numbers: As given.
    """

    def __init__(self, edited: FeatureExtractor, numbers: Sequence[tf.Tensor]) -> None:
        self.layer_index, self.inputs, self.numbers = edited.layer_index, edited.inputs, numbers
        self._edited = edited

    def outputs(self, names: Sequence[str], x: Any) -> list[tf.Tensor]:
        """As `FeatureExtractor.outputs`."""
        return self._edited.outputs(names, x, self.numbers)

    def folded(self, names: Sequence[str], x: Any, fold: PositionReduction) -> list[tf.Tensor]:
        """As `FeatureExtractor.folded`."""
        return self._edited.folded(names, x, fold, self.numbers)

    def wait(self) -> None:
        """As `FeatureExtractor.wait`."""
        self._edited.wait()


class EditedTraces:
    """LRU cache of extractors by the set of edited layers.

    Args:
        extractor: Of the model as it is.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        self._kept: OrderedDict[tuple[str, ...], FeatureExtractor] = OrderedDict()
        self._keeping = threading.Lock()

    def edited(self, edits: Mapping[str, Edit]) -> EditedExtractor:
        """The same layers, with some of them edited.

        Raises: as `KerasProbe.edited`.
        """
        names = tuple(sorted(edits))
        outputs = tuple(_editable(self._extractor.layer_index, name, edits[name]) for name in names)
        numbers = [
            tf.constant(np.stack([edits[name].factor, edits[name].offset])) for name in names
        ]
        return EditedExtractor(self._of(names, outputs), numbers)

    def close(self) -> None:
        """Forget the traces, and compile nothing more in the background."""
        with self._keeping:
            for extractor in self._kept.values():
                extractor.close()
            self._kept.clear()

    def _of(self, names: tuple[str, ...], outputs: tuple[Output, ...]) -> FeatureExtractor:
        with self._keeping:
            if names not in self._kept:
                own = self._extractor.inputs  # whose vars() hold cached properties, too
                given = {each.name: getattr(own, each.name) for each in fields(own)}
                inputs = EditedInputSpec(**given, edited=outputs)
                self._kept[names] = self._extractor.taking(inputs)
            self._kept.move_to_end(names)
            while len(self._kept) > MAX_TRACES:
                self._kept.popitem(last=False)[1].close()
            return self._kept[names]


def _editable(layer_index: LayerIndex, name: str, edit: Edit) -> Output:
    output = layer_index.require(name)
    if is_models_own(name):
        raise LayerError(f"{name!r} is an output of the model, not a layer: edit its last layer")
    if layer_index.complex_part(name):
        raise LayerError(
            f"layer {name!r} cannot be edited: it puts out complex numbers, and only real ones "
            "can be scaled and moved"
        )
    if not tf.as_dtype(output.dtype).is_floating:
        raise LayerError(
            f"layer {name!r} cannot be edited: it puts out {output.dtype}, "
            "and only floating-point values can be scaled"
        )
    n_units = _n_units(output)
    if n_units is None:
        raise LayerError(f"layer {name!r} cannot be edited: its number of units varies")
    if edit.n_units != n_units:
        raise ShapeError(f"layer {name!r} has {n_units} units; got an edit for {edit.n_units}")
    return output


def _n_units(output: Output) -> int | None:
    return output.shape[output.unit_axis] if len(output.shape) > 1 else 1


def _altered(tensor: Any, unit_axis: int, numbers: Any) -> Any:
    """Scale and shift a tensor by unit, and keep its Keras mask."""
    factor, offset = tf.unstack(tf.cast(numbers, tensor.dtype))
    if unit_axis > 0:
        lengths = [1] * (len(tensor.shape) - unit_axis - 1)
        factor, offset = (tf.reshape(each, (-1, *lengths)) for each in (factor, offset))
    altered = tf.math.multiply_no_nan(tensor, factor) + offset
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        altered._keras_mask = mask
    return altered
