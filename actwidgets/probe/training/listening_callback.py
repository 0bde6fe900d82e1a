"""A Keras callback that tells a listener of a training, and keeps steps and looks apart."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras

from actwidgets.core.training.listener import Moment, TrainingListener
from actwidgets.core.training.turns import Turns
from actwidgets.errors import ModelError
from actwidgets.probe.training.model_turns import turns_of
from actwidgets.probe.training.running_frame import RunningFrame

log = logging.getLogger(__name__)


class ListeningCallback(keras.callbacks.Callback):
    """Goes into `model.fit(…, callbacks=[…])`, more than once if need be.

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
        self._moment = Moment()
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
            self._tell_of_another()
            return
        is_running = RunningFrame.of_caller()
        for turns in self._turns():
            turns.begin_training(is_running)
        self._moment = Moment(n_epochs=self.params.get("epochs"), n_steps=self.params.get("steps"))
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
        for turns in self._turns():
            turns.begin_step()

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
        for turns in self._turns():
            turns.end_training()

    def _turns(self) -> list[Turns]:
        models = [self.model] if self._watched is None else [self.model, self._watched]
        return list(dict.fromkeys(map(turns_of, models)))

    def _end_step(self) -> None:
        for turns in self._turns():
            turns.end_step()

    def _tell_of_another(self) -> None:
        told = (
            f"the model that is trained, {self.model.name!r}, has no weight in common with the "
            f"one that is watched, {self._watched.name!r}: make the session, and what watches "
            "it, of the model that is trained"
        )
        log.warning(told)
        self._listener.failed(ModelError(told))

    def _tell(
        self, tell: Callable[[Moment], None], epoch: int, step: int, logs: Mapping[str, Any]
    ) -> None:
        self._moment = self._at(epoch, step, 0, logs)
        self._call(tell)

    def _at(self, epoch: int, step: int, step_of_epoch: int, logs: Mapping[str, Any]) -> Moment:
        metrics = {name: float(value) for name, value in logs.items()}
        now = self._moment
        return Moment(epoch, step, now.n_epochs, now.n_steps, step_of_epoch, metrics)

    def _call(self, tell: Callable[[Moment], None]) -> None:
        try:
            tell(self._moment)
        except Exception as failure:
            words = f"{type(failure).__name__}: {failure}"
            if words not in self._failures:  # once, not at every step
                self._failures.add(words)
                log.exception("a training goes on, though whoever watches it failed")
                self._listener.failed(failure)


def _have_weights_in_common(watched: Any, trained: Any) -> bool:
    """Whether training one may change the other; so it is said where nobody knows."""
    if watched is None or watched is trained:
        return True
    theirs, ours = ({id(each) for each in model.weights} for model in (trained, watched))
    return not theirs or not ours or not theirs.isdisjoint(ours)
