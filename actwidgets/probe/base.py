"""What a session asks of a model, so that it does without Keras."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from actwidgets.core import batches
from actwidgets.core.ablation import Edit
from actwidgets.core.accumulators import SampleSummary, summarize
from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution.base import DifferentiableScoreFunction
from actwidgets.core.attribution.evaluation import RandomizedScoreFunction
from actwidgets.core.histograms import Histogram
from actwidgets.core.labels import names_of_classes
from actwidgets.core.layers import LayerInfo, ReceptiveField
from actwidgets.core.output_kind import OutputKind, said_kind
from actwidgets.core.samples import Samples
from actwidgets.errors import LayerError, ModelError
from actwidgets.training.events import TrainingListener
from actwidgets.training.step_gate import StepGate


@runtime_checkable
class Probe(Protocol):
    """What a session needs of a model; `probe/` has the Keras one."""

    layers: tuple[LayerInfo, ...]
    n_classes: int  # outputs per sample; 0 where the output is not (sample, class)

    def activations(self, layers: Sequence[str], x: Any) -> Mapping[str, Array]:
        """Outputs of layers on one batch, `(sample, …, unit)` float32, by name."""

    def predictions(self, x: Any) -> Array:
        """The model's output on one batch, `(sample, class)` float32."""

    def check(self, x: Any) -> None:
        """Refuse samples that the model cannot take."""


# --- what a probe may have besides -------------------------------------------------------


def kernels(probe: Probe, layer: str) -> Array:
    """The weights of a layer: `(row, column, in_channel, out_channel)` float32.

    Raises:
        LayerError: The layer has no kernels, or the probe does not tell them.
    """
    tell = getattr(probe, "kernels", None)
    if tell is None:
        raise LayerError("this probe does not tell the weights of a layer")
    return tell(layer)


def output_kind(probe: Probe) -> OutputKind | None:
    """What the model's output means; None where the probe does not tell."""
    return getattr(probe, "output_kind", None)


def settled_output_kind(
    probe: Probe, samples: Samples, given_names: Sequence[str] | None, output_is: str | None
) -> tuple[OutputKind | None, Sequence[str] | None]:
    """The same once labels and class names are known, and the names to go by.

    Args:
        probe: Of the model.
        samples: With their `y`.
        given_names: Class names as somebody gave them; None for those that `y` brings along.
        output_is: What the caller says that the output is; None for nothing.

    Returns:
        What the output means, None where the probe does not tell; class names, or None.

    Raises:
        DataError: `y` brings other numbers of names than the model has classes.
    """
    output, y = output_kind(probe), samples.y
    names = given_names
    if names is None and y is not None and y.dtype.kind == "O":  # names, rather than columns
        names = samples.label_names or None
    if output is None:
        output = None if output_is is None else said_kind(output_is, (probe.n_classes,))
    elif output_is is not None and output.kind != output_is:  # a probe made without it
        said = said_kind(output_is, output.shape, output.link)
        output = replace(said, axis=output.axis, head=output.head, heads=output.heads)
    else:
        if _is_what_goes_in(y, samples.x):  # of an autoencoder: no labels, whatever it holds
            y = None
        output = output.with_labels(None if names is None else len(names), y)
    if output is None or output.kind != "value":
        names = names_of_classes(given_names, samples.label_names, probe.n_classes)
    return output, names


def _is_what_goes_in(y: Array | None, x: Any) -> bool:
    """Whether `y` is the samples themselves, as an autoencoder is trained on them."""
    given = getattr(x, "shape", None)
    return y is not None and given == y.shape and bool(np.array_equal(np.asarray(x[:]), y))


def settle_output_kind(probe: Any, output: OutputKind) -> None:
    """Have a probe go by what labels and class names have told of its output, if it tells."""
    if output_kind(probe) not in (None, output):
        probe.output_kind = output


