import threading
import time
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest

from actwidgets.session import tasks
from actwidgets.session.tasks import Progress, Task, TaskQueue


class _Pass(Task):
    """A pass of ten samples whose steps wait until the test lets them go."""

    n_read, n_samples = 0, 10

    def __init__(self, layer, fails=False):
        super().__init__("profiles", (layer,), self._steps)
        self.fails = fails
        self.begun, self.go = threading.Event(), threading.Event()

    def _steps(self):
        while True:
            self.begun.set()
            assert self.go.wait(60)
            if self.fails:
                raise FloatingPointError("no")
            self.n_read += 5
            yield self.n_read, self.n_samples


@pytest.fixture
def reports():
    return []


@pytest.fixture
def queue():
    queue = TaskQueue()
    yield queue
    queue.stop()


def test_a_pass_is_read_to_its_end_and_told(queue, reports):
    wanted = _Pass("conv")
    wanted.go.set()
    queue.submit(wanted, reports.append)
    queue.wait()
    assert wanted.complete
    assert (reports[-1].layers, reports[-1].n_read, reports[-1].complete) == (("conv",), 10, True)


def test_another_pass_takes_the_place_of_the_one_under_way_and_only_it_is_told(queue, reports):
    first, second = _Pass("conv", fails=True), _Pass("dense")
    queue.submit(first, reports.append)
    assert first.begun.wait(60)
    queue.submit(second, reports.append, instead_of=lambda _: True)
    first.go.set()
    second.go.set()
    queue.wait()
    assert first.n_read == 0
    assert {report.layers for report in reports} == {("dense",)}


def test_a_pass_that_is_not_replaced_is_finished_afterwards(queue, reports):
    first, second = _Pass("conv"), _Pass("dense")
    queue.submit(first, reports.append)
    assert first.begun.wait(60)
    queue.submit(second, reports.append)
    first.go.set()
    second.go.set()
    queue.wait()
    assert [each.layers for each in reports if each.complete] == [("dense",), ("conv",)]


def test_no_step_is_begun_while_the_user_moves_something(queue, monkeypatch):
    slept, wanted = [], _Pass("conv")

    def sleep(seconds):
        slept.append((seconds, wanted.n_read))
        queue.touched_s = float("-inf")

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr(tasks, "time", clock)
    monkeypatch.setattr(tasks, "GIVE_WAY_S", 1e6)
    queue.touched_s = time.monotonic()
    wanted.go.set()
    queue.submit(wanted, print)
    queue.wait()
    assert slept == [(pytest.approx(1e6, abs=1e3), 0)]
    assert wanted.complete


def test_rate_and_time_left_are_told():
    reading = Progress("profiles", ("conv",), 50, 200, seconds=2.0)
    assert (reading.per_second, reading.seconds_left) == (25.0, 6.0)
    assert reading.under_way
    unknown = Progress("profiles", ("conv",), 0, 200)
    assert (unknown.per_second, unknown.seconds_left) == (0.0, float("inf"))


def test_a_cancelled_pass_goes_no_further_and_is_not_told(queue, reports):
    wanted = _Pass("conv")
    queue.submit(wanted, reports.append)
    assert wanted.begun.wait(60)
    queue.cancel(reports.append)
    wanted.go.set()
    queue.wait()
    assert wanted.n_read == 5
    assert reports == []


def test_a_failure_is_told_and_ends_the_pass(queue, reports):
    wanted = _Pass("conv", fails=True)
    wanted.go.set()
    queue.submit(wanted, reports.append)
    queue.wait()
    assert [report.failure for report in reports] == ["FloatingPointError: no"]


def test_whoever_watches_may_fail_without_an_end_to_the_reading(caplog, monkeypatch):
    monkeypatch.setattr(
        "actwidgets.session.tasks.REPORT_INTERVAL_S", float("inf")
    )  # but at the end
    told = []

    def fails(reading):
        told.append(reading.n_read)
        raise ZeroDivisionError("of a watcher")

    queue = TaskQueue()
    for layer in ("conv", "dense"):
        wanted = _Pass(layer)
        wanted.go.set()
        queue.submit(wanted, fails)
        queue.wait()
        assert wanted.complete
    assert told == [10, 10]
    assert "of a watcher" in caplog.text


def test_a_pass_that_is_left_goes_no_further_and_others_do(queue, reports):
    left, kept = _Pass("conv"), _Pass("dense")
    queue.submit(kept, reports.append)
    queue.submit(left, reports.append)
    queue.discard(reports.append, lambda each: each is left)
    kept.go.set(), left.go.set()
    queue.wait()
    assert kept.complete
    assert not left.complete
    assert {report.layers for report in reports} == {("dense",)}


