"""Keras callbacks, and gradient norms of a model in training."""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core.arrays import norm
from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import call_untouched, step_gate_of
from actwidgets.training.events import TrainingListener, TrainingMoment
from actwidgets.training.step_gate import StepGate

TRIES = 50


class RunningFrame:
    """A function call of some thread; call it to ask whether it is still running.

    Args:
        frame: Of the call, on this thread.
    """

    def __init__(self, frame: FrameType) -> None:
        self._thread, self._code, self._lowest = threading.get_ident(), frame.f_code, frame
        self._frame: FrameType | None = frame
        while self._lowest.f_back is not None:
            self._lowest = self._lowest.f_back

    def let_go(self) -> None:
        """Hold the call no longer, nor all that is in it; any call of the function will do."""
        self._frame = None

    @classmethod
    def of_caller(cls) -> Self:
        """Of what calls a callback: the nearest call that is not Keras' list of them, or ours."""
        frame = sys._getframe(1)
        while frame.f_back is not None and _tells(frame.f_globals.get("__name__", "")):
            frame = frame.f_back
        return cls(frame)

    def __call__(self) -> bool:
        """Whether it has neither returned nor raised.

        Its thread may go on meanwhile: where a call that was looked at has returned, what
        called it cannot be told any more, and one looks again.
        """
        for _ in range(TRIES):
            current = sys._current_frames().get(self._thread)
            if current is None:
                return False
            while current.f_back is not None and not self._is_it(current):
                current = current.f_back
            if self._is_it(current) or current is self._lowest:
                return self._is_it(current)
        return False

    def _is_it(self, frame: FrameType) -> bool:
        return frame.f_code is self._code if self._frame is None else frame is self._frame


def _tells(module: str) -> bool:
    """Whether a module belongs to what passes callbacks their events."""
    return module.startswith(("actwidgets.probe.", "keras.src.callbacks", "tf_keras.src.callbacks"))


log = logging.getLogger("actwidgets")


