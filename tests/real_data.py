"""Where the real data sets lie, for tests that need one."""

import os
from pathlib import Path

import pytest

NEIGHBOR = Path(__file__).parents[2] / "shared" / "datasets"


def data_folder() -> Path | None:
    """The folder that `$ACTWIDGETS_DATA` names, else the one beside the checkout, else None."""
    named = os.environ.get("ACTWIDGETS_DATA")
    if named:
        return Path(named)
    return NEIGHBOR if NEIGHBOR.is_dir() else None


def require_data(name: str) -> Path:
    """The folder that holds `<name>.npz`; skips the test where there is no such folder.

    A folder that is there and lacks the file is not a reason to skip: the test then fails.
    """
    folder = data_folder()
    if folder is None:
        pytest.skip(f"{name} needs real data: set ACTWIDGETS_DATA to a folder with {name}.npz")
    if not (folder / f"{name}.npz").is_file():
        pytest.fail(f"{folder} should hold {name}.npz and does not")
    return folder


def require_model(file_name: str) -> Path:
    """A model that somebody else published; skips the test where there is no folder of them.

    A folder that is there and lacks the file is not a reason to skip: the test then fails.
    """
    named = os.environ.get("ACTWIDGETS_MODELS")
    folder = Path(named) if named else NEIGHBOR.parent / "models"
    if not named and not folder.is_dir():
        pytest.skip(f"set ACTWIDGETS_MODELS to a folder with {file_name}")
    if not (folder / file_name).is_file():
        pytest.fail(f"{folder} should hold {file_name} and does not")
    return folder / file_name
