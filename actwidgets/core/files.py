"""Files that are there whole or not at all, and arrays in `.npz` files with a header."""

import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.errors import DataError, require_path


@contextmanager
def replacing(path: str | os.PathLike[str], what: str) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` in one step when all is written.

    Meanwhile it lies beside it, under `.` and the same name with something behind.

    Args:
        path: Where it is to be.
        what: What the message of an error calls it, in the plural.

    Raises:
        DataError: It cannot be written; whatever was there before is still there.
    """
    target, scratch = Path(path), None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            scratch = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(target)
    except OSError as failure:
        raise DataError(f"{what} cannot be written to {str(target)!r}: {failure}") from failure
    finally:
        if scratch is not None:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)


def require_suffix(path: str | os.PathLike[str], suffix: str, what: str) -> None:
    """Refuse a name that promises another format; a name without an ending promises none.

    Args:
        path: Where something is to be written.
        suffix: What its name may end in, in any case: ".png".
        what: What the message calls it, in the plural.

    Raises:
        DataError: It ends in something else.
    """
    given = require_path(path)
    if given.suffix and given.suffix.lower() != suffix:
        raise DataError(
            f"{what} are written as {suffix[1:].upper()}; got {str(given)!r}: "
            f"give {str(given.with_suffix(suffix))!r}"
        )


def leftovers(folder: Path, names: str) -> list[Path]:
    """What is left beside files, of such names (`*` for any), by somebody who was killed."""
    return sorted(folder.glob(f".{names}.*"))


def _umask() -> int:
    """What the user's new files may not be; a temporary file would be nobody else's."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


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


def stored_name(field: str) -> str:
    """The name of a field in files of version 1, where smallest and largest were `low`, `high`."""
    return {"min": "low", "max": "high"}.get(field, field)


def write_npz(path: str | os.PathLike[str], kind: Kind, header: Header, arrays: Arrays) -> None:
    """Write arrays in the place of `path`, in one step.

    Raises:
        DataError: It cannot be written; whatever was there before is still there.
    """
    text = json.dumps({"format": kind.format, "version": kind.version, **header})
    kept: dict[str, Any] = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path, kind.what.rpartition(" ")[2]) as file:
        np.savez_compressed(file, **kept)  # numbers all of them: nothing is pickled


@contextmanager
def open_npz(
    path: str | os.PathLike[str], kind: Kind, *, checked: bool = False
) -> Iterator[tuple[Header, Arrays]]:
    """The header and the arrays of a file; an array is read when it is taken.

    Args:
        kind: What it should hold.
        checked: Whether it is known to be whole; else every byte is read once for that first.

    Raises:
        DataError: No such file; cut off, damaged, of something else, or of a newer version;
            whatever goes wrong inside the `with` for one of these reasons too.
    """
    name = repr(str(path))
    try:
        with open(path, "rb") as stream:  # numpy leaves a file open that is none of its own
            if not checked:
                _require_whole(stream)
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(f"{name} holds one array, not {kind.what}")
            with loaded as file:
                if HEADER not in file.files:
                    raise DataError(f"{name} holds no {kind.what.removeprefix('a ')}: {kind.hint}")
                header = json.loads(file[HEADER].tobytes())
                require_field(header, kind, name)
                yield header, file
    except FileNotFoundError as failure:
        raise DataError(f"there is no file {name}") from failure
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
            f"{name} cannot be read as {kind.what}: it is cut off, damaged or of something "
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


def require_field(header: Header, kind: Kind, name: str) -> None:
    """Refuse a header of something else, or of a newer version.

    Raises:
        DataError: Says which.
    """
    if header.get("format") != kind.format:
        raise DataError(f"{name} holds {header.get('format')!r}, not {kind.what}")
    if header["version"] > kind.version:
        raise DataError(
            f"{name} is of version {header['version']}, and this actwidgets reads up to "
            f"{kind.version}: it needs a newer one"
        )


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to; makes none.

    Raises:
        DataError: There is a file in its place, or it is not ours to write to.
    """
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise DataError(
            f"cannot write to {str(folder)!r}: {str(nearest)!r} is a file; name a folder"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {str(folder)!r}: {str(nearest)!r} is read-only")
