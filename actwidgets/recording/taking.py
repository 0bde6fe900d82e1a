"""Take a snapshot of a model: one pass over the samples for all layers at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actwidgets.core import batches, probes
from actwidgets.core.arrays import Array, Integers
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.probes import Probe
from actwidgets.core.profiles.profile_builder import ProfileBuilder, Wanted
from actwidgets.core.profiles.sample_summary import SampleSummary, summarise
from actwidgets.core.training.activation_counts import VALUES as ENOUGH_VALUES
from actwidgets.core.training.histogram import Histogram, histogram
from actwidgets.core.training.norm import norm
from actwidgets.core.training.quantised import Quantised, quantise
from actwidgets.errors import LayerError
from actwidgets.recording.snapshot import LayerNumbers, LayerSnapshot, Snapshot

MAX_KERNEL_VALUES = 100_000  # kernels of larger layers are not kept, only their histograms
GRADIENT_SAMPLES = 32  # what Keras trains on at a time unless told otherwise


@dataclass(frozen=True)
class Wish:
    """What a snapshot is taken of.

    Attributes:
        x: The samples: an array, or a list or dict of arrays.
        labels: `(sample,)` class indices, or None.
        class_names: One per class.
        layers: Those that are recorded.
        n_maps: Of how many samples whole maps are kept.
        batch_size: Samples per forward pass.
    """

    x: Any
    labels: Integers | None
    class_names: tuple[str, ...]
    layers: tuple[LayerInfo, ...]
    n_maps: int
    batch_size: int


def take(probe: Probe, wish: Wish, update_ratios: Mapping[str, float]) -> Snapshot:
    """What a model does with the samples, and what its weights are, now.

    Args:
        probe: Of the model.
        wish: What is looked at.
        update_ratios: By layer; NaN for others.

    Activations are counted of the first samples that make a million values.

    Cost: a forward pass over the samples, about as much again for what is counted of the
    layers' values, and a pass forth and back over 32 samples.
    """
    names = [info.name for info in wish.layers]
    readings = {name: _Reading(wish.n_maps) for name in names}
    builder = ProfileBuilder(wish.class_names, Wanted()) if wish.labels is not None else None
    predictions: list[Array] = []
    for x, labels in batches.iterate(wish.x, wish.labels, batch_size=wish.batch_size):
        outputs, predicted = probes.outputs_and_predictions(probe, names, x)
        summaries = {name: readings[name].add(outputs[name]) for name in names}
        if builder is not None:
            builder.add(summaries, labels)
        predictions.append(predicted)
    gradients = _gradient_norms(probe, names, wish)
    return Snapshot(
        predictions=np.concatenate(predictions).astype(np.float32) if probe.n_classes else None,
        profiles=None if builder is None else builder.profiles(),
        layers={
            name: _with_weights(
                probe, name, readings[name], update_ratios.get(name, np.nan), gradients
            )
            for name in names
        },
    )


class _Reading:
    """One layer, batch by batch."""

    def __init__(self, n_maps: int) -> None:
        self._n_maps, self._maps = n_maps, list[Array]()
        self._summaries: list[SampleSummary] = []
        self.histogram: Histogram | None = None

    def add(self, outputs: Array) -> SampleSummary:
        """One more batch, `(sample, …, unit)`; its summary."""
        values = outputs if outputs.ndim > 1 else outputs[:, None]
        missing = self._n_maps - sum(map(len, self._maps))
        if missing > 0 or not self._maps:
            self._maps.append(values[: max(missing, 0)].copy())
        n_counted = 0 if self.histogram is None else self.histogram.n_values
        if n_counted < ENOUGH_VALUES:
            n_rows = math.ceil((ENOUGH_VALUES - n_counted) / math.prod(values.shape[1:]))
            counted = histogram(values[:n_rows])
            self.histogram = counted if self.histogram is None else self.histogram.merged(counted)
        self._summaries.append(summarise(values))
        return self._summaries[-1]

    @property
    def maps(self) -> Quantised:
        """Of the first samples."""
        return quantise(np.concatenate(self._maps))

    @property
    def summary(self) -> SampleSummary:
        """Of all samples."""
        each = self._summaries
        counted = any(one.n_nan is not None for one in each)
        n_nan = [
            np.zeros(one.high.shape, np.int64) if one.n_nan is None else one.n_nan for one in each
        ]
        return SampleSummary(
            high=np.concatenate([one.high for one in each]),
            mean=np.concatenate([one.mean for one in each]),
            low=np.concatenate([one.low for one in each if one.low is not None]),
            n_nan=np.concatenate(n_nan) if counted else None,
            n_positions=each[0].n_positions,
        )


def _with_weights(
    probe: Probe, name: str, reading: _Reading, update_ratio: float, gradients: Mapping[str, float]
) -> LayerSnapshot:
    summary, weights = reading.summary, weights_of(probe, name)
    assert summary.low is not None
    assert reading.histogram is not None
    numbers = LayerNumbers(
        norm=norm(weights),
        update_ratio=float(update_ratio),
        gradient_norm=float(gradients.get(name, np.nan)),
        n_dead=int((~(summary.high > 0).any(axis=0)).sum()),
    )
    return LayerSnapshot(
        high=quantise(summary.high),
        mean=quantise(summary.mean),
        low=quantise(summary.low),
        n_nan=summary.n_nan,
        n_positions=summary.n_positions,
        maps=reading.maps,
        histogram=reading.histogram,
        weight_histograms={each: histogram(values) for each, values in weights.items()},
        kernels=_kernels(probe, name, weights),
        numbers=numbers,
    )


def weights_of(probe: Probe, layer: str) -> Mapping[str, Array]:
    """The weights of a layer by name; none where the probe does not tell them."""
    try:
        return probes.weights(probe, layer)
    except LayerError:
        return {}


def _kernels(probe: Probe, layer: str, weights: Mapping[str, Array]) -> Quantised | None:
    if not any(each.ndim > 1 and each.size <= MAX_KERNEL_VALUES for each in weights.values()):
        return None
    try:
        found = probes.kernels(probe, layer)
    except LayerError:
        return None
    return quantise(found) if found.size <= MAX_KERNEL_VALUES else None


def _gradient_norms(probe: Probe, layers: Sequence[str], wish: Wish) -> Mapping[str, float]:
    if wish.labels is None:
        return {}
    rows = slice(0, GRADIENT_SAMPLES)
    return probes.gradient_norms(probe, layers, batches.take(wish.x, rows), wish.labels[rows])
