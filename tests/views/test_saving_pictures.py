"""A picture that is saved is a finished one, where waiting for it can end."""

import threading

import numpy as np
import pytest

import actwidgets as aw
from actwidgets.app import Workbench
from actwidgets.errors import DataError
from actwidgets.export.animation import frames_of
from actwidgets.session import attributions
from actwidgets.session.tasks import TaskQueue
from actwidgets.training.step_gate import StepGate

LONG_S = 60  # what would hang is told by then


@pytest.fixture
def gate(monkeypatch):
    """Nothing is made in the background before it is set."""
    gate = threading.Event()
    step = TaskQueue._step

    def wait_and_step(self, current):
        assert gate.wait(2 * LONG_S)
        return step(self, current)

    monkeypatch.setattr(TaskQueue, "_step", wait_and_step)
    monkeypatch.setattr(attributions, "AT_ONCE_S", 0.0)
    yield gate
    gate.set()


def attribution_map(session):
    return aw.AttributionMap(session, method="gradient")


def importance(session):
    view = aw.UnitImportance(session)
    view.measure()
    return view


def wait(session):
    for work in (session, session.attributions, session.embeddings, session.importance):
        work.wait()


@pytest.mark.slow
@pytest.mark.parametrize("made", [aw.EmbeddingScatter, attribution_map, importance, Workbench])
def test_a_picture_made_in_the_background_is_waited_for(session, gate, tmp_path, made):
    session.select(layer="dense", samples=(0, 1, 2))
    view = made(session)
    if isinstance(view, Workbench):
        view.pages.turn_to("predictions")
    begun = view.png(scale=2)
    threading.Timer(0.3, gate.set).start()
    view.save_png(tmp_path / "saved.png")
    wait(session)
    assert (tmp_path / "saved.png").read_bytes() == view.png(scale=2)
    assert begun != view.png(scale=2)
    assert not view.error


def test_a_picture_of_a_pass_over_all_samples_is_waited_for(probe, gate, tmp_path):
    x = np.zeros((2000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.linspace(-1, 1, len(x))
    session = aw.Session(probe, x, np.arange(len(x)) % 3)
    view = aw.ClassSimilarityMatrix(session)
    begun = view.png(scale=2)
    threading.Timer(0.3, gate.set).start()
    view.save_png(tmp_path / "saved.png")
    session.wait()
    assert (tmp_path / "saved.png").read_bytes() == view.png(scale=2) != begun


def test_what_does_not_come_in_time_is_told_and_nothing_is_written(session, gate, tmp_path):
    view = aw.EmbeddingScatter(session)
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"before")
    told = "EmbeddingScatter is not finished after 0.05 s.*; wait longer by a larger within_s"
    with pytest.raises(DataError, match=told):
        view.save_png(kept, within_s=0.05)
    assert kept.read_bytes() == b"before"


def test_an_observer_saves_what_there_is(session, gate, tmp_path):
    view = aw.EmbeddingScatter(session)

    def save(_change):
        view.save_png(tmp_path / "saved.png", within_s=LONG_S)

    session.observe(save, names="selection")
    session.sample = 3
    assert (tmp_path / "saved.png").read_bytes() == view.png(scale=2)


def test_amid_a_training_it_saves_what_there_is(probe, data, tmp_path):
    probe.step_gate = StepGate()
    session = aw.Session(probe, *data)
    probe.step_gate.begin_training(lambda: True)
    view = aw.EmbeddingScatter(session)
    view.save_png(tmp_path / "saved.png", within_s=LONG_S)
    assert (tmp_path / "saved.png").exists()
    frames = frames_of(view, "layers", layers=["dense"])
    assert [frame.caption for frame in frames] == ["input", "dense"]
    probe.step_gate.end_training()
    view.save_png(tmp_path / "finished.png")
    finished = (tmp_path / "finished.png").read_bytes()
    assert finished == view.png(scale=2) != (tmp_path / "saved.png").read_bytes()


def test_a_training_that_begins_meanwhile_ends_the_waiting(probe, data, gate, tmp_path):
    probe.step_gate, begun = StepGate(), threading.Event()
    session = aw.Session(probe, *data)
    view = aw.EmbeddingScatter(session)
    wait = session.embeddings.wait

    def train_while_it_waits(within_s):
        if not begun.is_set():
            probe.step_gate.begin_training(lambda: True)
            begun.set()
        wait(within_s)

    session.embeddings.wait = train_while_it_waits
    saving = threading.Thread(
        target=view.save_png, args=(tmp_path / "saved.png",), kwargs={"within_s": 2 * LONG_S}
    )
    saving.start()
    saving.join(LONG_S)
    assert not saving.is_alive()
    assert begun.is_set()
    assert (tmp_path / "saved.png").exists()


def test_a_view_that_makes_nothing_in_the_background_waits_for_nobody(session, gate, tmp_path):
    aw.EmbeddingScatter(session)
    aw.FeatureMapGrid(session).save_png(tmp_path / "maps.png", within_s=0.0)
    assert (tmp_path / "maps.png").exists()


def test_a_lock_knows_who_has_it(session):
    lock, told = session.lock, []
    assert not lock.is_held_here
    with lock:
        with lock:
            assert lock.is_held_here
        thread = threading.Thread(target=lambda: told.append(lock.is_held_here))
        thread.start()
        thread.join()
        assert lock.is_held_here
    assert not lock.is_held_here
    assert told == [False]