def summaries(
    probe: Probe,
    layers: Sequence[str],
    x: Any,
    *,
    above: float | None = None,
    low: bool = True,
) -> Mapping[str, SampleSummary]:
    """What layers put out for each sample of one batch, with positions folded away.

    Args:
        probe: Folds them itself, or gives whole outputs.
        layers: Names of the layers.
        x: One batch.
        above: Count the positions above this; None counts none.
        low: Whether the smallest values are wanted.
    """
    fold = getattr(probe, "summaries", None)
    if fold is not None:
        return fold(layers, x, above=above, low=low)
    outputs = probe.activations(layers, x)
    return {name: summarize(outputs[name], above) for name in layers}


def edited(probe: Probe, edits: Mapping[str, Edit]) -> Probe:
    """The same model with the outputs of some layers altered on their way to the rest.

    Args:
        probe: Of the model; it stays as it is, and so does the model.
        edits: By name of layer.

    Returns:
        A probe whose activations and predictions follow the edits; `probe` for no edits.

    Raises:
        LayerError: The probe cannot run its model with layers edited, there is no such
            layer, or it cannot be edited.
        ShapeError: An edit for another number of units.
    """
    if not edits:
        return probe
    edit = getattr(probe, "edited", None)
    if edit is None:
        raise LayerError("this probe cannot run its model with the outputs of layers edited")
    return edit(edits)


def model_slice(
    probe: Probe, layer: str | None, output: str, memory_budget_bytes: int
) -> DifferentiableScoreFunction:
    """The model from its inputs to the scores of its classes.

    Args:
        probe: Of the model.
        layer: Whose maps are looked at; None for the last that has some.
        output: "logit" or "probability".
        memory_budget_bytes: How much a batch may take, about.

    Raises:
        ModelError: The model cannot be differentiated.
        LayerError: There is no such layer.
    """
    make = getattr(probe, "model_slice", None)
    if make is None:
        raise ModelError("this probe does not tell gradients of its model")
    return make(layer, output, memory_budget_bytes=memory_budget_bytes)


def randomized_slice(
    probe: Probe, layer: str | None, output: str, memory_budget_bytes: int
) -> RandomizedScoreFunction:
    """The same with weights of its own, which can be made random; the model's are left alone.

    Raises:
        ModelError: The model's weights cannot be exchanged. And as `model_slice`.
    """
    make = getattr(probe, "randomized_slice", None)
    if make is None:
        raise ModelError("this probe cannot run its model with random weights")
    return make(layer, output, memory_budget_bytes=memory_budget_bytes)


def receptive_field(probe: Probe, layer: str) -> ReceptiveField | None:
    """The part of the input that a position of a layer's map sees; None where not known."""
    tell = getattr(probe, "receptive_field", None)
    return None if tell is None else tell(layer)


def input_names(probe: Probe, x: Any) -> tuple[str, ...]:
    """What the arrays in `x`, in the order of `batches.parts`, are called as inputs."""
    tell = getattr(probe, "input_names", None)
    if tell is not None:
        return tell(x)
    if isinstance(x, Mapping):
        return tuple(map(str, x))
    return tuple(f"input {place}" for place in range(len(batches.parts(x))))


def input_axes(probe: Probe) -> Mapping[str, tuple[str, ...]]:
    """What the axes of inputs are, by name, as far as the model's layers tell."""
    tell = getattr(probe, "input_axes", None)
    return {} if tell is None else tell()


def inputs_of(probe: Probe, layer: str) -> tuple[str, ...] | None:
    """The inputs that a layer sees, by name; None where that is not known."""
    tell = getattr(probe, "inputs_of", None)
    return None if tell is None else tell(layer)


def missing_for_changes(probe: Probe) -> str:
    """Why units cannot be altered or samples perturbed: "" where they can."""
    return getattr(probe, "missing_for_changes", "")


def has_all_maps(probe: Probe) -> bool:
    """Whether whole maps can be had of any sample; of a recording, of the first ones only."""
    return getattr(probe, "has_all_maps", True)


def is_stale(probe: Probe) -> bool:
    """Whether layers of the model were exchanged, so that a new probe is needed."""
    tell = getattr(probe, "is_stale", None)
    return tell is not None and bool(tell())


def fingerprint(probe: Probe) -> Any:
    """Something that changes when the weights do; None where the probe does not tell."""
    tell = getattr(probe, "fingerprint", None)
    return None if tell is None else tell()


