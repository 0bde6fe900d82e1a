"""Run a model with the outputs of some layers altered on their way to the rest of it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from actwidgets.core.interventions.edits import Edit
from actwidgets.core.receptive_field import ReceptiveField
from actwidgets.errors import LayerError, ShapeError
from actwidgets.probe.catalogue import Catalogue, Output, is_models_own
from actwidgets.probe.fold import Fold
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import element_name
from actwidgets.probe.slices import Slices

MAX_TRACES = 8  # one of ResNet50 takes about 25 MB


class _Edited(NamedTuple):
    """Samples, and `(2, unit)` for each edited layer in turn: its factors and its offsets."""

    x: Any
    numbers: Sequence[tf.Tensor]


@dataclass(frozen=True)
class EditedInputs(Inputs):
    """What a model with edited layers takes: its own inputs, and the numbers of the edits.

    The numbers are arguments of whatever is compiled: other numbers need no other trace.

    Attributes:
        edited: The outputs that are altered.
    """

    edited: tuple[Output, ...] = field(kw_only=True)

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """What `tensors` gives: the model's own inputs, then the numbers."""
        return (*self.specs, *(tf.TensorSpec((2, _n_units(each))) for each in self.edited))

    def tensors(self, x: _Edited) -> list[tf.Tensor]:
        """Samples as tensors of the right kind, and the numbers behind them."""
        return [*super().tensors(x.x), *x.numbers]

    def first_of(self, tensors: Sequence[tf.Tensor], n_samples: int) -> list[tf.Tensor]:
        """The first samples of a batch, with all the numbers."""
        n_inputs = len(self.specs)
        return [*super().first_of(tensors[:n_inputs], n_samples), *tensors[n_inputs:]]

    def batches_of(self, tensors: Sequence[Any]) -> Iterator[tuple[list[Any], int]]:
        """Batches of the number of samples that is fixed, with all the numbers."""
        n_inputs = len(self.specs)
        for batch, n_rows in super().batches_of(tensors[:n_inputs]):
            yield [*batch, *tensors[n_inputs:]], n_rows

    def change(self, tensors: Sequence[Any]) -> Callable[[str, Any], Any]:
        """For `record`: what is handed on in the place of a layer's output."""
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


class EditedSlices:
    """The layers of one model with some of them edited: stands where `Slices` does.

    Args:
        slices: Of the model as it is.
        edited: Of the model with these layers edited.
        numbers: Of each edit, `(2, unit)`.

    Attributes:
        catalogue: The layers.
        inputs: What the model takes.
        edited_inputs: The same, and behind them the numbers of the edits.
        numbers: As given.
    """

    def __init__(self, slices: Slices, edited: Slices, numbers: Sequence[tf.Tensor]) -> None:
        self.catalogue, self.inputs = slices.catalogue, slices.inputs
        self._slices, self._edited = slices, edited
        self.edited_inputs, self.numbers = edited.inputs, numbers

    def outputs(self, names: Sequence[str], x: Any) -> list[tf.Tensor]:
        """As `Slices.outputs`."""
        return self._edited.outputs(names, _Edited(x, self.numbers))

    def folded(self, names: Sequence[str], x: Any, fold: Fold) -> list[tf.Tensor]:
        """As `Slices.folded`."""
        return self._edited.folded(names, _Edited(x, self.numbers), fold)

    def receptive_field(self, name: str) -> ReceptiveField | None:
        """As `Slices.receptive_field`: an edit looks at no other position."""
        return self._slices.receptive_field(name)

    def is_stale(self) -> bool:
        """As `Slices.is_stale`."""
        return self._slices.is_stale()

    def renew(self) -> bool:
        """As `Slices.renew`."""
        return self._slices.renew()

    def wait(self) -> None:
        """As `Slices.wait`."""
        self._edited.wait()

    def close(self) -> None:
        """Nothing: the slices belong to `EditedTraces`, and may serve other edits."""


class EditedTraces:
    """One trace of a model for each set of edited layers; those used last are kept.

    Args:
        slices: Of the model as it is.
    """

    def __init__(self, slices: Slices) -> None:
        self._slices = slices
        self._kept: OrderedDict[tuple[str, ...], Slices] = OrderedDict()
        self._keeping = threading.Lock()

    def edited(self, edits: Mapping[str, Edit]) -> EditedSlices:
        """The same layers, with some of them edited.

        Raises: as `KerasProbe.edited`.
        """
        names = tuple(sorted(edits))
        outputs = tuple(_editable(self._slices.catalogue, name, edits[name]) for name in names)
        numbers = [
            tf.constant(np.stack([edits[name].factor, edits[name].offset])) for name in names
        ]
        return EditedSlices(self._slices, self._of(names, outputs), numbers)

    def close(self) -> None:
        """Forget the traces, and make no further slices in the background."""
        with self._keeping:
            for slices in self._kept.values():
                slices.close()
            self._kept.clear()

    def _of(self, names: tuple[str, ...], outputs: tuple[Output, ...]) -> Slices:
        with self._keeping:
            if names not in self._kept:
                inputs = EditedInputs(**vars(self._slices.inputs), edited=outputs)
                self._kept[names] = self._slices.taking(inputs)
            self._kept.move_to_end(names)
            while len(self._kept) > MAX_TRACES:
                self._kept.popitem(last=False)[1].close()
            return self._kept[names]


def _editable(catalogue: Catalogue, name: str, edit: Edit) -> Output:
    output = catalogue.require(name)
    if is_models_own(name):
        raise LayerError(f"{name!r} is an output of the model, not a layer: edit its last layer")
    if catalogue.complex_part(name):
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
    """A tensor with its units altered; what Keras keeps on it goes with it."""
    factor, offset = tf.unstack(tf.cast(numbers, tensor.dtype))
    if unit_axis > 0:
        lengths = [1] * (len(tensor.shape) - unit_axis - 1)
        factor, offset = (tf.reshape(each, (-1, *lengths)) for each in (factor, offset))
    altered = tf.math.multiply_no_nan(tensor, factor) + offset
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        altered._keras_mask = mask
    return altered
