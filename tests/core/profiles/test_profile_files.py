import json
import os
from pathlib import Path

import numpy as np
import pytest

from actwidgets.core import class_profiles, files
from actwidgets.core.accumulators import summarize
from actwidgets.core.class_profiles import ClassProfiles, ProfileBuilder
from actwidgets.errors import DataError


@pytest.fixture
def profiles():
    builder = ProfileBuilder(("<b>shirt</b>", "coat", "bag"))
    values = np.random.default_rng(0).normal(size=(20, 3, 2, 4)).astype(np.float32)
    values[3, 0, 0, 1] = np.nan
    summaries = {"block/conv": summarize(values), "dense": summarize(values[:, 0, 0, :3])}
    builder.add(summaries, np.arange(20) % 2)
    return builder.profiles()


def test_what_is_saved_comes_back_and_merges(profiles, tmp_path):
    path = tmp_path / "profiles of mine"
    profiles.save(path)
    found = ClassProfiles.load(path)
    assert found.layers == profiles.layers
    assert found.class_names == profiles.class_names
    for name in ("firing_rate", "mean", "std", "min", "max", "n_nan"):
        for layer in profiles.layers:
            np.testing.assert_array_equal(
                getattr(found, name)[layer], getattr(profiles, name)[layer]
            )
    for layer in profiles.layers:
        np.testing.assert_array_equal(found.histogram(layer)[0], profiles.histogram(layer)[0])
        np.testing.assert_array_equal(found.histogram(layer)[1], profiles.histogram(layer)[1])
    assert found.merge(profiles).n_samples == 40
    assert os.listdir(tmp_path) == [path.name]


def test_profiles_of_no_layers_are_saved_too(tmp_path):
    ProfileBuilder(("a", "b")).profiles().save(tmp_path / "none.npz")
    assert ClassProfiles.load(tmp_path / "none.npz").layers == ()


def test_a_name_that_promises_another_format_is_refused(profiles, tmp_path):
    with pytest.raises(DataError, match=r"are written as NPZ; got '.*a.csv': give '.*a.npz'"):
        profiles.save(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_off_is_refused_wherever_it_is_cut(profiles, tmp_path):
    path = tmp_path / "whole.npz"
    profiles.save(path)
    whole = path.read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="cut off, damaged or of something else"):
            ClassProfiles.load(path)


def test_a_damaged_byte_is_found(profiles, tmp_path):
    path = tmp_path / "whole.npz"
    profiles.save(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        ClassProfiles.load(path)


def _with_header(path, **changes):
    header = {"format": class_profiles.KIND.format, "version": 1} | changes
    np.savez(path, **{files.HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)})


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: np.savez(path, weights=np.ones(3)), "holds no class profiles"),
        (lambda path: np.savez(path, x=np.array([{}], dtype=object)), "holds no class profiles"),
        (lambda path: np.save(path, np.ones(3)), "holds one array"),
        (lambda path: path.write_text("PK\x03\x04 or not"), "cannot be read"),
        (lambda path: _with_header(path, version=2), "version 2, and this actwidgets reads up"),
        (lambda path: _with_header(path, format="a recording"), "holds 'a recording'"),
        (lambda path: _with_header(path), "cannot be read"),
        (lambda path: None, "there is no file"),
    ],
)
def test_a_foreign_file_is_refused(write, words, tmp_path):
    path = tmp_path / "file.npz"
    write(path)
    found = next(tmp_path.glob("*"), path)  # numpy adds a suffix of its own
    with pytest.raises(DataError, match=words):
        ClassProfiles.load(found)


def test_a_full_disk_leaves_the_file_that_was_there(profiles, tmp_path, monkeypatch):
    path = tmp_path / "profiles.npz"
    profiles.save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left on device"):
        profiles.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_the_file_is_put_in_its_place_in_one_step(profiles, tmp_path, monkeypatch):
    path = tmp_path / "profiles.npz"
    path.write_bytes(b"before")

    def interrupted(*_args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(DataError, match="cannot be written"):
        profiles.save(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_is_not_there_is_named(profiles, tmp_path):
    with pytest.raises(DataError, match="cannot be written to"):
        profiles.save(tmp_path / "no such folder" / "profiles.npz")