def turns(probe: Probe) -> StepGate | None:
    """Whose turn it is at the model's weights; None where the probe does not tell."""
    return getattr(probe, "turns", None)


def reading(probe: Probe) -> AbstractContextManager[bool]:
    """Whether a batch of a pass over many samples may be read, and a time for it.

    Not while training steps change the weights: all batches are to see one state of them.
    """
    found = turns(probe)
    return nullcontext(True) if found is None else found.reading()


def may_read_on(probe: Probe) -> bool:
    """Whether a pass that has begun may go on, as far as training steps are concerned."""
    found = turns(probe)
    return found is None or found.may_read_on


def training_callback(probe: Probe, listener: TrainingListener) -> Any:
    """A callback for `fit` that tells a listener of the training.

    Raises:
        ModelError: This probe's model cannot be trained.
    """
    make = getattr(probe, "training_callback", None)
    if make is None:
        raise ModelError("this probe's model cannot be trained")
    return make(listener)


def weights(probe: Probe, layer: str) -> Mapping[str, Array]:
    """The weights of a layer itself, by name (`kernel`, `bias`, …); empty where it has none.

    Raises:
        LayerError: There is no such layer, or the probe does not tell its weights.
    """
    tell = getattr(probe, "weights", None)
    if tell is None:
        raise LayerError("this probe does not tell the weights of a layer")
    return tell(layer)


def outputs_and_predictions(
    probe: Probe, layers: Sequence[str], x: Any
) -> tuple[Mapping[str, Array], Array]:
    """Activations of layers and the model's output on one batch.

    Cost: one forward pass where the probe can do both at once, else two. No predictions,
    `(sample, 0)`, where the output is no vector.
    """
    both = getattr(probe, "outputs_and_predictions", None)
    if both is not None:
        return both(layers, x)
    outputs = probe.activations(layers, x)
    if not probe.n_classes:
        return outputs, np.zeros((batches.count_samples(x), 0), np.float32)
    return outputs, probe.predictions(x)


def gradient_norms(
    probe: Probe, layers: Sequence[str], x: Any, labels: Integers
) -> Mapping[str, float]:
    """The norm of the gradient of the loss by the trainable weights of each layer.

    Args:
        probe: Of the model.
        layers: Names of the layers.
        x: One batch.
        labels: `(sample,)` class indices.

    Returns:
        By layer; NaN for one without trainable weights. Empty where there is no loss that
        class labels go with, or the probe does not tell.
    """
    tell = getattr(probe, "gradient_norms", None)
    return {} if tell is None else tell(layers, x, labels)


def keeps_histograms(probe: Probe) -> bool:
    """Whether a probe has histograms of moments of a training, as a recording does.

    It then also has `weight_histograms(layer)` and `activation_histogram(layer)` of the moment
    that it is at, `histogram_moments(layer, what, name)` and `at`.
    """
    return hasattr(probe, "histogram_moments")


def kept_weight_histograms(probe: Any, layer: str) -> Mapping[str, Histogram]:
    """Kept histograms of a layer's weights by name, of the moment that the probe is at."""
    found: Mapping[str, Histogram] = probe.weight_histograms(layer)
    return found


def kept_activation_histogram(probe: Any, layer: str) -> Histogram:
    """The kept histogram of what a layer put out, of the moment that the probe is at."""
    found: Histogram = probe.activation_histogram(layer)
    return found


def histogram_moments(
    probe: Any, layer: str, what: str, name: str | None = None
) -> Sequence[tuple[str, Histogram]]:
    """The kept histograms of all moments, the first one first, with a label each.

    Args:
        probe: One for which `keeps_histograms`.
        layer: Name of the layer.
        what: "weights" or "activations".
        name: Which weights: `kernel`, `bias`, …; None for activations.
    """
    found: Sequence[tuple[str, Histogram]] = probe.histogram_moments(layer, what, name)
    return found


def moment(probe: Probe) -> int | None:
    """Which of the moments a probe is at; None where it has none."""
    found: int | None = getattr(probe, "at", None)
    return found


def stop(probe: Probe) -> None:
    """Have a probe do nothing more in the background."""
    close = getattr(probe, "close", None)
    if close is not None:
        close()
