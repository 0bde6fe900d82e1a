"""Event files: what is in them, and when it is written."""

import io
import math
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from event_files import events, in_folder
from fakes import FakeProbe
from PIL import Image

from actwidgets.core.histograms import histogram
from actwidgets.errors import ActwidgetsError, DataError, LayerError
from actwidgets.export.tensorboard import EventListener, EventWriter, to_tensorboard
from actwidgets.images.tile_grid import map_sheet
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import Recording
from actwidgets.session.session import Session
from actwidgets.training.events import TrainingMoment, interval


class WeightyProbe(FakeProbe):
    """Its weights and outputs may grow with every snapshot."""

    factor = 1.0

    def activations(self, layers, x):
        found = super().activations(layers, x)
        return {name: values**self.factor for name, values in found.items()}

    def weights(self, layer):
        return {"kernel": np.arange(6.0) * self.factor} if layer == "conv" else {}


# --- the writer ---------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path):
    with closing(EventWriter(tmp_path / "run")) as log:
        yield log


def test_numbers_are_read_back(log):
    log.scalar("metrics/loss", 0, 0.5)
    log.wall_time = 12.0
    log.scalar("metrics/loss", 3, math.nan)
    first, second, third = events(log.path)
    assert first.file_version == "brain.Event:2"
    assert (second.step, third.step, third.wall_time) == (0, 3, 12.0)
    assert second.summary.value[0].metadata.plugin_data.plugin_name == "scalars"
    values = in_folder(log.path.parent)["metrics/loss"]
    assert values[0] == 0.5
    assert math.isnan(values[3])


def test_a_picture_is_read_back_with_what_is_told_of_it(log):
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 3))
    log.layer("conv", 2, maps=maps, activations=maps, weights={"kernel": maps[0]})
    sheet = map_sheet(maps)
    (_, event, *_) = events(log.path)
    (value,) = event.summary.value
    assert value.metadata.plugin_data.plugin_name == "images"
    assert value.metadata.summary_description == str(sheet)
    width, height, png = value.tensor.string_val
    assert Image.open(io.BytesIO(png)).size == (int(width), int(height))
    assert png == sheet.png()
    found = in_folder(log.path.parent)
    assert found.keys() == {"maps/conv", "activations/conv", "weights/conv/kernel"}
    assert found["weights/conv/kernel"][2][:, 2].sum() == maps[0].size


def test_no_count_of_a_histogram_is_lost_or_split(log):
    values = np.random.default_rng(0).normal(size=5000)
    log.histogram("weights/conv", 1, histogram(values))
    table = in_folder(log.path.parent)["weights/conv"][1]
    assert 16 < len(table) <= 64
    np.testing.assert_array_equal(table[1:, 0], table[:-1, 1])
    expected, _ = np.histogram(values, [*table[:, 0], table[-1, 1]])
    np.testing.assert_array_equal(table[:, 2], expected)


def test_values_that_have_no_bin_are_told_apart(log):
    log.histogram("activations/conv", 4, histogram([np.nan, np.inf, -np.inf, 1.0]))
    log.histogram("activations/none", 4, histogram([np.nan]))
    log.histogram("activations/fine", 4, histogram([2.0]))
    found = in_folder(log.path.parent)
    assert found["activations/conv"][4][:, 2].tolist() == [1]
    assert found["activations/conv/not_finite"][4] == 3
    assert found["activations/none"][4].shape == (0, 3)
    assert "activations/fine/not_finite" not in found


def test_edges_beyond_all_floats_are_left_out(log):
    largest = np.finfo(np.float64).max
    log.histogram("weights/huge", 0, histogram([-largest, largest]))
    assert np.isfinite(in_folder(log.path.parent)["weights/huge"][0]).all()


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
    assert in_folder(log.path.parent)["metrics/loss"].keys() == {0, 2}


def test_two_logs_in_a_folder_do_not_meet(tmp_path):
    with closing(EventWriter(tmp_path)) as one, closing(EventWriter(tmp_path)) as other:
        assert one.path != other.path


