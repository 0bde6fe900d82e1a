import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trained import TrainedProbe, images, train

from actwidgets.core.accumulators import summarize
from actwidgets.core.class_profiles import ProfileBuilder
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import ActwidgetsError, DataError, LayerError, ShapeError
from actwidgets.recording import snapshot, store
from actwidgets.recording.recorder import Recorder, TrainingProgress, to_drop
from actwidgets.recording.replay import open_recording
from actwidgets.recording.store import HistoryFile
from actwidgets.session.session import Session
from actwidgets.training.events import TrainingMoment
from actwidgets.training.step_gate import StepGate


@pytest.fixture
def fake():
    return TrainedProbe()


def recorder_of(fake, folder, **options):
    return Recorder(fake, folder, *images(), **options)


def listing(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_state_before_training_comes_first(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path / "new" / "run")
    assert recorder.recording.snapshots == ()
    train(recorder, fake)
    recording = recorder.recording
    assert [info.epoch for info in recording.snapshots] == [0, 1, 2]
    assert [info.step for info in recording.snapshots] == [0, 3, 6]
    assert [dict(info.metrics) for info in recording.snapshots] == [
        {},
        {"loss": 1 / 3},
        {"loss": 1 / 6},
    ]
    for at, scale in ((0, 1.0), (2, 1.6)):
        wanted, error = scale, recording.activation_error("conv", at)[0]
        assert abs(recording.activations("conv", at)[3, 0, 0, 0] - wanted) <= error < 0.05


def test_all_layers_with_a_fixed_number_of_units_and_positions_are_recorded(fake, tmp_path):
    recording = recorder_of(fake, tmp_path).recording
    assert [info.name for info in recording.layers] == ["conv", "dense"]
    assert recording.n_samples == 30
    assert len(recording.manifest.layers) == 3


def test_numbers_of_all_samples_are_those_of_the_model(fake, tmp_path):
    x, y = images()
    recorder = recorder_of(fake, tmp_path, batch_size=7, class_names=("shirt", "coat", "bag"))
    info = recorder.snapshot({"loss": 2})
    outputs = fake.activations(["conv", "dense"], x)
    recording = recorder.recording
    for layer in ("conv", "dense"):
        whole, found = summarize(outputs[layer]), recording.summaries(layer)
        for name, error in recording.summary_error(layer).items():
            assert (abs(getattr(found, name) - getattr(whole, name)) <= error).all()
        np.testing.assert_array_equal(found.max > 0, whole.max > 0)
        assert found.n_positions == whole.n_positions
        builder = ProfileBuilder(recording.class_names)
        builder.add({layer: whole}, y)
        wanted, profiles = builder.profiles(), recording.profiles()
        np.testing.assert_array_equal(profiles.firing_rate[layer], wanted.firing_rate[layer])
        np.testing.assert_allclose(profiles.mean[layer], wanted.mean[layer], rtol=1e-12)
        np.testing.assert_allclose(profiles.std[layer], wanted.std[layer], rtol=1e-9)
        counted = recording.activation_histogram(layer)
        assert counted.n_values == outputs[layer].size
        assert counted.mean == pytest.approx(outputs[layer].mean(), rel=1e-6)
    np.testing.assert_array_equal(recording.predictions(), fake.predictions(x))
    np.testing.assert_array_equal(recording.labels, y)
    assert (info.metrics, info.epoch) == ({"loss": 2.0}, 0)
    assert recording.snapshots == (info,)
    assert recording.kernels("conv").shape == (3, 3, 1, 20)


def test_one_forward_pass_a_batch_serves_all_layers(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, batch_size=10)
    fake.calls.clear()
    recorder.snapshot()
    assert fake.calls == 3 * [(("conv", "dense"), 10), (("",), 10)]


@pytest.mark.parametrize("known", [True, False])
def test_an_update_is_that_of_one_step(fake, tmp_path, known):
    recorder = recorder_of(fake, tmp_path)
    train(recorder, fake, known=known)
    found = recorder.recording.weight_numbers("conv")
    # Of an epoch of unknown length the first step is measured, of the next the last.
    wanted = [np.nan, 0.1 / 1.2 if known else 0.1 / 1.0, 0.1 / 1.5]
    np.testing.assert_allclose(found.update_ratio, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.norm, np.sqrt(180) * np.array([1, 1.3, 1.6]), rtol=1e-6)
    assert np.isnan(found.gradient_norm).all()


def test_an_epoch_shorter_than_the_one_before_has_an_update_too(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, layers=["conv"])
    train(recorder, fake, steps=(4, 2), known=False)
    found = recorder.recording.weight_numbers("conv").update_ratio
    np.testing.assert_allclose(found, [np.nan, 0.1 / 1.0, 0.1 / 1.4], rtol=1e-5)


def test_a_step_that_was_interrupted_is_not_measured_with_the_next_fit(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, every=("batches", 100), layers=["conv"])
    train(recorder, fake, epochs=1, until=2)
    fake.scale = 7.0
    recorder.begins(TrainingMoment(n_epochs=1, n_steps=100))
    recorder.after_step(TrainingMoment(0, 1, 1, 100, 1))
    recorder.snapshot()
    assert np.isnan(recorder.recording.weight_numbers("conv").update_ratio).all()


def test_weights_are_copied_only_before_the_step_that_is_measured(fake, tmp_path, monkeypatch):
    recorder, copied = recorder_of(fake, tmp_path, layers=["conv"]), []
    weights = fake.weights
    monkeypatch.setattr(fake, "weights", lambda layer: copied.append(layer) or weights(layer))
    train(recorder, fake, steps=50, epochs=1)
    # Two snapshots; before and after the first step, as nobody knows how many go at a time, and
    # the last.
    assert len(copied) == 6


def test_the_last_step_is_measured_wherever_the_interval_stands(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, every=("batches", 4), layers=["conv"])
    train(recorder, fake, steps=5, epochs=1)
    found = recorder.recording.weight_numbers("conv").update_ratio
    np.testing.assert_allclose(found, [np.nan, 0.1 / 1.3, 0.1 / 1.4], rtol=1e-5)


def test_weights_put_back_at_the_end_are_taken_too(fake, tmp_path):
    fake.fingerprint = lambda: fake.scale
    recorder = recorder_of(fake, tmp_path)
    train(recorder, fake, epochs=1)
    assert len(recorder.recording.snapshots) == 2  # the last is that of the end
    fake.scale = 0.5
    recorder.ends(TrainingMoment(1, 3, 1, 3))
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 1, 1]
    np.testing.assert_allclose(recorder.recording.kernels("conv"), 0.5, rtol=0.01)


