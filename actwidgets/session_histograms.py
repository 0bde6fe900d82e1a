"""How the weights of a session's model and what its layers put out are spread."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets as t

from actwidgets.core import probes
from actwidgets.core.arrays import Integers
from actwidgets.core.training.evenly import evenly
from actwidgets.core.training.histogram import Histogram, histogram
from actwidgets.errors import DataError, LayerError
from actwidgets.session_passes import SessionPasses

ACTIVATIONS = "activations"
NOW = "now"
VALUES = 2**20  # of a layer's output that are counted, about
FEWEST, MOST = 8, 1000  # samples by which activations are counted
BATCH, BATCH_VALUES = 64, 2**24  # samples at a time, and values of all layers
MOMENTS = 100  # that are kept


@dataclass(frozen=True)
class Moment:
    """Histograms of all layers at some time, by layer and name; `activations` is one."""

    label: str
    found: Mapping[str, Mapping[str, Histogram]]


@dataclass(frozen=True)
class Counted:
    """The histogram of what a layer put out, and of how many samples it is."""

    histogram: Histogram
    n_samples: int


class Histograms(t.HasTraits):
    """Histograms of weights and activations, now and at moments that were kept.

    Of the model as it is: ablations and disturbances of the session are not in force. A
    recorded session has the moments that were recorded.

    Activations are counted at all positions, over the same samples at all times: drawn once
    from those of the session, and so many that a million values or more come together, but at
    least 8 and at most 1,000; all of them where they are few.

    Args:
        session: The session.
    """

    n_changes = t.Int(0, read_only=True, help="raised when a moment is kept or forgotten")

    def __init__(self, session: SessionPasses) -> None:
        self._session = session
        self._moments: list[Moment] = []
        self._activations: dict[str, Counted] = {}
        self._counted_with: Any = None
        n_samples = session.n_samples
        drawn = np.random.default_rng(0).permutation(n_samples)[:MOST]
        self._rows: Integers = drawn.astype(np.int64)
        super().__init__()

    @property
    def recorded(self) -> bool:
        """Whether the moments are those of a recording."""
        return probes.keeps_histograms(self._session._probe)

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
        session = self._session
        with session.lock:
            name, probe = self._known(layer), session._probe
            if probes.keeps_histograms(probe):
                return dict(probes.kept_weight_histograms(probe, name))
            found = probes.weights(probe, name)
        return {
            each: histogram(values if limit is None else evenly(values, limit))
            for each, values in found.items()
        }

    def activations(self, layer: str | None = None) -> Histogram:
        """The histogram of what a layer puts out, as the weights are now.

        Args:
            layer: Name of the layer; the chosen one by default.

        Raises:
            LayerError: There is no such layer.

        Cost: forward passes over the samples named above, once for each state of the weights.
        """
        session = self._session
        with session.lock:
            name, probe = self._known(layer), session._probe
            if probes.keeps_histograms(probe):
                return probes.kept_activation_histogram(probe, name)
            return self._counted([name])[name].histogram

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
        session = self._session
        with session.lock:
            if self.recorded:
                raise DataError("a recording has its moments; none can be added")
            turns = probes.turns(session._probe)
            with nullcontext() if turns is None else turns.looking():
                found = {each: self.weights(each, limit=limit) for each in session._infos}
                if activations:
                    for each, counted in self._counted(list(session._infos)).items():
                        found[each][ACTIVATIONS] = counted.histogram
            kept = [each for each in self._moments if each.label != label]
            if len(kept) >= MOMENTS:
                kept = [*kept[:-1:2], kept[-1]]
            self._moments = [*kept, Moment(label, found)]
        self.set_trait("n_changes", self.n_changes + 1)

    def forget(self, label: str | None = None) -> None:
        """Forget a moment, or all of them.

        Raises:
            DataError: There is no such moment.
        """
        with self._session.lock:
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
        session = self._session
        with session.lock:
            name, probe = self._known(layer), session._probe
            if probes.keeps_histograms(probe):
                if what == ACTIVATIONS:
                    return list(probes.histogram_moments(probe, name, ACTIVATIONS))
                self._require(what, probes.kept_weight_histograms(probe, name), name)
                return list(probes.histogram_moments(probe, name, "weights", what))
            if what == ACTIVATIONS:
                now = self.activations(name)
            else:
                found = self.weights(name, limit=limit)
                self._require(what, found, name)
                now = found[what]
            kept = [(each.label, each.found.get(name, {}).get(what)) for each in self._moments]
            return [(label, each) for label, each in [*kept, (NOW, now)] if each is not None]

    @property
    def in_view(self) -> int:
        """Which of `moments` the session is at: the last, or that of a recording."""
        at = probes.moment(self._session._probe) if self.recorded else None
        return -1 if at is None else at

    def n_samples(self, layer: str | None = None) -> int:
        """Over how many samples `activations` counts those of a layer."""
        session = self._session
        with session.lock:
            name = self._known(layer)
            return session.n_samples if self.recorded else self._counted([name])[name].n_samples

    # --- how they are counted ------------------------------------------------------------

    def _known(self, layer: str | None) -> str:
        session = self._session
        name: str = session.layer if layer is None else layer
        if name not in session._infos:
            known = ", ".join(session._infos)
            raise LayerError(f"no layer {name!r}; this model has {known}")
        return name

    def _require(self, what: str, found: Mapping[str, Histogram], layer: str) -> None:
        if what not in found:
            known = ", ".join([*found, ACTIVATIONS])
            raise LayerError(f"layer {layer!r} has no {what!r}; it has {known}")

    def _counted(self, layers: Sequence[str]) -> dict[str, Counted]:
        """What layers put out, counted once for each state of the weights."""
        session = self._session
        state = session.revision, probes.fingerprint(session._probe)  # type: ignore[attr-defined]
        if state != self._counted_with:
            self._activations.clear()
            self._counted_with = state
        missing = [each for each in layers if each not in self._activations]
        self._activations |= self._count(missing)
        return {each: self._activations[each] for each in layers}

    def _count(self, layers: Sequence[str]) -> dict[str, Counted]:
        """Run the layers on the drawn samples, each until enough of its values came together."""
        session, rows = self._session, self._rows
        wanted = dict.fromkeys(layers, min(FEWEST, len(rows)))
        sizes: dict[str, int] = {}
        found: dict[str, Histogram] = {}
        start, batch = 0, FEWEST
        while due := [each for each in layers if wanted[each] > start]:
            stop = min(start + batch, *(wanted[each] for each in due))
            inputs = session._samples.rows(np.sort(rows[start:stop]))
            for each, values in session._probe.activations(due, inputs).items():
                counted = histogram(values)
                if start:
                    found[each] = found[each].merged(counted)
                    continue
                found[each], sizes[each] = counted, values[0].size
                enough = -(-VALUES // values[0].size) if values.size else 0
                wanted[each] = min(max(enough, FEWEST), MOST, len(rows))
            start = stop
            at_once = sum(sizes[each] for each in layers if wanted[each] > start)
            batch = min(max(BATCH_VALUES // max(at_once, 1), 1), BATCH)
        return {each: Counted(found[each], wanted[each]) for each in layers}
