import numpy as np
import pytest
import shown
from fakes import messages, wiretap

import actwidgets as aw
from actwidgets.errors import DataError, ModelError
from actwidgets.session.session import Session
from actwidgets.training.events import TrainingMoment
from actwidgets.training.step_gate import StepGate
from actwidgets.training.time_budget import TimeBudget
from actwidgets.views.training_monitor import FIRST_WINDOW_S, LONGEST_WINDOW_S


@pytest.fixture
def trained(probe, data):
    """A session whose model is said to be in training, by this thread."""
    probe.step_gate = StepGate()
    probe.step_gate.begin_training(lambda: True)
    yield Session(probe, *data, class_names=("shirt", "coat", "bag"))
    probe.step_gate.end_training()


@pytest.fixture
def monitor(trained, monkeypatch):
    """Which may take all the time it wants, and draws when the others are refreshed."""
    monkeypatch.setattr(TimeBudget, "can_afford", lambda *_: True)
    monkeypatch.setattr("actwidgets.views.training_monitor.CURVES_EVERY_S", float("inf"))
    return aw.TrainingMonitor(trained, share=1.0, every="batch")


def watch_of(monitor):
    """What hears of a training for a monitor."""
    return monitor._watch


def train(monitor, n_steps=3, **metrics):
    watch = watch_of(monitor)
    watch.begins(TrainingMoment(n_epochs=2, n_steps=n_steps))
    for step in range(1, n_steps + 1):
        told = {"loss": 1 / step, "accuracy": step / 9} | metrics
        watch.after_step(TrainingMoment(0, step, 2, n_steps, step, told))
    watch.after_epoch(TrainingMoment(1, n_steps, 2, n_steps, 0, told | {"val_loss": 0.4}))
    return watch


def test_it_says_what_to_do_before_there_is_a_training(monitor):
    assert "callbacks=[monitor.callback]" in shown.text(monitor)
    assert monitor.state == ""
    assert shown.control(monitor, "Stop").disabled