def test_a_snapshot_of_another_thread_waits_for_the_step_and_for_the_recorder(fake, tmp_path):
    fake.step_gate = StepGate()
    recorder, taken, entered = recorder_of(fake, tmp_path), [], threading.Event()
    summed = fake.activations

    def slow(layers, x):
        entered.set()
        time.sleep(0.01)
        return summed(layers, x)

    fake.activations = slow
    other = threading.Thread(target=lambda: taken.append(recorder.snapshot()))
    fake.step_gate.begin_training(lambda: True)
    fake.step_gate.begin_step()
    other.start()
    time.sleep(0.05)
    assert not entered.is_set()
    recorder.begins(TrainingMoment())  # of a callback that comes behind the one whose step it is
    fake.step_gate.end_step()
    other.join(60)
    fake.step_gate.end_training()
    assert [info.index for info in recorder.recording.snapshots] == [0, 1]
    assert taken[0].index == 1


def test_units_that_no_sample_reaches_are_dead(fake, tmp_path):
    x = -abs(images()[0])
    recorder = Recorder(fake, tmp_path, x)
    recorder.snapshot()
    assert list(recorder.recording.weight_numbers("conv").n_dead) == [20]
    recorder = recorder_of(fake, tmp_path / "other")
    recorder.snapshot()
    assert list(recorder.recording.weight_numbers("conv").n_dead) == [0]


def test_every_so_many_seconds(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, every=("seconds", 1e-9))
    train(recorder, fake)
    assert [info.step for info in recorder.recording.snapshots] == [0, 1, 2, 3, 4, 5, 6]
    recorder = recorder_of(fake, tmp_path / "rare", every=("seconds", 1e9))
    train(recorder, fake)
    assert [info.step for info in recorder.recording.snapshots] == [0, 6]  # the end is taken


