"""The snapshots in the folder of a recording, and what each of them holds."""

import operator
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.training.histogram import Histogram
from actwidgets.errors import DataError, LayerError
from actwidgets.recording import manifest
from actwidgets.recording.shelf import Shelf
from actwidgets.recording.snapshot import LayerSnapshot
from actwidgets.recording.snapshot_files import SnapshotInfo
from actwidgets.recording.weight_numbers import WeightNumbers


class StoredSnapshots:
    """The values of a `Recording`: read when they are asked for, and a few are kept.

    `at` is a place in `snapshots` everywhere, counted from the end where negative.

    Args:
        path: The folder.

    Raises:
        DataError: It holds no recording, or one that cannot be read; says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = manifest.read(self.path)
        self._layers = {info.name: info for info in self.manifest.recorded_layers}
        self._shelf = Shelf(self.path, self.manifest)

    # --- which there are -----------------------------------------------------------------

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are recorded, in the model's order."""
        return tuple(self._layers.values())

    @property
    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Which moments there are, from the earliest on."""
        return self._shelf.infos

    def refresh(self) -> bool:
        """Look which snapshots there are now; those that cannot be read are in `refused`.

        Returns:
            Whether anything has changed.

        Cost: new files are read once, so that damage is found.
        """
        return self._shelf.refresh()

    def still(self) -> AbstractContextManager[Any]:
        """A time in which `snapshots` stays as it is."""
        return self._shelf.lock

    @property
    def refused(self) -> Mapping[str, str]:
        """Files of snapshots that cannot be read, and why, in a sentence each."""
        return self._shelf.refused

    def nearest(self, epoch: float) -> int:
        """The place in `snapshots` of the one nearest to an epoch.

        Raises:
            DataError: There is no snapshot yet.
        """
        self._shelf.info(0)
        epochs = np.array([info.epoch for info in self.snapshots])
        return int(np.argmin(abs(epochs - epoch)))

    # --- what a snapshot holds -----------------------------------------------------------

    def activations(self, layer: str, at: int = -1, rows: Sequence[int] | None = None) -> Floats:
        """Whole outputs of a layer, as far as `activation_error` exact.

        Args:
            layer: One that is recorded.
            at: Which snapshot.
            rows: Samples; by default all whose maps are kept.

        Returns:
            `(sample, …, unit)` float32.

        Raises:
            LayerError: The layer is not recorded.
            DataError: There is no such snapshot, or no maps of such a sample.
        """
        values = self._layer(layer, at).maps.values
        if len(self._layers[layer].output_shape) == 1:
            values = values[:, 0]
        if rows is None:
            return values
        known = [operator.index(row) for row in rows]
        unknown = [row for row in known if not 0 <= row < len(values)]
        if unknown:
            kept = f"samples 0 to {len(values) - 1}" if len(values) else "no samples"
            raise DataError(f"maps were kept of {kept}; sample {unknown[0]} has none")
        return values[known]

    def activation_error(self, layer: str, at: int = -1) -> Floats:
        """The largest that `activations` may be off: `(unit,)` float32."""
        return self._layer(layer, at).maps.error

    def summaries(self, layer: str, at: int = -1) -> SampleSummary:
        """What a layer puts out for each recorded sample; off by `summary_error` at most."""
        return self._layer(layer, at).summary

    def summary_error(self, layer: str, at: int = -1) -> Mapping[str, Floats]:
        """The largest that `high`, `mean` and `low` of `summaries` may be off, by unit."""
        found = self._layer(layer, at)
        return {name: getattr(found, name).error for name in ("high", "mean", "low")}

    def predictions(self, at: int = -1) -> Floats:
        """The model's output for each recorded sample: `(sample, class)` float32, exact.

        Raises:
            DataError: There is no such snapshot, or the model's output is no vector.
        """
        found = self._shelf.snapshot(at).predictions
        if found is None:
            raise DataError("the model's output is not one vector per sample: none is recorded")
        return found

    def profiles(self, at: int = -1) -> ClassProfiles:
        """How the classes differ to the units, at threshold 0; exact.

        Raises:
            DataError: There is no such snapshot, or the samples have no labels.
        """
        found = self._shelf.snapshot(at).profiles
        if found is None:
            raise DataError("there are no class profiles: this recording has no labels (y)")
        return found

    def weight_histograms(self, layer: str, at: int = -1) -> Mapping[str, Histogram]:
        """How the weights of a layer are spread, by name of the weight."""
        return self._layer(layer, at).weight_histograms

    def activation_histogram(self, layer: str, at: int = -1) -> Histogram:
        """How all values of a layer are spread, at all positions.

        Over the first samples that have a million values between them, or over all; its
        `n_values` tells how many.
        """
        return self._layer(layer, at).histogram

    def kernels(self, layer: str, at: int = -1) -> Array:
        """Weights `(row, column, in_channel, out_channel)` float32, in 253 steps per output.

        Raises:
            LayerError: The layer is not recorded, or its kernels are not.
        """
        found = self._layer(layer, at).kernels
        if found is None:
            kind = self._layers[layer].kind
            raise LayerError(
                f"no kernels of layer {layer!r} are recorded: it is of type {kind}, without any, "
                "or with more than 100,000 values"
            )
        return found.values

    def weight_numbers(self, layer: str) -> WeightNumbers:
        """How the weights of a layer went, over the snapshots; no file is read for it.

        Raises:
            LayerError: The layer is not recorded.
        """
        self._require(layer)
        return WeightNumbers.of(layer, self.snapshots)

    def _require(self, layer: str) -> None:
        if layer not in self._layers:
            raise LayerError(
                f"layer {layer!r} is not recorded; recorded are {', '.join(self._layers)}"
            )

    def _layer(self, layer: str, at: int) -> LayerSnapshot:
        self._require(layer)
        return self._shelf.snapshot(at).layers[layer]
