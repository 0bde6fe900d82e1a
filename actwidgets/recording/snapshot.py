"""A snapshot of a model in training: captured, written and read back; and the manifest."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core import batches, class_profiles, files
from actwidgets.core.accumulators import SampleSummary, summarize
from actwidgets.core.arrays import Array, Floats, Integers, norm
from actwidgets.core.class_profiles import ClassProfiles, ProfileBuilder, ProfileSpec
from actwidgets.core.files import Arrays, replacing
from actwidgets.core.histograms import VALUES as ENOUGH_VALUES
from actwidgets.core.histograms import Histogram, histogram
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import DataError, LayerError
from actwidgets.images.inputs import Axes
from actwidgets.probe.base import Probe
from actwidgets.recording.store import Quantized, quantize

MANIFEST_NAME = "manifest.json"
MANIFEST_KIND = files.Kind(
    format="actwidgets recording", version=1, what="a recording", hint="make one with Recorder"
)


@dataclass(frozen=True)
class Manifest:
    """What a recording is of; written once, when it begins.

    Attributes:
        model_name: What Keras calls the model; "" where nobody knows.
        layers: All layers of the model that can be shown, in its order.
        recorded: Names of those that are recorded, in that order.
        class_names: One per class.
        n_classes: Outputs per sample; 0 where the output is no vector.
        head: Which of several outputs is predicted, as `Session` takes it.
        image_shape: Of samples given as vectors, or None; as `Session` takes it.
        n_samples: How many samples are recorded.
        n_maps: Of how many of them, the first, whole maps are kept.
        samples: A digest of the samples and of their labels or targets.
        output: What the model's output means; None in recordings of before that was kept.
        input_names: Of the arrays of the samples; none where that was not kept.
        input_axes: What their axes are, by name.
    """

    model_name: str
    layers: tuple[LayerInfo, ...]
    recorded: tuple[str, ...]
    class_names: tuple[str, ...]
    n_classes: int
    head: str | int | None
    image_shape: tuple[int, ...] | None
    n_samples: int
    n_maps: int
    samples: str
    output: OutputKind | None = None
    input_names: tuple[str, ...] = ()
    input_axes: dict[str, Axes] = field(default_factory=dict)

    @property
    def recorded_layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are recorded."""
        return tuple(info for info in self.layers if info.name in self.recorded)

    def difference(self, other: "Manifest") -> str:
        """What another recording has other than this one; "" where it can be the same."""
        said = {
            "recorded": "other layers",
            "layers": "a model of other layers",
            "samples": "other samples, labels or targets",
            "class_names": "other class names",
            "n_maps": "maps of another number of samples (n_maps)",
            "n_classes": "a model with another number of outputs",
            "head": "another output (head)",
            "image_shape": "another image_shape",
        }
        for name, words in said.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return ""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into a folder, which makes a recording of it.

    Raises:
        DataError: It cannot be written.
    """
    header = {"format": MANIFEST_KIND.format, "version": MANIFEST_KIND.version, **asdict(manifest)}
    with replacing(folder / MANIFEST_NAME, "recordings") as file:
        file.write(json.dumps(header, indent=1).encode())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a recording.

    Raises:
        DataError: The folder holds no recording, or one that cannot be read; says why.
    """
    path = folder / MANIFEST_NAME
    name = repr(str(path))
    try:
        header = json.loads(path.read_bytes())
        if not isinstance(header, dict):
            raise TypeError("not an object")
        files.require_field(header, MANIFEST_KIND, name)
        return _manifest(header)
    except (FileNotFoundError, NotADirectoryError) as failure:
        raise DataError(
            f"{str(folder)!r} holds no recording: there is no {MANIFEST_NAME} in it"
        ) from failure
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise DataError(
            f"{name} cannot be read as the manifest of a recording: it is cut off, damaged or "
            f"of something else ({failure})"
        ) from failure


