"""How many samples a model must be given at once, where it insists on a number."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from actwidgets.probe.frameworks import states_of
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import RecordingError, record


def fixed_batch(model: Any, inputs: Inputs) -> int | None:
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
    """For forward passes: they start from zeros, and the model has its own state afterwards.

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
