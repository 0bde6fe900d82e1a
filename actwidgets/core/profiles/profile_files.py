"""Class profiles in a file: one `.npz` without pickled objects, written whole or not at all."""

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.unit_sums import UnitSums
from actwidgets.core.profiles.value_bins import BinCounts
from actwidgets.errors import DataError

FORMAT, VERSION = "actwidgets class profiles", 1
HEADER = "header.json"
Arrays = Mapping[str, NDArray[Any]]


def save(profiles: ClassProfiles, path: str | os.PathLike[str]) -> None:
    """Write profiles in the place of `path`, in one step.

    Raises:
        DataError: It cannot be written; whatever was there before is still there.
    """
    header, arrays = _as_arrays(profiles)
    target = Path(path)
    text = json.dumps({"format": FORMAT, "version": VERSION, **header})
    kept: dict[str, Any] = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    scratch = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            scratch = Path(file.name)
            np.savez_compressed(file, **kept)  # numbers all of them: nothing is pickled
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(target)
    except OSError as failure:
        raise DataError(f"profiles cannot be written to {str(target)!r}: {failure}") from failure
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> ClassProfiles:
    """Profiles that `save` wrote.

    Raises:
        DataError: No such file; cut off, damaged, of something else, or of a newer version.
    """
    told = repr(str(path))
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise DataError(f"{told} holds one array, not class profiles")
        with found as file:
            if HEADER not in file.files:
                raise DataError(f"{told} holds no class profiles: write them with profiles.save()")
            header = json.loads(file[HEADER].tobytes())
            if header.get("format") != FORMAT:
                raise DataError(f"{told} holds {header.get('format')!r}, not class profiles")
            if header["version"] > VERSION:
                raise DataError(
                    f"{told} is of version {header['version']}, and this actwidgets reads up to "
                    f"{VERSION}: it needs a newer one"
                )
            return _from_arrays(header, {name: file[name] for name in file.files})
    except FileNotFoundError as failure:
        raise DataError(f"there is no file {told}") from failure
    except DataError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        TypeError,
        zlib.error,
    ) as failure:
        raise DataError(
            f"{told} cannot be read as class profiles: it is cut off, damaged or of something "
            f"else ({failure})"
        ) from failure


def _umask() -> int:
    """What the user's new files may not be; a temporary file would be nobody else's."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _as_arrays(profiles: ClassProfiles) -> tuple[dict[str, Any], Arrays]:
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


def _from_arrays(header: Mapping[str, Any], arrays: Arrays) -> ClassProfiles:
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
