"""A disk that is really full: a small file system in memory, where we may mount one."""

import shutil
import subprocess

import numpy as np
import pytest
from trained import TrainedProbe, images, train

from actwidgets.recording.recorder import Recorder
from actwidgets.recording.recording import open_recording


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
