"""A Keras model as a session sees it: layers, and forward passes over batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core import batches
from actwidgets.core.layer_info import LayerInfo
from actwidgets.errors import DataError, ShapeError
from actwidgets.probe.trace import PREDICTIONS, Trace


class KerasProbe:
    """Reads a built Sequential or Functional model; satisfies `session.Probe`.

    The model is traced once, here. Nothing about it is changed. `n_classes` is 0 where the
    model's output is not `(sample, class)`.

    Raises:
        ModelError: Not a Keras model, not built, or without layers.
    """

    def __init__(self, model: Any) -> None:
        self._trace = Trace(model)
        self.layers: tuple[LayerInfo, ...] = self._trace.layers()
        self.n_classes = self._count_classes()

    def activations(self, layers: Sequence[str], x: Any) -> dict[str, np.ndarray]:
        """Outputs of layers on one batch, in one forward pass that ends at the last of them.

        Args:
            layers: Names, as in `self.layers`.
            x: One batch: an array `(sample, …)`, or a list or dict with one per input.

        Returns:
            Name to `(sample, …, unit)`, float32.

        Raises:
            LayerError: The model has no such layer.
            ShapeError: Samples of another shape than the model takes.
            DataError: Values that are not numbers.
        """
        outputs = self._trace.head(layers)(*self._tensors(x))
        return {name: _floats(output) for name, output in zip(layers, outputs, strict=True)}

    def predictions(self, x: Any) -> np.ndarray:
        """The model's output on one batch, float32; of several outputs the first."""
        return _floats(self._trace.head((PREDICTIONS,))(*self._tensors(x))[0])

    def stream(
        self, layers: Sequence[str], x: Any, y: Any = None, *, batch_size: int = 256
    ) -> Iterator[tuple[Mapping[str, np.ndarray], Any]]:
        """Yield the outputs of layers and the labels, batch by batch."""
        for batch, labels in batches.iterate(x, y, batch_size=batch_size):
            yield self.activations(layers, batch), labels

    def check(self, x: Any) -> None:
        """Refuse samples that the model cannot take, without running it.

        Raises:
            ShapeError: Another shape, or another number of inputs.
            DataError: Values that are not numbers.
        """
        for part, spec in zip(self._ordered(x), self._trace.input_specs, strict=True):
            given = tuple(part.shape)
            if not spec.shape.is_compatible_with(given):
                wanted = ", ".join(str(axis or "any") for axis in spec.shape[1:])
                raise ShapeError(
                    f"x must hold samples of shape ({wanted}) behind the sample axis; "
                    f"got an array of shape {given}"
                )
            if np.dtype(getattr(part.dtype, "as_numpy_dtype", part.dtype)).kind not in "biuf":
                raise DataError(f"x must hold numbers; got values of type {part.dtype}")

    def _tensors(self, x: Any) -> list[tf.Tensor]:
        self.check(x)
        return [
            part if tf.is_tensor(part) and part.dtype == spec.dtype else _tensor(part, spec.dtype)
            for part, spec in zip(self._ordered(x), self._trace.input_specs, strict=True)
        ]

    def _ordered(self, x: Any) -> list[Any]:
        """The arrays of a batch, in the order of the model's inputs."""
        specs = self._trace.input_specs
        if isinstance(x, Mapping):
            names = [spec.name for spec in specs]
            if set(x) != set(names):
                given = ", ".join(map(str, x))
                raise ShapeError(f"this model's inputs are {', '.join(names)}; x has {given}")
            return [x[name] for name in names]
        arrays = batches.parts(x if batches.is_arrays(x) else np.asarray(x))
        if len(arrays) != len(specs):
            raise ShapeError(f"this model takes {len(specs)} inputs; x has {len(arrays)}")
        return arrays

    def _count_classes(self) -> int:
        shape = self._trace.taps[PREDICTIONS].output.shape
        return int(shape[1]) if len(shape) == 2 and shape[1] is not None else 0


def _tensor(part: Any, dtype: tf.DType) -> tf.Tensor:
    if tf.is_tensor(part):
        return tf.cast(part, dtype)
    return tf.constant(np.asarray(part, dtype=dtype.as_numpy_dtype))


def _floats(tensor: tf.Tensor) -> np.ndarray:
    return tensor.numpy().astype(np.float32, copy=False)
