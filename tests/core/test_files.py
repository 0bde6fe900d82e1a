import os
import stat
from pathlib import Path

import pytest

from actwidgets.core.files import replacing, require_writable
from actwidgets.errors import DataError


def test_what_is_written_is_on_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append("on disk") or sync(number))
    monkeypatch.setattr(
        Path, "replace", lambda one, other: done.append("in place") or replace(one, other)
    )
    with replacing(tmp_path / "a", "things") as file:
        file.write(b"all of it")
    assert done == ["on disk", "in place"]
    assert (tmp_path / "a").read_bytes() == b"all of it"


def test_others_may_read_it_as_far_as_the_user_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a", "things") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


# --- folders ------------------------------------------------------------------------------


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
