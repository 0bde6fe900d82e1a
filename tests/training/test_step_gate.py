import itertools
import threading
import time

from actwidgets.training.step_gate import LockAmidSteps, StepGate


def trained(turns, enough, weights):
    turns.begin_training(lambda: True)
    for step in itertools.count():
        if enough.is_set():
            break
        turns.begin_step()
        weights[0] = step
        time.sleep(0.001)
        weights[1] = step
        turns.end_step()
    turns.end_training()


def wanted_step(turns, begun=lambda: None):
    """A thread on which a step is about to begin, that has to wait for somebody."""
    step = threading.Thread(target=lambda: (turns.begin_step(), begun()), daemon=True)
    step.start()
    while step.is_alive() and not turns._step_is_wanted:
        time.sleep(0.001)
    return step


def test_nobody_who_looks_sees_half_a_step():
    turns, weights, seen, enough = StepGate(), [0, 0], [], threading.Event()
    trainer = threading.Thread(target=trained, args=(turns, enough, weights), daemon=True)
    trainer.start()
    while trainer.is_alive() and len(set(seen)) < 30:
        with turns.read_lock():
            first = weights[0]
            time.sleep(0.0005)
            seen.append((first, weights[1], weights[0]))
    enough.set()
    trainer.join()
    assert all(len(set(each)) == 1 for each in seen)


def test_nobody_waits_where_nobody_trains():
    turns = StepGate()
    with turns.read_lock(), turns.read_lock():
        assert not turns.training
        with turns.background_read() as may_read:
            assert may_read


def test_somebody_who_looks_is_let_in_between_two_steps_without_a_pause():
    turns, stop, entered = StepGate(), threading.Event(), []

    def train():
        turns.begin_training(lambda: True)
        while not stop.is_set():
            turns.begin_step()
            turns.end_step()

    trainer = threading.Thread(target=train, daemon=True)
    trainer.start()
    for _ in range(50):
        with turns.read_lock():
            entered.append(turns._stepping)
    stop.set()
    trainer.join()
    assert entered == [False] * 50


def test_a_training_that_ended_without_a_word_keeps_nobody_waiting():
    turns = StepGate()

    def interrupted():
        turns.begin_training(lambda: False)
        turns.begin_step()

    thread = threading.Thread(target=interrupted)
    thread.start()
    thread.join()
    with turns.read_lock():
        assert not turns.training


def test_the_thread_that_trains_looks_without_waiting_for_itself():
    turns = StepGate()
    turns.begin_training(lambda: True)
    turns.begin_step()
    with turns.read_lock():
        pass
    turns.end_step()
    assert turns.trains_here
    with turns.background_read() as may_read:
        assert not may_read
    with turns.pause_between_steps(), turns.background_read() as may_read:
        assert may_read
    turns.end_training()
    with turns.background_read() as may_read:
        assert may_read


def test_a_batch_that_was_begun_in_a_window_is_read_before_the_next_step():
    turns, order = StepGate(), []
    turns.begin_training(lambda: True)
    begun, go_on = threading.Event(), threading.Event()

    def read():
        with turns.background_read() as may_read:
            begun.set()
            go_on.wait()
            order.append(("read", may_read))

    reader = threading.Thread(target=read)
    with turns.pause_between_steps():
        reader.start()
        begun.wait()
    step = wanted_step(turns, lambda: order.append("step"))
    go_on.set()
    step.join(60)
    turns.end_step()
    reader.join()
    assert order == [("read", True), "step"]


def test_a_batch_that_is_read_may_need_what_somebody_holds_who_looks(monkeypatch):
    monkeypatch.setattr("actwidgets.training.step_gate.LOCKED_S", 3600)  # no last resort
    turns, held, begun = StepGate(), threading.Lock(), threading.Event()
    turns.begin_training(lambda: True)

    def read():
        with turns.background_read():
            begun.set()
            with held:
                pass

    def look():
        with turns.read_lock():
            held.release()

    held.acquire()
    with turns.pause_between_steps():
        threading.Thread(target=read, daemon=True).start()
        begun.wait()
    step = wanted_step(turns)
    threading.Thread(target=look, daemon=True).start()
    step.join(60)
    assert turns._stepping
    turns.end_step()


def test_a_wanted_step_that_waits_for_somebody_who_waits_is_no_deadlock(monkeypatch):
    monkeypatch.setattr("actwidgets.training.step_gate.LOCKED_S", 0.1)
    turns, held, begun = StepGate(), threading.Lock(), threading.Event()
    turns.begin_training(lambda: True)

    def look(first):
        with turns.read_lock():
            begun.set()
            if first:
                with held:
                    pass
            else:
                held.release()

    held.acquire()
    threading.Thread(target=look, args=(True,), daemon=True).start()
    begun.wait()
    step = wanted_step(turns)
    threading.Thread(target=look, args=(False,), daemon=True).start()
    step.join(60)
    assert turns._stepping
    turns.end_step()


def test_a_lock_of_somebody_who_waits_for_the_step_is_had_amid_the_step():
    turns, lock, order, has_it = StepGate(), LockAmidSteps(), [], threading.Event()
    turns.begin_training(lambda: True)

    def look():
        with lock, lock:
            has_it.set()
            with turns.read_lock():
                order.append("looked")

    turns.begin_step()
    with lock:
        assert turns._stepping  # nobody else had it
    other = threading.Thread(target=look, daemon=True)
    other.start()
    has_it.wait()
    with lock, lock:
        order.append("mine")
        assert not turns._stepping
    assert turns._stepping  # the step has begun again
    turns.end_step()
    assert order == ["looked", "mine"]


def test_who_is_leaving_has_said_that_it_is_over():
    turns, alive = StepGate(), [True]
    assert not turns.is_leaving
    turns.begin_training(lambda: alive[0])
    assert not turns.is_leaving
    turns.end_training()
    assert turns.is_leaving
    alive[0] = False
    assert not turns.is_leaving
