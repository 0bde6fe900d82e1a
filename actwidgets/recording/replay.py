"""Recordings replayed: `Recording`, and the session and probe of one moment of a training."""

import copy
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import traitlets as t

from actwidgets.core import batches
from actwidgets.core.accumulators import SampleSummary, TopSamples
from actwidgets.core.arrays import Array, Floats, Integers, finite_range
from actwidgets.core.cka import LayerSimilarityTable
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.embedding import Embedding, Layout, Plane, principal_plane
from actwidgets.core.histograms import METRICS as OF_HISTOGRAMS
from actwidgets.core.histograms import Histogram
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.selection import Selection, known_rows
from actwidgets.errors import (
    DataError,
    LayerError,
    ModelError,
    NotRecordedError,
    SelectionError,
    require_integer,
)
from actwidgets.probe.base import Probe
from actwidgets.recording.recording import CommonScales, RecordingData
from actwidgets.recording.snapshot import SnapshotInfo
from actwidgets.recording.store import KnownSamples
from actwidgets.session.context import AnyTask, Context
from actwidgets.session.embeddings import INPUT, EmbeddingPass, Embeddings
from actwidgets.session.profiles import REPRESENTED, Layers, ProfilePass, Profiles
from actwidgets.session.session import Session
from actwidgets.session.tasks import Task

WITHOUT_MODEL = "a recording holds values, not the model: "


def _position(recording: RecordingData, at: int) -> int:
    """The position of a snapshot from the beginning on."""
    count, at = len(recording.snapshots), require_integer("at", at)
    if not -count <= at < count:
        raise SelectionError(
            f"snapshot {at} is outside 0..{count - 1} of the recording {recording.path}"
        )
    return at % count


