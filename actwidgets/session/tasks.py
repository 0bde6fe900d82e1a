"""Background work: passes over the samples and their progress."""

import atexit
import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import traitlets as t

log = logging.getLogger(__name__)
REPORT_INTERVAL_S = 0.25  # how often pictures of a partial result are worth redrawing
RETRY_S = 0.02  # how soon after a training step a pass goes on
GIVE_WAY_S = 0.15  # no batch is begun this soon after the user moved something


class Task(Protocol):
    """Something that reads all samples step by step."""

    what: str  # what it gathers
    layers: tuple[str, ...]
    cancelled: bool

    @property
    def n_read(self) -> int:
        """How many samples have been read."""

    @property
    def n_samples(self) -> int:
        """How many samples the whole pass reads."""

    @property
    def complete(self) -> bool:
        """Whether every sample has been read."""

    def step(self) -> None:
        """Read one more batch."""


class Job(Task, Protocol):
    """A pass that can be stopped, and that keeps why it failed."""

    failure: str  # why it ended before its time, or ""

    @property
    def error(self) -> Exception | None:
        """What was raised then, where it says more."""

    def stop(self) -> None:
        """Do no more until `resume`."""

    def resume(self) -> None:
        """Go on, after `stop` or a failure."""


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


def progress_of(current: Task, **more: Any) -> Progress:
    """How far a pass has come."""
    return Progress(current.what, current.layers, current.n_read, current.n_samples, **more)


class TaskQueue:
    """Finishes passes one after another, the one that was asked for last before the others.

    A pass with a true attribute `is_slow` comes behind all that have none.

    Args:
        report: Called on the reader's thread with a `Reading`, now and then and at the end.
        turn: Says whether the next batch may be read, and is held while it is; asked again
            after a moment.
    """

    def __init__(
        self,
        report: Callable[[Progress], None],
        turn: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True),
    ) -> None:
        self._report, self._turn = report, turn
        self._wanted: list[Task] = []  # the next last
        self._seconds: WeakKeyDictionary[Task, float] = WeakKeyDictionary()
        self._last_touch_s = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def read(self, wanted: Task, *, instead_of: Callable[[Task], bool] | None = None) -> None:
        """See to it that this pass is finished, before those asked for earlier.

        Args:
            wanted: The pass.
            instead_of: Says of a pass that is waiting or under way whether to leave it.
        """
        with self._lock:
            left = self._wanted if instead_of is None else []
            if instead_of is not None:
                left = [each for each in self._wanted if not instead_of(each)]
            self._wanted = [*(each for each in left if each is not wanted), wanted]
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="actwidgets reader", daemon=True
                )
                atexit.register(self.stop)
                self._thread.start()

    def leave(self, is_left: Callable[[Task], bool]) -> None:
        """Begin no further batch of some passes, and report nothing more of them.

        Args:
            is_left: Says of a pass that is waiting or under way whether it is one of them.
        """
        with self._lock:
            self._wanted = [each for each in self._wanted if not is_left(each)]

    @property
    def is_reading(self) -> bool:
        """Whether there is something left to read."""
        return self._thread is not None

    def touch(self) -> None:
        """Say that the user is moving something: the reader gives way for a moment."""
        self._last_touch_s = time.monotonic()

    def cancel(self) -> list[Task]:
        """Begin no further batch, and report nothing more; tell what was left. Does not wait."""
        with self._lock:
            left, self._wanted = self._wanted, []
            self._seconds.clear()
        return left

    def stop(self) -> None:
        """Begin no further batch, and wait for the one under way."""
        self.cancel()
        self.wait()

    def wait(
        self, on_interrupt: Callable[[], None] | None = None, within_s: float | None = None
    ) -> None:
        """Return when there is nothing left to read.

        Args:
            within_s: Or after so many seconds.
            on_interrupt: Called where a kernel interrupt ends the waiting.
        """
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        try:
            thread.join(within_s)
        except KeyboardInterrupt:
            if on_interrupt:
                on_interrupt()
            raise

    def _next(self) -> Task | None:
        while True:
            with self._lock:
                done = [each for each in self._wanted if each.complete]
                if not done:
                    if not self._wanted:
                        self._thread = None
                        atexit.unregister(self.stop)
                        return None
                    quick = [each for each in self._wanted if not getattr(each, "is_slow", False)]
                    return (quick or self._wanted)[-1]
            self._tell(done[-1], self._seconds.get(done[-1], 0.0), "")  # others finished it

    def _run(self) -> None:
        reported_s = begun_s = time.monotonic()
        untold = False  # whether batches were read since the last report
        while (current := self._next()) is not None:
            since_touch_s = begun_s - self._last_touch_s
            failure = ""
            if since_touch_s < GIVE_WAY_S:
                time.sleep(GIVE_WAY_S - since_touch_s)
            else:
                told = self._step(current)
                if told is None:  # it may have to wait for long: tell first how far it is
                    if untold:
                        reported_s, untold = time.monotonic(), False
                        self._tell(current, self._seconds.get(current, 0.0), "")
                    time.sleep(RETRY_S)
                    begun_s = time.monotonic()
                    continue
                failure = told
            ended_s = time.monotonic()
            seconds = self._seconds.get(current, 0.0) + ended_s - begun_s
            self._seconds[current] = seconds
            begun_s, untold = ended_s, True
            if failure or current.complete or ended_s - reported_s > REPORT_INTERVAL_S:
                reported_s, untold = ended_s, False
                self._tell(current, seconds, failure)

    def _step(self, current: Task) -> str | None:
        """Read a batch and say why that failed, or ""; None where it may not be read now."""
        with self._turn() as may_read:
            if not may_read:
                return None
            try:
                current.step()
            except Exception as error:  # noqa: BLE001  a thread's exception would be lost
                return f"{type(error).__name__}: {error}"
        return ""

    def _tell(self, current: Task, seconds: float, failure: str) -> None:
        with self._lock:
            if current not in self._wanted:  # left meanwhile
                return
            if failure or current.complete:
                self._wanted.remove(current)
                self._seconds.pop(current, None)
        try:
            self._report(progress_of(current, seconds=seconds, failure=failure))
        except Exception:  # of whoever watches: other passes are still to be read
            log.exception("could not tell how far %s are", current.what)


class BackgroundWork(t.HasTraits):
    """Something that has a reader finish passes, and tells how far it is."""

    reading = t.Instance(Progress, allow_none=True, read_only=True, help="a pass under way")
    _reader: TaskQueue

    @abstractmethod
    def cancel(self) -> None:
        """Go no further; what there is stays."""

    def wait(self, within_s: float | None = None) -> None:
        """Return when nothing is under way any more. A kernel interrupt meanwhile cancels it.

        Args:
            within_s: Return after so many seconds in any case.
        """
        self._reader.wait(self.cancel, within_s)

    @property
    def is_reading(self) -> bool:
        """Whether something is under way."""
        return self._reader.is_reading