def test_seconds_between_snapshots_leave_out_what_a_snapshot_takes(fake, tmp_path, monkeypatch):
    now = [0.0]
    capture = snapshot.capture_snapshot

    def capture_slowly(*args):
        now[0] += 8
        return capture(*args)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("actwidgets.recording.recorder.capture_snapshot", capture_slowly)
    recorder = recorder_of(fake, tmp_path, every=("seconds", 10))
    recorder.begins(TrainingMoment(n_steps=20))
    for step in range(1, 10):
        recorder.before_step(TrainingMoment(0, step - 1, 1, 20, step - 1))
        now[0] += 3
        recorder.after_step(TrainingMoment(0, step, 1, 20, step))
    assert [info.step for info in recorder.recording.snapshots] == [0, 4, 8]
    assert recorder.seconds == 24


def test_a_loop_of_ones_own_takes_snapshots_itself(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path)
    for loss in (2.5, 2.0, 1.5):
        recorder.snapshot({"loss": loss})
    recorder.snapshot({"loss": 1.0}, epoch=7.5)
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 1, 2, 7.5]
    epochs, losses = recorder.recording.history.by_epoch["loss"]
    np.testing.assert_array_equal(epochs, [0, 1, 2, 7.5])
    np.testing.assert_array_equal(losses, [2.5, 2.0, 1.5, 1.0])


@pytest.mark.parametrize("metrics", [{"loss": [1.0, 2.0]}, {"loss": "low"}, 0.5])
def test_metrics_that_are_no_numbers_are_refused_and_nothing_is_counted(fake, tmp_path, metrics):
    recorder = recorder_of(fake, tmp_path)
    recorder.snapshot()
    with pytest.raises(DataError, match="metrics"):
        recorder.snapshot(metrics)
    assert recorder.snapshot({"loss": 1.0}).epoch == 1


@pytest.mark.parametrize("epoch", [np.nan, np.inf, -1, "1", [1]])
def test_an_epoch_that_is_none_is_refused_and_not_counted_on(fake, tmp_path, epoch):
    recorder = recorder_of(fake, tmp_path)
    recorder.snapshot()
    with pytest.raises(DataError, match="epoch must be a number of at least 0; got "):
        recorder.snapshot({"loss": 1.0}, epoch=epoch)
    assert recorder.snapshot().epoch == 1
    assert "loss" not in recorder.recording.history.by_epoch


def test_it_is_gone_on_with_only_if_that_is_said(fake, tmp_path):
    train(recorder_of(fake, tmp_path), fake)
    before = listing(tmp_path)
    with pytest.raises(DataError, match="holds this recording already: go on with it by resume"):
        recorder_of(fake, tmp_path)
    assert listing(tmp_path) == before
    recorder = recorder_of(fake, tmp_path, resume=True)
    train(recorder, fake, epochs=1)
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 1, 2, 3]
    assert [info.step for info in recorder.recording.snapshots] == [0, 3, 6, 9]
    assert recorder.recording.history.by_step["loss"][0][-1] == 9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": ["conv"]}, "with other layers"),
        ({"max_samples": 12}, "with other samples, labels or targets"),
        ({"class_names": ("a", "b", "c")}, "with other class names"),
        ({"n_maps": 3}, "n_maps"),
    ],
)
def test_a_folder_of_another_recording_is_refused_and_stays_as_it_is(
    fake, tmp_path, options, words
):
    train(recorder_of(fake, tmp_path), fake)
    before = listing(tmp_path)
    with pytest.raises(DataError, match=f"holds another recording, .*{words}"):
        recorder_of(fake, tmp_path, resume=True, **options)
    assert listing(tmp_path) == before