class RecordedProbe(Probe):
    """Answer for the recorded samples with stored values.

    Values of layers without positions are known of all recorded samples, maps of the first
    ones. They are quantized: `recording.activation_error` tells by how much they may differ
    from what the model put out.

    Args:
        at: Which snapshot: its position in `recording.snapshots`, negative from the end.

    Attributes:
        layers: The recorded layers.
        n_classes: Outputs per sample; 0 where the output was not `(sample, class)`.
    """

    missing_for_changes = WITHOUT_MODEL + "units cannot be altered, nor samples perturbed"

    has_all_maps = False
    keeps_histograms = True

    def __init__(self, recording: RecordingData, at: int = -1) -> None:
        self.recording = recording
        self.at = at
        self.layers: tuple[LayerInfo, ...] = tuple(recording.layers)
        self._infos = {info.name: info for info in self.layers}
        self._known = KnownSamples(recording.x)
        self._histograms: dict[tuple[int, str, str, str | None], Histogram] = {}
        self.n_classes = recording.manifest.n_classes
        self._output_kind: OutputKind | None = None

    @property
    def at(self) -> int:
        """The position of the snapshot; may be set.

        A live recording may lose others before it; where it is lost itself, the nearest.
        """
        indices = [snapshot.index for snapshot in self.recording.snapshots]
        if self._index in indices:
            return indices.index(self._index)
        return int(np.argmin([abs(index - self._index) for index in indices]))

    @at.setter
    def at(self, at: int) -> None:
        self._index = self.recording.snapshots[_position(self.recording, at)].index

    @property
    def snapshot(self) -> SnapshotInfo:
        """The snapshot at that position."""
        return self.recording.snapshots[self.at]

    def input_names(self, x: Any) -> tuple[str, ...]:
        """What the arrays in `x` are called as inputs, as it was recorded."""
        parts, names = batches.parts(x), self.recording.manifest.input_names
        if len(names) == len(parts):
            return names
        return tuple(map(str, x)) if isinstance(x, Mapping) else tuple(map(str, range(len(parts))))

    def input_axes(self) -> dict[str, tuple[str, ...]]:
        """What the axes of inputs are, by name, as far as that was recorded."""
        return self.recording.manifest.input_axes

    @property
    def output_kind(self) -> OutputKind | None:
        """What the model's output means; may be set."""
        return self._output_kind or self.recording.output

    @output_kind.setter
    def output_kind(self, output: OutputKind | None) -> None:
        self._output_kind = output

    def pinned(self) -> "RecordedProbe":
        """The same, which stays at this snapshot wherever this one goes."""
        return copy.copy(self)

    def activations(self, layers: Sequence[str], x: Any) -> dict[str, Array]:
        """Stored outputs of layers on recorded samples, `(sample, …, unit)` float32, by name.

        Raises:
            NotRecordedError: A sample that was not recorded, or maps that were not kept of it.
            LayerError: A layer that was not recorded.
            ShapeError: Samples of another shape than the recorded ones.
        """
        rows = self._known.rows_of(x)
        return {name: self._outputs(self._require(name), rows) for name in layers}

    def summaries(
        self, layers: Sequence[str], x: Any, *, above: float | None = None, low: bool = True
    ) -> dict[str, SampleSummary]:
        """What layers put out for each recorded sample, positions folded away.

        Args:
            above: Positions above this cannot be counted but where there is a single one.
            low: Whether the smallest values are asked for; they are there in any case.

        Raises: as `activations`.
        """
        rows = self._known.rows_of(x)
        summaries = {}
        for name in layers:
            self._require(name)
            taken = self.recording.summaries(name, self.at).take(rows)
            n_above: Integers | None = None
            if above is not None:
                if taken.n_positions != 1:
                    raise NotRecordedError(
                        WITHOUT_MODEL + "shares of positions above a threshold were not kept"
                    )
                n_above = (taken.max > np.float32(above)).astype(np.int64)
            # Means are float64, as they are of a live model.
            mean = np.asarray(taken.mean, np.float64)
            summaries[name] = replace(taken, mean=mean, n_above=n_above)
        return summaries

    def predictions(self, x: Any) -> Floats:
        """The stored output of the model on recorded samples, `(sample, class)` float32.

        Raises: as `activations`.
        """
        predictions: Floats = self.recording.predictions(self.at)[self._known.rows_of(x)]
        return predictions

    def kernels(self, layer: str) -> Array:
        """The stored weights of a layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer had none, or they were not recorded.
        """
        return self.recording.kernels(layer, self.at)

    def check(self, x: Any) -> None:
        """Refuse samples of another shape than the recorded ones.

        Raises:
            ShapeError: Another shape, or another number of inputs.
        """
        self._known.check(x)

    def fingerprint(self) -> int:
        """Which snapshot this tells of: the number of its file."""
        return self._index

    def weight_histograms(self, layer: str) -> Mapping[str, Histogram]:
        """How the weights of a layer were spread, by name of the weight."""
        return self.recording.weight_histograms(layer, self.at)

    def activation_histogram(self, layer: str) -> Histogram:
        """How all values of a layer were spread, over all recorded samples."""
        return self.recording.activation_histogram(layer, self.at)

    def histogram_moments(
        self, layer: str, what: str, name: str | None = None
    ) -> list[tuple[str, Histogram]]:
        """The same at all snapshots, each with what it is called.

        Args:
            what: "weights" or "activations".
            name: Which weights.
        """
        with self.recording.still():
            return [
                (info.label, self._histogram(info.index, at, layer, what, name))
                for at, info in enumerate(self.recording.snapshots)
            ]

    def _histogram(self, index: int, at: int, layer: str, what: str, name: str | None) -> Histogram:
        """One that is stored; kept, as a ridgeline asks for all of them at every move."""
        key = index, layer, what, name
        if key not in self._histograms:
            if what == "activations":
                self._histograms[key] = self.recording.activation_histogram(layer, at)
            else:
                self._histograms[key] = self.recording.weight_histograms(layer, at)[str(name)]
        return self._histograms[key]

    # --- what only a model can do --------------------------------------------------------

    def edited(self, edits: Mapping[str, Any]) -> "RecordedProbe":
        """This probe for no edits; others cannot be had without the model.

        Raises:
            NotRecordedError: There are edits.
        """
        if not edits:
            return self
        raise NotRecordedError(WITHOUT_MODEL + "it cannot run with units altered")

    def score_function(self, *_asked: Any, **_options: Any) -> NoReturn:
        """Gradients cannot be had without the model.

        Raises:
            NotRecordedError: Always.
        """
        raise NotRecordedError(WITHOUT_MODEL + "an attribution has to be asked of it")

    randomized_score_function = score_function

    def _require(self, layer: str) -> LayerInfo:
        if layer not in self._infos:
            known = ", ".join(self._infos)
            raise LayerError(f"no layer {layer!r} in this recording; it holds {known}")
        return self._infos[layer]

    def _outputs(self, info: LayerInfo, rows: Integers) -> Array:
        if len(info.output_shape) <= 2:  # the value of a unit is its own largest
            high = np.asarray(self.recording.summaries(info.name, self.at).max, np.float32)[rows]
            return high if len(info.output_shape) == 2 else high[:, 0]
        kept = self.recording.activations(info.name, self.at)
        beyond = rows[rows >= len(kept)]
        if len(beyond):
            of = "sample 0" if len(kept) == 1 else f"samples 0 to {len(kept) - 1}"
            raise NotRecordedError(
                f"maps were kept of {of}; sample {beyond[0]} has none"
                if len(kept)
                else "no maps were kept in this recording"
            )
        return kept[rows]


