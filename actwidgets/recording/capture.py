"""Which model, samples and layers are recorded, and capturing a snapshot of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.accumulators import SampleSummary, summarize
from actwidgets.core.arrays import Array, Integers, norm
from actwidgets.core.class_profiles import ProfileBuilder, ProfileSpec
from actwidgets.core.histograms import VALUES as ENOUGH_VALUES
from actwidgets.core.histograms import Histogram, histogram
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import checked_output_is
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError, LayerError, ModelError
from actwidgets.probe import base
from actwidgets.probe.base import Probe
from actwidgets.recording import store
from actwidgets.recording.snapshot import (
    LayerNumbers,
    LayerSnapshot,
    Manifest,
    Quantized,
    Snapshot,
    quantize,
)
from actwidgets.session.session import Session

MANY_UNITS = 4096  # layers with more (flattened maps, most often) are recorded where named


class RecordedModel:
    """A model and the samples that it is shown; see `Recorder` for the arguments."""

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Any,
        *,
        layers: Sequence[str] | None,
        class_names: Sequence[str] | None,
        n_maps: int,
        max_samples: int,
        batch_size: int,
        image_shape: Sequence[int] | None,
        head: str | int | None,
        output_is: str | None = None,
    ) -> None:
        self._session = model if isinstance(model, Session) else None
        self._model = model.model if isinstance(model, Session) else model
        if self._session is not None and x is None:
            samples = self._session._samples
        else:
            samples = Samples(x, y, max_samples=max_samples, image_shape=image_shape)
        if self._session is not None:
            class_names = self._session.class_names if class_names is None else class_names
            head = self._session._options["head"] if head is None else head
            output_is = output_is or self._session._options["output_is"]
        checked_output_is(output_is)
        self._head, self._output_is = head, output_is
        n_samples = min(len(samples), max_samples)
        self._one = samples.rows([0])
        self._probe: Probe = self._read() if self._session is None else self._session._probe
        self._probe.check(self._one)
        output, named = base.settled_output_kind(self._probe, samples, class_names, output_is)
        n_classes = count_classes(self._probe.n_classes, named, output, samples.y)
        names = checked_class_names(named, n_classes)
        if self._session is None or x is not None:
            names_of_inputs = base.input_names(self._probe, samples.x)
            samples.read_inputs(names_of_inputs, base.input_axes(self._probe))
        samples.read_y(output, n_classes, names, head=head)
        if samples.label_sets is not None or samples.masks is not None:
            held = "masks" if samples.label_sets is None else "several labels a sample"
            raise DataError(
                f"a recording keeps one class a sample, and y holds {held}: give x, and no y"
            )
        labels = None if samples.labels is None else samples.labels[:n_samples]
        self.targets = None if samples.targets is None else samples.targets[:n_samples]
        chosen = _chosen(self._probe.layers, layers)
        kept = samples.rows(range(n_samples))
        self.wish = SnapshotSpec(kept, labels, names, chosen, min(n_maps, n_samples), batch_size)
        self.manifest = Manifest(
            model_name=str(getattr(self._model, "name", "")),
            layers=self._probe.layers,
            recorded=tuple(info.name for info in chosen),
            class_names=names,
            n_classes=self._probe.n_classes,
            head=head,
            image_shape=tuple(samples._image_shape),
            n_samples=n_samples,
            n_maps=self.wish.n_maps,
            samples=store.digest(kept, labels, self.targets),
            output=output,
            input_names=tuple(samples.axes),
            input_axes=dict(samples.axes),
        )

    @property
    def probe(self) -> Probe:
        """As it was last read."""
        return self._probe

    def current_probe(self) -> Probe:
        """The same, read anew where layers of the model were exchanged.

        Raises:
            ModelError: It has other layers now.
        """
        if self._session is not None:
            self._probe = self._session._probe
        if base.is_stale(self._probe):
            self._probe = self._read()
        if self._probe.layers != self.manifest.layers:
            raise ModelError(
                "the model has other layers than when its recording began: begin another one"
            )
        return self._probe

    def close(self) -> None:
        """Read nothing more."""
        if self._session is None and self._probe is not self._model:
            base.stop(self._probe)

    def _read(self) -> Probe:
        if isinstance(self._model, Probe):
            return self._model
        from actwidgets.probe.keras_probe import KerasProbe

        return KerasProbe(self._model, self._one, head=self._head, output_is=self._output_is)


def _chosen(layers: Sequence[LayerInfo], names: Sequence[str] | None) -> tuple[LayerInfo, ...]:
    """The layers to record, in the model's order."""
    if names is None:
        chosen = [info for info in layers if not _refusal(info) and info.n_units <= MANY_UNITS]
        if not chosen:
            raise LayerError("this model has no layer that can be recorded")
        return tuple(chosen)
    known = {info.name: info for info in layers}
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise LayerError(f"no layer {name!r}; this model has {', '.join(known)}")
        if refusal := _refusal(known[name]):
            raise LayerError(f"layer {name!r} cannot be recorded: {refusal}")
    if not wanted:
        raise LayerError("layers must name at least one layer; got none")
    return tuple(info for info in layers if info.name in wanted)


def _refusal(info: LayerInfo) -> str:
    if not info.n_units:
        return "its number of units varies"
    return "its maps are empty" if 0 in info.output_shape[1:] else ""


MAX_KERNEL_VALUES = 100_000  # kernels of larger layers are not kept, only their histograms
GRADIENT_SAMPLES = 32  # what Keras trains on at a time unless told otherwise


@dataclass(frozen=True)
class SnapshotSpec:
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


def capture_snapshot(
    probe: Probe, wish: SnapshotSpec, update_ratios: Mapping[str, float]
) -> Snapshot:
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
    readings = {name: _Capture(wish.n_maps) for name in names}
    builder = ProfileBuilder(wish.class_names, ProfileSpec()) if wish.labels is not None else None
    predictions: list[Array] = []
    for x, labels in batches.iterate(wish.x, wish.labels, batch_size=wish.batch_size):
        outputs, predicted = base.outputs_and_predictions(probe, names, x)
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


class _Capture:
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
        self._summaries.append(summarize(values))
        return self._summaries[-1]

    @property
    def maps(self) -> Quantized:
        """Of the first samples."""
        return quantize(np.concatenate(self._maps))

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
    probe: Probe, name: str, reading: _Capture, update_ratio: float, gradients: Mapping[str, float]
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
        high=quantize(summary.high),
        mean=quantize(summary.mean),
        low=quantize(summary.low),
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
        return base.weights(probe, layer)
    except LayerError:
        return {}


def _kernels(probe: Probe, layer: str, weights: Mapping[str, Array]) -> Quantized | None:
    if not any(each.ndim > 1 and each.size <= MAX_KERNEL_VALUES for each in weights.values()):
        return None
    try:
        found = base.kernels(probe, layer)
    except LayerError:
        return None
    return quantize(found) if found.size <= MAX_KERNEL_VALUES else None


def _gradient_norms(probe: Probe, layers: Sequence[str], wish: SnapshotSpec) -> Mapping[str, float]:
    if wish.labels is None:
        return {}
    rows = slice(0, GRADIENT_SAMPLES)
    return base.gradient_norms(probe, layers, batches.take(wish.x, rows), wish.labels[rows])
