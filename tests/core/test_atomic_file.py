import os
import stat
from pathlib import Path

from actwidgets.core.files import replacing


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