class StoredPass(ProfilePass):
    """A pass that is through: the profiles are those of the training, exact at its threshold.

    At another threshold they follow from the stored peaks, which are quantized.

    Args:
        probe: At a snapshot, where it stays; a live recording may lose others before it.
        labels: `(sample,)` class indices of all recorded samples.
    """

    def __init__(self, probe: "RecordedProbe", layers: Layers, labels: Integers) -> None:
        n_samples = len(labels)
        Task.__init__(self, "profiles", layers, self._steps, lambda: (n_samples, n_samples))
        self._probe, self._labels = probe, labels
        stored = probe.recording.profiles(probe.at)
        sums = {name: stored.sums[name] for name in layers}
        self._stored = replace(stored, sums=sums, complete=True)
        self._moved: tuple[float, ClassProfiles] | None = None

    @property
    def n_bytes(self) -> int:
        """Nothing of its own."""
        return 0

    def step(self) -> None:
        """Do nothing: all is there."""

    def can_answer(self, threshold: float) -> bool:
        """At any threshold."""
        return True

    def profiles(self, threshold: float) -> ClassProfiles:
        """The profiles at a threshold; the last ones that were worked out are kept."""
        if threshold == self._stored.threshold:
            return self._stored
        if self._moved is None or self._moved[0] != threshold:
            peaks = {name: self.peaks(name) for name in self.layers}
            labels = np.asarray(self._labels, np.int64)  # of recordings one class each
            self._moved = threshold, self._stored.at_peaks(peaks, labels, threshold)
        return self._moved[1]

    def peaks(self, layer: str) -> Floats:
        """`(sample, unit)` float32: the largest value of each sample."""
        return np.asarray(self._probe.recording.summaries(layer, self._probe.at).max, np.float32)

    def peak_range(self, layer: str) -> tuple[float, float]:
        """The smallest and the largest value of a layer."""
        sums = self._stored.sums[layer]
        lows = self.peaks(layer) if sums.min is None else sums.min
        highs = self.peaks(layer) if sums.max is None else sums.max
        return finite_range(lows)[0], finite_range(highs)[1]

    def top(self, layer: str, unit: int) -> tuple[Integers, Floats]:
        """The samples that drive a unit most, the first the most, and their values."""
        return TopSamples.of(self.peaks(layer)[:, unit])


AT_ONCE_S = 0.25  # what takes longer comes from the background


