"""Kill -9 while a snapshot is being written: what was there before opens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trained import TrainedProbe, images

from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording

TESTS = Path(__file__).parents[1]
CODE = """
import os, signal, sys
import numpy as np
from pathlib import Path
from trained import TrainedProbe, images
from actwidgets.recording.recorder import Recorder

fake = TrainedProbe()
recorder = Recorder(fake, sys.argv[1], *images())
recorder.snapshot({"loss": 2})
recorder.snapshot({"loss": 1})

def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def die_half_way(file, **arrays):
    file.write(b"PK\\x03\\x04" + bytes(5000))
    file.flush()
    die()

if sys.argv[2] == "writing":
    np.savez_compressed = die_half_way
elif sys.argv[2] == "before it is safe":
    os.fsync = die
else:
    Path.replace = die
fake.scale = 9.0
recorder.snapshot({"loss": 0.5})
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["writing", "before it is safe", "before it is in its place"])
def test_all_earlier_snapshots_open_and_the_leftover_goes_when_it_is_resumed(tmp_path, when):
    folders = [str(TESTS / "recording"), str(TESTS), str(TESTS.parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), when],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    leftovers = list(tmp_path.glob(".snapshot-*"))
    assert len(leftovers) == 1
    recording = open_recording(tmp_path)
    assert recording.refused == {}
    assert [info.epoch for info in recording.snapshots] == [0, 1]
    for at in (0, 1):
        assert recording.activation_histogram("conv", at).max == pytest.approx(27 * 20)
    np.testing.assert_array_equal(recording.history.by_epoch["loss"][1], [2, 1, 0.5])
    recorder = Recorder(TrainedProbe(), tmp_path, *images(), resume=True)
    assert list(tmp_path.glob(".snapshot-*")) == []
    info = recorder.snapshot()
    assert (info.index, len(recorder.recording.snapshots)) == (2, 3)
