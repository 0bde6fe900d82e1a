"""Probe: the abstract class through which a session reads a model, without Keras."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

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
from actwidgets.errors import DataError, LayerError, ModelError
from actwidgets.training.events import TrainingListener
from actwidgets.training.step_gate import StepGate


class Probe(ABC):
    """A model, or what is stored of one, as a session reads it: layer outputs, weights, gradients.

    A subclass sets `layers` and `n_classes` and has `activations`, `predictions` and `check`.
    Everything else has a default: what follows from these three, "not known", or a refusal.

    Attributes:
        layers: The layers that can be shown, in the order of the model.
        n_classes: Outputs per sample; 0 where the output is not `(sample, class)`.
        class_names: Those that came with the model; None where none did.
        output_kind: What the model's output means; None where that is not known.
        step_gate: Keeps forward passes and training steps apart; None where nothing trains.
        missing_for_changes: Why units cannot be altered or samples perturbed; "" where they can.
        has_all_maps: Whether whole maps can be had of any sample, not of the first ones only.
        keeps_histograms: Whether histograms of the moments of a training are stored: then
            `weight_histograms`, `activation_histogram`, `histogram_moments` and `at` are there.
        at: Which of those moments the probe is at.
    """

    layers: tuple[LayerInfo, ...]
    n_classes: int
    class_names: Sequence[str] | None = None
    output_kind: OutputKind | None = None
    step_gate: StepGate | None = None
    missing_for_changes: str = ""
    has_all_maps: bool = True
    keeps_histograms: bool = False
    at: int = -1

    # --- forward passes ------------------------------------------------------------------

    @abstractmethod
    def activations(self, layers: Sequence[str], x: Any) -> Mapping[str, Array]:
        """Outputs of layers on one batch, `(sample, …, unit)` float32, by name."""

    @abstractmethod
    def predictions(self, x: Any) -> Array:
        """The model's output on one batch, `(sample, class)` float32."""

    @abstractmethod
    def check(self, x: Any) -> None:
        """Refuse samples that the model cannot take."""

    def summaries(
        self, layers: Sequence[str], x: Any, *, above: float | None = None, low: bool = True
    ) -> Mapping[str, SampleSummary]:
        """Extremes and means over positions of each unit on each sample of one batch, by layer.

        Args:
            layers: Names of the layers.
            x: One batch.
            above: Count the positions above this; None counts none.
            low: Whether the smallest values are wanted.
        """
        outputs = self.activations(layers, x)
        return {name: summarize(outputs[name], above) for name in layers}

    def outputs_and_predictions(
        self, layers: Sequence[str], x: Any
    ) -> tuple[Mapping[str, Array], Array]:
        """Activations of layers and the model's output on one batch.

        No predictions, `(sample, 0)`, where the output is no vector.

        Cost: two forward passes here; one where a subclass does both at once.
        """
        outputs = self.activations(layers, x)
        if not self.n_classes:
            return outputs, np.zeros((batches.count_samples(x), 0), np.float32)
        return outputs, self.predictions(x)

    def edited(self, edits: Mapping[str, Edit]) -> "Probe":
        """The same model with the outputs of some layers altered on their way to the rest.

        Args:
            edits: By name of layer.

        Returns:
            A probe whose activations and predictions follow the edits; this one for no edits.
            This one stays as it is, and so does the model.

        Raises:
            LayerError: The model cannot be run with layers edited, there is no such layer, or
                it cannot be edited.
            ShapeError: An edit for another number of units.
        """
        if not edits:
            return self
        raise LayerError("this probe cannot run its model with the outputs of layers edited")

    # --- weights -------------------------------------------------------------------------

    def kernels(self, layer: str) -> Array:
        """The weights of a layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels, or they are not known.
        """
        raise LayerError("this probe does not tell the weights of a layer")

    def weights(self, layer: str) -> Mapping[str, Array]:
        """The weights of a layer itself, by name (`kernel`, `bias`, …); empty where it has none.

        Raises:
            LayerError: There is no such layer, or its weights are not known.
        """
        raise LayerError("this probe does not tell the weights of a layer")

    def fingerprint(self) -> Any:
        """Something that changes when the weights do; None where that is not known."""
        return None

    def is_stale(self) -> bool:
        """Whether layers of the model were exchanged, so that a new probe is needed."""
        return False

    # --- gradients -----------------------------------------------------------------------

    def score_function(
        self, layer: str | None, output: str, *, memory_budget_bytes: int
    ) -> DifferentiableScoreFunction:
        """The model from its inputs to the scores of its classes, for attributions.

        Args:
            layer: Whose maps are looked at; None for the last that has some.
            output: "logit" or "probability".
            memory_budget_bytes: How much a batch may take, about.

        Raises:
            ModelError: The model cannot be differentiated.
            LayerError: There is no such layer.
        """
        raise ModelError("this probe does not tell gradients of its model")

    def randomized_score_function(
        self, layer: str | None, output: str, *, memory_budget_bytes: int
    ) -> RandomizedScoreFunction:
        """The same with weights of its own, which can be made random; the model's are left alone.

        Raises:
            ModelError: The model's weights cannot be exchanged. And as `score_function`.
        """
        raise ModelError("this probe cannot run its model with random weights")

    def gradient_norms(
        self, layers: Sequence[str], x: Any, labels: Integers
    ) -> Mapping[str, float]:
        """The norm of the gradient of the loss by the trainable weights of each layer.

        Args:
            layers: Names of the layers.
            x: One batch.
            labels: `(sample,)` class indices.

        Returns:
            By layer; NaN for one without trainable weights. Empty where there is no loss that
            class labels go with, or where it is not known.
        """
        return {}

    # --- structure -----------------------------------------------------------------------

    def receptive_field(self, layer: str) -> ReceptiveField | None:
        """The part of the input that a position of a layer's map sees; None where not known."""
        return None

    def input_names(self, x: Any) -> tuple[str, ...]:
        """What the arrays in `x`, in the order of `batches.parts`, are called as inputs."""
        if isinstance(x, Mapping):
            return tuple(map(str, x))
        return tuple(f"input {place}" for place in range(len(batches.parts(x))))

    def input_axes(self) -> Mapping[str, tuple[str, ...]]:
        """What the axes of inputs are, by name, as far as the model's layers tell."""
        return {}

    def inputs_of(self, layer: str) -> tuple[str, ...] | None:
        """The inputs that a layer sees, by name; None where that is not known."""
        return None

    # --- training ------------------------------------------------------------------------

    def training_callback(self, listener: TrainingListener) -> Any:
        """A callback for `fit` that tells a listener of the training.

        Raises:
            ModelError: This probe's model cannot be trained.
        """
        raise ModelError("this probe's model cannot be trained")

    @property
    def is_training(self) -> bool:
        """Whether the model is being trained, as far as anybody has said."""
        return self.step_gate is not None and self.step_gate.training

    @property
    def may_read_on(self) -> bool:
        """Whether a pass that has begun may go on, as far as training steps are concerned."""
        return self.step_gate is None or self.step_gate.may_read_on

    def summarizes_at_once(self, layers: Sequence[str]) -> bool:
        """Whether summaries of these layers can be had without anything to be compiled first."""
        return True

    def read_lock(self) -> AbstractContextManager[None]:
        """A time in which no training step changes the weights."""
        return nullcontext() if self.step_gate is None else self.step_gate.read_lock()

    def background_read(self) -> AbstractContextManager[bool]:
        """Whether a batch of a pass over many samples may be read, and a time for it.

        Not while training steps change the weights: all batches are to see one state of them.
        """
        return nullcontext(True) if self.step_gate is None else self.step_gate.background_read()

    def close(self) -> None:  # noqa: B027 - nothing to end by default
        """Do nothing more in the background."""

    # --- moments of a training that are stored -------------------------------------------

    def weight_histograms(self, layer: str) -> Mapping[str, Histogram]:
        """Stored histograms of a layer's weights by name, of the moment that the probe is at."""
        raise LayerError("this probe keeps no histograms")

    def activation_histogram(self, layer: str) -> Histogram:
        """The stored histogram of a layer's output, of the moment that the probe is at."""
        raise LayerError("this probe keeps no histograms")

    def histogram_moments(
        self, layer: str, what: str, name: str | None = None
    ) -> Sequence[tuple[str, Histogram]]:
        """The stored histograms of all moments, the first one first, with a label each.

        Args:
            layer: Name of the layer.
            what: "weights" or "activations".
            name: Which weights: `kernel`, `bias`, …; None for activations.
        """
        raise LayerError("this probe keeps no histograms")


def settled_output_kind(
    probe: Probe, samples: Samples, given_names: Sequence[str] | None, output_is: str | None
) -> tuple[OutputKind | None, Sequence[str] | None]:
    """Settle what a model's output means by its labels and class names, and which names to use.

    Args:
        probe: Of the model.
        samples: With their `y`.
        given_names: Class names as somebody gave them; None for those that `y` brings along.
        output_is: What the caller says that the output is; None for nothing.

    Returns:
        What the output means, None where the probe does not tell; class names, or None.

    Raises:
        DataError: `y` brings other numbers of names than the model has classes; names that are
            no sequence.
    """
    output, y = probe.output_kind, samples.y
    if given_names is not None and not hasattr(given_names, "__len__"):
        raise DataError(f"class_names must be a sequence of names; got {given_names!r}")
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
