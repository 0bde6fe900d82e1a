"""One call of a model, seen from what is differentiated to what its layers put out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from actwidgets.probe.catalogue import Output
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import Tap, element_name, record


@dataclass(frozen=True)
class Call:
    """One call of a model.

    Attributes:
        inputs: The model's own inputs.
        points: What is differentiated: inputs, then the embedded ones.
        target: `(sample,)` int64, the class asked about.
        taps: What layers put out, by name; `""` is the first output of the model.
        recorded: The same, in the order of the calls.
        operations: What TensorFlow did, in order; each has `type`, `inputs`, `outputs`.
        gradients: Of the sum of a score at some tensors; None for each that it does not reach.
        weights: Variables, each with the one that stands in for it.
        notes: What is to be said of what was made of it, by key.
    """

    inputs: tuple[Any, ...]
    points: tuple[Any, ...]
    target: Any
    taps: dict[str, Any]
    recorded: tuple[Tap, ...]
    operations: Sequence[Any]
    gradients: Callable[[Any, Sequence[Any]], list[Any]]
    weights: Sequence[tuple[Any, Any]] = ()
    notes: dict[Any, str] = field(default_factory=dict)


Build = Callable[[Call], Sequence[Any]]


def called(
    model: Any,
    inputs: Inputs,
    tensors: Sequence[Any],
    embedded: Sequence[Output] = (),
    differentiated: Sequence[bool] | None = None,
    *,
    operations: Callable[[], Sequence[Any]],
    gradients: Callable[[Any, Sequence[Any]], list[Any]],
    training: bool = False,
    weights: Sequence[tuple[Any, Any]] = (),
) -> Call:
    """Call a model, eagerly or while it is traced.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        tensors: What `signature` says.
        embedded: Outputs of layers in whose place arguments are put.
        differentiated: Which of the inputs are; all floating-point ones by default.
        operations: Gives those of the call, once it is over.
        gradients: As in `Call`.
        training: Whether layers act as they do in training.
        weights: Variables, each with the one that stands in for it.

    Raises:
        RecordingError: A layer raised.
    """
    n_given, n_inputs = len(inputs.signature), len(inputs.specs)
    given, arguments, target = tensors[:n_given], tensors[n_given:-1], tensors[-1]
    stand_ins = {each.name: tensor for each, tensor in zip(embedded, arguments, strict=True)}
    edit = inputs.change(given)

    def change(name: str, output: Any) -> Any:
        output = output if edit is None else edit(name, output)
        return _exchanged(name, output, stand_ins)  # what stands in was edited when it was made

    recording = record(
        model,
        inputs.arguments(given),
        training=training,
        change=change,
        weights=[(ours, tf.convert_to_tensor(other)) for ours, other in weights],
    )
    return Call(
        inputs=tuple(given[:n_inputs]),
        points=(*_differentiated(given[:n_inputs], differentiated), *arguments),
        target=target,
        taps={tap.name: tap.output for tap in recording.taps},
        recorded=recording.taps,
        operations=operations(),
        gradients=gradients,
        weights=weights,
    )


def signature(inputs: Inputs, embedded: Sequence[Output]) -> tuple[tf.TensorSpec, ...]:
    """The arguments of a head: the model's inputs, the embedded ones, and the target."""
    arguments = (tf.TensorSpec(each.shape, each.dtype) for each in embedded)
    return (*inputs.signature, *arguments, tf.TensorSpec((None,), tf.int64))


def _differentiated(inputs: Sequence[Any], chosen: Sequence[bool] | None) -> list[Any]:
    if chosen is None:
        return [each for each in inputs if each.dtype.is_floating]
    return [each for each, is_chosen in zip(inputs, chosen, strict=True) if is_chosen]


def _exchanged(name: str, output: Any, stand_ins: Mapping[str, Any]) -> Any:
    """A layer's output with what stands in for it; the mask that Keras keeps on it stays."""
    parts = tf.nest.flatten(output)
    places = [place for place, part in enumerate(parts) if hasattr(part, "shape")]
    names = {element_name(name, index): place for index, place in enumerate(places)}
    if not names.keys() & stand_ins.keys():
        return output
    for element, place in names.items():
        if element in stand_ins:
            mask = getattr(parts[place], "_keras_mask", None)
            parts[place] = tf.identity(stand_ins[element])  # the argument itself keeps no mask
            if mask is not None:
                parts[place]._keras_mask = mask
    return tf.nest.pack_sequence_as(output, parts)
