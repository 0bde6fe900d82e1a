"""Snapshots on disk: one file each, whole or not there, and each readable by itself."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core import npz_files
from actwidgets.core.npz_files import Arrays
from actwidgets.core.profiles import profile_files
from actwidgets.core.training.histogram import Histogram
from actwidgets.core.training.quantised import Quantised
from actwidgets.errors import DataError
from actwidgets.recording.manifest import Manifest
from actwidgets.recording.snapshot import LayerNumbers, LayerSnapshot, Snapshot

KIND = npz_files.Kind(
    format="actwidgets snapshot",
    version=1,
    what="a snapshot of a training",
    hint="it belongs to a recording made with Recorder",
)
PREFIX = "snapshot-"
_NAME = re.compile(rf"{PREFIX}(\d+)\.npz")
STORED = ("high", "kernels")  # the others may be equal to the first
Packed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class SnapshotInfo:
    """Which moment a snapshot is of.

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


def index_of(name: str) -> int | None:
    """The number of a snapshot's file; None for other files."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def write(folder: Path, manifest: Manifest, info: SnapshotInfo, snapshot: Snapshot) -> None:
    """Add a snapshot to a recording, under the number that `info` says.

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
        header["profiles"], kept = profile_files.as_arrays(snapshot.profiles)
        arrays |= {f"profiles/{name}": each for name, each in kept.items()}
    header["layers"] = [
        {"name": name} | _pack_layer(f"layers/{place}", layer, arrays)
        for place, (name, layer) in enumerate(snapshot.layers.items())
    ]
    header["arrays"] = [*arrays]
    npz_files.write(folder / f"{PREFIX}{info.index:06}.npz", KIND, header, arrays)


def read_info(folder: Path, name: str, manifest: Manifest) -> SnapshotInfo:
    """Which moment a file is of. Every byte of it is looked at, so that damage is found.

    Raises:
        DataError: The file is cut off, damaged, of something else, or of a newer version.
    """
    with npz_files.opened(folder / name, KIND) as (header, arrays):
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


def read(folder: Path, name: str) -> Snapshot:
    """What a file holds that `read_info` has looked at.

    Raises:
        DataError: The file is gone, or was damaged meanwhile.
    """
    with npz_files.opened(folder / name, KIND, checked=True) as (header, arrays):
        return _snapshot(header, dict(arrays))


# --- parts -------------------------------------------------------------------------------


def _snapshot(header: Mapping[str, Any], arrays: Arrays) -> Snapshot:
    if {*header["arrays"]} != arrays.keys() - {npz_files.HEADER}:
        raise ValueError("other arrays than its header tells")
    profiles = None
    if header["profiles"] is not None:
        profiles = profile_files.from_arrays(header["profiles"], _below("profiles", arrays))
    layers = {
        each["name"]: _unpack_layer(each, _below(f"layers/{place}", arrays))
        for place, each in enumerate(header["layers"])
    }
    return Snapshot(arrays.get("predictions"), profiles, layers)


def _pack_layer(place: str, layer: LayerSnapshot, arrays: Packed) -> dict[str, Any]:
    for name in ("high", "mean", "low", "maps", "kernels"):
        quantised: Quantised | None = getattr(layer, name)
        # Without positions the largest value is the mean and the smallest too.
        if quantised is not None and (name in STORED or not _equal(quantised, layer.high)):
            # Unit by unit, neighbours are alike: a fifth less when compressed.
            arrays[f"{place}/{name}/codes"] = np.ascontiguousarray(
                np.moveaxis(quantised.codes, -1, 0)
            )
            arrays[f"{place}/{name}/low"] = quantised.low
            arrays[f"{place}/{name}/step"] = quantised.step
    if layer.n_nan is not None:
        arrays[f"{place}/n_nan"] = layer.n_nan
    weights = [
        {"name": name} | _pack_histogram(f"{place}/weights/{at}", each, arrays)
        for at, (name, each) in enumerate(layer.weight_histograms.items())
    ]
    return {
        "n_positions": layer.n_positions,
        "numbers": asdict(layer.numbers),
        "histogram": _pack_histogram(f"{place}/histogram", layer.histogram, arrays),
        "weights": weights,
    }


def _unpack_layer(header: Mapping[str, Any], arrays: Arrays) -> LayerSnapshot:
    high = _unpack(_below("high", arrays))
    mean, low, maps = (
        _unpack(_below(name, arrays)) if f"{name}/codes" in arrays else high
        for name in ("mean", "low", "maps")
    )
    return LayerSnapshot(
        high=high,
        mean=mean,
        low=low,
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


def _unpack(arrays: Arrays) -> Quantised:
    return Quantised(np.moveaxis(arrays["codes"], 0, -1), arrays["low"], arrays["step"])


def _equal(one: Quantised, other: Quantised) -> bool:
    parts = ("codes", "low", "step")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


def _pack_histogram(place: str, counted: Histogram, arrays: Packed) -> dict[str, Any]:
    kept = dict(vars(counted))
    arrays[place] = kept.pop("counts")
    return kept


def _unpack_histogram(header: Mapping[str, Any], counts: NDArray[np.int64]) -> Histogram:
    return Histogram(**{key: each for key, each in header.items() if key != "name"}, counts=counts)


def _below(place: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with a place, under the rest of their names."""
    start = f"{place}/"
    return {name[len(start) :]: each for name, each in arrays.items() if name.startswith(start)}
