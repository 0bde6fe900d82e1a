"""When what is written to TensorBoard, told as a training tells it."""

import numpy as np
import pytest
from event_files import in_folder
from fakes import FakeProbe

from actwidgets.core.training.board import Board
from actwidgets.core.training.board_listener import BoardListener
from actwidgets.core.training.event_log import EventLog
from actwidgets.core.training.interval import interval
from actwidgets.core.training.listener import Moment


class WeightyProbe(FakeProbe):
    def weights(self, layer):
        return {"kernel": np.arange(6.0)} if layer == "conv" else {}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def listener(folder, data):
    return make(folder, data[0])


def make(folder, x, every="epoch"):
    def opened():
        return Board(EventLog(folder))

    made = BoardListener(opened, ("conv", "dense"), x, n_pictures=2, every=interval(every))
    made.probe = WeightyProbe()
    return made


def train(listener, n_epochs=2, n_steps=3, initial_epoch=0, ends=True, until=None):
    """Tell of a training as `ListeningCallback` does."""
    listener.begins(Moment())
    step = 0
    for epoch in range(initial_epoch, n_epochs):
        for of_epoch in range(n_steps):
            listener.before_step(Moment(epoch, step, step_of_epoch=of_epoch))
            if step == until:
                return
            step += 1
            listener.after_step(
                Moment(epoch, step, step_of_epoch=of_epoch + 1, metrics={"loss": 1 / step})
            )
        listener.after_epoch(Moment(epoch + 1, step, metrics={"loss": 0.5, "val_loss": 0.7}))
    if ends:
        listener.ends(Moment(n_epochs, step))


def test_the_state_before_the_training_comes_first(listener, folder):
    listener.begins(Moment())
    assert not folder.exists()
    listener.before_step(Moment())
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


def test_one_that_goes_on_at_an_epoch_is_not_counted_twice(listener, folder):
    train(listener)
    train(listener, n_epochs=4, initial_epoch=2)
    assert in_folder(folder)["metrics/loss"].keys() == {1, 2, 3, 4}


def test_the_first_training_may_begin_at_a_later_epoch(listener, folder):
    train(listener, n_epochs=6, initial_epoch=5)
    assert in_folder(folder)["maps/conv"].keys() == {5, 6}


def test_an_interrupted_training_is_counted_on(listener, folder):
    train(listener, n_epochs=1, ends=False)
    train(listener, n_epochs=1)
    assert in_folder(folder)["maps/conv"].keys() == {0, 1, 2}


def test_an_interrupted_epoch_counts_as_one(listener, folder):
    train(listener, n_epochs=2, until=4)
    train(listener, n_epochs=1)
    assert in_folder(folder)["metrics/loss"].keys() == {1, 3}


def test_one_that_begins_within_the_earlier_ones_comes_behind_them(listener, folder):
    train(listener, n_epochs=2)
    train(listener, n_epochs=2, initial_epoch=1)
    assert in_folder(folder)["metrics/loss"].keys() == {1, 2, 3}


def test_a_training_without_a_step_is_counted_on(listener, folder):
    train(listener)
    train(listener, n_epochs=1, n_steps=0)
    assert in_folder(folder)["metrics/loss"].keys() == {1, 2, 3}


def test_every_few_batches_the_axis_is_that_of_steps(folder, data):
    listener = make(folder, data[0], ("batches", 2))
    train(listener)
    train(listener, n_epochs=1)
    found = in_folder(folder)
    assert found["maps/conv"].keys() == {0, 2, 4, 6, 8, 9}, "and the last step"
    assert found["batch_metrics/loss"].keys() == {2, 4, 6, 8}
    assert found["metrics/loss"].keys() == {3, 6, 9}


def test_every_second_epoch_and_the_last(folder, data):
    train(make(folder, data[0], ("epochs", 2)), n_epochs=5)
    found = in_folder(folder)
    assert found["maps/conv"].keys() == {0, 2, 4, 5}
    assert found["metrics/loss"].keys() == {1, 2, 3, 4, 5}


def test_every_few_seconds(folder, data, monkeypatch):
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    train(make(folder, data[0], ("seconds", 10)))
    assert in_folder(folder)["maps/conv"].keys() == {0, 3, 6}


def test_a_failure_is_told_and_the_next_interval_tried(listener, folder):
    listener.probe.fails_on = ("dense",)
    listener.begins(Moment())
    with pytest.raises(FloatingPointError) as raised:
        listener.before_step(Moment())
    listener.failed(raised.value)
    assert listener.error == ("could not write to TensorBoard's log: nothing finite in <maps>")
    listener.probe.fails_on = ()
    listener.after_epoch(Moment(1, 3))
    assert listener.error == ""
    assert in_folder(folder)["maps/conv"].keys() == {1}


def test_an_empty_layer_has_no_picture(folder, data):
    listener = BoardListener(
        lambda: Board(EventLog(folder)), ("empty",), data[0], n_pictures=2, every=interval("epoch")
    )
    listener.probe = WeightyProbe()
    train(listener, n_epochs=1)
    found = in_folder(folder)
    assert "maps/empty" not in found
    assert found["activations/empty"][1].shape == (0, 3)
