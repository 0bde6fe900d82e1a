"""The numbers of one model on one set of samples, kept within a budget of memory.

Thrown away as a whole when weights or data are said to have changed, so that nothing stale
can be left; outputs also where the weights are found to differ.
"""

import time
from typing import Any

import numpy as np

from actwidgets.core import probes
from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.cache import ArrayCache
from actwidgets.core.interventions.ablation import Ablation
from actwidgets.core.interventions.altered_model import AlteredModel
from actwidgets.core.interventions.disturbance import UNDISTURBED, Disturbance
from actwidgets.core.predictions.class_scores import ClassScores
from actwidgets.core.predictions.confusion import Confusion, MultilabelConfusion
from actwidgets.core.predictions.output_kind import OutputKind, kind_by_values
from actwidgets.core.predictions.prediction_pass import PixelPass, PredictionPass, spread
from actwidgets.core.profiles.profile_pass import ProfilePass, ProfilePasses
from actwidgets.core.samples import Samples

TOLD_BY = 16  # samples by which outputs are judged that nobody tells of
ALL_SAMPLES = ("all samples",)  # the one class of samples without labels
LOOK_EVERY_S = 0.25  # how often weights are compared; it takes 20 ms for a large model
Ablations = tuple[Ablation, ...]


class ModelNumbers:
    """What a probe says of samples, asked for once and kept.

    Args:
        probe: Has `activations(layers, x)`, `predictions(x)` and `n_classes`.
        samples: The samples.
        class_names: One per class.
        budget_bytes: What cached maps and kept peaks may take together, about.
        output: What the model's output means; None to have it told once by some values.
    """

    def __init__(
        self,
        probe: Any,
        samples: Samples,
        class_names: tuple[str, ...],
        budget_bytes: int,
        output: OutputKind | None = None,
    ) -> None:
        self._probe = probe
        self._samples = samples
        self._class_names = class_names
        self._outputs = ArrayCache(budget_bytes // 2)
        self._passes = ProfilePasses(budget_bytes // 2)
        self._models: dict[Ablations, AlteredModel] = {}
        self._output = output
        self._weights = probes.fingerprint(probe)
        self._looked_s = time.monotonic()

    def maps(
        self,
        layer: str,
        rows: tuple[int, ...],
        disturbance: Disturbance = UNDISTURBED,
        ablations: Ablations = (),
    ) -> Array:
        """Activations of a layer on some samples, `(sample, …, unit)`, read-only."""
        key = layer, rows, disturbance, ablations
        if key in self._outputs:
            self._forget_outputs_of_other_weights()
        return self._outputs.get(
            key,
            lambda: self._model(ablations).probe.activations(
                (layer,), self._samples.disturbed(rows, disturbance)
            )[layer],
        )

    def predictions_on_show(
        self, rows: tuple[int, ...], disturbance: Disturbance, ablations: Ablations
    ) -> Array:
        """The model's output on some samples as they are shown, `(sample, class)`, read-only."""
        if disturbance.changes_nothing:
            return self.predictions(rows, ablations)
        key = "", rows, disturbance, ablations
        if key in self._outputs:
            self._forget_outputs_of_other_weights()
        return self._outputs.get(
            key,
            lambda: self._model(ablations).probe.predictions(
                self._samples.disturbed(rows, disturbance)
            ),
        )

    def predictions(self, rows: Any, ablations: Ablations = ()) -> Floats:
        """The model's output on some samples, `(sample, class)`."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).prediction_pass.predictions(rows)

    def pixel_pass(self, ablations: Ablations = ()) -> PixelPass:
        """The pass that compares masks with what the model says of their positions."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).pixel_pass(self._class_names, self.output_kind())

    def confusion(
        self, rows: Integers, ablations: Ablations = ()
    ) -> Confusion | MultilabelConfusion:
        """True and predicted classes of some samples; there are labels."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).confusion(rows, self._class_names, self.output_kind())

    def output_kind(self) -> OutputKind:
        """What the model's output means.

        Cost: nothing, but for a probe that does not tell: a forward pass for 16 samples, once.
        """
        if self._output is None and not self._probe.n_classes:
            told = "nothing tells what the model's output is"
            self._output = OutputKind("value", "", (None, None), told, "shape")
        if self._output is None:
            rows = spread(len(self._samples), TOLD_BY)
            of = f"{len(rows)} samples, evenly over all of them"
            self._output = kind_by_values(self._probe.predictions(self._samples.rows(rows)), of)
        return self._output

    def scores(self, rows: Integers, ablations: Ablations = ()) -> ClassScores:
        """What the model says of some samples, and how sure it is."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).scores(rows, self.output_kind())

    def prediction_pass(self, ablations: Ablations = ()) -> PredictionPass:
        """The pass that predicts all samples, as far as it has come."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).prediction_pass

    def probe(self, ablations: Ablations = ()) -> Any:
        """The probe of the model as it is, or as it is with ablations."""
        return self._model(ablations).probe

    def profile_pass(self, layers: tuple[str, ...], threshold: float) -> ProfilePass:
        """The pass over all samples for some layers, as far as it has come.

        Without labels they are taken together, as of one class.
        """
        samples, names = self._samples, self._class_names
        labels = samples.labels if samples.label_sets is None else samples.label_sets
        if labels is None:
            labels, names = np.zeros(len(samples), np.int64), ALL_SAMPLES

        def make(budget_bytes: int) -> ProfilePass:
            return ProfilePass(
                layers,
                lambda rows: probes.summaries(self._probe, layers, self._samples.rows(rows)),
                labels,
                names,
                threshold=threshold,
                budget_bytes=budget_bytes,
            )

        return self._passes.get(layers, threshold, make)

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        self._passes.resume()
        for each in self._models.values():
            each.resume()

    def _model(self, ablations: Ablations) -> AlteredModel:
        """The model as it is, or as it is with ablations; the last ones are kept."""
        if ablations not in self._models:
            for other in [each for each in self._models if each and ablations]:
                del self._models[other]  # a slider leaves a trail of them
            before = self._models.get(())
            self._models[ablations] = AlteredModel(
                self._probe, self._samples, ablations, before.unit_means if before else {}
            )
        return self._models[ablations]

    def _forget_outputs_of_other_weights(self) -> None:
        """A model in training changes unannounced: look now and then before showing old values."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        weights = probes.fingerprint(self._probe)
        self._looked_s = time.monotonic()
        if weights != self._weights:
            self._weights = weights
            self._outputs.clear()
            self._models.clear()