class RecordedEmbeddings(Embeddings):
    """Pictures of recorded samples as points, kept for every moment that was looked at.

    Principal components are those of the last snapshot, for all moments: a point moves only
    where what the model makes of its sample does. t-SNE begins at the points of the nearest
    moment that has been laid out.
    """

    def __init__(self, context: Context, probe: "RecordedProbe") -> None:
        self._planes: dict[tuple[str, int, int], Plane] = {}
        self._probe = probe
        super().__init__(context)

    def _moment(self, of: str | None = None) -> int | None:
        return None if of == INPUT else self._probe.snapshot.index

    def _task(self, key: Hashable, make: Callable[[], AnyTask]) -> AnyTask:
        self._revision = self.context.revision  # nothing kept is old: keys tell the moment
        return super()._task(key, make)

    def _advance(
        self, task: Task, key: Hashable, partial: bool, client: str, at_once_s: float = 0.0
    ) -> None:
        """What comes of stored values alone is made at once, so that a scrub paints once."""
        is_quick = task.layers != (INPUT,) and not task.is_slow
        super()._advance(task, key, partial, client, AT_ONCE_S if is_quick else at_once_s)

    def _reference(self, of: str, n_points: int, layout: Layout) -> "_OverTime | None":
        if of == INPUT:
            return None
        moment = self._probe.snapshot.index
        return _OverTime(
            lambda: self._plane(of, n_points), lambda: self._nearest(moment, of, n_points, layout)
        )

    def _plane(self, of: str, n_points: int) -> Plane:
        """The plane of a layer at the last snapshot, worked out once."""
        recording, rows = self._probe.recording, self.rows(n_points)
        last = recording.snapshots[-1]
        key = of, n_points, last.index
        if key not in self._planes:
            features = np.asarray(recording.summaries(of, -1).mean, np.float64)[rows]
            note = f"the plane of the two largest components at epoch {last.epoch:g}, the last"
            name = f"{of} at {last.index} of {n_points} points"
            self._planes[key] = principal_plane(features, name, note)
        return self._planes[key]

    def _nearest(
        self, moment: int, of: str, n_points: int, layout: Layout
    ) -> tuple[Embedding, str] | None:
        """The picture of the nearest other moment, and its epoch in words."""
        made: dict[int, Any] = {}
        for key, each in list(self._tasks.items()):
            if isinstance(each, EmbeddingPass) and each.complete and isinstance(key, tuple):
                _, *rest, other = key
                if rest == [of, n_points, layout] and other not in (None, moment):
                    made[other] = each
        epochs = {each.index: each.epoch for each in self._probe.recording.snapshots}
        known = [each for each in made if each in epochs]
        if not known:
            return None
        nearest = min(known, key=lambda each: abs(each - moment))
        return made[nearest].embedding(), f"epoch {epochs[nearest]:g}"


@dataclass(frozen=True)
class _OverTime:
    """The `Reference` of pictures over the snapshots of a training."""

    plane: Callable[[], Plane]
    begin: Callable[[], tuple[Embedding, str] | None]


