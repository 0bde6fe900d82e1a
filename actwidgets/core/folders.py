"""Folders that something is to be written to."""

import os
from pathlib import Path

from actwidgets.errors import DataError


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
