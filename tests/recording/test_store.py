import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from trained import TrainedProbe, images, train

from actwidgets.errors import DataError, NotRecordedError, ShapeError
from actwidgets.recording import store
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording
from actwidgets.recording.store import HistoryFile, KnownSamples, quantize

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


# --- quantization ------------------------------------------------------------------------


ANY = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
COMMON = st.floats(-4, 4, width=32)


def tables(elements):
    shapes = arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=6)
    return arrays.arrays(np.float32, shapes, elements=elements)


@example(np.array([[3.4028235e38], [3.3e37]], np.float32))
@given(tables(ANY) | tables(COMMON))
def test_no_value_is_further_off_than_the_error_says(values):
    quantized = quantize(values)
    found, finite = quantized.values, np.isfinite(values)
    assert found.dtype == quantized.error.dtype == np.float32
    assert quantized.codes.dtype == np.uint8
    assert found.shape == values.shape
    error = np.broadcast_to(quantized.error, values.shape).astype(np.float64)
    off = abs(found.astype(np.float64) - np.where(finite, values, 0))
    assert (off[finite] <= error[finite]).all()


@given(tables(ANY) | tables(COMMON))
def test_zero_stays_zero_and_no_sign_changes(values):
    found = quantize(values).values
    known = ~np.isnan(values)
    np.testing.assert_array_equal(np.sign(found[known]), np.sign(values[known]))


@given(tables(ANY))
def test_nan_and_infinities_come_back(values):
    found = quantize(values).values
    odd = ~np.isfinite(values)
    np.testing.assert_array_equal(found[odd], values[odd])
    assert np.isfinite(found[~odd]).all()


@given(tables(ANY))
def test_a_second_time_changes_nothing_more_than_the_error(values):
    once = quantize(values)
    again = quantize(once.values)
    finite = np.isfinite(values)
    off = abs(again.values.astype(np.float64) - np.where(finite, once.values, 0))
    assert (off[finite] <= np.broadcast_to(again.error, values.shape)[finite]).all()


def test_each_unit_has_steps_of_its_own():
    values = np.linspace(0, 1, 253, dtype=np.float32)[:, None] * [1, 1000]
    quantized = quantize(values)
    np.testing.assert_allclose(quantized.step, [1 / 252, 1000 / 252], rtol=2**-14)
    np.testing.assert_array_equal(quantized.codes[:, 0], np.arange(253))


def test_the_error_is_half_a_step_away_from_zero():
    values = np.random.default_rng(0).uniform(5, 6, (1000, 1)).astype(np.float32)
    quantized = quantize(values)
    assert quantized.error[0] == pytest.approx(1 / 252 / 2, rel=0.01)
    assert abs(quantized.values - values).max() > 0.4 / 252


@pytest.mark.parametrize("value", [0.0, -3.7, 1e-45, 3.4e38])
def test_equal_values_are_kept_exactly(value):
    values = np.full((3, 2), value, np.float32)
    quantized = quantize(values)
    np.testing.assert_array_equal(quantized.values, values)
    np.testing.assert_array_equal(quantized.error, [0, 0])


def test_the_whole_range_of_float32_is_taken():
    values = np.array([[-3.4e38], [0], [1e-38], [3.4e38]], np.float32)
    found = quantize(values).values
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.sign(found), np.sign(values))


@pytest.mark.parametrize("shape", [(0, 4), (0,), (3, 0), (2, 0, 5)])
def test_no_values_are_no_codes(shape):
    assert quantize(np.zeros(shape)).values.shape == shape


# --- known samples -----------------------------------------------------------------------


@pytest.fixture
def pictures():
    return np.random.default_rng(0).uniform(0, 1, (30, 9, 9, 1)).astype(np.float32)


def test_samples_are_found_in_any_order(pictures):
    rows = [4, 0, 29, 4]
    assert KnownSamples(pictures).rows_of(pictures[rows]).tolist() == rows


def test_samples_that_differ_in_one_value_are_told_apart(pictures):
    pictures[1] = pictures[0]
    pictures[1, 3, 5] += 0.25  # beside the values that are looked at first
    pictures[2] = pictures[0]
    known = KnownSamples(pictures)
    assert known.rows_of(pictures[[1, 0]]).tolist() == [1, 0]
    assert known.rows_of(pictures[[2]]).tolist() == [0]  # holds the same as the first


def test_another_sample_is_refused(pictures):
    with pytest.raises(NotRecordedError, match="only the samples that were recorded"):
        KnownSamples(pictures).rows_of(pictures[:1] + 0.01)


def test_what_is_equal_is_the_same_sample(pictures):
    pictures[3, 0], pictures[3, 1] = 0.0, np.nan
    known = KnownSamples(pictures)
    negative = pictures[3:4].copy()
    negative[0, 0] = -0.0
    assert known.rows_of(negative).tolist() == [3]
    assert known.rows_of(pictures[:2].astype(np.float64)).tolist() == [0, 1]


def test_all_inputs_have_to_be_those_of_one_sample(pictures):
    vectors = np.arange(30)[:, None]
    known = KnownSamples({"image": pictures, "number": vectors})
    found = known.rows_of({"image": pictures[5:7], "number": vectors[5:7]})
    assert found.tolist() == [5, 6]
    with pytest.raises(NotRecordedError):
        known.rows_of({"image": pictures[5:7], "number": vectors[6:8]})


def test_text_is_found_in_batches_of_shorter_texts():
    texts = np.array([["one"], ["a longer text"], ["two"]])
    assert KnownSamples(texts).rows_of(np.array([["two"], ["one"]], object)).tolist() == [2, 0]
    with pytest.raises(DataError, match="recorded samples are text; these are numbers"):
        KnownSamples(texts).check(np.zeros((1, 1)))


def test_other_shapes_and_inputs_are_refused(pictures):
    with pytest.raises(ShapeError, match=r"shape \(9, 9, 1\); these \(8, 9, 1\)"):
        KnownSamples(pictures).check(pictures[:, :8])
    with pytest.raises(ShapeError, match="1 inputs; the samples have 2"):
        KnownSamples(pictures).check([pictures, pictures])


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