def test_it_can_be_asked_again_after_it_has_ended(queue, reports):
    for layer in ("conv", "dense"):
        wanted = _Pass(layer)
        wanted.go.set()
        queue.submit(wanted, reports.append)
        queue.wait()
    assert [report.layers for report in reports if report.complete] == [("conv",), ("dense",)]


def test_a_slow_pass_lets_the_others_go_before_it(queue, reports):
    first, slow, quick = _Pass("first"), _Pass("slow"), _Pass("quick")
    slow.is_slow = True
    queue.submit(first, reports.append)
    assert first.begun.wait(60)
    queue.submit(quick, reports.append)
    queue.submit(slow, reports.append)
    for each in (first, quick, slow):
        each.go.set()
    queue.wait()
    done = [report.layers[0] for report in reports if report.complete]
    assert done == ["quick", "first", "slow"]


def test_what_may_not_be_read_is_neither_read_nor_told():
    told, allowed, asked = [], [], []

    @contextmanager
    def turn():
        asked.append(bool(allowed))
        yield bool(allowed)

    queue = TaskQueue(turn)
    wanted = _Pass("conv")
    wanted.go.set()
    queue.submit(wanted, told.append)
    while len(asked) < 20:
        time.sleep(0.01)
    assert (wanted.n_read, told) == (0, [])
    allowed.append(True)
    queue.wait()
    assert wanted.complete
    assert told[-1].complete


def test_what_was_read_before_it_had_to_wait_is_told(monkeypatch):
    monkeypatch.setattr(tasks, "REPORT_INTERVAL_S", float("inf"))
    told, asked = threading.Event(), []
    reports = []

    @contextmanager
    def turn():
        asked.append(None)
        yield len(asked) == 1 or told.is_set()

    def report(reading):
        reports.append(reading.n_read)
        told.set()

    queue = TaskQueue(turn)
    wanted = _Pass("conv")
    wanted.go.set()
    queue.submit(wanted, report)
    assert told.wait(60)
    queue.wait()
    assert reports == [5, 10]
    queue.stop()


def test_tasks_of_different_clients_take_turns():
    first, second, order = _Pass("conv"), _Pass("dense"), []
    allowed = threading.Event()
    queue = TaskQueue(lambda: nullcontext(allowed.is_set()))
    for each in (first, second):
        each.go.set()
        each.begun.set = lambda each=each: order.append(each.layers[0])
    queue.submit(first, lambda _: None)
    queue.submit(second, lambda _: None)
    allowed.set()
    queue.wait()
    assert sorted(order[:2]) == sorted(order[2:]) == ["conv", "dense"]


def test_who_waits_for_one_client_does_not_wait_for_another(queue, reports):
    other, mine = _Pass("other"), _Pass("mine")
    queue.submit(other, print)
    assert other.begun.wait(60)
    queue.submit(mine, reports.append)
    queue.discard(reports.append)
    queue.wait(reports.append)
    assert queue.is_busy(print)
    assert not queue.is_busy(reports.append)
    other.go.set()
    queue.wait()
    assert other.complete


def test_what_is_put_off_again_and_again_is_called_once_when_that_has_ended(queue):
    called, done = [], threading.Event()

    def turn_page():
        called.append(threading.current_thread().name)
        done.set()

    queue.call_later(1e6, turn_page)
    queue.call_later(0.05, turn_page)
    assert called == []
    assert done.wait(60)
    queue.wait()
    assert called == ["actwidgets tasks"]


def test_what_is_put_off_is_called_between_the_steps_of_a_task_and_may_fail(queue, caplog):
    def fails():
        raise ZeroDivisionError("of a page")

    wanted = _Pass("conv")
    queue.submit(wanted, print)
    assert wanted.begun.wait(60)
    queue.call_later(0.0, fails)
    wanted.go.set()
    queue.wait()
    assert wanted.complete
    assert "of a page" in caplog.text


def test_what_is_put_off_waits_for_no_end_of_a_task(queue, reports):
    called, before_end = threading.Event(), []

    def steps():
        queue.call_later(0.0, called.set)
        yield 0, 2
        yield 1, 2
        before_end.append(called.is_set())

    queue.submit(Task("pages", (), steps), reports.append)
    queue.wait()
    assert before_end == [True]


@pytest.mark.parametrize("end", [lambda queue: queue.drop_call(print), TaskQueue.stop])
def test_what_is_put_off_for_long_holds_nothing_up_and_is_not_called_once_it_is_dropped(
    queue, reports, end
):
    queue.call_later(1e6, print)
    wanted = _Pass("conv")
    wanted.go.set()
    queue.submit(wanted, reports.append)
    queue.wait(reports.append)
    assert wanted.complete
    end(queue)
    queue.wait()  # the thread has ended
