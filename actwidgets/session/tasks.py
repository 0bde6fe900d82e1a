"""Tasks that read the samples step by step, their progress, and the queue that finishes them."""

import atexit
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)
REPORT_INTERVAL_S = 0.25  # how often pictures of a partial result are worth redrawing
RETRY_S = 0.02  # how soon after a training step a pass goes on
GIVE_WAY_S = 0.15  # no batch is begun this soon after the user moved something


Steps = Generator[tuple[int, int], None, Any]  # of done and total; returns the result


class Task:
    """Work that is done a step at a time, by whoever waits for it or by the queue.

    After a failure or an interrupt the work begins anew, where it is resumed or stepped again:
    a subclass whose steps go on from what is done has them begin there.

    Args:
        what: What is made, in words.
        layers: The layers it is about.
        steps: Begins the work: a generator of `(done, total)` that returns the result.
        counts: Tells `(done, total)` at any time; by default as the steps told last.

    Attributes:
        is_slow: Whether other tasks need not wait for it.
        cancelled: Whether to do no more until `resume`.
        failure: Why it ended before its time, or "".
    """

    is_slow = False

    def __init__(
        self,
        what: str,
        layers: tuple[str, ...],
        steps: Callable[[], Steps],
        counts: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self.what, self.layers, self._counts = what, layers, counts or self._told
        self.cancelled = False
        self.failure = ""
        self._raised: tuple[Exception, TracebackType | None] | None = None
        self._begin = steps
        self._work: Steps | None = None
        self._progress = (0, 1)
        self._result: Any = None
        self._has_ended = False
        self._stepping = threading.Lock()

    def _told(self) -> tuple[int, int]:
        done, total = self._progress
        total = max(total, done + 1)  # more than are done, until the end
        return total if self._has_ended else done, total

    @property
    def n_read(self) -> int:
        """How many samples are read, or pieces are done."""
        return self._counts()[0]

    @property
    def n_samples(self) -> int:
        """How many samples or pieces there are, as far as is known."""
        return self._counts()[1]

    @property
    def complete(self) -> bool:
        """Whether everything is done."""
        return self.n_read >= self.n_samples

    @property
    def n_bytes(self) -> int:
        """What the result takes in memory, where it says so."""
        return getattr(self._result, "n_bytes", 0)

    @property
    def error(self) -> Exception | None:
        """What was raised, with the traceback to where; raised again it grows no longer."""
        return None if self._raised is None else self._raised[0].with_traceback(self._raised[1])

    def step(self) -> None:
        """Do a piece; nothing where all is done. Any thread may call it."""
        with self._stepping:
            if self.complete:
                return
            if self._work is None:
                self._work = self._begin()
            try:
                self._progress = next(self._work)
            except StopIteration as end:
                self._result, self._has_ended = end.value, True
            except BaseException as error:  # an interrupt too ends a generator
                self._work = None  # it begins anew, if it is asked to
                if isinstance(error, Exception):
                    self._fail(error)
                raise
            if self.complete:
                self._work = None  # its frame holds this task

    def finish(self) -> None:
        """Take all steps that are left, here and now."""
        while not self.complete:
            self.step()

    def stop(self) -> None:
        """Do no more until `resume`."""
        self.cancelled = True

    def resume(self) -> None:
        """Go on, after `stop`; begin anew after a failure."""
        self.cancelled, self.failure, self._raised = False, "", None

    def result(self) -> Any:
        """What came of it, once complete."""
        assert self.complete
        return self._result

    def _fail(self, error: Exception) -> None:
        traceback.clear_frames(error.__traceback__)  # they hold arrays
        self._raised = error, error.__traceback__
        self.failure = str(error) or type(error).__name__


@dataclass(frozen=True)
class Progress:
    """How far a pass over the samples has come.

    Attributes:
        what: What is gathered: "profiles" of classes, "representations" of layers,
            "predictions", or whatever a view waits for.
        layers: The layers that it reads.
        n_read: Samples read so far.
        n_samples: Samples in all.
        seconds: How long it has been reading, the time in which it gave way included.
        failure: Why it ended before its time, or "".
        cancelled: Whether somebody stopped it.
    """

    what: str
    layers: tuple[str, ...]
    n_read: int
    n_samples: int
    seconds: float = 0.0
    failure: str = ""
    cancelled: bool = False

    @property
    def complete(self) -> bool:
        """Whether every sample has been read."""
        return self.n_read >= self.n_samples

    @property
    def under_way(self) -> bool:
        """Whether there is more to come."""
        return not (self.complete or self.cancelled or self.failure)

    @property
    def per_second(self) -> float:
        """Samples a second; 0 where none can be told yet."""
        return self.n_read / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float:
        """How long the rest will take at this rate; infinite where it cannot be told yet."""
        rate = self.per_second
        return (self.n_samples - self.n_read) / rate if rate else float("inf")


def is_outdated(reading: "Progress | None", task: Task) -> bool:
    """Whether what was told last of a complete task is that it is under way, or cancelled."""
    if reading is None or (reading.what, reading.layers) != (task.what, task.layers):
        return False
    return reading.cancelled or bool(reading.failure) or not reading.complete


def progress_of(current: Task, **more: Any) -> Progress:
    """How far a pass has come."""
    return Progress(current.what, current.layers, current.n_read, current.n_samples, **more)


Report = Callable[[Progress], None]


@dataclass(eq=False)
class _Entry:
    """A task in the queue.

    Attributes:
        task: What is stepped.
        report: Called on the queue's thread, now and then and at the end.
        seconds: For how long it has been stepped.
        reported_s: When it was reported last.
        is_unreported: Whether there were steps since.
    """

    task: Task
    report: Report
    seconds: float = 0.0
    reported_s: float = 0.0
    is_unreported: bool = False


class TaskQueue:
    """Finishes tasks, and calls what is put off, on one thread; a session has one queue.

    Of the tasks with the same `report` the one submitted last goes first; those with different
    ones take turns. A slow task comes behind all that are not.

    Args:
        turn: Says whether the next step may be taken, and is held while it is; asked again
            after a moment.

    Attributes:
        touched_s: When the user moved something, by `time.monotonic`: it gives way for a moment.
    """

    def __init__(
        self, turn: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True)
    ) -> None:
        self._turn = turn
        self._entries: list[_Entry] = []  # the next last
        self._current: _Entry | None = None  # stepped or reported just now
        self._calls: dict[Callable[[], None], float] = {}  # when they are due
        self._last_turn: dict[Report, int] = {}
        self._begun_s = 0.0  # the step or the report under way
        self.touched_s = 0.0
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # guards all of these

    def submit(
        self, task: Task, report: Report, *, instead_of: Callable[[Task], bool] | None = None
    ) -> None:
        """See to it that a task is finished, before those submitted earlier.

        Args:
            task: The task; where it is in the queue already it goes to the front.
            report: Called on the queue's thread with the progress, now and then and at the end.
            instead_of: Says of a task with the same `report` whether to discard it.
        """
        with self._changed:
            if instead_of is not None:
                self._discard(report, lambda other: other is not task and instead_of(other))
            entry = next((each for each in self._entries if each.task is task), None)
            if entry is None:
                entry = _Entry(task, report, reported_s=time.monotonic())
            self._entries = [*(each for each in self._entries if each is not entry), entry]
            self._start()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call something once on the queue's thread, so long after it was last asked for.

        Args:
            delay_s: Seconds. Where the same call is waiting, its time begins anew.
            call: What it raises is logged.
        """
        with self._changed:
            self._calls[call] = time.monotonic() + delay_s
            self._start()

    def is_put_off(self, call: Callable[[], None]) -> bool:
        """Whether it is waiting for its time."""
        return call in self._calls

    def drop_call(self, call: Callable[[], None]) -> None:
        """Do not call it any more, where it is waiting for its time."""
        with self._changed:
            self._calls.pop(call, None)
            self._changed.notify_all()

    def _start(self) -> None:
        """See to it that the thread runs, and looks at what is new."""
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="actwidgets tasks", daemon=True)
            atexit.register(self.stop)
            self._thread.start()

    def discard(self, report: Report, which: Callable[[Task], bool] = lambda _: True) -> list[Task]:
        """Begin no further step of some tasks with this `report`, nor report them. Does not wait.

        Returns:
            The tasks.
        """
        with self._changed:
            return self._discard(report, which)

    def _discard(self, report: Report, which: Callable[[Task], bool]) -> list[Task]:
        dropped = [each for each in self._entries if each.report == report and which(each.task)]
        self._entries = [each for each in self._entries if each not in dropped]
        self._changed.notify_all()
        return [each.task for each in dropped]

    def cancel(self, report: Report) -> list[Task]:
        """Discard all tasks with this `report`, and have them do no more until they are resumed."""
        tasks = self.discard(report)
        for task in tasks:
            task.stop()
        return tasks

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that are not finished, in the order in which they were submitted."""
        with self._changed:
            return tuple(each.task for each in self._entries)

    def is_busy(self, report: Report | None = None) -> bool:
        """Whether tasks with this `report`, or any, are waiting or under way."""
        current = [] if self._current is None else [self._current]
        return any(report in (None, each.report) for each in [*self._entries, *current])

    def stop(self) -> None:
        """Discard everything, and wait for the step under way."""
        with self._changed:
            self._entries, self._calls = [], {}
            self._changed.notify_all()
        self.wait()

    def wait(
        self,
        report: Report | None = None,
        *,
        on_interrupt: Callable[[], None] | None = None,
        within_s: float | None = None,
    ) -> None:
        """Return when no task with this `report`, or none at all, is waiting or under way.

        Args:
            report: Whose tasks.
            within_s: Or after so many seconds.
            on_interrupt: Called where a kernel interrupt ends the waiting.
        """
        if threading.current_thread() is self._thread:
            return
        try:
            with self._changed:
                self._changed.wait_for(
                    lambda: not self.is_busy(report) if report else self._thread is None, within_s
                )
        except KeyboardInterrupt:
            if on_interrupt:
                on_interrupt()
            raise

    def _next(self) -> _Entry | None:
        """The task to step; None at the end of the thread. Calls whose time has come go before."""
        while True:
            with self._changed:
                self._current = None
                self._changed.notify_all()
                call, due_s = min(self._calls.items(), key=lambda item: item[1], default=(None, 0))
                wait_s = due_s - time.monotonic()
                if call is not None and wait_s <= 0:
                    del self._calls[call]
                elif self._entries:
                    complete = [each for each in self._entries if each.task.complete]
                    self._current = complete[-1] if complete else self._whose_turn()
                    if not complete:
                        return self._current
                elif call is not None:
                    self._changed.wait(wait_s)
                    self._begun_s = time.monotonic()
                    continue
                else:
                    self._thread = None
                    self._last_turn.clear()
                    atexit.unregister(self.stop)
                    return None
            if self._current is not None:
                self._tell(self._current, "")  # others finished it
            elif call is not None:
                self._guarded(call, "could not do what was put off")

    def _whose_turn(self) -> _Entry:
        quick = [each for each in self._entries if not each.task.is_slow]
        latest = {each.report: each for each in quick or self._entries}
        entry = min(latest.values(), key=lambda each: self._last_turn.get(each.report, 0))
        self._last_turn[entry.report] = max(self._last_turn.values(), default=0) + 1
        return entry

    def _run(self) -> None:
        self._begun_s = time.monotonic()
        while (entry := self._next()) is not None:
            since_touch_s = self._begun_s - self.touched_s
            failure = ""
            if since_touch_s < GIVE_WAY_S:
                time.sleep(GIVE_WAY_S - since_touch_s)
            else:
                outcome = self._step(entry.task)
                if outcome is None:  # it may have to wait for long: tell first how far it is
                    if entry.is_unreported:
                        self._tell(entry, "")
                    time.sleep(RETRY_S)
                    self._begun_s = time.monotonic()
                    continue
                failure = outcome
            ended_s = time.monotonic()
            entry.seconds += ended_s - self._begun_s
            self._begun_s, entry.is_unreported = ended_s, True
            is_due = ended_s - entry.reported_s > REPORT_INTERVAL_S
            if failure or entry.task.complete or is_due:
                self._tell(entry, failure)

    def _step(self, task: Task) -> str | None:
        """Take a step and say why that failed, or ""; None where it may not be taken now."""
        with self._turn() as may_read:
            if not may_read:
                return None
            try:
                task.step()
            except Exception as error:  # noqa: BLE001  a thread's exception would be lost
                return f"{type(error).__name__}: {error}"
        return ""

    def _tell(self, entry: _Entry, failure: str) -> None:
        entry.reported_s, entry.is_unreported = time.monotonic(), False
        with self._changed:
            if entry not in self._entries:  # discarded meanwhile
                return
            if failure or entry.task.complete:
                self._entries.remove(entry)
        progress = progress_of(entry.task, seconds=entry.seconds, failure=failure)
        self._guarded(lambda: entry.report(progress), f"could not tell how far {progress.what} are")

    @staticmethod
    def _guarded(call: Callable[[], None], failure: str) -> None:
        """Log what whoever watches raises: other tasks are still to be finished."""
        try:
            call()
        except Exception:
            log.exception(failure)