def _manifest(header: dict[str, Any]) -> Manifest:
    later = ("output", "input_names", "input_axes")
    values = {each.name: header[each.name] for each in fields(Manifest) if each.name not in later}
    values["input_names"] = tuple(header.get("input_names", ()))
    axes = header.get("input_axes", {})
    values["input_axes"] = {name: tuple(named) for name, named in axes.items()}
    output = header.get("output")
    values["output"] = None if output is None else OutputKind.from_dict(output)
    values["layers"] = tuple(
        LayerInfo(**(layer | {"output_shape": tuple(layer["output_shape"])}))
        for layer in values["layers"]
    )
    for name in ("recorded", "class_names", "image_shape"):
        values[name] = None if values[name] is None else tuple(values[name])
    return Manifest(**values)


@dataclass(frozen=True)
class LayerNumbers:
    """A few numbers of a layer; NaN where there is none.

    Attributes:
        norm: Of all its weights together, as one vector.
        update_ratio: The norm of what the last measured step added to them, over `norm`.
        gradient_norm: Of the loss by its trainable weights.
        n_dead: Units that are above 0 on none of the recorded samples.
    """

    norm: float
    update_ratio: float
    gradient_norm: float
    n_dead: int


@dataclass(frozen=True, eq=False)
class LayerSnapshot:
    """One layer at one moment.

    Attributes:
        max: The largest value at any position, `(sample, unit)`, of all recorded samples.
        mean: The mean over positions, the same.
        min: The smallest value, the same.
        n_nan: `(sample, unit)` positions that are NaN, or None where there are none.
        n_positions: Positions of the map.
        maps: Whole outputs of the first samples, `(sample, …, unit)`.
        histogram: Of all values of all recorded samples.
        weight_histograms: By name of the weight.
        kernels: `(row, column, in_channel, out_channel)`; None where there are none, or many.
        numbers: See there.
    """

    max: Quantized
    mean: Quantized
    min: Quantized
    n_nan: Integers | None
    n_positions: int
    maps: Quantized
    histogram: Histogram
    weight_histograms: Mapping[str, Histogram]
    kernels: Quantized | None
    numbers: LayerNumbers

    @property
    def summary(self) -> SampleSummary:
        """What the layer puts out for each sample."""
        return SampleSummary(
            max=self.max.values,
            mean=self.mean.values,
            min=self.min.values,
            n_nan=self.n_nan,
            n_positions=self.n_positions,
        )


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model at one moment.

    Attributes:
        predictions: `(sample, class)` float32; None where the output is no vector.
        profiles: Of the recorded samples by class, exact; None without labels.
        layers: By name.
    """

    predictions: Floats | None
    profiles: ClassProfiles | None
    layers: Mapping[str, LayerSnapshot]


MAX_KERNEL_VALUES = 100_000  # kernels of larger layers are not kept, only their histograms
GRADIENT_SAMPLES = 32  # what Keras trains on at a time unless told otherwise


@dataclass(frozen=True)
class SnapshotSpec:
    """Samples and layers that snapshots are captured of.

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
    probe: Probe, spec: SnapshotSpec, update_ratios: Mapping[str, float]
) -> Snapshot:
    """Capture activations, predictions, profiles and weights of a model.

    Args:
        probe: Of the model.
        spec: Samples and layers.
        update_ratios: By layer; NaN for others.

    Activations are counted of the first samples that make a million values.

    Cost: a forward pass over the samples, about as much again for what is counted of the
    layers' values, and a pass forth and back over 32 samples.
    """
    names = [info.name for info in spec.layers]
    captures = {name: _LayerCapture(spec.n_maps) for name in names}
    builder = ProfileBuilder(spec.class_names, ProfileSpec()) if spec.labels is not None else None
    predictions: list[Array] = []
    for x, labels in batches.iterate(spec.x, spec.labels, batch_size=spec.batch_size):
        outputs, predicted = probe.outputs_and_predictions(names, x)
        summaries = {name: captures[name].add(outputs[name]) for name in names}
        if builder is not None:
            builder.add(summaries, labels)
        predictions.append(predicted)
    gradient_norms: Mapping[str, float] = {}
    if spec.labels is not None:
        rows = slice(0, GRADIENT_SAMPLES)
        x = batches.take(spec.x, rows)
        gradient_norms = probe.gradient_norms(names, x, spec.labels[rows])
    layers = {}
    for name, capture in captures.items():
        numbers = {
            "update_ratio": float(update_ratios.get(name, np.nan)),
            "gradient_norm": float(gradient_norms.get(name, np.nan)),
        }
        weights = weights_of(probe, name)
        layers[name] = capture.snapshot(weights, _kernels(probe, name, weights), numbers)
    return Snapshot(
        predictions=np.concatenate(predictions).astype(np.float32) if probe.n_classes else None,
        profiles=None if builder is None else builder.profiles(),
        layers=layers,
    )


