import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from trained import TrainedProbe, images, train

from actwidgets.core import files
from actwidgets.errors import ActwidgetsError, DataError, LayerError
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder, fake = tmp_path_factory.mktemp("recorded") / "run", TrainedProbe()
    train(Recorder(fake, folder, *images(), layers=["dense"], n_maps=3), fake)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


def refused(folder):
    """Why the second snapshot is; the others are there and whole."""
    recording = open_recording(folder)
    assert [info.index for info in recording.snapshots] == [0, 2]
    for at in (0, 1):
        assert recording.activations("dense", at).shape == (3, 5)
        assert recording.profiles(at).n_samples == 30
    (told,) = recording.refused.values()
    assert [*recording.refused] == ["snapshot-000001.npz"]
    return told


def test_neither_the_model_nor_tensorflow_is_needed(folder):
    code = f"""
import sys
from actwidgets.recording.replay import open_recording
recording = open_recording({str(folder)!r})
for at in range(3):
    recording.activations("dense", at), recording.profiles(at), recording.predictions(at)
print({{"tensorflow", "keras", "bqplot"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_a_snapshot_that_is_cut_off_is_refused_wherever_it_is_cut(folder):
    path = folder / "snapshot-000001.npz"
    whole = path.read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cut off, damaged or of something else" in refused(folder)


def test_it_says_what_it_holds_and_what_cannot_be_read(folder):
    told = repr(open_recording(folder))
    assert f"{str(folder)!r}: 3 snapshots, epoch 0 to " in told
    assert "30 samples" in told
    assert "dense" in told
    assert "read" not in told
    (folder / "snapshot-000001.npz").write_bytes(b"")
    assert "2 snapshots" in repr(open_recording(folder))
    assert "1 that cannot be read" in repr(open_recording(folder))


def test_damage_is_found_or_does_no_harm(folder):
    """Byte by byte: refused, or every number is still the same."""
    path = folder / "snapshot-000001.npz"
    whole = path.read_bytes()
    wanted = open_recording(folder).activations("dense", 1)
    n_refused = 0
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        recording = open_recording(folder)
        if recording.refused:
            n_refused += 1
        else:
            np.testing.assert_array_equal(recording.activations("dense", 1), wanted)
    assert n_refused > 0.5 * len(whole) / 37


def _header(path, **changes):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays[files.HEADER].tobytes()) | changes
    arrays[files.HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: _header(path, version=2), "version 2, and this actwidgets reads up to 1"),
        (lambda path: _header(path, format="a cake"), "holds 'a cake', not a snapshot"),
        (lambda path: _header(path, samples="others"), "belongs to another recording"),
        (lambda path: _header(path, layers=[]), "belongs to another recording"),
        (lambda path: _header(path, metrics=[1]), "damaged"),
        (lambda path: np.savez(path, weights=np.ones(3)), "holds no snapshot of a training"),
        (lambda path: np.savez(path, x=np.array([{}], dtype=object)), "holds no snapshot"),
        (lambda path: path.write_text("not a zip"), "cannot be read"),
        (lambda path: shutil.copy(path.with_name("snapshot-000002.npz"), path), "snapshot 2"),
    ],
)
def test_a_foreign_or_newer_snapshot_is_refused_by_name_and_the_rest_is_opened(
    folder, change, words
):
    path = folder / "snapshot-000001.npz"
    change(path)
    told = refused(folder)
    assert words in told
    assert path.name in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"holds no recording: there is no manifest\.json"),
        ("{", "cut off, damaged"),
        ("[]", "cut off, damaged"),
        ('{"format": "a cake", "version": 1}', "holds 'a cake', not a recording"),
        ('{"format": "actwidgets recording", "version": 2}', "version 2, and this actwidgets"),
        ('{"format": "actwidgets recording", "version": 1}', "cut off, damaged"),
    ],
)
def test_a_folder_that_is_no_recording_is_named(folder, text, words):
    path = folder / "manifest.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        open_recording(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda it: it.predictions("1"), "at must be a whole number; got '1'"),
        (lambda it: it.session(at=None), "at must be a whole number; got None"),
        (lambda it: it.probe(at=0.5), "at must be a whole number; got 0.5"),
        (lambda it: it.nearest("1"), "epoch must be a number that is finite; got '1'"),
        (lambda it: it.activations("dense", rows=5), "rows must be a list of samples; got 5"),
        (lambda it: it.activations("dense", rows=["a"]), "row must be a whole number; got 'a'"),
        (lambda it: it.summaries(["dense"]), r"layer \['dense'\] is not recorded"),
        (lambda it: open_recording(5), "path must be text or a Path; got 5"),
        (lambda it: it.save_gif(5, "film.gif"), "view must be a view of a session; got 5"),
        (lambda it: it.save_contact_sheet(it, 5), "path must be text or a Path; got 5"),
    ],
)
def test_values_of_another_kind_are_refused_in_words(folder, ask, words):
    with pytest.raises(ActwidgetsError, match=words):
        ask(open_recording(folder))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no such"):
        open_recording(tmp_path / "no such")


def test_samples_that_are_gone_are_named_when_they_are_asked_for(folder):
    (folder / "samples.npz").unlink()
    recording = open_recording(folder)
    assert recording.predictions().shape == (30, 3)
    with pytest.raises(DataError, match=r"samples\.npz"):
        recording.x  # noqa: B018


def test_a_snapshot_that_goes_meanwhile_is_named(folder):
    recording = open_recording(folder)
    (folder / "snapshot-000001.npz").unlink()
    with pytest.raises(DataError, match=r"no file .*snapshot-000001"):
        recording.profiles(1)
    assert recording.refresh()
    assert len(recording.snapshots) == 2
    assert not recording.refresh()


def test_other_files_are_left_alone(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / ".snapshot-000003.npz.abc").write_bytes(b"half of it")
    recording = open_recording(folder)
    assert (len(recording.snapshots), recording.refused) == (3, {})


def test_places_are_counted_from_either_end(folder):
    recording = open_recording(folder)
    np.testing.assert_array_equal(
        recording.activations("dense", 2), recording.activations("dense", -1)
    )
    assert [recording.nearest(epoch) for epoch in (-3, 0.4, 1, 1.6, 99)] == [0, 0, 1, 2, 2]
    for at in (3, -4):
        with pytest.raises(DataError, match=f"no snapshot {at}; this recording has 3, 0 to 2"):
            recording.profiles(at)


def test_what_is_not_recorded_is_named(folder):
    recording = open_recording(folder)
    with pytest.raises(LayerError, match="'conv' is not recorded; recorded are dense"):
        recording.summaries("conv")
    with pytest.raises(LayerError, match="it is of type Dense,"):
        recording.kernels("dense")
    with pytest.raises(DataError, match="kept of samples 0 to 2; sample 7 has none"):
        recording.activations("dense", rows=[0, 7])
    np.testing.assert_array_equal(
        recording.activations("dense", rows=[2, 0]), recording.activations("dense")[[2, 0]]
    )


def test_a_recording_without_snapshots_says_so(folder):
    for name in os.listdir(folder):
        if name.startswith("snapshot"):
            (folder / name).unlink()
    recording = open_recording(folder)
    assert recording.snapshots == ()
    assert recording.weight_numbers("dense").norm.shape == (0,)
    for ask in (recording.predictions, lambda: recording.nearest(1)):
        with pytest.raises(DataError, match="has no snapshot that can be read"):
            ask()


def test_values_are_those_of_their_own_moment(folder):
    recording = open_recording(folder)
    lows = [recording.activation_histogram("dense", at).min for at in range(3)]
    np.testing.assert_allclose(lows, [-10, -13, -16], rtol=1e-6)
    stds = [recording.weight_histograms("dense", at)["kernel"].mean for at in range(3)]
    np.testing.assert_allclose(stds, [1, 1.3, 1.6], rtol=1e-6)


def test_it_is_watched_while_the_recorder_goes_on(tmp_path):
    fake = TrainedProbe()
    recorder = Recorder(fake, tmp_path, *images())
    recording = open_recording(tmp_path)
    recorder.snapshot()
    assert recording.snapshots == ()
    assert recording.refresh()
    assert len(recording.snapshots) == 1


def test_a_snapshot_that_is_replaced_is_read_anew(folder, tmp_path):
    fake = TrainedProbe()
    fake.scale = 5.0
    train(Recorder(fake, tmp_path / "other", *images(), layers=["dense"], n_maps=3), fake)
    recording = open_recording(folder)
    before = recording.activations("dense", 1)
    shutil.copy(tmp_path / "other" / "snapshot-000001.npz", folder)
    assert recording.refresh()
    assert not np.array_equal(recording.activations("dense", 1), before)
