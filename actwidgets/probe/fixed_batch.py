"""How many samples a model must be given at once, where it insists on a number."""

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from actwidgets.probe.frameworks import is_recurrent
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import RecordingError, record


def fixed_batch(model: Any, inputs: Inputs) -> int | None:
    """The number of samples without which a model does not run, or runs wrongly.

    A recurrent layer with a state that outlives the call (`stateful=True`) keeps one for each
    row of a batch of fixed size. Another model that was built for some number of samples,
    as `Input(batch_size=…)` does and as an eager call of a Sequential does by the way, is run
    on that many and on one more: most take both, and then any number will do.

    State is on loan as weights are: every forward pass starts from the state that the model
    has now, and leaves it as it was. A sample meets the state of the row in which it comes to
    lie, counted from the first sample of each pass; after `reset_states`, all rows are alike.

    Args:
        model: A built Keras model.
        inputs: What it takes.

    Cost: none for a model of any size; otherwise two forward passes.
    """
    for layer in model._flatten_layers():
        if is_recurrent(layer) and getattr(layer, "stateful", False):
            states = [each for each in tf.nest.flatten(layer.states) if each is not None]
            return int(states[0].shape[0]) if states else inputs.batch_size
    size = inputs.batch_size
    if size is None or _runs_on_one_more(model, inputs, size):
        return None
    return size


_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_locking = threading.Lock()


def state_unmoved(model: Any) -> AbstractContextManager[Any]:
    """For a forward pass: no other thread moves the state that it starts from.

    An eager call of Keras 2 moves the state of a stateful layer, and it is put back after the
    call; whoever ran the model meanwhile would start from somewhere else.
    """
    if isinstance(model, keras.Model) or not any(
        is_recurrent(layer) and layer.stateful for layer in model._flatten_layers()
    ):
        return nullcontext()
    with _locking:
        return _locks.setdefault(model, threading.RLock())


def _runs_on_one_more(model: Any, inputs: Inputs, size: int) -> bool:
    """Whether as many samples as the model was built for come out the same beside another."""
    more = [_any_values(each) for each in inputs.blank(size + 1)]
    try:
        wanted = _outputs(model, inputs, [each[:size] for each in more])
    except RecordingError:
        return True  # it runs on neither, and that is told when it is used
    try:
        found = _outputs(model, inputs, more)
    except RecordingError:
        return False
    return all(
        one.shape[1:] == other.shape[1:]
        and len(other) == size + 1
        and np.allclose(one, other[:size], rtol=1e-3, atol=1e-5, equal_nan=True)
        for one, other in zip(wanted, found, strict=True)
        if one.ndim and len(one) == size and one.dtype.kind in "biufc"
    )


def _outputs(model: Any, inputs: Inputs, tensors: Any) -> list[Any]:
    """What the model itself puts out."""
    recording = record(model, inputs.arguments(tensors), only=[""])
    outputs = tf.nest.flatten(recording.structure)
    values = [np.asarray(each) for each in outputs if hasattr(each, "numpy")]
    return [each.astype(np.float64) if each.dtype.kind in "Vf" else each for each in values]


def _any_values(tensor: Any) -> Any:
    if not tensor.dtype.is_floating:
        return tensor
    values = np.random.default_rng(0).normal(size=tensor.shape)
    return tf.cast(values, tensor.dtype)
