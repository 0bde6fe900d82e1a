"""A lock that a training may take amid a step, whoever waits for the end of that step with it."""

import threading

from actwidgets.core.training.turns import Turns, trained_here


class LockAmidSteps:
    """A re-entrant lock, for `with`.

    Callbacks of somebody's own are called between the beginning and the end of a step as
    `Turns` knows it, though the weights are whole then. Where such a callback needs the lock of
    somebody who waits for the end of the step, both would wait for ever: so the step is put
    off, and begins again when the lock is given back.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._n_entered = 0
        self._put_off: list[Turns] = []

    @property
    def is_held_here(self) -> bool:
        """Whether this thread has it."""
        try:
            threading.Condition(self._lock).notify()  # which only the owner may; nobody waits
        except RuntimeError:
            return False
        return True

    def __enter__(self) -> "LockAmidSteps":
        """Wait until nobody else has it."""
        if not self._lock.acquire(blocking=False):
            put_off = [each for each in trained_here() if each.put_off_step()]
            self._lock.acquire()
            self._put_off = put_off
        self._n_entered += 1
        return self

    def __exit__(self, *failure: object) -> None:
        """Give it back."""
        self._n_entered -= 1
        put_off: list[Turns] = []
        if not self._n_entered:
            put_off, self._put_off = self._put_off, put_off
        self._lock.release()
        for each in put_off:
            each.begin_step()
