"""Files that are there whole, or not at all."""

import os
import tempfile
from pathlib import Path

from actwidgets.errors import DataError


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in the place of `path`, in one step.

    Raises:
        DataError: It cannot be written; whatever was there before is still there.
    """
    target = Path(path)
    scratch = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            scratch = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o666 & ~_mask())
        scratch.replace(target)
    except OSError as failure:
        raise DataError(f"{str(target)!r} cannot be written: {failure}") from failure
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _mask() -> int:
    """The permissions that new files are not to have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