class _LayerCapture:
    """One layer's maps, summaries and histogram, batch by batch."""

    def __init__(self, n_maps: int) -> None:
        self._n_maps, self._maps = n_maps, list[Array]()
        self._summaries: list[SampleSummary] = []
        self._histogram: Histogram | None = None

    def add(self, outputs: Array) -> SampleSummary:
        """Take one more batch, `(sample, …, unit)`; give its summary."""
        values = outputs if outputs.ndim > 1 else outputs[:, None]
        missing = self._n_maps - sum(map(len, self._maps))
        if missing > 0 or not self._maps:
            self._maps.append(values[: max(missing, 0)].copy())
        n_counted = 0 if self._histogram is None else self._histogram.n_values
        if n_counted < ENOUGH_VALUES:
            n_rows = math.ceil((ENOUGH_VALUES - n_counted) / math.prod(values.shape[1:]))
            batch = histogram(values[:n_rows])
            self._histogram = batch if self._histogram is None else self._histogram.merged(batch)
        self._summaries.append(summarize(values))
        return self._summaries[-1]

    def snapshot(
        self, weights: Mapping[str, Array], kernels: Quantized | None, numbers: dict[str, float]
    ) -> LayerSnapshot:
        """All batches together, and the weights; `numbers` are those only others know."""
        assert self._histogram is not None
        parts = self._summaries
        high = np.concatenate([part.max for part in parts])
        n_nan = np.concatenate(
            [np.zeros(part.max.shape, np.int64) if part.n_nan is None else part.n_nan
             for part in parts]
        )  # fmt: skip
        return LayerSnapshot(
            max=quantize(high),
            mean=quantize(np.concatenate([part.mean for part in parts])),
            min=quantize(np.concatenate([part.min for part in parts if part.min is not None])),
            n_nan=n_nan if n_nan.any() else None,
            n_positions=parts[0].n_positions,
            maps=quantize(np.concatenate(self._maps)),
            histogram=self._histogram,
            weight_histograms={name: histogram(values) for name, values in weights.items()},
            kernels=kernels,
            numbers=LayerNumbers(
                norm=norm(weights), n_dead=int((~(high > 0).any(axis=0)).sum()), **numbers
            ),
        )


def weights_of(probe: Probe, layer: str) -> Mapping[str, Array]:
    """The weights of a layer by name; none where the probe does not tell them."""
    try:
        return probe.weights(layer)
    except LayerError:
        return {}


def _kernels(probe: Probe, layer: str, weights: Mapping[str, Array]) -> Quantized | None:
    if not any(weight.ndim > 1 and weight.size <= MAX_KERNEL_VALUES for weight in weights.values()):
        return None
    try:
        kernels = probe.kernels(layer)
    except LayerError:
        return None
    return quantize(kernels) if kernels.size <= MAX_KERNEL_VALUES else None