class RecordedProfiles(Profiles):
    """Profiles of classes at the moment that is shown, from stored values.

    Args:
        context: That of the session over the recording.
        probe: What tells of the recording.
    """

    def __init__(self, context: Context, probe: "RecordedProbe") -> None:
        self._probe = probe
        self._stored: dict[Layers, StoredPass] = {}
        self._similarities: dict[Any, tuple[LayerSimilarityTable | None, tuple[str, ...]]] = {}
        super().__init__(context)

    def task(self, layers: Layers, threshold: float) -> ProfilePass:
        """The profiles of some layers, all there."""
        labels = self._context.samples.labels
        if labels is None:
            raise DataError("class profiles need labels; this recording has none")
        if layers not in self._stored:
            self._stored[layers] = StoredPass(self._probe.pinned(), layers, labels)
        return self._stored[layers]

    def forget(self, *, everything: bool = False) -> None:
        """Drop what was looked up, as another moment is shown now."""
        self._stored = {}
        super().forget(everything=everything)

    @property
    def _has_none(self) -> str:
        return "this recording has none"

    def missing_for_units(self) -> str:
        """Why there is nothing to tell of the chosen layer's units: "" where there is."""
        if self._context.samples.labels is None:
            return "this recording was made without labels, and holds no profiles"
        return super().missing_for_units()

    def layer_similarity(
        self,
        *,
        other: Profiles | None = None,
        positions: Literal["mean", "flat"] = "mean",
        partial: bool = False,
    ) -> tuple[LayerSimilarityTable | None, tuple[str, ...]]:
        """As of `Profiles`; kept for each snapshot that was looked at."""
        with self._context.lock:
            moment = None if other is None else (id(other), other._context.revision)
            if isinstance(other, RecordedProfiles):
                moment = id(other), other._probe.snapshot.index
            key = self._probe.snapshot.index, moment, positions
            known = self._similarities.get(key)
        if known is not None:
            return known
        result = super().layer_similarity(other=other, positions=positions, partial=partial)
        n_samples = min(self._context.n_samples, REPRESENTED)
        if result[0] is not None and result[0].n_samples == n_samples:
            self._similarities[key] = result
        return result