def test_curves_grow_while_it_trains(monitor):
    watch = train(monitor)
    assert monitor.state == "training"
    np.testing.assert_allclose(monitor.loss.by_step.y, [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(monitor.loss.by_step.x, [1 / 3, 2 / 3, 1])
    assert "epoch 1 of 2 · batch 3 of 3" in shown.text(monitor)
    watch.ends(TrainingMoment(1, 3))
    np.testing.assert_array_equal(monitor.loss.validation.y, [0.4])
    assert not monitor.other.validation.visible
    assert "val_loss 0.4" in shown.text(monitor)
    assert monitor.state == "finished"
    assert shown.control(monitor, "Stop").disabled


def test_a_second_training_says_where_it_stands_among_all(monitor):
    watch = train(monitor)
    watch.ends(TrainingMoment(1, 3, 2))
    assert "in all" not in shown.text(monitor)
    train(monitor).ends(TrainingMoment(1, 3, 2))
    assert "finished: epoch 1 of 2 (2 in all)" in shown.text(monitor)


def test_a_failure_before_any_training_is_told(monitor):
    watch_of(monitor).failed(ModelError("another model"))
    assert "another model" in shown.text(monitor)


def test_other_views_are_refreshed_at_the_interval(monitor, trained):
    revision = trained.revision
    watch = train(monitor)
    assert trained.revision == revision + 3  # once a batch, and not for the epoch's end
    watch.ends(TrainingMoment(2, 6))
    assert trained.revision == revision + 4


def test_what_costs_too_much_of_the_time_is_left_out_and_drawn_at_the_end(trained):
    monitor = aw.TrainingMonitor(trained, share=0.001, every="batch")
    watch = watch_of(monitor)
    revision = trained.revision
    watch.begins(TrainingMoment())
    watch._for_views.add(100.0)
    watch._for_curves.add(100.0)
    watch._drawn_s = 0.0
    for step in range(1, 50):
        watch.after_step(TrainingMoment(0, step, None, None, step, {"loss": 1.0}))
    assert trained.revision == revision
    assert not monitor.loss.by_step.visible
    watch.ends(TrainingMoment(1, 50))
    assert trained.revision == revision + 1
    assert len(monitor.loss.by_step.y) == 49


def test_paused_it_draws_nothing_and_gathers_on(monitor, trained):
    shown.control(monitor, "Pause drawing").value = True
    assert monitor.paused
    revision = trained.revision
    watch = train(monitor)
    assert trained.revision == revision
    assert not monitor.loss.by_step.visible
    shown.control(monitor, "Pause drawing").value = False
    assert monitor.loss.by_step.visible
    watch.ends(TrainingMoment(2, 6))


def test_a_click_on_stop_ends_the_training(monitor):
    class Callback:
        stopped = 0

        def stop(self):
            self.stopped += 1

    monitor._callback = Callback()
    watch = train(monitor)
    shown.press(monitor, "Stop")
    monitor.stop()
    assert (monitor.state, monitor.callback.stopped) == ("stopping", 1)
    watch.ends(TrainingMoment(1, 3))
    assert monitor.state == "stopped"


def test_a_training_that_ends_without_a_word_is_told_and_shown(monitor, trained, probe):
    train(monitor)
    revision = trained.revision
    probe.step_gate.end_training()
    watch_of(monitor)._noticing.join(60)
    assert monitor.state == "interrupted"
    assert "interrupted: epoch 1" in shown.text(monitor)
    assert trained.revision == revision + 1


@pytest.mark.expects_error
def test_another_view_that_fails_is_its_own_concern(monitor, trained, probe):
    grid = aw.FeatureMapGrid(trained)
    probe.fails_on = ("conv",)
    watch = train(monitor)
    assert "nothing finite" in grid.error
    assert monitor.error == ""
    probe.fails_on = ()
    watch.ends(TrainingMoment(2, 6))
    assert grid.error == ""


@pytest.mark.expects_error
def test_a_failure_to_draw_is_told_and_the_curves_go_on(monitor, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(monitor.loss, "show", lambda *_: 1 / 0)
        watch = train(monitor)
        assert "division by zero" in monitor.error
    watch.after_step(TrainingMoment(1, 4, 2, 3, 1, {"loss": 0.1}))
    assert monitor.error == ""
    assert monitor.loss.by_step.y[-1] == 0.1


def test_what_a_listener_fails_at_is_told(monitor):
    watch = train(monitor)
    watch.failed(OSError("<no room>"))
    assert "OSError: &lt;no room&gt;" in shown.markup(monitor)


def test_a_metric_can_be_chosen(monitor):
    train(monitor, mean_error=5.0)
    assert shown.control(monitor, "metric").options == ("accuracy", "mean_error")
    shown.control(monitor, "metric").value = "mean_error"
    assert monitor.metric == "mean_error"
    assert monitor.other.by_step.y[0] == 5.0


def test_loss_that_is_not_a_number_leaves_a_gap(monitor):
    watch = train(monitor)
    watch.after_step(TrainingMoment(1, 4, 2, 3, 1, {"loss": float("nan"), "accuracy": 0.1}))
    assert np.isnan(monitor.loss.by_step.y[-1])
    assert "loss nan" in shown.text(monitor)


@pytest.mark.parametrize("every", ["sometimes", ("batches", 0), 3])
def test_an_interval_that_is_none_is_refused_and_nothing_changes(monitor, every):
    with pytest.raises(DataError, match="an interval is"):
        monitor.every = every
    assert monitor.every == ("batches", 1.0)


def test_the_list_of_intervals_follows_and_sets(monitor):
    monitor.every = ("batches", 50)
    assert shown.control(monitor, "refresh").value == "every 50 batches"
    shown.control(monitor, "refresh").value = "each epoch"
    assert monitor.every == ("epochs", 1.0)
    assert watch_of(monitor).every.unit == "epochs"


def test_a_model_that_cannot_be_trained_is_refused_by_name(session):
    with pytest.raises(ModelError, match="cannot be trained"):
        _ = aw.TrainingMonitor(session).callback


def test_a_frame_sends_one_message_per_line(monitor):
    watch = train(monitor)
    wires = wiretap()
    watch.after_step(TrainingMoment(1, 4, 2, 3, 1, {"loss": 0.3, "accuracy": 0.6}))
    sent = [names for kind, names in messages(wires) if kind == "Lines"]
    assert 4 <= len(sent) <= 6  # two figures of three lines
    assert all(names in (["x", "y"], ["visible", "x", "y"]) for names in sent)


def test_weights_are_kept_at_the_end_of_each_epoch_where_the_first_are_kept(monitor, trained):
    train(monitor)
    assert trained.histograms.labels == ()
    view = aw.WeightHistogram(trained)
    first = trained.histograms.labels
    train(monitor)
    assert trained.histograms.labels == (*first, "epoch 2")
    assert [label for label, _ in trained.histograms.moments(what="kernel")][-2:] == [
        "epoch 2",
        "now",
    ]
    view.close()


def test_the_weights_of_before_are_kept_for_histograms_that_are_looked_at_after(probe, data):
    session = Session(probe, *data)
    probe.training_callback = lambda listener: listener
    assert aw.TrainingMonitor(session).callback is not None
    before = session.histograms.weights("conv")["kernel"].mean
    tell = probe.weights
    probe.weights = lambda layer: {name: each + 0.25 for name, each in tell(layer).items()}
    session.refresh()
    (label, first), (_, now) = session.histograms.moments("conv", "kernel")
    assert (label, first.mean) == ("at first", before)
    assert now.mean != before


def test_paused_it_says_so_while_it_trains(monitor):
    train(monitor)
    monitor.paused = True
    assert "drawing paused: epoch" in shown.text(monitor)
    monitor.paused = False
    assert "training: epoch" in shown.text(monitor)


def test_no_window_for_passes_is_opened_before_it_is_earned(trained, monkeypatch):
    watch, waits = watch_of(aw.TrainingMonitor(trained)), []
    monkeypatch.setattr(Session, "is_reading", True)
    monkeypatch.setattr(Session, "wait", lambda _session, within_s: waits.append(within_s))
    watch.begins(TrainingMoment())
    watch._for_views.share = 0.0
    watch._read_on()
    assert waits == []
    assert watch._window_s == FIRST_WINDOW_S  # the next refresh waits until that fits in
    watch._for_views.share = 1e9
    watch._read_on()
    assert waits == [LONGEST_WINDOW_S]
