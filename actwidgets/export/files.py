"""`actwidgets export`: layer outputs as files."""

import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.arrays import Array
from actwidgets.core.files import replacing, require_writable
from actwidgets.core.labels import class_indices
from actwidgets.core.layers import LayerInfo
from actwidgets.core.samples import Samples
from actwidgets.datasets import load_dataset
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.tile_grid import MapSheet, map_sheet
from actwidgets.probe.functions import probe_of
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.load_model import load_model

X_NAMES, Y_NAMES = ("x", "x_test"), ("y", "y_test")


@dataclass(frozen=True, eq=False)
class GivenData:
    """Samples, and what is known of their classes.

    Attributes:
        x: An array, or a dict with one per input.
        y: Labels as they were given, or None.
        class_names: One per class, where they are known.
    """

    x: Any
    y: Array | None
    class_names: Sequence[str] | None = None


def given_data(named: str, labels: Path | None = None, divide_by: float | None = None) -> GivenData:
    """Read data.

    Args:
        named: A file, or else the name of a data set, whose test part it is. In an `.npz` file
            the samples are `x` or `x_test`, or the only array, or one array for each input;
            labels are `y` or `y_test`.
        labels: A file of labels, which takes the place of those in the data.
        divide_by: The samples are divided by this.

    Raises:
        DataError: No such file or data set, a damaged file, or one of another kind.
        ShapeError: Not as many labels as samples.
    """
    path = Path(named).expanduser()
    if path.exists() or path.suffix in (".npz", ".npy"):
        arrays = _arrays(path)
        y = next((arrays.pop(name) for name in Y_NAMES if name in arrays), None)
        data = GivenData(_samples(arrays, path), y)
    elif path.suffix or path.name != named:
        raise DataError(f"there is no file {named!r}")
    else:
        dataset = load_dataset(named)
        data = GivenData(dataset.x_test, dataset.y_test, dataset.class_names)
    y = data.y if labels is None else _labels(labels)
    if not batches.count_samples(data.x):
        raise DataError(f"{named!r} holds no samples")
    if y is not None and len(y) != batches.count_samples(data.x):
        raise ShapeError(f"there are {batches.count_samples(data.x)} samples and {len(y)} labels")
    return GivenData(_divided(data.x, divide_by), y, data.class_names)


def _samples(arrays: Mapping[str, Array], path: Path) -> Any:
    for name in X_NAMES:
        if name in arrays:
            return arrays[name]
    if not arrays:
        raise DataError(f"{str(path)!r} holds no samples: call them x")
    others = {name: each for name, each in arrays.items() if not name.endswith("_train")}
    return dict(others) if len(others) > 1 else next(iter((others or arrays).values()))


def _labels(path: Path) -> Array:
    if path.suffix in (".npz", ".npy"):
        arrays = _arrays(path)
        named = next((arrays[name] for name in Y_NAMES if name in arrays), None)
        if named is None and len(arrays) != 1:
            raise DataError(f"{str(path)!r} holds {', '.join(arrays)}: call the labels y")
        return next(iter(arrays.values())) if named is None else named
    try:
        return np.loadtxt(path, delimiter=",", ndmin=1)
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (ValueError, OSError) as failure:
        raise DataError(f"{str(path)!r} holds no labels, a number a line: {failure}") from failure


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            is_npz = isinstance(arrays, np.lib.npyio.NpzFile)
            return {name: arrays[name] for name in arrays.files} if is_npz else {"x": arrays}
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as failure:
        raise DataError(
            f"{str(path)!r} cannot be read: it is no .npz or .npy file, or not all of one "
            f"({failure})"
        ) from failure


def _divided(x: Any, divide_by: float | None) -> Any:
    if divide_by is None:
        return x
    if not divide_by > 0:
        raise DataError(f"--divide-by must be above 0; got {divide_by:g}")
    return batches.like(x, lambda part: np.divide(part, np.float32(divide_by), dtype=np.float32))


