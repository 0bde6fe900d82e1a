import threading
import time
from contextlib import contextmanager

import pytest

from actwidgets.session import tasks
from actwidgets.session.tasks import Progress, TaskQueue


class _Pass:
    """A pass of ten samples whose steps wait until the test lets them go."""

    def __init__(self, layer, fails=False):
        self.what = "profiles"
        self.layers, self.n_read, self.n_samples, self.fails = (layer,), 0, 10, fails
        self.cancelled = False
        self.begun, self.go = threading.Event(), threading.Event()

    @property
    def complete(self):
        return self.n_read >= self.n_samples

    def step(self):
        self.begun.set()
        assert self.go.wait(60)
        if self.fails:
            raise FloatingPointError("no")
        self.n_read += 5


@pytest.fixture
def reports():
    return []


@pytest.fixture
def reader(reports):
    reader = TaskQueue(reports.append)
    yield reader
    reader.stop()


def test_a_pass_is_read_to_its_end_and_told(reader, reports):
    wanted = _Pass("conv")
    wanted.go.set()
    reader.read(wanted)
    reader.wait()
    assert wanted.complete
    assert (reports[-1].layers, reports[-1].n_read, reports[-1].complete) == (("conv",), 10, True)


def test_another_pass_takes_the_place_of_the_one_under_way_and_only_it_is_told(reader, reports):
    first, second = _Pass("conv", fails=True), _Pass("dense")
    reader.read(first)
    assert first.begun.wait(60)
    reader.read(second, instead_of=lambda _: True)
    first.go.set()
    second.go.set()
    reader.wait()
    assert first.n_read == 0
    assert {report.layers for report in reports} == {("dense",)}


def test_a_pass_that_is_not_replaced_is_finished_afterwards(reader, reports):
    first, second = _Pass("conv"), _Pass("dense")
    reader.read(first)
    assert first.begun.wait(60)
    reader.read(second)
    first.go.set()
    second.go.set()
    reader.wait()
    assert [each.layers for each in reports if each.complete] == [("dense",), ("conv",)]


def test_rate_and_time_left_are_told():
    reading = Progress("profiles", ("conv",), 50, 200, seconds=2.0)
    assert (reading.per_second, reading.seconds_left) == (25.0, 6.0)
    assert reading.under_way
    unknown = Progress("profiles", ("conv",), 0, 200)
    assert (unknown.per_second, unknown.seconds_left) == (0.0, float("inf"))


def test_a_cancelled_pass_goes_no_further_and_is_not_told(reader, reports):
    wanted = _Pass("conv")
    reader.read(wanted)
    assert wanted.begun.wait(60)
    reader.cancel()
    wanted.go.set()
    reader.wait()
    assert wanted.n_read == 5
    assert reports == []


def test_a_failure_is_told_and_ends_the_pass(reader, reports):
    wanted = _Pass("conv", fails=True)
    wanted.go.set()
    reader.read(wanted)
    reader.wait()
    assert [report.failure for report in reports] == ["FloatingPointError: no"]


def test_whoever_watches_may_fail_without_an_end_to_the_reading(caplog, monkeypatch):
    monkeypatch.setattr(
        "actwidgets.session.tasks.REPORT_INTERVAL_S", float("inf")
    )  # but at the end
    told = []

    def fails(reading):
        told.append(reading.n_read)
        raise ZeroDivisionError("of a watcher")

    reader = TaskQueue(fails)
    for layer in ("conv", "dense"):
        wanted = _Pass(layer)
        wanted.go.set()
        reader.read(wanted)
        reader.wait()
        assert wanted.complete
    assert told == [10, 10]
    assert "of a watcher" in caplog.text


def test_a_pass_that_is_left_goes_no_further_and_others_do(reader, reports):
    left, kept = _Pass("conv"), _Pass("dense")
    reader.read(kept)
    reader.read(left)
    reader.leave(lambda each: each is left)
    kept.go.set(), left.go.set()
    reader.wait()
    assert kept.complete
    assert not left.complete
    assert {report.layers for report in reports} == {("dense",)}


def test_it_can_be_asked_again_after_it_has_ended(reader, reports):
    for layer in ("conv", "dense"):
        wanted = _Pass(layer)
        wanted.go.set()
        reader.read(wanted)
        reader.wait()
    assert [report.layers for report in reports if report.complete] == [("conv",), ("dense",)]


def test_a_slow_pass_lets_the_others_go_before_it(reader, reports):
    first, slow, quick = _Pass("first"), _Pass("slow"), _Pass("quick")
    slow.is_slow = True
    reader.read(first)
    assert first.begun.wait(60)
    reader.read(quick)
    reader.read(slow)
    for each in (first, quick, slow):
        each.go.set()
    reader.wait()
    done = [report.layers[0] for report in reports if report.complete]
    assert done == ["quick", "first", "slow"]


def test_what_may_not_be_read_is_neither_read_nor_told():
    told, allowed, asked = [], [], []

    @contextmanager
    def turn():
        asked.append(bool(allowed))
        yield bool(allowed)

    reader = TaskQueue(told.append, turn)
    wanted = _Pass("conv")
    wanted.go.set()
    reader.read(wanted)
    while len(asked) < 20:
        time.sleep(0.01)
    assert (wanted.n_read, told) == (0, [])
    allowed.append(True)
    reader.wait()
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

    reader = TaskQueue(report, turn)
    wanted = _Pass("conv")
    wanted.go.set()
    reader.read(wanted)
    assert told.wait(60)
    reader.wait()
    assert reports == [5, 10]
    reader.stop()
