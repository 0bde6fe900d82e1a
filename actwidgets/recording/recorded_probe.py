"""A model as it was at a moment of its training, from stored values; no TensorFlow."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from actwidgets.core import batches
from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.training.histogram import Histogram
from actwidgets.errors import LayerError, NotRecordedError, SelectionError
from actwidgets.recording.known_samples import KnownSamples

if TYPE_CHECKING:
    from actwidgets.recording.recording import Recording

WITHOUT_MODEL = "a recording holds values, not the model: "


class RecordedProbe:
    """Answers for the recorded samples with what was stored; satisfies `Probe`.

    Values of layers without positions are known of all recorded samples, maps of the first
    ones. They are quantised: `recording.activation_error` tells by how much they may differ
    from what the model put out.

    Args:
        recording: An open recording.
        at: Which snapshot: its position in `recording.snapshots`, negative from the end.

    Attributes:
        layers: The recorded layers.
        n_classes: Outputs per sample; 0 where the output was not `(sample, class)`.
    """

    missing_for_changes = WITHOUT_MODEL + "units cannot be altered, nor samples disturbed"

    has_all_maps = False

    def __init__(self, recording: "Recording", at: int = -1) -> None:
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
        indices = [each.index for each in self.recording.snapshots]
        if self._index in indices:
            return indices.index(self._index)
        return int(np.argmin([abs(each - self._index) for each in indices]))

    @at.setter
    def at(self, at: int) -> None:
        snapshots = self.recording.snapshots
        if not -len(snapshots) <= at < len(snapshots):
            raise SelectionError(f"snapshot {at} is outside 0..{len(snapshots) - 1}")
        self._index = snapshots[at].index

    def input_names(self, x: Any) -> tuple[str, ...]:
        """What the arrays in `x` are called as inputs, as it was recorded."""
        parts, names = batches.parts(x), getattr(self.recording.manifest, "input_names", ())
        if len(names) == len(parts):
            return names
        return tuple(map(str, x)) if isinstance(x, Mapping) else tuple(map(str, range(len(parts))))

    def input_axes(self) -> dict[str, tuple[str, ...]]:
        """What the axes of inputs are, by name, as far as that was recorded."""
        return getattr(self.recording.manifest, "input_axes", {})

    @property
    def output_kind(self) -> OutputKind | None:
        """What the model's output means; may be set."""
        return self._output_kind or self.recording.output

    @output_kind.setter
    def output_kind(self, output: OutputKind) -> None:
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
            layers: Names of recorded layers.
            x: Recorded samples.
            above: Positions above this cannot be counted but where there is a single one.
            low: Whether the smallest values are wanted; they are there in any case.

        Raises: as `activations`.
        """
        rows = self._known.rows_of(x)
        found = {}
        for name in layers:
            self._require(name)
            found[name] = _rows_of(self.recording.summaries(name, self.at), rows, above)
        return found

    def predictions(self, x: Any) -> Floats:
        """The stored output of the model on recorded samples, `(sample, class)` float32.

        Raises: as `activations`.
        """
        found: Floats = self.recording.predictions(self.at)[self._known.rows_of(x)]
        return found

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
            layer: Name of the layer.
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

    def model_slice(self, *_asked: Any, **_options: Any) -> NoReturn:
        """Gradients cannot be had without the model.

        Raises:
            NotRecordedError: Always.
        """
        raise NotRecordedError(WITHOUT_MODEL + "what speaks for a class has to be asked of it")

    randomised_slice = model_slice

    def _require(self, layer: str) -> LayerInfo:
        if layer not in self._infos:
            known = ", ".join(self._infos)
            raise LayerError(f"no layer {layer!r} in this recording; it holds {known}")
        return self._infos[layer]

    def _outputs(self, info: LayerInfo, rows: Integers) -> Array:
        if len(info.output_shape) <= 2:  # the value of a unit is its own largest
            high = np.asarray(self.recording.summaries(info.name, self.at).high, np.float32)[rows]
            return high if len(info.output_shape) == 2 else high[:, 0]
        kept = self.recording.activations(info.name, self.at)
        beyond = rows[rows >= len(kept)]
        if len(beyond):
            raise NotRecordedError(_told_of_maps(len(kept), int(beyond[0])))
        return kept[rows]


def _rows_of(summary: SampleSummary, rows: Integers, above: float | None) -> SampleSummary:
    """Some rows of a summary; float64 means, as they are of a live model."""
    high = np.asarray(summary.high, np.float32)[rows]
    n_above: Integers | None = None
    if above is not None:
        if summary.n_positions != 1:
            raise NotRecordedError(
                WITHOUT_MODEL + "shares of positions above a threshold were not kept"
            )
        n_above = (high > np.float32(above)).astype(np.int64)
    return SampleSummary(
        high=high,
        mean=np.asarray(summary.mean, np.float64)[rows],
        low=None if summary.low is None else np.asarray(summary.low, np.float32)[rows],
        n_above=n_above,
        n_nan=None if summary.n_nan is None else summary.n_nan[rows],
        n_positions=summary.n_positions,
    )


def _told_of_maps(n_kept: int, sample: int) -> str:
    if not n_kept:
        return "no maps were kept in this recording"
    kept = "sample 0" if n_kept == 1 else f"samples 0 to {n_kept - 1}"
    return f"maps were kept of {kept}; sample {sample} has none"
