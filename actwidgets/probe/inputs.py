"""Input specs of a model: shapes, dtypes, names and fixed batch sizes; samples as tensors."""

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core import batches
from actwidgets.core.arrays import as_array, as_arrays
from actwidgets.core.samples import shape_message
from actwidgets.errors import DataError, ModelError, ShapeError
from actwidgets.probe.call_trace import CallTraceError, trace_call
from actwidgets.probe.frameworks import states_of

Shapes = tuple[tuple[int, ...], ...]  # of one sample of each input


@dataclass(frozen=True)
class InputSpec:
    """The inputs of a model, in the order in which it flattens them.

    Attributes:
        specs: Shape, with `None` for the sample axis, and dtype of each input.
        names: One per input: the key in a dict, or the name of the `Input`.
        other_names: A second set of names that a dict may go by.
        structure: What the model is called with, with the place of an input for each tensor.
        spread: Whether `structure` is a list of arguments, rather than the only one.
        batch_size: The number of samples that the model was built for; None for any.
        fixed_batch: The number without which it does not run rightly; None for any. Such a
            model is given so many at a time, the last of them repeated to fill up.
    """

    specs: tuple[tf.TensorSpec, ...]
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    structure: Any
    spread: bool = False
    batch_size: int | None = None
    fixed_batch: int | None = None

    @cached_property
    def sample_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """The shape of a sample of each input; None for an axis of any length."""
        return tuple(tuple(spec.shape[1:]) for spec in self.specs)

    @cached_property
    def has_open_axes(self) -> bool:
        """Whether samples may have more than one shape."""
        return any(None in shape for shape in self.sample_shapes)

    def shapes_of(self, tensors: Sequence[Any]) -> Shapes:
        """The shapes of samples, where they may have several; () where there is only one."""
        if not self.has_open_axes:
            return ()
        return tuple(tuple(each.shape[1:]) for each in tensors[: len(self.specs)])

    def of_shapes(self, shapes: Shapes) -> Self:
        """The same for samples of these shapes alone."""
        if not shapes:
            return self
        specs = (
            tf.TensorSpec((self.fixed_batch, *shape), spec.dtype)
            for spec, shape in zip(self.specs, shapes, strict=True)
        )
        return replace(self, specs=tuple(specs))

    def of_fixed_batch(self, n_samples: int | None) -> Self:
        """The same for a model that runs on batches of this size alone, or on any."""
        specs = (tf.TensorSpec((n_samples, *spec.shape[1:]), spec.dtype) for spec in self.specs)
        return replace(self, specs=tuple(specs), fixed_batch=n_samples)

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """The kinds of the tensors that a traced function takes."""
        return self.specs

    def arguments(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        """What the model is called with: one structure of tensors, or several arguments."""
        packed = tf.nest.map_structure(lambda place: tensors[place], self.structure)
        return tuple(packed) if self.spread else (packed,)

    def check(self, x: Any) -> None:
        """Refuse a batch that the model cannot take.

        Raises:
            ShapeError: Another shape, another number of inputs, or other names.
            DataError: Values that are not numbers, where the model takes numbers.
        """
        self._checked(x)

    def _checked(self, x: Any) -> list[Any]:
        """The parts of a batch in the order of the inputs, as `check` lets them pass."""
        parts = self._ordered(x)
        every = zip(self.names, parts, self.specs, self.sample_shapes, strict=True)
        for name, part, spec, shape in every:
            kind = np.dtype(getattr(part.dtype, "as_numpy_dtype", part.dtype)).kind
            if spec.dtype == tf.string and kind not in "OSU":
                raise DataError(f"x must hold text; got values of type {part.dtype}")
            if spec.dtype != tf.string and kind not in "biufV":  # bfloat16 is of kind V
                raise DataError(f"x must hold numbers; got values of type {part.dtype}")
            given = tuple(part.shape)
            if not given or not (
                given[1:] == shape or tf.TensorShape(shape).is_compatible_with(given[1:])
            ):
                name = name if len(parts) > 1 else "x"
                raise ShapeError(shape_message(name, shape, given[1:]))
        return parts

    def tensors(self, x: Any) -> list[tf.Tensor]:
        """A batch as tensors of the right kind, one per input."""
        return [
            _tensor(part, spec.dtype)
            for part, spec in zip(self._checked(x), self.specs, strict=True)
        ]

    def part_names(self, x: Any) -> tuple[str, ...]:
        """What the arrays in `x`, in the order of `batches.parts`, are called; "" for no input."""
        if isinstance(x, Mapping):
            for names in (self.names, self.other_names):
                if set(x) >= set(names):
                    known = dict(zip(names, self.names, strict=True))
                    return tuple(known.get(name, "") for name in x)
            return tuple("" for _ in x)
        return self.names

    def first_of(self, tensors: Sequence[tf.Tensor], n_samples: int) -> Sequence[tf.Tensor]:
        """The first samples of a batch, or all where their number is fixed, and what is behind."""
        if self.fixed_batch:
            return tensors
        n_inputs = len(self.specs)
        return [*(each[:n_samples] for each in tensors[:n_inputs]), *tensors[n_inputs:]]

    def batches_of(self, tensors: Sequence[Any]) -> Iterator[tuple[list[Any], int]]:
        """Batches of the number of samples that is fixed, and how many of them were given.

        What stands behind the inputs, such as numbers of edits, goes with every batch. Where no
        samples were given, one batch of zeros or empty texts; of one where their number is free.
        """
        size, n_samples, n_inputs = self.fixed_batch or 1, len(tensors[0]), len(self.specs)
        for start in range(0, max(n_samples, 1), size):
            rows = np.arange(start, start + size).clip(0, max(n_samples - 1, 0))
            samples = (
                [tf.gather(each, rows) for each in tensors[:n_inputs]]
                if n_samples
                else [tf.zeros([size, *each.shape[1:]], each.dtype) for each in tensors[:n_inputs]]
            )
            yield [*samples, *tensors[n_inputs:]], min(size, n_samples - start)

    def change(self, tensors: Sequence[Any]) -> Callable[[str, Any], Any] | None:
        """What becomes of outputs of layers, for `trace_call`: nothing."""
        return None

    def blank(self, n_samples: int, open_length: int = 8) -> list[tf.Tensor]:
        """Samples of zeros, or empty texts one by one; how long an axis of any length is made."""
        return [
            tf.fill((n_samples, *(axis or 1 for axis in spec.shape[1:])), "")
            if spec.dtype == tf.string
            else tf.zeros(
                [n_samples, *(open_length if axis is None else axis for axis in spec.shape[1:])],
                spec.dtype,
            )
            for spec in self.specs
        ]

    def _ordered(self, x: Any) -> list[Any]:
        if isinstance(x, Mapping):
            for names in (self.names, self.other_names):
                if set(x) >= set(names):  # Keras leaves the others out, too
                    found = [as_array(x[name], name=name) for name in names]
                    return [*map(_as_wide, found, self.specs)]
            given = ", ".join(map(str, x))
            raise ShapeError(f"this model's inputs are {', '.join(self.names)}; x has {given}")
        x = as_arrays(x)
        arrays = batches.parts(x if batches.is_arrays(x) else np.asarray(x))
        if len(arrays) != len(self.specs):
            told = f"this model takes {len(self.specs)} inputs; x has {len(arrays)}"
            if len(arrays) == 1:
                told += f": give a dict with {', '.join(self.names)}; of a table, dict(x)"
            elif isinstance(x, list | tuple) and len(self.specs) == 1:
                told += ": if these are samples, give np.stack(x)"
            raise ShapeError(told)
        return [*map(_as_wide, arrays, self.specs)]


def input_spec_of(model: Any, like: Any = None) -> InputSpec:
    """Read the input spec of a built model.

    Args:
        model: A built Keras model.
        like: A few samples, for a model that does not say what it takes.

    Raises:
        ModelError: The model does not say, and there are no samples.
    """
    if getattr(model, "inputs", None):
        return _declared(model)
    arguments = _arguments_of(model)
    if like is not None:
        return _of_samples(like, arguments)
    specs = _remembered(model)
    if specs is None or len(arguments) > 1:
        raise ModelError(
            f"model {model.name!r} ({type(model).__name__}) does not tell what it takes; "
            "give it a few samples with x="
        )
    return _of_structure(specs)


def _declared(model: Any) -> InputSpec:
    """Inputs declared by a Sequential or Functional model."""
    graph = getattr(model, "_functional", None) or model  # a Sequential of Keras 3 holds one
    structure = getattr(graph, "_inputs_struct", None)  # Keras 3
    if structure is None:
        structure = getattr(graph, "_nested_inputs", model.inputs)  # Keras 2
    tensors = [*tf.nest.flatten(structure)]
    # An eager call of a Sequential fixes its batch size; here any size is taken.
    specs = tuple(tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in tensors)
    input_names = tuple(str(each.name) for each in tensors)
    names = _keys(structure) if len(_keys(structure)) == len(specs) else input_names
    sizes = {each.shape[0] for each in tensors}
    batch_size = sizes.pop() if len(sizes) == 1 else None
    return InputSpec(specs, names, input_names, _places(structure), batch_size=batch_size)


def _arguments_of(model: Any) -> tuple[str, ...]:
    """Required arguments of a subclassed model's call."""
    return tuple(
        name
        for name, each in inspect.signature(model.call).parameters.items()
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    )


def _remembered(model: Any) -> Any:
    """Shapes that a subclassed model was first called with, as far as Keras keeps them."""
    specs = getattr(model, "_saved_model_inputs_spec", None)  # Keras 2
    if specs is not None:
        return specs
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes or len(shapes) != 1:
        return None
    return _as_specs(next(iter(shapes.values())))


def _as_specs(shape: Any) -> Any:
    """A structure of shapes, which are tuples themselves, as one of specs."""
    if isinstance(shape, Mapping):
        return {name: _as_specs(part) for name, part in shape.items()}
    if all(axis is None or isinstance(axis, int) for axis in shape):
        return tf.TensorSpec(shape, tf.float32)
    return [_as_specs(part) for part in shape]


def _of_samples(x: Any, arguments: Sequence[str]) -> InputSpec:
    def spec(part: Any) -> tf.TensorSpec:
        dtype = tf.as_dtype(getattr(part, "dtype", np.float32))
        return tf.TensorSpec(part.shape, tf.float32 if dtype == tf.float64 else dtype)

    x = as_arrays(x)
    if len(arguments) > 1 and batches.is_arrays(x):
        parts = batches.parts(x)
        if isinstance(x, Mapping) and set(x) == set(arguments):
            parts = [x[name] for name in arguments]
        if len(parts) == len(arguments):
            found = _of_structure([spec(part) for part in parts])
            names = tuple(arguments)
            return replace(found, names=names, other_names=names, spread=True)
    if isinstance(x, Mapping):
        return _of_structure({name: spec(part) for name, part in x.items()})
    if isinstance(x, list | tuple):
        return _of_structure([spec(part) for part in x])
    return _of_structure(spec(x))


def _of_structure(structure: Any) -> InputSpec:
    given = tf.nest.flatten(structure)
    specs = tuple(tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in given)
    names = _keys(structure) or tuple(str(place) for place in range(len(specs)))
    return InputSpec(specs, names, names, _places(structure))


def _as_wide(part: Any, spec: tf.TensorSpec) -> Any:
    """Add or drop the axis of one number a sample, as the model has it."""
    given, wanted = len(part.shape), spec.shape.rank
    if given == 1 and wanted == 2 and spec.shape[1] == 1:
        return part[:, None]
    if given == 2 and wanted == 1 and part.shape[1] == 1:
        return part[:, 0]
    return part


def _keys(structure: Any) -> tuple[str, ...]:
    """The keys of a dict, in the order in which it is flattened; none where it is not one."""
    return tuple(sorted(structure)) if isinstance(structure, Mapping) else ()


def _places(structure: Any) -> Any:
    """The structure of inputs with indices in the place of the tensors."""
    return tf.nest.pack_sequence_as(structure, [*range(len(tf.nest.flatten(structure)))])


def _tensor(part: Any, dtype: tf.DType) -> tf.Tensor:
    if not isinstance(part, np.ndarray) and tf.is_tensor(part):
        return part if part.dtype == dtype else tf.cast(part, dtype)
    if dtype == tf.string:
        return tf.constant(np.asarray(part).astype(object))
    return tf.constant(np.asarray(part, dtype=dtype.as_numpy_dtype))


def fixed_batch(model: Any, inputs: InputSpec) -> int | None:
    """The number of samples without which a model does not run, or runs wrongly.

    A recurrent layer with a state that outlives the call (`stateful=True`) keeps one for each
    row of a batch of fixed size. Another model that was built for some number of samples,
    as `Input(batch_size=…)` does and as an eager call of a Sequential does by the way, is run
    on that many and on one more: most take both, and then any number will do.

    A sample is a sequence that begins anew: every forward pass starts from a state of zeros,
    as after `reset_state`, and the model keeps the state that it had. A state belongs to a row
    of the batch, and samples have none: which row one comes to lie in depends on what else is
    asked, and an attribution puts copies of it into all of them.

    Args:
        model: A built Keras model.
        inputs: What it takes.

    Cost: none for a model of any size; otherwise two forward passes.
    """
    states = states_of(model)
    if states:
        return int(states[0].shape[0])
    size = inputs.batch_size
    if size is None or _runs_on_one_more(model, inputs, size):
        return None
    return size


_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_locking = threading.Lock()


def state_reset(model: Any) -> AbstractContextManager[Any]:
    """Context in which the state of recurrent layers is zero, and is restored afterwards.

    A model of Keras 3 is called and traced with zeros in the place of its state. The graph and
    the layers of Keras 2 read the variables themselves: these are zero meanwhile, and no other
    thread runs the model. It can be entered any number of times.
    """
    states = [] if isinstance(model, keras.Model) else states_of(model)
    if not states:
        return nullcontext()
    with _locking:
        return _StateReset(states, _locks.setdefault(model, threading.RLock()))


class _StateReset:
    """Variables that are zero for as long as it is entered."""

    def __init__(self, states: Sequence[Any], lock: threading.RLock) -> None:
        self._states, self._lock = states, lock
        self._kept: list[list[Any]] = []  # of each time it was entered

    def __enter__(self) -> None:
        self._lock.acquire()
        self._kept.append([state.numpy() for state in self._states])
        for state, values in zip(self._states, self._kept[-1], strict=True):
            if values.any():
                state.assign(tf.zeros_like(state))

    def __exit__(self, *_: Any) -> None:
        for state, values in zip(self._states, self._kept[-1], strict=True):
            if values.any():
                state.assign(values)
        self._kept.pop()
        self._lock.release()


def _runs_on_one_more(model: Any, inputs: InputSpec, size: int) -> bool:
    """Whether as many samples as the model was built for come out the same beside another."""
    more = [_any_values(each) for each in inputs.blank(size + 1)]
    try:
        wanted = _outputs(model, inputs, [each[:size] for each in more])
    except CallTraceError:
        return True  # it runs on neither, and that is told when it is used
    try:
        found = _outputs(model, inputs, more)
    except CallTraceError:
        return False
    return all(
        one.shape[1:] == other.shape[1:]
        and len(other) == size + 1
        and np.allclose(one, other[:size], rtol=1e-3, atol=1e-5, equal_nan=True)
        for one, other in zip(wanted, found, strict=True)
        if one.ndim and len(one) == size and one.dtype.kind in "biufc"
    )


def _outputs(model: Any, inputs: InputSpec, tensors: Any) -> list[Any]:
    """The model's own outputs."""
    recording = trace_call(model, inputs.arguments(tensors), only=[""])
    outputs = tf.nest.flatten(recording.structure)
    values = [np.asarray(each) for each in outputs if hasattr(each, "numpy")]
    return [each.astype(np.float64) if each.dtype.kind in "Vf" else each for each in values]


def _any_values(tensor: Any) -> Any:
    if not tensor.dtype.is_floating:
        return tensor
    values = np.random.default_rng(0).normal(size=tensor.shape)
    return tf.cast(values, tensor.dtype)
