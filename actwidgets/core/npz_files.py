"""Arrays in a file with a header that says what they are: `.npz`, and nothing pickled."""

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.atomic_file import replacing
from actwidgets.errors import DataError

HEADER = "header.json"
Header = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """What a file holds.

    Attributes:
        format: Its name in the header.
        version: The newest that is read, and the one that is written.
        what: How messages call it: `class profiles`, `a snapshot`.
        hint: What to do for a file that is no such one.
    """

    format: str
    version: int
    what: str
    hint: str


def write(path: str | os.PathLike[str], kind: Kind, header: Header, arrays: Arrays) -> None:
    """Write arrays in the place of `path`, in one step.

    Raises:
        DataError: It cannot be written; whatever was there before is still there.
    """
    text = json.dumps({"format": kind.format, "version": kind.version, **header})
    kept: dict[str, Any] = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path, kind.what.rpartition(" ")[2]) as file:
        np.savez_compressed(file, **kept)  # numbers all of them: nothing is pickled


@contextmanager
def opened(
    path: str | os.PathLike[str], kind: Kind, *, checked: bool = False
) -> Iterator[tuple[Header, Arrays]]:
    """The header and the arrays of a file; an array is read when it is taken.

    Args:
        path: Of the file.
        kind: What it should hold.
        checked: Whether it is known to be whole; else every byte is read once for that first.

    Raises:
        DataError: No such file; cut off, damaged, of something else, or of a newer version;
            whatever goes wrong inside the `with` for one of these reasons too.
    """
    told = repr(str(path))
    try:
        with open(path, "rb") as stream:  # numpy leaves a file open that is none of its own
            if not checked:
                _require_whole(stream)
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise DataError(f"{told} holds one array, not {kind.what}")
            with found as file:
                if HEADER not in file.files:
                    raise DataError(f"{told} holds no {kind.what.removeprefix('a ')}: {kind.hint}")
                header = json.loads(file[HEADER].tobytes())
                require(header, kind, told)
                yield header, file
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
        AttributeError,
        RuntimeError,  # a damaged file may say that it is encrypted
        struct.error,
    ) as failure:
        raise DataError(
            f"{told} cannot be read as {kind.what}: it is cut off, damaged or of something "
            f"else ({failure})"
        ) from failure


def _require_whole(stream: IO[bytes]) -> None:
    """Refuse damage before anything tries to make sense of it."""
    if stream.read(2) == b"PK":
        stream.seek(0)
        with zipfile.ZipFile(stream) as file:
            damaged = file.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} is not what was written")
    stream.seek(0)


def require(header: Header, kind: Kind, told: str) -> None:
    """Refuse a header of something else, or of a newer version.

    Raises:
        DataError: Says which.
    """
    if header.get("format") != kind.format:
        raise DataError(f"{told} holds {header.get('format')!r}, not {kind.what}")
    if header["version"] > kind.version:
        raise DataError(
            f"{told} is of version {header['version']}, and this actwidgets reads up to "
            f"{kind.version}: it needs a newer one"
        )
