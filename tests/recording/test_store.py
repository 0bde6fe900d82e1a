import shutil
import subprocess

import numpy as np
import pytest
from trained import TrainedProbe, images, train

from actwidgets.errors import DataError
from actwidgets.recording import store
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording
from actwidgets.recording.store import HistoryFile

PIXELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)


@pytest.mark.parametrize(
    ("x", "n_bytes"),
    [
        (PIXELS.astype(np.float32) / 255, 1),
        (PIXELS.astype(np.float32) / 256, 4),
        (PIXELS.astype(np.float32), 4),
        (PIXELS / 255, 8),
        (PIXELS, 1),
        (np.array([[0, -0.0, np.nan, np.inf]], np.float32), 4),
        (np.array([[0, -0.0, 1]], np.float32), 4),
        (np.zeros((3, 0), np.float32), 4),
        (np.array([["a"], ["<b>"]], dtype=object), 12),
    ],
)
def test_samples_come_back_to_the_bit(tmp_path, x, n_bytes):
    store.write_samples(tmp_path, x, None)
    found, labels, targets = store.read_samples(tmp_path)
    assert labels is None
    assert targets is None
    wanted = x.astype(str) if x.dtype == object else x
    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()
    with np.load(tmp_path / store.SAMPLES_NAME) as file:
        assert file["x0"].itemsize == n_bytes


def test_several_inputs_keep_their_names_and_order(tmp_path):
    parts = {"b": np.ones((2, 3)), "a": np.arange(2)}
    for x in (parts, [*parts.values()]):
        store.write_samples(tmp_path, x, np.array([1, 0]))
        found, labels, targets = store.read_samples(tmp_path)
        assert type(found) is type(x)
        assert isinstance(x, list) or list(found) == list(x)
        np.testing.assert_array_equal(labels, [1, 0])
        assert targets is None
    np.testing.assert_array_equal(found[1], [0, 1])


def test_other_samples_have_another_digest():
    x, y = np.zeros((2, 4), np.float32), np.array([0, 1])
    others = [(x.reshape(4, 2), y), (x.astype(np.float64), y), (x + 1, y), (x, y[::-1]), (x, None)]
    others += [(x, None, np.zeros((2, 1), np.float32)), (x, None, np.ones((2, 1), np.float32))]
    found = {store.digest(*each) for each in [(x, y), *others]}
    assert len(found) == 8
    assert store.digest(x.copy(), y) in found


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / store.SAMPLES_NAME).write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read as the samples of a recording"):
        store.read_samples(tmp_path)


# --- history file -------------------------------------------------------------------------


def test_what_is_added_is_read(tmp_path):
    file = HistoryFile(tmp_path)
    file.add_step(1, {"loss": 2.0})
    file.add_epoch(1.0, 1, {"loss": 2.0, "val_loss": float("nan")})
    found = store.read_history(tmp_path)
    np.testing.assert_array_equal(found.by_step["loss"], [[1], [2]])
    np.testing.assert_array_equal(found.by_epoch["val_loss"], [[1], [np.nan]])


def test_a_line_that_was_cut_off_is_left_out_and_the_next_is_whole(tmp_path):
    HistoryFile(tmp_path).add_epoch(1.0, 3, {"loss": 2.0})
    path = tmp_path / store.HISTORY_NAME
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        HistoryFile(tmp_path).add_epoch(2.0, 6, {"loss": 1.0})
        epochs = store.read_history(tmp_path).by_epoch["loss"][0]
        assert list(epochs) in ([2], [1, 2])
        assert epochs[-1] == 2


def test_lines_of_something_else_are_left_out(tmp_path):
    path = tmp_path / store.HISTORY_NAME
    path.write_bytes(b'[]\n3\n{"epoch": 1}\n{"epoch": "x", "metrics": {"a": 1}}\n\xff\xfe\n\n')
    HistoryFile(tmp_path).add_epoch(1.0, 3, {"loss": 2.0})
    assert [*store.read_history(tmp_path).by_epoch] == ["loss"]


def test_a_long_training_adds_few_lines(tmp_path):
    file = HistoryFile(tmp_path)
    for step in range(1, 20_001):
        file.add_step(step, {"loss": 1.0})
    steps = store.read_history(tmp_path).by_step["loss"][0]
    assert len(steps) < 4000
    assert list(steps[:512]) == list(range(1, 513))
    assert steps[-1] > 19_900


def test_no_history_is_an_empty_one(tmp_path):
    assert store.read_history(tmp_path).by_epoch == {}


# --- full disk ----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_no_training_and_costs_nothing_that_was_there(small_disk):
    fake = TrainedProbe()
    recorder = Recorder(fake, small_disk / "run", *images())
    recorder.snapshot()
    filling = small_disk / "filling"
    filling.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    assert shutil.disk_usage(small_disk).free == 0
    train(recorder, fake)
    assert "No space left on device" in recorder.error
    assert list((small_disk / "run").glob(".*")) == []
    recording = open_recording(small_disk / "run")
    assert recording.refused == {}
    assert [info.epoch for info in recording.snapshots] == [0]
    assert recording.activation_histogram("conv").max == pytest.approx(27 * 20)
    filling.unlink()
    train(recorder, fake, epochs=1)
    assert recorder.error == ""
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 3]
    epochs = recorder.recording.history.by_epoch["loss"][0]
    assert epochs[-1] == 3
    assert np.isfinite(recorder.recording.weight_numbers("conv").update_ratio[-1])
