"""A recording as event files."""

import numpy as np
import pytest
from event_files import in_folder
from fakes import FakeProbe

from actwidgets.core.pictures.map_sheet import map_sheet
from actwidgets.core.training.event_log import EventLog
from actwidgets.errors import DataError, LayerError
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.recording import Recording
from actwidgets.recording.tensorboard_export import to_tensorboard
from actwidgets.session import Session


class WeightyProbe(FakeProbe):
    """Its weights and outputs grow with every snapshot."""

    factor = 1.0

    def activations(self, layers, x):
        found = super().activations(layers, x)
        return {name: values**self.factor for name, values in found.items()}

    def weights(self, layer):
        return {"kernel": np.arange(6.0) * self.factor} if layer == "conv" else {}


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
    found = in_folder(to_tensorboard(recording, tmp_path / "logs", scaling="symmetric"))
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

    monkeypatch.setattr(EventLog, "histogram", full)
    with pytest.raises(DataError, match=r"cannot write to .* No space left on device"):
        to_tensorboard(recording, tmp_path / "logs")
    assert list((tmp_path / "logs" / "film").iterdir()) == []


def test_nothing_recorded_yet_is_refused(tmp_path, data):
    recording = record(tmp_path / "film", data, ())
    with pytest.raises(DataError, match="nothing has been recorded yet"):
        to_tensorboard(recording, tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
