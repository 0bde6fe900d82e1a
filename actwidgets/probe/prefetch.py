"""Prefetcher: compile in the background what is likely wanted next, yielding to the foreground."""

import atexit
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

START_AFTER_S = 0.1  # the first pictures come first
IDLE_S = 0.15  # what was not asked for is made only when nobody moved anything for so long
MAX_WANTED = 8
log = logging.getLogger("actwidgets")


class _Stopped(BaseException):  # passes through `except Exception` in other people's layers
    """Raised to abandon the work under way."""


class Prefetcher:
    """Background thread that works on one request at a time, the last one first.

    Args:
        make: Called on a thread of its own with a key and what `want` was given for it.
    """

    def __init__(self, make: Callable[[Any, Any], None]) -> None:
        self._make = make
        self._wanted: OrderedDict[Hashable, Any] = OrderedDict()
        self._likely: list[tuple[Hashable, Any]] = []
        self._lock = threading.Lock()
        self._quiet = threading.Event()
        self._quiet.set()
        self._n_busy = 0
        self._last_busy_s = 0.0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def want(self, key: Hashable, likely: Sequence[Hashable], details: Any) -> None:
        """See to it that `key` is made, and when all is idle what is likely to come next."""
        with self._lock:
            if self._stopped:
                return
            self._wanted[key] = details
            self._wanted.move_to_end(key)
            while len(self._wanted) > MAX_WANTED:
                self._wanted.popitem(last=False)
            self._likely = [(each, details) for each in reversed(likely)]
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="actwidgets warmer", daemon=True
                )
                atexit.register(self._stop_and_wait)
                self._thread.start()

    @contextmanager
    def give_way(self) -> Iterator[None]:
        """The work waits, at its next layer, while something more urgent is done."""
        with self._lock:
            self._n_busy += 1
            self._quiet.clear()
        try:
            yield
        finally:
            with self._lock:
                self._n_busy -= 1
                self._last_busy_s = time.monotonic()
                if not self._n_busy:
                    self._quiet.set()

    def pause(self) -> None:
        """Called by the work now and then: waits while it must give way.

        On any other thread than the warmer's it does nothing.
        """
        if threading.current_thread() is self._thread:
            self._quiet.wait()
            if self._stopped:
                raise _Stopped

    def stop(self) -> None:
        """Give up what is under way, and make nothing more. Does not wait."""
        with self._lock:
            self._stopped = True
            self._wanted.clear()
            self._likely.clear()

    def wait(self) -> None:
        """Return when there is nothing left to make."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _stop_and_wait(self) -> None:
        self.stop()
        self._quiet.set()
        self.wait()

    def _next(self) -> tuple[Hashable, Any] | None:
        with self._lock:
            if self._wanted:
                return self._wanted.popitem()
            idle_s = time.monotonic() - self._last_busy_s
            if self._likely and idle_s >= IDLE_S:
                return self._likely.pop()
            if not self._likely:
                self._thread = None
                atexit.unregister(self._stop_and_wait)
                return None
        time.sleep(IDLE_S - idle_s)
        return self._next()

    def _run(self) -> None:
        time.sleep(START_AFTER_S)
        while (work := self._next()) is not None:
            try:
                self._make(*work)
            except _Stopped:
                continue
            except Exception:  # what is made ahead is made again, and told, when it is used
                log.exception("could not compile a layer ahead of its use")