KIND = files.Kind(
    format="actwidgets snapshot",
    version=1,
    what="a snapshot of a training",
    hint="it belongs to a recording made with Recorder",
)
PREFIX = "snapshot-"
_NAME = re.compile(rf"{PREFIX}(\d+)\.npz")
STORED = ("max", "kernels")  # the others may be equal to the first
Packed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class SnapshotInfo:
    """Epoch, step, time, metrics and file of a snapshot.

    Attributes:
        index: Its number; that of the file.
        epoch: Epochs trained: 0 before the first, 1.5 amid the second.
        step: Steps trained, over all calls of `fit`.
        seconds: Time since the recording began, pauses between calls of `fit` left out.
        metrics: By name.
        file: Its name in the folder.
        n_bytes: What it takes on disk.
        numbers: By layer.
    """

    index: int
    epoch: float
    step: int
    seconds: float
    metrics: Mapping[str, float]
    file: str = ""
    n_bytes: int = 0
    numbers: Mapping[str, LayerNumbers] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """What the moment is called: "before training", "epoch 1.5"."""
        return f"epoch {self.epoch:.4g}" if self.epoch else "before training"


def index_of(name: str) -> int | None:
    """The number of a snapshot's file; None for other files."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def write_snapshot(
    folder: Path, manifest: Manifest, info: SnapshotInfo, snapshot: Snapshot
) -> SnapshotInfo:
    """Add a snapshot to a recording, under the number that `info` says.

    Returns:
        What `read_info` would say of the file.

    Raises:
        DataError: It cannot be written; nothing is left of it.
    """
    arrays: Packed = {}
    header: dict[str, Any] = {
        "index": info.index,
        "epoch": info.epoch,
        "step": info.step,
        "seconds": info.seconds,
        "metrics": dict(info.metrics),
        "samples": manifest.samples,
        "profiles": None,
    }
    if snapshot.predictions is not None:
        arrays["predictions"] = snapshot.predictions
    if snapshot.profiles is not None:
        header["profiles"], kept = class_profiles.as_arrays(snapshot.profiles)
        arrays |= {f"profiles/{name}": each for name, each in kept.items()}
    header["layers"] = [
        {"name": name} | _pack_layer(f"layers/{index}", layer, arrays)
        for index, (name, layer) in enumerate(snapshot.layers.items())
    ]
    header["arrays"] = [*arrays]
    name = f"{PREFIX}{info.index:06}.npz"
    files.write_npz(folder / name, KIND, header, arrays)
    numbers = {layer: each.numbers for layer, each in snapshot.layers.items()}
    n_bytes = (folder / name).stat().st_size
    return replace(info, metrics=dict(info.metrics), file=name, n_bytes=n_bytes, numbers=numbers)


def read_info(folder: Path, name: str, manifest: Manifest) -> SnapshotInfo:
    """Which moment a file is of. Every byte of it is looked at, so that damage is found.

    Raises:
        DataError: The file is cut off, damaged, of something else, or of a newer version.
    """
    with files.open_npz(folder / name, KIND) as (header, arrays):
        _snapshot(header, dict(arrays))
        layers = [each["name"] for each in header["layers"]]
        if header["samples"] != manifest.samples or layers != list(manifest.recorded):
            raise DataError(f"{str(folder / name)!r} belongs to another recording")
        if header["index"] != index_of(name):
            raise DataError(f"{str(folder / name)!r} holds snapshot {header['index']}")
        return SnapshotInfo(
            index=int(header["index"]),
            epoch=float(header["epoch"]),
            step=int(header["step"]),
            seconds=float(header["seconds"]),
            metrics=dict(header["metrics"]),
            file=name,
            n_bytes=(folder / name).stat().st_size,
            numbers={each["name"]: LayerNumbers(**each["numbers"]) for each in header["layers"]},
        )


def read_snapshot(folder: Path, name: str) -> Snapshot:
    """What a file holds that `read_info` has looked at.

    Raises:
        DataError: The file is gone, or was damaged meanwhile.
    """
    with files.open_npz(folder / name, KIND, checked=True) as (header, arrays):
        return _snapshot(header, dict(arrays))


# --- parts -------------------------------------------------------------------------------


def _snapshot(header: Mapping[str, Any], arrays: Arrays) -> Snapshot:
    if {*header["arrays"]} != arrays.keys() - {files.HEADER}:
        raise ValueError("other arrays than its header tells")
    profiles = None
    if header["profiles"] is not None:
        profiles = class_profiles.from_arrays(header["profiles"], _below("profiles", arrays))
    layers = {
        each["name"]: _unpack_layer(each, _below(f"layers/{index}", arrays))
        for index, each in enumerate(header["layers"])
    }
    return Snapshot(arrays.get("predictions"), profiles, layers)


def _pack_layer(prefix: str, layer: LayerSnapshot, arrays: Packed) -> dict[str, Any]:
    for name in ("max", "mean", "min", "maps", "kernels"):
        quantized: Quantized | None = getattr(layer, name)
        # Without positions the largest value is the mean and the smallest too.
        if quantized is not None and (name in STORED or not _equal(quantized, layer.max)):
            stored = f"{prefix}/{files.stored_name(name)}"
            # Unit by unit, neighbors are alike: a fifth less when compressed.
            arrays[f"{stored}/codes"] = np.ascontiguousarray(np.moveaxis(quantized.codes, -1, 0))
            arrays[f"{stored}/low"] = quantized.low
            arrays[f"{stored}/step"] = quantized.step
    if layer.n_nan is not None:
        arrays[f"{prefix}/n_nan"] = layer.n_nan
    weights = [
        {"name": name} | _pack_histogram(f"{prefix}/weights/{at}", weight_histogram, arrays)
        for at, (name, weight_histogram) in enumerate(layer.weight_histograms.items())
    ]
    return {
        "n_positions": layer.n_positions,
        "numbers": asdict(layer.numbers),
        "histogram": _pack_histogram(f"{prefix}/histogram", layer.histogram, arrays),
        "weights": weights,
    }


def _unpack_layer(header: Mapping[str, Any], arrays: Arrays) -> LayerSnapshot:
    largest = _unpack(_below(files.stored_name("max"), arrays))
    mean, smallest, maps = (
        _unpack(_below(name, arrays)) if f"{name}/codes" in arrays else largest
        for name in map(files.stored_name, ("mean", "min", "maps"))
    )
    return LayerSnapshot(
        max=largest,
        mean=mean,
        min=smallest,
        n_nan=arrays.get("n_nan"),
        n_positions=header["n_positions"],
        maps=maps,
        histogram=_unpack_histogram(header["histogram"], arrays["histogram"]),
        weight_histograms={
            each["name"]: _unpack_histogram(each, arrays[f"weights/{at}"])
            for at, each in enumerate(header["weights"])
        },
        kernels=_unpack(_below("kernels", arrays)) if "kernels/codes" in arrays else None,
        numbers=LayerNumbers(**header["numbers"]),
    )


def _unpack(arrays: Arrays) -> Quantized:
    return Quantized(np.moveaxis(arrays["codes"], 0, -1), arrays["low"], arrays["step"])


def _equal(one: Quantized, other: Quantized) -> bool:
    parts = ("codes", "low", "step")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


def _pack_histogram(prefix: str, histogram: Histogram, arrays: Packed) -> dict[str, Any]:
    kept = {files.stored_name(name): value for name, value in vars(histogram).items()}
    arrays[prefix] = kept.pop("counts")
    return kept


def _unpack_histogram(header: Mapping[str, Any], counts: NDArray[np.int64]) -> Histogram:
    names = [field.name for field in fields(Histogram) if field.name != "counts"]
    return Histogram(counts=counts, **{name: header[files.stored_name(name)] for name in names})


def _below(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with a prefix, under the rest of their names."""
    start = f"{prefix}/"
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}
