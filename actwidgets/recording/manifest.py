"""What does not change while a model is recorded: its layers, classes and samples."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from actwidgets.core import npz_files
from actwidgets.core.atomic_file import replacing
from actwidgets.core.input_axes import Axes
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.errors import DataError

NAME = "manifest.json"
KIND = npz_files.Kind(
    format="actwidgets recording", version=1, what="a recording", hint="make one with Recorder"
)


@dataclass(frozen=True)
class Manifest:
    """Written once, when a recording begins.

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


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into a folder, which makes a recording of it.

    Raises:
        DataError: It cannot be written.
    """
    header = {"format": KIND.format, "version": KIND.version, **asdict(manifest)}
    with replacing(folder / NAME, "recordings") as file:
        file.write(json.dumps(header, indent=1).encode())


def read(folder: Path) -> Manifest:
    """The manifest of a recording.

    Raises:
        DataError: The folder holds no recording, or one that cannot be read; says why.
    """
    path = folder / NAME
    told = repr(str(path))
    try:
        header = json.loads(path.read_bytes())
        if not isinstance(header, dict):
            raise TypeError("not an object")
        npz_files.require(header, KIND, told)
        return _manifest(header)
    except (FileNotFoundError, NotADirectoryError) as failure:
        raise DataError(
            f"{str(folder)!r} holds no recording: there is no {NAME} in it"
        ) from failure
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise DataError(
            f"{told} cannot be read as the manifest of a recording: it is cut off, damaged or "
            f"of something else ({failure})"
        ) from failure


def _manifest(header: dict[str, Any]) -> Manifest:
    later = ("output", "input_names", "input_axes")
    found = {each.name: header[each.name] for each in fields(Manifest) if each.name not in later}
    found["input_names"] = tuple(header.get("input_names", ()))
    axes = header.get("input_axes", {})
    found["input_axes"] = {name: tuple(each) for name, each in axes.items()}
    output = header.get("output")
    found["output"] = None if output is None else OutputKind.from_dict(output)
    found["layers"] = tuple(
        LayerInfo(**(layer | {"output_shape": tuple(layer["output_shape"])}))
        for layer in found["layers"]
    )
    for name in ("recorded", "class_names", "image_shape"):
        found[name] = None if found[name] is None else tuple(found[name])
    return Manifest(**found)
