"""What is in an event file."""

import io
import math
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from event_files import events, written
from PIL import Image

from actwidgets.core.training.event_log import EventLog
from actwidgets.core.training.histogram import histogram
from actwidgets.errors import ActwidgetsError, DataError


@pytest.fixture
def log(tmp_path):
    with closing(EventLog(tmp_path / "run")) as log:
        yield log


def test_numbers_are_read_back(log):
    log.scalar("metrics/loss", 0, 0.5)
    log.scalar("metrics/loss", 3, math.nan, wall_time=12.0)
    first, second, third = events(log.path)
    assert first.file_version == "brain.Event:2"
    assert (second.step, third.step, third.wall_time) == (0, 3, 12.0)
    assert second.summary.value[0].metadata.plugin_data.plugin_name == "scalars"
    values = written(log.path)["metrics/loss"]
    assert values[0] == 0.5
    assert math.isnan(values[3])


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_a_picture_is_read_back_pixel_for_pixel(log, channels):
    pixels = np.arange(4 * 6 * math.prod(channels), dtype=np.uint8).reshape(4, 6, *channels)
    log.image("maps/conv", 2, pixels, description="dark is low")
    (_, event) = events(log.path)
    (value,) = event.summary.value
    assert value.metadata.plugin_data.plugin_name == "images"
    assert value.metadata.summary_description == "dark is low"
    width, height, png = value.tensor.string_val
    assert (width, height) == (b"6", b"4")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 6)), np.zeros((4, 6, 2), np.uint8), np.zeros((0, 6), np.uint8)]
)
def test_what_is_no_picture_is_refused(log, pixels):
    with pytest.raises(DataError, match=r"uint8; got .* of shape"):
        log.image("maps/conv", 0, pixels)
    assert len(list(events(log.path))) == 1


def test_no_count_of_a_histogram_is_lost_or_split(log):
    values = np.random.default_rng(0).normal(size=5000)
    log.histogram("weights/conv", 1, histogram(values))
    table = written(log.path)["weights/conv"][1]
    assert 16 < len(table) <= 64
    np.testing.assert_array_equal(table[1:, 0], table[:-1, 1])
    expected, _ = np.histogram(values, [*table[:, 0], table[-1, 1]])
    np.testing.assert_array_equal(table[:, 2], expected)


def test_values_that_have_no_bin_are_told_apart(log):
    log.histogram("activations/conv", 4, histogram([np.nan, np.inf, -np.inf, 1.0]))
    log.histogram("activations/none", 4, histogram([np.nan]))
    log.histogram("activations/fine", 4, histogram([2.0]))
    found = written(log.path)
    assert found["activations/conv"][4][:, 2].tolist() == [1]
    assert found["activations/conv/not_finite"][4] == 3
    assert found["activations/none"][4].shape == (0, 3)
    assert "activations/fine/not_finite" not in found


def test_edges_beyond_all_floats_are_left_out(log):
    largest = np.finfo(np.float64).max
    log.histogram("weights/huge", 0, histogram([-largest, largest]))
    assert np.isfinite(written(log.path)["weights/huge"][0]).all()


def test_every_event_is_in_the_file_when_the_call_returns(log):
    for step in range(3):
        log.scalar("metrics/loss", step, 1.0)
        assert len(list(events(log.path))) == step + 2


def test_a_full_disk_spoils_no_record_before_or_after(log):
    log.scalar("metrics/loss", 0, 1.0)
    file, before = log._file, log.path.read_bytes()

    class Full:
        """Takes half of what it is given, then no more."""

        def __init__(self):
            self.room = 9

        def write(self, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            n_bytes, self.room = min(self.room, len(data)), 0
            return file.write(data[:n_bytes])

        def __getattr__(self, name):
            return getattr(file, name)

    log._file = Full()
    with pytest.raises(OSError, match="No space"):
        log.scalar("metrics/loss", 1, 2.0)
    assert log.path.read_bytes() == before
    log._file = file
    log.scalar("metrics/loss", 2, 3.0)
    assert written(log.path)["metrics/loss"].keys() == {0, 2}


def test_two_logs_in_a_folder_do_not_meet(tmp_path):
    with closing(EventLog(tmp_path)) as one, closing(EventLog(tmp_path)) as other:
        assert one.path != other.path


def test_closing_twice_is_fine(log):
    log.close()
    log.close()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match=r"cannot write to .*notes"):
        EventLog(tmp_path / "notes")


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(ActwidgetsError, match=r'pip install "actwidgets\[tensorboard\]"'):
        EventLog(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorflow_is_not_loaded(tmp_path):
    code = (
        "import sys; from actwidgets.core.training.event_log import EventLog;"
        f"log = EventLog({str(tmp_path)!r}); log.scalar('a', 0, 1.0);"
        "log.image('b', 0, __import__('numpy').zeros((2, 2), 'uint8'));"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr
