"""Folders that something is to be written to."""

import os

import pytest

from actwidgets.core.files import require_writable
from actwidgets.errors import DataError


def test_a_folder_that_can_be_made_is_not_made(tmp_path):
    require_writable(tmp_path)
    require_writable(tmp_path / "new" / "newer")
    assert list(tmp_path.iterdir()) == []


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match=r"cannot write to .*below'.*notes' is a file"):
        require_writable(tmp_path / "notes" / "below")


def test_what_is_not_ours_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="is read-only"):
        require_writable(tmp_path / "new")


def test_a_relative_folder_is_below_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        require_writable(type(tmp_path)("notes"))
