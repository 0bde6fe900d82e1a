"""What a listener is told of a real `fit`."""

import gc
import sys
import threading
import weakref

import keras
import numpy as np
import pytest

from actwidgets.probe.callbacks import ListeningCallback, RunningFrame
from actwidgets.probe.frameworks import step_gate_of

pytestmark = pytest.mark.keras


class Noting:
    def __init__(self, fails_at=None):
        self.told, self.failures, self._fails_at = [], [], fails_at

    def __getattr__(self, name):
        if name not in ("begins", "before_step", "after_step", "after_epoch", "ends"):
            raise AttributeError(name)

        def note(moment):
            self.told.append((name, moment))
            if name == self._fails_at:
                raise OSError("no room")

        return note

    def failed(self, failure):
        self.failures.append(failure)

    def of(self, name):
        return [moment for each, moment in self.told if each == name]


def test_a_call_is_running_until_it_is_over_whatever_its_thread_does_meanwhile():
    asked, over = [], threading.Event()

    def busy(depth):
        return busy(depth - 1) if depth else 0

    def train():
        asked.append(RunningFrame(sys._getframe()))
        while not over.is_set():
            busy(20)

    thread = threading.Thread(target=lambda: (train(), after.wait()))
    after = threading.Event()
    thread.start()
    while not asked:
        pass
    seen = [asked[0]() for _ in range(3000)]
    over.set()
    while asked[0]():
        pass
    after.set()
    thread.join()
    assert all(seen)
    assert not asked[0]()


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(10, 4)).astype(np.float32), np.arange(10) % 2


def fit(model, data, callback, **options):
    return model.fit(*data, batch_size=4, epochs=2, verbose=0, callbacks=[callback], **options)


def test_a_listener_is_told_of_every_step_and_epoch(model, data):
    noting = Noting()
    history = fit(model, data, ListeningCallback(noting), validation_data=data)
    assert [name for name, _ in noting.told] == [
        "begins",
        *2 * [*3 * ["before_step", "after_step"], "after_epoch"],
        "ends",
    ]
    steps = noting.of("after_step")
    assert [(each.epoch, each.step, each.step_of_epoch) for each in steps] == [
        *((0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 4, 1), (1, 5, 2), (1, 6, 3))
    ]
    assert (steps[0].n_epochs, steps[0].n_steps) == (2, 3)
    epochs = noting.of("after_epoch")
    assert [(each.epoch, each.step) for each in epochs] == [(1, 3), (2, 6)]
    for name, values in history.history.items():
        assert [each.metrics[name] for each in epochs] == pytest.approx(values)
    assert steps[2].metrics["loss"] == pytest.approx(history.history["loss"][0])


def test_a_training_of_another_model_is_told_as_a_failure_alone(model, data):
    noting = Noting()
    another = keras.models.clone_model(model)
    fit(model, data, ListeningCallback(noting, another))
    assert noting.told == []
    assert "no weight in common" in str(noting.failures)
    assert not step_gate_of(another).training


def test_a_part_of_the_model_that_is_trained_is_being_trained_meanwhile(model, data):
    whole = keras.Sequential([keras.Input((4,)), model])
    whole.compile("sgd", "sparse_categorical_crossentropy")
    seen = []
    noting = Noting()
    noting.after_step = lambda _moment: seen.append(step_gate_of(model).training)
    fit(whole, data, ListeningCallback(noting, model))
    assert seen
    assert all(seen)
    assert not noting.failures
    assert not step_gate_of(model).training


def test_steps_done_several_at_a_time_are_all_counted(model, data):
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=2)
    noting = Noting()
    fit(model, data, ListeningCallback(noting))
    assert [each.step for each in noting.of("after_epoch")] == [3, 6]


@pytest.mark.parametrize("name", ["begins", "before_step", "after_step", "after_epoch", "ends"])
def test_a_failure_ends_no_training(model, data, name):
    noting = Noting(fails_at=name)
    history = fit(model, data, ListeningCallback(noting))
    assert len(history.history["loss"]) == 2
    assert noting.failures
    assert not step_gate_of(model).training


def test_stopping_ends_it_after_the_step_under_way(model, data):
    class Stopping(Noting):
        def after_step(self, moment):
            self.told.append(("after_step", moment))
            callback.stop()

        def __init__(self):
            super().__init__()

    noting = Stopping()
    callback = ListeningCallback(noting)
    fit(model, data, callback)
    assert [name for name, _ in noting.told] == [
        *("begins", "before_step", "after_step", "after_epoch", "ends")
    ]


def test_an_interrupt_in_a_step_keeps_nobody_waiting(model, data):
    class Interrupting(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    callbacks = [ListeningCallback(Noting()), Interrupting()]
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, verbose=0, callbacks=callbacks)
    looked = []

    def look():
        with step_gate_of(model).read_lock():
            looked.append(True)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert looked
    assert not step_gate_of(model).training


def test_what_a_training_held_is_let_go_of_after_an_interrupt(model, data):
    class Large:
        pass

    def train():
        large = Large()
        held.append(weakref.ref(large))
        callback.set_model(model)
        callback.set_params({})
        callback.on_train_begin()

    held, callback = [], ListeningCallback(Noting())
    train()
    assert not step_gate_of(model).training
    gc.collect()
    assert held[0]() is None


def test_the_model_is_being_trained_while_it_is(model, data):
    seen = []

    class Looking(Noting):
        def after_step(self, moment):
            frames = [sys._getframe(depth) for depth in range(5)]  # made anew where not held
            seen.append(step_gate_of(model).training and bool(frames))
            gc.collect()

    fit(model, data, ListeningCallback(Looking()))
    assert seen == [True] * 6
    assert not step_gate_of(model).training