WIDTH_PX = 1200
GIF_FPS = 1.0
BATCH_SIZE = 64
PAPER = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Export:
    """An export that nothing is known to stand in the way of.

    Attributes:
        probe: Of the model.
        data: Samples and labels.
        layers: What is exported.
        rows: Samples that are shown.
        formats: Of "png", "npz", "gif" and "csv".
        folder: Where to.
    """

    probe: KerasProbe
    data: GivenData
    layers: Sequence[LayerInfo]
    rows: Sequence[int]
    formats: Sequence[str]
    folder: Path

    @classmethod
    def checked(cls, options: Namespace) -> "Export":
        """Read model and data, and refuse what cannot be done; nothing is written.

        Args:
            options: As `add_export` defines them.

        Raises:
            FileNotFoundError: No such model.
            ActwidgetsError: What cannot be used, in a sentence.
        """
        require_writable(options.out)
        if not options.model.exists():
            raise DataError(f"there is no model file {str(options.model)!r}")
        data = given_data(options.data, options.labels, options.divide_by)
        probe = probe_of(load_model(options.model), data.x)
        probe.check(data.x)
        if options.layers is not None:
            probe.require(options.layers)
        names = options.layers or [info.name for info in probe.layers]
        infos = {info.name: info for info in probe.layers}
        n_samples = batches.count_samples(data.x)
        rows = options.samples or tuple(range(min(options.n, n_samples)))
        if max(rows) >= n_samples:
            raise DataError(f"sample {max(rows)} is outside 0..{n_samples - 1}")
        formats = options.format or ("png", "npz", *(() if data.y is None else ("csv",)))
        if "csv" in formats:
            _require_labels(data, probe.n_classes)
        layers = [infos[name] for name in names]
        return cls(probe, data, layers, rows, formats, options.out)

    def write(self) -> Iterator[tuple[Path, str]]:
        """Write one file after the other, each whole or not at all.

        Yields:
            A path, and what is to be said of it.

        Raises:
            DataError: It cannot be written.
        """
        outputs = self._outputs()
        files = _file_names([info.name for info in self.layers])
        sheets = {
            info.name: map_sheet(_units_last(outputs[info.name], info), width_px=WIDTH_PX)
            for info in self.layers
            if outputs[info.name].size
        }
        frames = self._frames(sheets) if "gif" in self.formats else []
        self.folder.mkdir(parents=True, exist_ok=True)
        if "png" in self.formats:
            for name, sheet in sheets.items():
                message = f"{len(self.rows)} samples of {name}; {sheet}"
                yield self._put(f"{files[name]}.png", sheet.png()), message
        if "npz" in self.formats:
            path = self.folder / "activations.npz"
            with replacing(path, "exports") as file:
                _write_arrays(file, {"samples": np.array(self.rows)}, outputs)
            yield path, f"values of {len(outputs)} layers"
        if frames:
            from actwidgets.export.animation import gif

            animation = gif(frames, GIF_FPS, background=PAPER)
            yield self._put("layers.gif", animation), f"{len(frames)} frames"
        if "csv" in self.formats:
            yield self._profiles()

    def _outputs(self) -> dict[str, Array]:
        """What the layers put out for the rows, with the axes that Keras gives it."""
        names = [info.name for info in self.layers]
        kept: dict[str, list[Array]] = {name: [] for name in names}
        x = batches.take(self.data.x, list(self.rows))
        for batch, _ in batches.iterate(x, batch_size=BATCH_SIZE):
            for name, values in self.probe.outputs(names, batch).items():
                kept[name].append(values)
        return {name: np.concatenate(values) for name, values in kept.items()}

    def _frames(self, sheets: Mapping[str, MapSheet]) -> list[Array]:
        """The frames of an animation: the samples, then each layer that has maps."""
        maps = [sheet.pixels(background=PAPER) for sheet in sheets.values() if sheet.shows_maps]
        if not maps:
            raise DataError("there is no animation (gif) to make: none of these layers has maps")
        return [*self._inputs(), *maps]

    def _inputs(self) -> list[Array]:
        """The samples themselves side by side, where they are pictures."""
        samples = Samples(self.data.x, None)
        samples.read_inputs(self.probe.input_names(samples.x), self.probe.input_axes())
        if not samples.picture_shape:
            return []
        pictures = samples.pictures(self.rows)
        times = max(1, WIDTH_PX // (len(pictures) * pictures.shape[2]))
        row = np.concatenate(list(pictures), axis=1)
        return [row.repeat(min(times, 8), axis=0).repeat(min(times, 8), axis=1)]

    def _profiles(self) -> tuple[Path, str]:
        import pandas as pd

        profiles = self.probe.class_profiles(
            self.data.x,
            self.data.y,
            layers=[info.name for info in self.layers if info.n_units and info.output_shape[1:]],
            class_names=self.data.class_names,
        )
        tables = {name: profiles.to_dataframe(name) for name in profiles.sums}
        text = pd.concat(tables, names=["layer"]).reset_index("layer").to_csv(index=False)
        message = f"class profiles of {int(profiles.counts.sum()):,} samples"
        return self._put("class_profiles.csv", text.encode()), message

    def _put(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        with replacing(path, "exports") as file:
            file.write(data)
        return path


def _require_labels(data: GivenData, n_classes: int) -> None:
    if data.y is None:
        raise DataError("class profiles (csv) need labels: give --labels, or y in the data")
    class_indices(data.y, n_classes=n_classes or None)


def _units_last(values: Array, info: LayerInfo) -> Array:
    return np.moveaxis(values, info.unit_axis, -1) if info.unit_axis > 0 else values


def _write_arrays(file: Any, *groups: Mapping[str, Array]) -> None:
    """As `np.savez_compressed`, whatever the arrays are called."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for arrays in groups:
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=False)


def _file_names(layers: Sequence[str]) -> dict[str, str]:
    """A name for each layer that any file system takes, and that no two share."""
    names: dict[str, str] = {}
    for layer in layers:
        base = "".join(each if each.isalnum() or each in "-_#." else "." for each in layer)
        name, number = base, 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[layer] = name
    return names
