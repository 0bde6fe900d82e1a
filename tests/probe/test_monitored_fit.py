"""What views show while a real model is being fitted."""

import threading
import time

import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.training.time_budget import TimeBudget

pytestmark = pytest.mark.keras


@pytest.fixture
def fitted():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 6, 8, 1)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(int)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 8, 1)),
            keras.layers.Conv2D(3, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="out"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model, x, y


@pytest.fixture
def unhurried(monkeypatch):
    """A monitor leaves no frame out, and has every pass read to its end, at any speed."""
    monkeypatch.setattr(TimeBudget, "left_s", float("inf"))
    monkeypatch.setattr("actwidgets.views.training_monitor.LONGEST_WINDOW_S", 60.0)


def test_each_frame_shows_one_state_of_the_weights(fitted, unhurried):
    model, x, y = fitted
    session = aw.Session(model, x, y, layer="conv")
    monitor = aw.TrainingMonitor(session, every="batch", share=1.0)
    matrix = aw.ClassSimilarityMatrix(session)
    session.wait()
    frames = []

    class Looking(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if session.revision > len(frames):  # refreshed since
                frames.append((session.profiles.read(partial=True), model.get_weights()))

    model.fit(x, y, epochs=2, batch_size=50, verbose=0, callbacks=[monitor.callback, Looking()])
    assert monitor.state == "finished"
    assert matrix.error == monitor.error == ""
    assert len(frames) == 2 * 6  # one a batch
    monitor._watch._noticing.join(60)  # it would take the weights below for put back by `fit`
    frames.append((session.profiles(), model.get_weights()))  # before the weights change again
    for profiles, weights in frames:
        assert profiles.complete
        model.set_weights(weights)
        expected = aw.class_profiles(model, x, y, layers=["conv"]).mean["conv"]
        np.testing.assert_allclose(profiles.mean["conv"], expected, rtol=1e-5)


def test_a_second_fit_with_the_same_monitor_goes_on(fitted):
    model, x, y = fitted
    monitor = aw.TrainingMonitor(aw.Session(model, x, y), every="epoch")
    for _ in range(2):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor.callback])
    np.testing.assert_array_equal(monitor.loss.by_epoch.x, [1, 2, 3, 4])


def test_a_user_who_interrupts_gets_the_last_weights(fitted):
    model, x, y = fitted
    session = aw.Session(model, x, y, layer="out")
    monitor = aw.TrainingMonitor(session)

    class Interrupting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[monitor.callback, Interrupting()])
    monitor._watch._noticing.join(60)
    assert monitor.state == "interrupted"
    expected = aw.activations(model, x[:1], layers=["out"])["out"]
    np.testing.assert_allclose(session.maps([0]), expected, rtol=1e-5)


def test_predictions_of_all_samples_are_not_mixed_from_two_states(fitted):
    model, x, y = fitted
    session = aw.Session(model, x, y, layer="conv")
    views = aw.ConfusionMatrix(session), aw.SampleGallery(session)
    session.wait()
    seen = []

    class Looking(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            session.refresh()
            known = session.predictions.rows(partial=True)
            seen.append((known, session.predictions(known), model.get_weights()))
            model.set_weights([2 * each for each in model.get_weights()])
            again = session.predictions.rows(partial=True)  # of other weights: nothing is added
            assert len(again) == len(known) or len(again) == len(x)

    monitor = aw.TrainingMonitor(session, paused=True)
    model.fit(x, y, batch_size=100, verbose=0, callbacks=[monitor.callback, Looking()])
    assert all(view.error == "" for view in views)
    assert len(seen) == 3
    for known, predictions, weights in seen:
        model.set_weights(weights)
        np.testing.assert_allclose(predictions, aw.predict(model, x[known]), rtol=1e-4)


def test_weights_that_a_callback_puts_back_at_the_end_are_shown(fitted):
    model, x, y = fitted
    session = aw.Session(model, x, y, layer="out")
    monitor, shown = aw.TrainingMonitor(session), []

    class PuttingBack(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            shown.append(session.maps([0]))
            model.set_weights([0 * each for each in model.get_weights()])

    model.fit(x, y, verbose=0, callbacks=[monitor.callback, PuttingBack()])
    monitor._watch._noticing.join(60)
    assert not np.allclose(session.maps([0]), shown[0])
    np.testing.assert_allclose(session.maps([0]), 0.5)


@pytest.mark.parametrize("place", [0, 1])
def test_callbacks_of_ones_own_may_refresh_while_a_slider_moves(fitted, place):
    model, x, y = fitted
    session = aw.Session(model, x, y, layer="out")
    monitor, grid = aw.TrainingMonitor(session), aw.FeatureMapGrid(session)
    over = threading.Event()

    class Refreshing(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            session.refresh()

        on_train_batch_end = on_train_batch_begin

    def move():
        while not over.is_set():
            session.sample = (session.sample + 1) % len(x)
            time.sleep(0.001)

    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    callbacks = [monitor.callback]
    callbacks.insert(place, Refreshing())
    model.fit(x, y, epochs=3, batch_size=10, verbose=0, callbacks=callbacks)
    over.set()
    mover.join(60)
    assert monitor.error == grid.error == ""


def test_a_part_of_the_model_that_is_trained_is_watched_too(fitted):
    model, x, y = fitted
    whole = keras.Sequential([keras.Input((6, 8, 1)), model])
    whole.compile("sgd", "sparse_categorical_crossentropy")
    session = aw.Session(model, x, y, layer="out")
    monitor, seen = aw.TrainingMonitor(session), []
    asking = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(
            session.context.probe.step_gate._stepping
        ),
        on_train_batch_end=lambda batch, logs: seen.append(session.training.under_way),
    )
    whole.fit(x, y, verbose=0, callbacks=[monitor.callback, asking])
    assert seen
    assert all(seen)
    assert not session.training.under_way