def test_snapshots_without_a_manifest_are_not_mixed_with_others(fake, tmp_path):
    train(recorder_of(fake, tmp_path), fake)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"snapshots without their manifest\.json"):
        recorder_of(fake, tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": ["conv9"]}, LayerError, "no layer 'conv9'; this model has conv, dense, empty"),
        ({"layers": ["empty"]}, LayerError, "'empty' cannot be recorded: its maps are empty"),
        ({"layers": []}, LayerError, "at least one layer"),
        ({"every": "now and then"}, DataError, "an interval is .*got 'now and then'"),
        ({"every": ("batches", 0)}, DataError, "an interval is"),
        ({"layers": 5}, DataError, "layers must be a name or a list of names; got 5"),
        ({"n_maps": -1}, DataError, "n_maps must be a whole number of at least 0; got -1"),
        ({"budget_bytes": 0}, DataError, "budget_bytes must be a whole number of at least 1"),
        ({"budget_bytes": "x"}, DataError, "budget_bytes must be .*; got 'x'"),
        ({"max_samples": 2.5}, DataError, "max_samples must be .*; got 2.5"),
        ({"max_samples": None}, DataError, "max_samples must be .*; got None"),
        ({"batch_size": True}, DataError, "batch_size must be .*; got True"),
        ({"n_maps": np.nan}, DataError, "n_maps must be .*; got nan"),
        ({"class_names": 5}, DataError, "5"),
        ({"class_names": "abc"}, DataError, "abc"),
        ({"image_shape": "x"}, DataError, "image_shape .*'x'"),
        ({"output_is": 5}, DataError, "5"),
        ({"head": b"x"}, DataError, "head, unless it is a name, must be a whole number; got b'x'"),
        ({"every": 5}, DataError, "got 5"),
        ({"every": ("batches", "2")}, DataError, "an interval is"),
        ({"class_names": ("a",)}, DataError, "3 classes need 3"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_a_folder_is_made(
    fake, tmp_path, options, error, words
):
    with pytest.raises(error, match=words):
        recorder_of(fake, tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_labels_of_other_samples_are_refused(fake, tmp_path):
    with pytest.raises(ShapeError, match="30 samples and y has 29"):
        Recorder(fake, tmp_path / "run", images()[0], images()[1][1:])
    with pytest.raises(DataError, match="give x"):
        Recorder(fake, tmp_path / "run")


def test_a_path_that_can_be_no_folder_is_named(fake, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(DataError, match="file"):
        recorder_of(fake, tmp_path / "file")
    with pytest.raises(DataError, match="path must be text or a Path; got 5"):
        recorder_of(fake, 5)


@pytest.mark.parametrize("function", [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_ends_no_training_and_is_tried_again(fake, tmp_path, monkeypatch, function):
    recorder = recorder_of(fake, tmp_path)
    train(recorder, fake, epochs=1)
    before = listing(tmp_path)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(
            *((os, "fsync") if function == "fsync" else ("pathlib.Path.replace",)), full
        )
        train(recorder, fake, epochs=1)
        assert "No space left on device" in recorder.error
    after = listing(tmp_path)
    assert after.keys() == before.keys()  # the temporary file is gone
    assert {name: after[name] for name in after if "snapshot" in name} == {
        name: before[name] for name in before if "snapshot" in name
    }
    train(recorder, fake, epochs=1)
    assert recorder.error == ""
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 1, 3]


def test_a_history_that_cannot_be_written_ends_no_training(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path)
    (tmp_path / "history.jsonl").mkdir()
    train(recorder, fake, epochs=1, steps=1)
    (tmp_path / "history.jsonl").rmdir()
    assert len(recorder.recording.snapshots) == 2


def test_a_model_that_fails_ends_no_training(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path)
    fake.fails_on = ("conv",)
    train(recorder, fake, epochs=1)
    assert "nothing finite" in recorder.error
    fake.fails_on = ()
    assert recorder.snapshot() is not None
    assert recorder.error == ""


def test_a_budget_is_held_evenly(fake, tmp_path):
    one = recorder_of(fake, tmp_path / "one")
    one.snapshot()
    size = one.recording.snapshots[0].n_bytes
    budget = one.recording.n_bytes + 5 * size
    recorder = recorder_of(fake, tmp_path / "many", budget_bytes=budget)
    train(recorder, fake, epochs=30, steps=1)
    epochs = [info.epoch for info in recorder.recording.snapshots]
    assert recorder.error == ""
    assert recorder.recording.n_bytes <= budget
    assert (epochs[0], epochs[-1]) == (0, 30)
    assert max(np.diff(epochs)) <= 4 * min(np.diff(epochs))
    assert len(os.listdir(tmp_path / "many")) == len(epochs) + 3


def test_a_budget_too_small_for_two_is_said(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path, budget_bytes=100)
    train(recorder, fake)
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 2]
    assert "budget" in recorder.error


def test_after_close_nothing_is_recorded(fake, tmp_path):
    recorder = recorder_of(fake, tmp_path)
    recorder.snapshot()
    recorder.close()
    train(recorder, fake)
    assert len(recorder.recording.snapshots) == 1
    assert recorder.recording.history.by_epoch == {}


def test_a_session_gives_what_it_has(fake, tmp_path):
    session = Session(fake, *images(), class_names=("shirt", "coat", "bag"))
    recorder = Recorder(session, tmp_path, max_samples=12)
    recorder.snapshot()
    recording = open_recording(tmp_path)
    assert recording.class_names == session.class_names
    np.testing.assert_array_equal(recording.x, images()[0][:12])
    np.testing.assert_array_equal(recording.labels, images()[1][:12])


def test_one_output_per_sample_is_kept_as_it_is(fake, tmp_path):
    fake.n_classes = 0
    recorder = Recorder(fake, tmp_path, images()[0])
    recorder.snapshot()
    assert recorder.error == ""
    with pytest.raises(ActwidgetsError, match="not one vector per sample"):
        recorder.recording.predictions()


def test_activations_are_counted_until_there_are_enough(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "ENOUGH_VALUES", 100)
    recorder = recorder_of(fake, tmp_path / "run", batch_size=7)
    recorder.snapshot()
    recording = recorder.recording
    assert recording.activation_histogram("conv").n_values == 4 * 6 * 20  # one sample
    assert recording.activation_histogram("dense").n_values == 20 * 5  # amid the third batch
    assert len(recording.summaries("conv").max) == recording.n_samples


def test_nothing_is_kept_in_the_memory_that_a_model_uses_again(fake, tmp_path, monkeypatch):
    memory, activations = {}, fake.activations

    def in_the_same_memory(layers, x):
        for name, values in activations(layers, x).items():
            memory.setdefault(name, np.zeros_like(values))[: len(values)] = values
        return {name: memory[name][: len(x)] for name in layers}

    monkeypatch.setattr(fake, "activations", in_the_same_memory)
    recorder = recorder_of(fake, tmp_path, batch_size=7, n_maps=10)
    recorder.snapshot()
    wanted = activations(["conv"], images()[0][:10])["conv"]
    error = recorder.recording.activation_error("conv")
    assert (abs(recorder.recording.activations("conv") - wanted) <= error).all()


def test_of_large_layers_less_is_recorded_unless_they_are_named(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("actwidgets.recording.recorder.MANY_UNITS", 19)
    monkeypatch.setattr("actwidgets.recording.snapshot.MAX_KERNEL_VALUES", 179)
    recorder = recorder_of(fake, tmp_path / "few")
    assert [info.name for info in recorder.recording.layers] == ["dense"]
    recorder = recorder_of(fake, tmp_path / "named", layers=["conv"])
    recorder.snapshot()
    assert recorder.recording.weight_histograms("conv")["kernel"].n_values == 180
    with pytest.raises(LayerError, match="more than 100,000"):
        recorder.recording.kernels("conv")
    monkeypatch.setattr("actwidgets.recording.snapshot.MAX_KERNEL_VALUES", 180)
    recorder.snapshot()
    assert recorder.recording.kernels("conv").shape == (3, 3, 1, 20)


def test_a_history_without_its_recording_is_not_gone_on_with(fake, tmp_path):
    HistoryFile(tmp_path).add_epoch(7, 70, {"loss": 1.0})
    recorder = recorder_of(fake, tmp_path)
    assert dict(recorder.recording.history.by_epoch) == {}
    assert recorder.snapshot().epoch == 0


class Regression(TrainedProbe):
    """Puts out the first pixel and twice that."""

    n_classes = 2
    output_kind = OutputKind(
        "value", "", (2,), "its loss is mse", "loss", head="age", heads=("kind", "age")
    )

    def predictions(self, x):
        return np.asarray(x)[:, 0, 0, :1] * np.float32([1, 2])


@pytest.mark.parametrize("shift", [0.25, 0.0])  # whole numbers are targets too
def test_a_recorded_regression_keeps_its_targets(shift, tmp_path):
    x, _ = images()
    y = x[:, 0, 0, 0, None] * [1, 3] + shift
    recorder = Recorder(Regression(), tmp_path, x, y, max_samples=12, head="age")
    recorder.snapshot()
    recording = open_recording(tmp_path)
    assert recording.labels is None
    assert recording.targets.dtype == np.float32
    np.testing.assert_array_equal(recording.targets, y[:12])
    session = recording.session()
    residuals = session.value_scores(range(12)).residuals
    session.close()
    np.testing.assert_allclose(residuals, x[:12, 0, 0, 0, None] * [0, -1] - shift, rtol=1e-6)
    with pytest.raises(DataError, match="other samples, labels or targets"):
        Recorder(Regression(), tmp_path, x, y + 1, max_samples=12, head="age", resume=True)


def test_a_recording_from_before_targets_were_kept_still_opens(tmp_path):
    x, _ = images()
    Recorder(Regression(), tmp_path, x, x[:, 0, 0, 0, None] * [1, 3] + 0.25, head="age").snapshot()
    store.write_samples(tmp_path, x, None)
    session = open_recording(tmp_path).session()
    assert session.targets is None
    assert session.value_scores().residuals is None
    session.close()


def test_what_was_written_is_not_read_back_and_known_as_from_disk(fake, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a snapshot was read back while the model is trained")

    with monkeypatch.context() as patched:
        for name in ("read_info", "read_snapshot"):
            patched.setattr(f"actwidgets.recording.snapshot.{name}", refuse)
        recorder = recorder_of(fake, tmp_path / "run")
        recorder.snapshot({"loss": 0.5})
        recorder.snapshot({"loss": float("nan")})
    assert (len(recorder.recording.snapshots), recorder.error) == (2, "")
    # As texts: NaN is not equal to itself.
    reopened = open_recording(tmp_path / "run")
    assert repr(reopened.snapshots) == repr(recorder.recording.snapshots)
    for mine, other in zip(recorder.recording.snapshots, reopened.snapshots, strict=True):
        assert repr(mine.numbers) == repr(other.numbers)


# --- course -------------------------------------------------------------------------------


def fit(course, epochs, first=0, n_steps=4, known=True, until=None):
    """As Keras tells it; the epochs that stood after each step."""
    found, done = [], 0
    size = n_steps if known else None
    course.begin(TrainingMoment(n_epochs=epochs, n_steps=size))
    for epoch in range(first, epochs):
        for step in range(n_steps):
            course.before_step(TrainingMoment(epoch, done, epochs, size, step))
            if done == until:
                return found
            done += 1
            course.after_step(TrainingMoment(epoch, done, epochs, size, step + 1))
            found.append(course.epoch)
        course.after_epoch(TrainingMoment(epoch + 1, done, epochs, size))
    course.pause()
    return found


def test_amid_an_epoch_is_told_as_a_part_of_it():
    assert fit(TrainingProgress(), 2) == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]


def test_of_an_epoch_of_unknown_length_it_is_known_that_it_is_not_over():
    course = TrainingProgress()
    first, second = (found := fit(course, 2, known=False))[:4], found[4:]
    assert first == sorted(first)
    assert 0 < first[0] < first[-1] < 1
    assert second == [1.25, 1.5, 1.75, 2]
    assert course.epoch == 2


@pytest.mark.parametrize(
    ("fits", "epoch", "step"),
    [
        ([(2,), (1,)], 3, 12),
        ([(2,), (3, 2)], 3, 12),  # epochs that Keras counts on
        ([(2,), (6, 5)], 6, 12),
        ([(2,), (2, 1)], 3, 12),
        ([(2, 0, 5)], 1.25, 5),  # interrupted
        ([(2, 0, 5), (1,)], 3, 9),
    ],
)
def test_a_second_fit_goes_on(fits, epoch, step):
    course = TrainingProgress()
    for n_epochs, *first_and_until in fits:
        fit(course, n_epochs, **dict(zip(("first", "until"), first_and_until, strict=False)))
    assert (course.epoch, course.step) == (epoch, step)


def test_pauses_do_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    course = TrainingProgress(seconds=5)
    course.begin(TrainingMoment())
    now[0] = 3
    assert course.seconds == 8
    course.pause()
    now[0] = 100
    assert course.seconds == 8
    course.begin(TrainingMoment())
    course.begin(TrainingMoment())  # the one before was interrupted
    now[0] = 101
    assert course.seconds == 9


def test_steps_done_several_at_a_time_are_a_stride():
    course = TrainingProgress()
    course.begin(TrainingMoment(n_steps=4))
    course.before_step(TrainingMoment())
    course.after_step(TrainingMoment(0, 2, 1, 4, 2))
    assert (course.stride, course.step, course.epoch) == (2, 2, 0.5)
    course.before_step(TrainingMoment(0, 2, 1, 4, 2))
    course.after_step(TrainingMoment(0, 3, 1, 4, 3))  # an epoch's last step may be of fewer
    assert course.stride == 2
    course.begin(TrainingMoment(n_steps=4))
    assert course.stride is None


def test_which_step_is_the_last_of_a_fit():
    course = TrainingProgress()
    course.begin(TrainingMoment(n_epochs=2, n_steps=5))
    assert not course.is_last_step(TrainingMoment(1, 9, 2, 5, 4))  # nobody knows how many at a time
    course.after_step(TrainingMoment(0, 2, 2, 5, 2))
    known = [course.is_last_step(TrainingMoment(1, 5 + step, 2, 5, step)) for step in range(5)]
    assert known == [False, False, False, True, True]
    assert not course.is_last_step(TrainingMoment(0, 4, 2, 5, 4))
    assert not course.is_last_step(TrainingMoment(1, 9, None, 5, 4))


def test_an_epoch_without_a_step_counts_on():
    course = TrainingProgress(epoch=2, step=6)
    course.begin(TrainingMoment())
    course.after_epoch(TrainingMoment(1, 0))
    assert (course.epoch, course.step) == (3, 6)


# --- thinning -----------------------------------------------------------------------------


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=40)


@given(SIZES, st.integers(0, 200))
def test_what_is_left_fits_and_the_ends_stay(n_bytes, budget):
    epochs = [float(each) for each in range(len(n_bytes))]
    dropped = to_drop(epochs, n_bytes, budget)
    kept = [each for each in range(len(n_bytes)) if each not in dropped]
    assert kept[0] == 0
    assert kept[-1] == len(n_bytes) - 1
    assert len(kept) <= 2 or sum(n_bytes[each] for each in kept) <= budget


@given(SIZES)
def test_nothing_is_dropped_that_fits(n_bytes):
    assert to_drop(range(len(n_bytes)), n_bytes, sum(n_bytes)) == ()


@given(st.integers(4, 30), st.integers(30, 150))
def test_snapshots_that_come_one_by_one_stay_evenly_apart(n_kept, n_epochs):
    epochs = []
    for epoch in range(n_epochs):
        epochs.append(float(epoch))
        dropped = to_drop(epochs, [1] * len(epochs), n_kept)
        epochs = [each for place, each in enumerate(epochs) if place not in dropped]
    assert len(epochs) == n_kept
    gaps = np.diff(epochs)
    assert gaps[:-1].max() <= 4 * gaps[:-1].min()  # before the last one there may be little
    assert gaps.max() <= 4 * n_epochs / n_kept


def test_epochs_count_not_places():
    assert to_drop([0, 1, 1.1, 1.2, 5], [1] * 5, 4) == (2,)


def test_of_none_and_of_one_nothing_is_dropped():
    assert to_drop([], [], 0) == ()
    assert to_drop([0], [9], 0) == ()


def test_of_equals_the_earliest_goes():
    assert to_drop([0, 1, 2, 3, 4], [1] * 5, 4) == (1,)
