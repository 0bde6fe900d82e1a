"""Finish a profile pass on a thread of its own, giving way to whoever moves a slider."""

import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from actwidgets.core.profile_pass import ProfilePass

REPORT_INTERVAL_S = 0.25  # how often pictures of a partial result are worth redrawing
GIVE_WAY_S = 0.15  # no batch is begun this soon after the user moved something


@dataclass(frozen=True)
class Reading:
    """How far a pass over the samples has come."""

    layer: str
    n_read: int
    n_samples: int
    failure: str = ""

    @property
    def complete(self) -> bool:
        """Whether every sample has been read."""
        return self.n_read >= self.n_samples


class BackgroundReader:
    """Runs one pass at a time; another one asked for takes its place.

    Args:
        report: Called on the reader's thread with a `Reading`, now and then and at the end.
    """

    def __init__(self, report: Callable[[Reading], None]) -> None:
        self._report = report
        self._wanted: ProfilePass | None = None
        self._last_touch_s = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def read(self, profile_pass: ProfilePass) -> None:
        """See to it that this pass is finished, and none other."""
        with self._lock:
            self._wanted = profile_pass
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="actwidgets reader", daemon=True
                )
                atexit.register(self.stop)
                self._thread.start()

    def touch(self) -> None:
        """Say that the user is moving something: the reader gives way for a moment."""
        self._last_touch_s = time.monotonic()

    def cancel(self) -> None:
        """Begin no further batch, and report nothing more. Does not wait."""
        with self._lock:
            self._wanted = None

    def stop(self) -> None:
        """Begin no further batch, and wait for the one under way."""
        self.cancel()
        self.wait()

    def wait(self) -> None:
        """Return when there is nothing left to read."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _next(self) -> ProfilePass | None:
        with self._lock:
            if self._wanted is None or self._wanted.complete:
                self._wanted = self._thread = None
                atexit.unregister(self.stop)
            return self._wanted

    def _run(self) -> None:
        reported_s = time.monotonic()
        while (current := self._next()) is not None:
            since_touch_s = time.monotonic() - self._last_touch_s
            if since_touch_s < GIVE_WAY_S:
                time.sleep(GIVE_WAY_S - since_touch_s)
                continue
            failure = ""
            try:
                current.step()
            except Exception as error:  # noqa: BLE001  a thread's exception would be lost
                failure = f"{type(error).__name__}: {error}"
            now_s = time.monotonic()
            if failure or current.complete or now_s - reported_s > REPORT_INTERVAL_S:
                reported_s = now_s
                self._tell(current, failure)

    def _tell(self, current: ProfilePass, failure: str) -> None:
        with self._lock:
            if self._wanted is not current:  # another one took its place meanwhile
                return
            if failure:
                self._wanted = None
        self._report(Reading(current.layer, current.n_read, current.n_samples, failure))
