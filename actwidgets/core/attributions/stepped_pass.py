"""A generator of work as a pass: done step by step, watched, left and begun again."""

import threading
import traceback
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

from actwidgets.core.attributions.method import Progress


class SteppedPass:
    """Work that tells how far it is before each piece of it, and comes to one result.

    Args:
        what: What is made, in words.
        layers: The layers it is about.
        begin: Starts the work: a generator of `(done, total)` that returns the result.
    """

    is_slow = False

    def __init__(
        self,
        what: str,
        layers: tuple[str, ...],
        begin: Callable[[], Generator[Progress, None, Any]],
    ) -> None:
        self.what, self.layers = what, layers
        self.cancelled = False
        self.failure = ""
        self._raised: tuple[Exception, TracebackType | None] | None = None
        self._begin = begin
        self._work: Generator[Progress, None, Any] | None = None
        self._progress: Progress = (0, 1)
        self._result: Any = None
        self._stepping = threading.Lock()
        self.complete = False

    @property
    def n_read(self) -> int:
        """How many pieces are done."""
        return self.n_samples if self.complete else self._progress[0]

    @property
    def n_samples(self) -> int:
        """How many pieces there are, as far as is known yet; more than are done."""
        done, total = self._progress
        return max(total, done + 1)

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
                self._result, self.complete, self._work = end.value, True, None
            except BaseException as error:  # an interrupt too ends a generator
                self._work = None  # it begins anew, if it is asked to
                if isinstance(error, Exception):
                    traceback.clear_frames(error.__traceback__)  # they hold arrays
                    self._raised = error, error.__traceback__
                    self.failure = str(error) or type(error).__name__
                raise

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