def test_closing_twice_is_fine(log):
    log.close()
    log.close()


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match=r"cannot write to .*notes"):
        EventWriter(tmp_path / "notes")


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(ActwidgetsError, match=r'pip install "actwidgets\[tensorboard\]"'):
        EventWriter(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorflow_is_not_loaded(tmp_path):
    code = (
        "import sys; import numpy as np; from actwidgets.export.tensorboard import EventWriter;"
        f"log = EventWriter({str(tmp_path)!r}); log.scalar('a', 0, 1.0); x = np.ones((2, 3, 3, 1));"
        "log.layer('b', 0, maps=x, activations=x, weights={});"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


# --- a training under way ---


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def listener(folder, data):
    return make(folder, data[0])


def make(folder, x, every="epoch"):
    made = EventListener(
        lambda: EventWriter(folder), ("conv", "dense"), x, n_pictures=2, every=interval(every)
    )
    made.probe = WeightyProbe()
    return made


def train(listener, n_epochs=2, n_steps=3, initial_epoch=0, ends=True, until=None):
    """Tell of a training as `ListeningCallback` does."""
    listener.begins(TrainingMoment())
    step = 0
    for epoch in range(initial_epoch, n_epochs):
        for of_epoch in range(n_steps):
            listener.before_step(TrainingMoment(epoch, step, step_of_epoch=of_epoch))
            if step == until:
                return
            step += 1
            listener.after_step(
                TrainingMoment(epoch, step, step_of_epoch=of_epoch + 1, metrics={"loss": 1 / step})
            )
        listener.after_epoch(
            TrainingMoment(epoch + 1, step, metrics={"loss": 0.5, "val_loss": 0.7})
        )
    if ends:
        listener.ends(TrainingMoment(n_epochs, step))


def test_the_state_before_the_training_comes_first(listener, folder):
    listener.begins(TrainingMoment())
    assert not folder.exists()
    listener.before_step(TrainingMoment())
    assert in_folder(folder).keys() == {
        *("maps/conv", "activations/conv", "weights/conv/kernel"),
        *("maps/dense", "activations/dense"),
    }


def test_every_epoch_is_written_once(listener, folder):
    train(listener)
    found = in_folder(folder)
    assert found["maps/conv"].keys() == found["weights/conv/kernel"].keys() == {0, 1, 2}
    assert found["metrics/loss"] == {1: 0.5, 2: 0.5}
    assert found["metrics/val_loss"].keys() == {1, 2}
    assert "batch_metrics/loss" not in found
    assert len(listener.probe.calls) == 3


def test_histograms_are_of_all_samples_and_pictures_of_some(listener, folder, data):
    train(listener, n_epochs=1)
    counts = in_folder(folder)["activations/dense"][0][:, 2]
    assert counts.sum() == 5 * len(data[0])
    from_picture = in_folder(folder)["maps/dense"][0]
    train(other := make(folder.parent / "other", data[0][:2]), n_epochs=1)
    assert in_folder(folder.parent / "other")["maps/dense"][0] == from_picture
    assert other.error == ""


def test_a_second_training_is_counted_on(listener, folder):
    train(listener)
    train(listener, n_epochs=1)
    found = in_folder(folder)
    assert found["maps/conv"].keys() == {0, 1, 2, 3}
    assert found["metrics/loss"].keys() == {1, 2, 3}
    assert len(listener.probe.calls) == 4, "the state between them is written once"


@pytest.mark.parametrize(
    ("every", "trainings", "places"),
    [
        ("epoch", [{}, {"n_epochs": 4, "initial_epoch": 2}], {"metrics/loss": {1, 2, 3, 4}}),
        ("epoch", [{"n_epochs": 6, "initial_epoch": 5}], {"maps/conv": {5, 6}}),
        ("epoch", [{"n_epochs": 1, "ends": False}, {"n_epochs": 1}], {"maps/conv": {0, 1, 2}}),
        ("epoch", [{"until": 4}, {"n_epochs": 1}], {"metrics/loss": {1, 3}}),
        ("epoch", [{}, {"initial_epoch": 1}], {"metrics/loss": {1, 2, 3}}),
        ("epoch", [{}, {"n_epochs": 1, "n_steps": 0}], {"metrics/loss": {1, 2, 3}}),
        (
            ("batches", 2),
            [{}, {"n_epochs": 1}],
            {
                "maps/conv": {0, 2, 4, 6, 8, 9},  # and the last step
                "batch_metrics/loss": {2, 4, 6, 8},
                "metrics/loss": {3, 6, 9},
            },
        ),
        (
            ("epochs", 2),
            [{"n_epochs": 5}],
            {"maps/conv": {0, 2, 4, 5}, "metrics/loss": {1, 2, 3, 4, 5}},
        ),
    ],
)
def test_trainings_are_counted_on_in_epochs_or_steps(folder, data, every, trainings, places):
    listener = make(folder, data[0], every)
    for options in trainings:
        train(listener, **options)
    found = in_folder(folder)
    assert {tag: found[tag].keys() for tag in places} == places


def test_every_few_seconds(folder, data, monkeypatch):
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    train(make(folder, data[0], ("seconds", 10)))
    assert in_folder(folder)["maps/conv"].keys() == {0, 3, 6}


def test_a_failure_is_told_and_the_next_interval_tried(listener, folder):
    listener.probe.fails_on = ("dense",)
    listener.begins(TrainingMoment())
    with pytest.raises(FloatingPointError) as raised:
        listener.before_step(TrainingMoment())
    listener.failed(raised.value)
    assert listener.error == ("could not write to TensorBoard's log: nothing finite in <maps>")
    listener.probe.fails_on = ()
    listener.after_epoch(TrainingMoment(1, 3))
    assert listener.error == ""
    assert in_folder(folder)["maps/conv"].keys() == {1}


def test_an_empty_layer_has_no_picture(folder, data):
    listener = EventListener(
        lambda: EventWriter(folder), ("empty",), data[0], n_pictures=2, every=interval("epoch")
    )
    listener.probe = WeightyProbe()
    train(listener, n_epochs=1)
    found = in_folder(folder)
    assert "maps/empty" not in found
    assert found["activations/empty"][1].shape == (0, 3)


# --- a recording ---


def record(folder, data, epochs):
    """A snapshot for each of these epochs, of weights that are multiples of the first."""
    probe = WeightyProbe()
    recorder = Recorder(Session(probe, *data), folder, layers=["conv", "dense"], n_maps=3)
    for number, epoch in enumerate(epochs):
        probe.factor = number + 1.0
        recorder.snapshot(metrics={"loss": 1 / (number + 1)}, epoch=epoch)
    assert recorder.error == ""
    recorder.close()
    return Recording(folder)


@pytest.fixture
def recording(tmp_path, data):
    return record(tmp_path / "film", data, (0, 1, 2))


def test_everything_is_there_at_every_epoch(recording, tmp_path):
    folder = to_tensorboard(recording, tmp_path / "logs")
    assert folder == tmp_path / "logs" / "film"
    found = in_folder(folder)
    for tag in (
        *("maps/conv", "maps/dense", "activations/conv", "activations/dense"),
        *("weights/conv/kernel", "weight_norm/conv", "dead_units/conv"),
    ):
        assert found[tag].keys() == {0, 1, 2}, tag
    losses = found["metrics/loss"]
    assert {place: float(value) for place, value in losses.items()} == pytest.approx(
        {0: 1.0, 1: 0.5, 2: 1 / 3}
    )
    norms = [float(found["weight_norm/conv"][place]) for place in range(3)]
    assert norms == pytest.approx([55**0.5, 2 * 55**0.5, 3 * 55**0.5])


def test_pictures_are_of_the_stored_maps(recording, tmp_path):
    found = in_folder(to_tensorboard(recording, tmp_path / "logs", normalize="symmetric"))
    for at in range(3):
        stored = recording.activations("conv", at)
        assert len(stored) == 3
        assert found["maps/conv"][at] == map_sheet(stored, "symmetric").png()


def test_histograms_hold_all_values(recording, tmp_path, data):
    found = in_folder(to_tensorboard(recording, tmp_path / "logs"))
    for at in range(3):
        assert found["weights/conv/kernel"][at][:, 2].sum() == 6
        assert found["activations/dense"][at][:, 2].sum() == 5 * len(data[0])


def test_amid_epochs_the_axis_is_that_of_steps_or_else_of_files(tmp_path, data):
    recording = record(tmp_path / "film", data, (0, 2.5, 4))
    steps = [info.step for info in recording.snapshots]
    places = set(steps) if len(set(steps)) == 3 else {0, 1, 2}
    found = in_folder(to_tensorboard(recording, tmp_path / "logs"))
    assert found["maps/conv"].keys() == found["metrics/loss"].keys() == places


def test_some_layers_only(recording, tmp_path):
    found = in_folder(to_tensorboard(recording, tmp_path / "logs", layers=["dense"]))
    assert "maps/dense" in found
    assert not any("conv" in tag for tag in found)
    for wrong, message in (
        ({"layers": 5}, "layers must be a name or a list of names; got 5"),
        ({"normalize": "per pixel"}, "no normalization 'per pixel'"),
        ({"logdir": 5}, "logdir must be text or a Path; got 5"),
    ):
        with pytest.raises(DataError, match=message):
            to_tensorboard(recording, **({"logdir": tmp_path / "wrong"} | wrong))
    with pytest.raises(LayerError, match="'empty' is not recorded; recorded are conv, dense"):
        to_tensorboard(recording, tmp_path / "other", layers=["empty"])
    assert not (tmp_path / "other").exists()


def test_a_second_export_to_the_same_place_is_refused(recording, tmp_path):
    folder = to_tensorboard(recording, tmp_path / "logs")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match="holds event files already"):
        to_tensorboard(recording, tmp_path / "logs")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_leaves_no_half_of_it(recording, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventWriter, "histogram", full)
    with pytest.raises(DataError, match=r"cannot write to .* No space left on device"):
        to_tensorboard(recording, tmp_path / "logs")
    assert list((tmp_path / "logs" / "film").iterdir()) == []


def test_nothing_recorded_yet_is_refused(tmp_path, data):
    recording = record(tmp_path / "film", data, ())
    with pytest.raises(DataError, match="nothing has been recorded yet"):
        to_tensorboard(recording, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