class ListeningCallback(keras.callbacks.Callback):
    """Keras callback that passes the events of a training to a listener.

    In a training loop of one's own its methods are called as Keras calls them, `set_model`
    first.

    Args:
        listener: Is told of it. What it raises never ends the training.
        watched: The model that the listener looks at, where that may be another than the one
            that is trained: a part of it, say. Of a training that leaves all its weights alone
            the listener is told by `failed`, and nothing else.
    """

    def __init__(self, listener: TrainingListener, watched: Any = None) -> None:
        super().__init__()
        self._listener, self._watched = listener, watched
        self._is_of_another = False
        self._moment = TrainingMoment()
        self._failures: set[str] = set()

    def stop(self) -> None:
        """Have the training end after the step under way."""
        if self.model is not None:
            self.model.stop_training = True

    def on_train_begin(self, logs: Any = None) -> None:
        """Announce the training."""
        self._failures = set()
        self._is_of_another = not _have_weights_in_common(self._watched, self.model)
        if self._is_of_another:
            message = (
                f"the model that is trained, {self.model.name!r}, has no weight in common with "
                f"the one that is watched, {self._watched.name!r}: make the session, and what "
                "watches it, of the model that is trained"
            )
            log.warning(message)
            self._listener.failed(ModelError(message))
            return
        is_running = RunningFrame.of_caller()
        for gate in self._step_gates():
            gate.begin_training(is_running)
        self._moment = TrainingMoment(
            n_epochs=self.params.get("epochs"), n_steps=self.params.get("steps")
        )
        self._tell(self._listener.begins, 0, 0, {})

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note which epoch begins."""
        if self._is_of_another:
            return
        self._moment = self._at(epoch, self._moment.step, 0, {})

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Wait until nobody looks at the weights."""
        if self._is_of_another:
            return
        self._call(self._listener.before_step)
        for gate in self._step_gates():
            gate.begin_step()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Let those look who waited, and tell of the step."""
        if self._is_of_another:
            return
        self._end_step()
        before = self._moment
        done = min(batch + 1, before.n_steps or batch + 1)  # several at a time go beyond the last
        step = before.step + done - before.step_of_epoch
        self._moment = self._at(before.epoch, step, done, logs or {})
        self._call(self._listener.after_step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell of the epoch and its validation."""
        if self._is_of_another:
            return
        self._end_step()
        self._tell(self._listener.after_epoch, epoch + 1, self._moment.step, logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        """Tell of the end."""
        if self._is_of_another:
            return
        self._call(self._listener.ends)
        for gate in self._step_gates():
            gate.end_training()

    def _step_gates(self) -> list[StepGate]:
        models = [self.model] if self._watched is None else [self.model, self._watched]
        return list(dict.fromkeys(map(step_gate_of, models)))

    def _end_step(self) -> None:
        for gate in self._step_gates():
            gate.end_step()

    def _tell(
        self, tell: Callable[[TrainingMoment], None], epoch: int, step: int, logs: Mapping[str, Any]
    ) -> None:
        self._moment = self._at(epoch, step, 0, logs)
        self._call(tell)

    def _at(
        self, epoch: int, step: int, step_of_epoch: int, logs: Mapping[str, Any]
    ) -> TrainingMoment:
        metrics = {name: float(value) for name, value in logs.items()}
        now = self._moment
        return TrainingMoment(epoch, step, now.n_epochs, now.n_steps, step_of_epoch, metrics)

    def _call(self, tell: Callable[[TrainingMoment], None]) -> None:
        try:
            tell(self._moment)
        except Exception as failure:
            words = f"{type(failure).__name__}: {failure}"
            if words not in self._failures:  # once, not at every step
                self._failures.add(words)
                log.exception("a training goes on, though whoever watches it failed")
                self._listener.failed(failure)


def _have_weights_in_common(watched: Any, trained: Any) -> bool:
    """Whether two models share variables; True where that is not known."""
    if watched is None or watched is trained:
        return True
    theirs, ours = ({id(each) for each in model.weights} for model in (trained, watched))
    return not theirs or not ours or not theirs.isdisjoint(ours)


def gradient_norms(
    model: Any, layers: Mapping[str, Any], arguments: Sequence[Any], labels: np.ndarray
) -> dict[str, float]:
    """Norm of the loss gradient by the weights of each layer; nothing about the model is changed.

    The loss is the one that the model was compiled with, as a mean over the samples, and the
    penalties on its weights. Dropout is off, moving averages stand; what layers add to the
    loss by their outputs is left out.

    Args:
        model: A built Keras model.
        layers: By name.
        arguments: What the model is called with: one batch of tensors.
        labels: `(sample,)` class indices; one-hot where the loss takes that.

    Returns:
        By name of the layer, over all its trainable weights; NaN where it has none. Empty
        where the model is not compiled, has several outputs, or class labels do not go with
        its loss.

    Cost: a pass forth and back, not compiled.
    """
    loss = _loss(model)
    if loss is None:
        return {}
    for targets in (_one_hot, _as_indices) if not _is_sparse(loss) else (_as_indices,):
        try:
            gradients = _gradients(model, loss, arguments, labels, targets)
        except Exception as failure:
            log.info("no gradient of the loss of %s: %s", model.name, failure, exc_info=True)
        else:
            return {name: _norm(layer, gradients) for name, layer in layers.items()}
    return {}


def _loss(model: Any) -> Any:
    """Compiled loss as a function of targets and outputs; None where there is none."""
    given = getattr(model, "loss", None)
    if isinstance(given, Mapping):
        given = [*given.values()]
    if isinstance(given, list | tuple):
        given = given[0] if len(given) == 1 else None
    if not given or len(getattr(model, "outputs", None) or [None]) != 1:
        return None
    framework = keras if isinstance(model, keras.Model) else sys.modules["tf_keras"]
    try:
        return framework.losses.get(given)
    except ValueError:
        return None


def _is_sparse(loss: Any) -> bool:
    return "sparse" in getattr(loss, "__name__", type(loss).__name__).lower()


def _as_indices(labels: np.ndarray, outputs: tf.Tensor) -> tf.Tensor:
    return tf.constant(labels)


def _one_hot(labels: np.ndarray, outputs: tf.Tensor) -> tf.Tensor:
    """One-hot targets, as many columns as outputs; the index itself where there is one."""
    if outputs.shape[-1] == 1:
        return tf.cast(labels[:, None], outputs.dtype)
    return tf.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)


def _gradients(
    model: Any, loss: Any, arguments: Sequence[Any], labels: np.ndarray, targets: Any
) -> dict[int, tf.Tensor]:
    """Gradients of the loss by the identity of the variable."""
    variables = list(model.trainable_variables)

    def call() -> tf.Tensor:
        outputs = tf.nest.flatten(model(*arguments, training=False))[0]
        penalties = [
            variable.regularizer(variable)
            for variable in variables
            if getattr(variable, "regularizer", None) is not None
        ]
        mean = tf.reduce_mean(loss(targets(labels, outputs), outputs))
        return tf.add_n([mean, *(tf.cast(each, mean.dtype) for each in penalties)])

    with tf.GradientTape() as tape:
        value = call_untouched(model, call)
    tensors = [each if isinstance(each, tf.Variable) else each.value for each in variables]
    found = tape.gradient(value, tensors)
    return {id(each): found[at] for at, each in enumerate(variables) if found[at] is not None}


def _norm(layer: Any, gradients: Mapping[int, tf.Tensor]) -> float:
    found = [gradients[id(each)] for each in layer.trainable_variables if id(each) in gradients]
    return norm({str(at): np.asarray(tf.convert_to_tensor(each)) for at, each in enumerate(found)})
