"""Histograms of a session's weights and activations."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import traitlets as t

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.histograms import (
    ACTIVATIONS,
    MOST,
    NOW,
    ActivationHistogram,
    Histogram,
    HistogramMoment,
    activation_histogram,
    histogram,
    subsample,
)
from actwidgets.errors import DataError, LayerError
from actwidgets.session.context import Context

WHILE_TRAINING = 32  # samples at most: a picture is made between two steps
MOMENTS = 100  # that are kept


class Histograms(t.HasTraits):
    """Histograms of weights and activations, now and at moments that were kept.

    Of the model as it is: ablations and perturbations of the session are not in force. A
    recorded session has the moments that were recorded.

    Activations are counted at all positions, over the same samples at all times: drawn once
    from those of the session, and so many that a million values or more come together, but at
    least 8 and at most 256; all of them where they are few. While the model is being trained
    they are at most 32, but for what is remembered.

    Args:
        context: Whose weights and samples are counted.
    """

    n_changes = t.Int(0, read_only=True, help="raised when a moment is kept or forgotten")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._moments: list[HistogramMoment] = []
        self._activations: dict[tuple[str, int], ActivationHistogram] = {}
        self._counted_with: Any = None
        self._sizes: dict[tuple[str, str], int] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._named_probe: Any = None
        super().__init__()

    @cached_property
    def _rows(self) -> Integers:
        """The samples that are counted, in the order in which they are taken."""
        drawn = np.random.default_rng(0).permutation(self._context.n_samples)[:MOST]
        return drawn.astype(np.int64)

    @property
    def recorded(self) -> bool:
        """Whether the moments are those of a recording."""
        return self._context.probe.keeps_histograms

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the moments that were kept with `remember`, the earliest first."""
        return tuple(each.label for each in self._moments)

    def weights(
        self, layer: str | None = None, *, limit: int | None = None
    ) -> dict[str, Histogram]:
        """Histograms of a layer's weights as they are now, by name; none where it has none.

        Args:
            layer: Name of the layer; the chosen one by default.
            limit: Count no more values than so of each, evenly spread; all by default.

        Raises:
            LayerError: There is no such layer, or its weights cannot be told.

        Cost: a copy of the weights, and 4 ms for each million counted.
        """
        context = self._context
        with context.lock:
            name, probe = self._known(layer), context.probe
            if probe.keeps_histograms:
                return dict(probe.weight_histograms(name))
            return self._weights(name, self.weight_names(name), limit)

    def weight_names(self, layer: str | None = None) -> tuple[str, ...]:
        """The names of a layer's weights: `kernel`, `bias`, …; () where it has none.

        Raises:
            LayerError: There is no such layer, or its weights cannot be told.

        Cost: that of reading them, the first time.
        """
        context = self._context
        with context.lock:
            name, probe = self._known(layer), context.probe
            if probe is not self._named_probe:
                self._named_probe, self._names = probe, {}
            if name not in self._names:
                tell = probe.weight_histograms if probe.keeps_histograms else probe.weights
                self._names[name] = tuple(tell(name))
            return self._names[name]

    def activations(self, layer: str | None = None) -> Histogram:
        """The histogram of what a layer puts out, as the weights are now.

        Args:
            layer: Name of the layer; the chosen one by default.

        Raises:
            LayerError: There is no such layer.

        Cost: forward passes over the samples named above, once for each state of the weights.
        """
        context = self._context
        with context.lock:
            name, probe = self._known(layer), context.probe
            if probe.keeps_histograms:
                return probe.activation_histogram(name)
            return self._counted([name], self._at_once())[name].histogram

    def remember(self, label: str, *, activations: bool = True, limit: int | None = None) -> None:
        """Keep the histograms of all layers as they are now.

        At most 100 moments are kept; then every second one is forgotten, but the first and
        the last.

        Args:
            label: What the moment is called: "before", "epoch 1". One of the same name is
                forgotten.
            activations: Whether those of what the layers put out, too.
            limit: As in `weights`.

        Raises:
            DataError: A label that is empty or "now", or a session of a recording.

        Cost: see `weights` and `activations`; of all layers.
        """
        if not label or label == NOW:
            raise DataError(f'a moment needs a name of its own, such as "before"; got {label!r}')
        context = self._context
        with context.lock:
            if self.recorded:
                raise DataError("a recording has its moments; none can be added")
            with context.probe.read_lock():
                found = {each: self.weights(each, limit=limit) for each in context.infos}
                if activations:
                    for each, counted in self._counted(list(context.infos), MOST).items():
                        found[each][ACTIVATIONS] = counted.histogram
            kept = [each for each in self._moments if each.label != label]
            if len(kept) >= MOMENTS:
                kept = [*kept[:-1:2], kept[-1]]
            self._moments = [*kept, HistogramMoment(label, found)]
        self.set_trait("n_changes", self.n_changes + 1)

    def forget(self, label: str | None = None) -> None:
        """Forget a moment, or all of them.

        Raises:
            DataError: There is no such moment.
        """
        with self._context.lock:
            if label is not None and label not in self.labels:
                known = ", ".join(self.labels) or "none"
                raise DataError(f"no moment {label!r}; kept are {known}")
            self._moments = [each for each in self._moments if label not in (None, each.label)]
        self.set_trait("n_changes", self.n_changes + 1)

    def moments(
        self, layer: str | None = None, what: str = "kernel", *, limit: int | None = None
    ) -> list[tuple[str, Histogram]]:
        """A layer's histograms at all moments, the earliest first, each with its label.

        Args:
            layer: Name of the layer; the chosen one by default.
            what: The name of weights, or "activations".
            limit: As in `weights`.

        Returns:
            Those that were kept of it, and "now" last; of a recording those that it has.

        Raises:
            LayerError: There is no such layer, or it has no such weights.
        """
        context = self._context
        with context.lock:
            name, probe = self._known(layer), context.probe
            if probe.keeps_histograms:
                if what == ACTIVATIONS:
                    return list(probe.histogram_moments(name, ACTIVATIONS))
                self._require(what, name)
                return list(probe.histogram_moments(name, "weights", what))
            if what == ACTIVATIONS:
                now = self.activations(name)
            else:
                self._require(what, name)
                now = self._weights(name, [what], limit)[what]
            kept = [(each.label, each.histograms.get(name, {}).get(what)) for each in self._moments]
            return [(label, each) for label, each in [*kept, (NOW, now)] if each is not None]

    @property
    def in_view(self) -> int:
        """Which of `moments` the session is at: the last, or that of a recording."""
        return self._context.probe.at if self.recorded else -1

    def n_samples(self, layer: str | None = None) -> int:
        """Over how many samples `activations` counts those of a layer."""
        context = self._context
        with context.lock:
            name = self._known(layer)
            if not self.recorded:
                return self._counted([name], self._at_once())[name].n_samples
            sizes = context.infos[name].output_shape[1:]
            known = math.prod(size or 0 for size in sizes)  # 0 where sizes differ
            n_values = self.activations(name).n_values
            return n_values // known if known else context.n_samples

    def n_weights(self, layer: str, name: str) -> int | None:
        """How many weights there are, of which a part may have been counted.

        None where they have not been counted, or are of a recording.
        """
        return self._sizes.get((layer, name))

    # --- how they are counted ------------------------------------------------------------

    def _known(self, layer: str | None) -> str:
        return self._context.layer_info(layer).name

    def _require(self, what: str, layer: str) -> None:
        names = self.weight_names(layer)
        if what not in names:
            known = ", ".join([*names, ACTIVATIONS])
            raise LayerError(f"layer {layer!r} has no {what!r}; it has {known}")

    def _weights(self, layer: str, names: Sequence[str], limit: int | None) -> dict[str, Histogram]:
        """Some weights of a layer, counted."""
        found = self._context.probe.weights(layer)
        self._sizes |= {(layer, name): values.size for name, values in found.items()}
        return {
            name: histogram(found[name] if limit is None else subsample(found[name], limit))
            for name in names
        }

    def _at_once(self) -> int:
        """Of how many samples activations may be counted now."""
        return WHILE_TRAINING if self._context.probe.is_training else MOST

    def _counted(self, layers: Sequence[str], most: int) -> dict[str, ActivationHistogram]:
        """What layers put out, counted once for each state of the weights."""
        context = self._context
        state = context.revision, context.probe.fingerprint()
        if state != self._counted_with:
            self._activations.clear()
            self._counted_with = state
        missing = [each for each in layers if (each, most) not in self._activations]
        if missing:
            found = activation_histogram(self._run, missing, self._rows[:most])
            self._activations |= {(each, most): counted for each, counted in found.items()}
        return {each: self._activations[each, most] for each in layers}

    def _run(self, layers: Sequence[str], rows: Integers) -> Mapping[str, Array]:
        return self._context.probe.activations(layers, self._context.samples.rows(rows))