class RecordedSession(Session):
    """A session over a recording, at one snapshot of it; any view works on stored values.

    Set `at`, or link it, and all views show another moment. What only the model could tell
    (attributions, ablations, perturbed samples) is refused with a sentence.

    Args:
        recording: An open recording with a snapshot or more.
        at: Which snapshot: its position in `recording.snapshots`, negative from the end.
        **options: As of `Session`: `image_shape`, the first selection, …

    Raises:
        DataError: The recording holds no snapshot yet.
        SelectionError: No such snapshot, or a first selection that does not exist.
    """

    at = t.Int(0, help="which snapshot is shown: its position in `recording.snapshots`")

    _is_ready = False

    def __init__(self, recording: RecordingData, at: int = -1, **options: Any) -> None:
        self.recording = recording
        if not recording.snapshots:
            raise DataError(f"the recording {recording.path} holds no snapshot yet")
        index = _position(recording, at)
        options.setdefault("class_names", recording.class_names or None)
        options.setdefault("image_shape", recording.manifest.image_shape)
        options.setdefault("head", recording.manifest.head)  # which of them y is of
        self._scales = CommonScales(recording)
        y = recording.labels if recording.targets is None else recording.targets
        self._recorded = RecordedProbe(recording, index)
        super().__init__(self._recorded, recording.x, y, **options)
        self.at = index
        self._is_ready = True

    def _make_parts(self) -> None:
        super()._make_parts()
        self.profiles = RecordedProfiles(self.context, self._recorded)
        self.embeddings = RecordedEmbeddings(self.context, self._recorded)

    def _take(self, model: Any) -> None:
        raise ModelError(
            f"the model of a session over a recording cannot be set; got {type(model).__name__}: "
            "open a session over another recording"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the moment only while nobody else changes something."""
        if name == "at":
            with self.lock:
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    @property
    def snapshot(self) -> SnapshotInfo:
        """The snapshot that is shown: its epoch, step and metrics."""
        return self._recorded.snapshot

    @property
    def epoch(self) -> float:
        """Epochs that were trained when it was taken: 1.5 is amid the second."""
        return float(self.snapshot.epoch)

    def peak_values(self, rows: Sequence[int]) -> Floats:
        """The largest value of the chosen unit on each of `rows`, `(sample,)` float32."""
        known = list(known_rows(rows, self.n_samples))
        high = self.recording.summaries(self.layer, self._index).max
        return np.asarray(high, np.float32)[known, self.unit]

    def distance_scale(
        self, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> float | None:
        """How far two classes are apart in the chosen layer at most, at any snapshot.

        Colors that reach so far can be compared from one epoch to the next.

        Args:
            statistic: As in `similarity`.
            metric: As in `similarity`.

        Returns:
            Of metrics that end at 1, as those of histograms do, 1. None where it is not known at
            once: of firing rates at a threshold other than 0, and of very many classes.

        Cost: a read of each snapshot, at most 64 evenly spread, when it is asked for first.
        """
        with self.lock:
            if statistic == "firing_rate" and metric not in OF_HISTOGRAMS and self.threshold:
                return None
            if self.labels is None:
                return None
            return self._scales.distance(self.layer, statistic, metric)

    def confusion_scale(self, normalized: str = "counts") -> tuple[float, float] | None:
        """The largest cell of `confusion` that is right and that is wrong, at any snapshot.

        Args:
            normalized: As in `Confusion.normalized`.

        Cost: as of `distance_scale`.
        """
        with self.lock:
            return self._scales.confused(normalized, self.class_names)

    @property
    def _index(self) -> int:
        """Where the snapshot is now; `at` is where it was when the recording was looked at."""
        return self._recorded.at

    def refresh(self) -> None:
        """Look at the recording again: a live one may have more snapshots, or fewer.

        The snapshot that was shown still is; where it was thinned out, the one nearest to it.
        """
        with self.lock:
            self.recording.refresh()
            index = self._index
            if index == self.at:
                self._move()
            else:
                self.at = index

    # --- how it is kept ------------------------------------------------------------------

    @t.validate("at")
    def _known_position(self, proposal: Any) -> int:
        return _position(self.recording, proposal.value)

    @t.observe("at")
    def _on_at(self, _change: Any) -> None:
        if self._is_ready:
            self._move()

    def _move(self) -> None:
        with self.lock:
            self._recorded.at = self.at
            self._forget()
            self._raise_revision()

    def _resolved(self, choice: Any) -> Selection:
        resolved = super()._resolved(choice)
        if resolved.ablations or not resolved.perturbation.is_identity:
            raise SelectionError(RecordedProbe.missing_for_changes)
        return resolved


class Recording(RecordingData):
    """A training on disk: its data, sessions over it, and what can be written of it.

    `at` is a position in `snapshots` everywhere, counted from the end where negative. A recorder
    that goes on adds snapshots, and may drop some in between: `refresh` looks again.

    Raises:
        DataError: It holds no recording, or one that cannot be read; says why.
    """

    # --- looking at it -------------------------------------------------------------------

    def probe(self, at: int = -1) -> RecordedProbe:
        """The model as it was at a snapshot, for `Session`; it knows the recorded samples only.

        Raises:
            SelectionError: There is no such snapshot.
        """
        return RecordedProbe(self, at)

    def session(self, at: int = -1, **options: Any) -> RecordedSession:
        """A session that any view works on; set its `at` to look at another snapshot.

        Args:
            at: Which snapshot it begins at.
            **options: As of `Session`: the first `layer` or `sample`, …

        Raises:
            DataError: There is no snapshot yet.
            SelectionError: No such snapshot, or a first selection that does not exist.
        """
        return RecordedSession(self, at, **options)

    # --- handing it on -------------------------------------------------------------------

    def save_gif(self, view: Any, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a view of `session()` as an animated GIF; see `export.animation.save_gif`.

        Over the snapshots, or with `over="layers"` the input and then each layer. The view is
        put back to what it showed.
        """
        from actwidgets.export.animation import save_gif

        save_gif(view, path, **options)

    def save_contact_sheet(self, view: Any, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the frames of `save_gif` beside one another, as one PNG."""
        from actwidgets.export.animation import save_contact_sheet

        save_contact_sheet(view, path, **options)

    def to_tensorboard(self, logdir: str | os.PathLike[str], **options: Any) -> Path:
        """Write event files into a folder in `logdir`; see `export.tensorboard`."""
        from actwidgets.export.tensorboard import to_tensorboard

        return to_tensorboard(self, logdir, **options)


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open what a `Recorder` has written, while it goes on or long after.

    Neither the model nor TensorFlow is needed. Snapshots that cannot be read are left out,
    and `refused` says why.

    Raises:
        DataError: The folder holds no recording, or one of a newer version; says why.
    """
    return Recording(path)
