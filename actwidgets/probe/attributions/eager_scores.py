"""A model that cannot be traced, called eagerly for each thing that is wanted of it."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe.attributions.score_call import Build, Call, called
from actwidgets.probe.catalogue import Output
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import RecordingError
from actwidgets.probe.trace import Head


class Operation(NamedTuple):
    """What TensorFlow did once, as a graph would have it."""

    type: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class EagerScores:
    """Stands where `ScoreTrace` does for a model that branches in Python on the values it gets.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        embedded: As of `ScoreTrace`.
        differentiated: As of `ScoreTrace`.
        training: Whether layers act as they do in training.
        weights: Variables, each with the one that stands in for it.

    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs,
        embedded: Sequence[Output] = (),
        differentiated: Sequence[bool] | None = None,
        *,
        training: bool = False,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._model, self._inputs, self._embedded = model, inputs, tuple(embedded)
        self._differentiated = differentiated
        self._options = {"training": training, "weights": weights}

    @functools.cached_property
    def call(self) -> Call:
        """One call, of samples made of zeros."""
        return self._called(self.blank())[0]

    def head(self, key: Any, build: Build) -> Head:
        """A function of the model's inputs, the embedded ones, and the target."""

        def run(*tensors: Any) -> list[Any]:
            try:
                return self._called(tensors, build)[1]
            except RecordingError as failure:
                raise ModelError(
                    f"model {self._model.name!r} cannot be run: {failure}"
                ) from failure

        return run

    def _called(self, tensors: Sequence[Any], build: Build | None = None) -> tuple[Call, list[Any]]:
        """What is built of a call while the tape of its derivatives is running."""
        with (
            tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape,
            operations_noted() as operations,
        ):
            tape.watch([each for each in tensors if each.dtype.is_floating])

            def gradients(score: Any, at: Sequence[Any]) -> list[Any]:
                with tape.stop_recording():
                    return tape.gradient(score, list(at))

            call = called(
                self._model,
                self._inputs,
                tensors,
                self._embedded,
                self._differentiated,
                operations=lambda: operations,
                gradients=gradients,
                **self._options,
            )
            return call, [] if build is None else list(build(call))

    def blank(self) -> list[Any]:
        """Zeros for every argument of a head; a length that may be any is 8."""
        inputs, n_samples = self._inputs, self._inputs.fixed_batch or 1
        numbers = [tf.zeros(spec.shape) for spec in inputs.signature[len(inputs.specs) :]]
        embedded = [
            tf.zeros([n_samples, *(axis or 8 for axis in each.shape[1:])], each.dtype)
            for each in self._embedded
        ]
        return [*inputs.blank(n_samples), *numbers, *embedded, tf.zeros(n_samples, tf.int64)]


@contextmanager
def operations_noted() -> Iterator[list[Operation]]:
    """Keep a list of what TensorFlow does on this thread.

    Raises:
        ModelError: This version of TensorFlow does not tell.
    """
    try:
        from tensorflow.python.framework.op_callbacks import add_op_callback, remove_op_callback
    except ImportError as failure:  # TensorFlow's inside has changed
        raise ModelError(
            "the model cannot be traced, and this version of TensorFlow does not tell what an "
            "eager call does: its score before the softmax cannot be found"
        ) from failure
    noted: list[Operation] = []

    def note(kind: Any, inputs: Any, _: Any, outputs: Any, *__: Any, **___: Any) -> None:
        name = kind.decode() if isinstance(kind, bytes) else str(kind)
        noted.append(Operation(name, tuple(inputs), tuple(outputs)))

    add_op_callback(note)
    try:
        yield noted
    finally:
        remove_op_callback(note)
