"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from actwidgets.errors import DataError


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
    given = Path(path)
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
