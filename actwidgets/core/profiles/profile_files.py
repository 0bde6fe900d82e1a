"""Class profiles in a file: one `.npz` without pickled objects, written whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from numpy.typing import NDArray

from actwidgets.core import npz_files
from actwidgets.core.atomic_file import require_suffix
from actwidgets.core.npz_files import Arrays
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.unit_sums import UnitSums
from actwidgets.core.profiles.value_bins import BinCounts

KIND = npz_files.Kind(
    format="actwidgets class profiles",
    version=1,
    what="class profiles",
    hint="write them with profiles.save()",
)


def save(profiles: ClassProfiles, path: str | os.PathLike[str]) -> None:
    """Write profiles in the place of `path`, in one step.

    Raises:
        DataError: A name that ends in another format than `.npz`, or it cannot be written;
            whatever was there before is still there.
    """
    require_suffix(path, ".npz", "class profiles")
    header, arrays = as_arrays(profiles)
    npz_files.write(path, KIND, header, arrays)


def load(path: str | os.PathLike[str]) -> ClassProfiles:
    """Profiles that `save` wrote.

    Raises:
        DataError: No such file; cut off, damaged, of something else, or of a newer version.
    """
    with npz_files.opened(path, KIND) as (header, arrays):
        return from_arrays(header, dict(arrays))


def as_arrays(profiles: ClassProfiles) -> tuple[dict[str, Any], Arrays]:
    """Everything in profiles, as text and as arrays; the place of a layer stands for its name."""
    arrays: dict[str, NDArray[Any]] = {"counts": profiles.counts}
    layers = []
    for place, (name, sums) in enumerate(profiles.sums.items()):
        kept = {each.name: getattr(sums, each.name) for each in fields(sums)}
        if sums.bins is not None:
            kept["bins"] = sums.bins.counts
        arrays |= {
            f"{place}/{part}": value
            for part, value in kept.items()
            if value is not None and part != "n_positions"
        }
        first = None if sums.bins is None else sums.bins.first
        layers.append({"name": name, "n_positions": sums.n_positions, "first_bin": first})
    header = {
        "threshold": profiles.threshold,
        "reduce": profiles.reduce,
        "class_names": profiles.class_names,
        "complete": profiles.complete,
        "firing_error": profiles.firing_error,
        "layers": layers,
    }
    return header, arrays


def from_arrays(header: Mapping[str, Any], arrays: Arrays) -> ClassProfiles:
    """The profiles of which `as_arrays` made these.

    Raises:
        ValueError: Parts that do not belong together.
    """
    counts = arrays["counts"]
    sums = {}
    for place, layer in enumerate(header["layers"]):
        kept: dict[str, Any] = {
            each.name: arrays.get(f"{place}/{each.name}") for each in fields(UnitSums)
        }
        if kept["bins"] is not None:
            kept["bins"] = BinCounts(layer["first_bin"], kept["bins"])
        kept["n_positions"] = layer["n_positions"]
        if kept["fired"] is None or len(kept["fired"]) != len(counts):
            raise ValueError(f"sums of layer {layer['name']!r}")
        sums[layer["name"]] = UnitSums(**kept)
    if len(header["class_names"]) != len(counts):
        raise ValueError("a name for each class")
    return ClassProfiles(
        counts=counts,
        threshold=header["threshold"],
        reduce=header["reduce"],
        sums=sums,
        class_names=tuple(header["class_names"]),
        complete=header["complete"],
        firing_error=header["firing_error"],
    )
