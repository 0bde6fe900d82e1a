"""Keep forward passes and training steps of one model from overlapping."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from weakref import WeakSet

ASK_AGAIN_S = 0.25  # how often somebody who waits asks whether the training still goes on
LOCKED_S = 2.0  # a step that is only wanted for so long waits for somebody who waits for it
_here = threading.local()  # .trained: the turns of the models that this thread trains


def _ended() -> bool:
    return False


class StepGate:
    """Keeps forward passes and training steps of one model from overlapping.

    They take turns: who wants to look waits for one step at most, and a step for those who
    look and those who waited for the step before. Any number may look at a time, and who
    looks may look again meanwhile. Where no training has announced itself nothing ever waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._trainer: int | None = None
        self._is_alive: Callable[[], bool] = _ended
        self._stepping = self._step_is_wanted = False
        self._n_steps = self._n_pauses = 0
        self._n_looking = self._n_waiting = self._n_let_in = self._n_background = 0
        self._mine = threading.local()  # .n_looks: how many times this thread looks

    # --- the side of the training --------------------------------------------------------

    def begin_training(self, is_alive: Callable[[], bool]) -> None:
        """Say that this thread trains the model from now on.

        Args:
            is_alive: Whether it still does: an interrupt may end it without a word. Where it
                has a method `let_go`, that is called when it is over.
        """
        with self._changed:
            self._end()
            self._trainer, self._is_alive = threading.get_ident(), is_alive
        trained_here().add(self)

    def end_training(self) -> None:
        """Say that it is over. Safe to call twice."""
        with self._changed:
            self._end()

    def begin_step(self) -> None:
        """Wait until nobody looks who came before, then have everybody wait until `end_step`."""
        with self._changed:
            self._step_is_wanted = True
            while not self._stepping and (self._n_looking or self._n_let_in):
                self._changed.wait()
            self._stepping, self._step_is_wanted = True, False

    def end_step(self) -> None:
        """Let whoever waits look. Safe to call twice."""
        with self._changed:
            if self._stepping:
                self._let_in()

    def put_off_step(self) -> bool:
        """End the step of this thread, which is to wait for somebody; whether there is one."""
        with self._changed:
            is_mine = self._stepping and self.trains_here
            if is_mine:
                self._let_in()
            return is_mine

    def _end(self) -> None:
        self._trainer = None
        let_go = getattr(self._is_alive, "let_go", None)
        if let_go is not None:
            let_go()
        self._let_in()

    def _let_in(self) -> None:
        self._stepping = self._step_is_wanted = False
        self._n_steps += 1
        self._n_let_in = self._n_waiting
        self._changed.notify_all()

    @contextmanager
    def pause_between_steps(self) -> Iterator[None]:
        """A time between two steps in which passes over the samples may go on."""
        with self._changed:
            self._n_pauses += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_pauses -= 1

    # --- the side of those who look ------------------------------------------------------

    @contextmanager
    def read_lock(self) -> Iterator[None]:
        """Hold training steps off, so that the weights stay as they are."""
        if self.trains_here:  # its own steps are not under way
            yield
            return
        n_looks = getattr(self._mine, "n_looks", 0)
        with self._changed:
            if not n_looks and self._must_wait():
                self._wait_for_a_step()
            self._n_looking += 1
        with self._counted(n_looks):
            yield

    @contextmanager
    def background_read(self) -> Iterator[bool]:
        """Hold training steps off for one batch of a pass whose batches are to see one state.

        Gives whether the batch may be read: not while training goes on, but in a
        `pause_between_steps`. Never waits.
        """
        with self._changed:
            may_read = self.may_read_on
            self._n_looking += may_read
            self._n_background += may_read
        try:
            with self._counted(getattr(self._mine, "n_looks", 0)) if may_read else nullcontext():
                yield may_read
        finally:
            with self._changed:
                self._n_background -= may_read

    @contextmanager
    def _counted(self, n_looks: int) -> Iterator[None]:
        self._mine.n_looks = n_looks + 1
        try:
            yield
        finally:
            self._mine.n_looks = n_looks
            with self._changed:
                self._n_looking -= 1
                self._changed.notify_all()

    def _must_wait(self) -> bool:
        # A wanted step waits for the batch that is read in any case, and who reads it may need
        # a lock of somebody who would wait here.
        return self._stepping or (self._step_is_wanted and not self._n_background)

    def _wait_for_a_step(self) -> None:
        n_steps, begun_s = self._n_steps, time.monotonic()
        self._n_waiting += 1
        try:
            while n_steps == self._n_steps and self._must_wait():
                if not self._changed.wait(ASK_AGAIN_S):
                    _ = self.training  # an interrupt ends it without a word
                if not self._stepping and time.monotonic() - begun_s > LOCKED_S:
                    return
        finally:
            self._n_waiting -= 1
            if n_steps != self._n_steps:
                self._n_let_in -= 1

    @property
    def may_read_on(self) -> bool:
        """Whether a pass that has begun may go on: all its batches are to see one state."""
        return bool(self._n_pauses) or not self.training

    @property
    def training(self) -> bool:
        """Whether the model is being trained, as far as anybody has said."""
        with self._changed:
            if self._trainer is not None and not self._is_alive():
                self._end()
            return self._trainer is not None

    @property
    def is_leaving(self) -> bool:
        """Whether it is said to be over, and the function that trained has yet to return."""
        return self._trainer is None and self._is_alive()

    @property
    def trains_here(self) -> bool:
        """Whether it is this thread that trains the model."""
        return self._trainer == threading.get_ident()


def trained_here() -> "WeakSet[StepGate]":
    """The step gates of all models that this thread trains, or has trained."""
    if not hasattr(_here, "trained"):
        _here.trained = WeakSet()
    gates: WeakSet[StepGate] = _here.trained
    return gates


class LockAmidSteps:
    """A re-entrant lock that puts off a training step which would wait for its holder.

    Callbacks of somebody's own are called between the beginning and the end of a step as
    `StepGate` knows it, though the weights are whole then. Where such a callback needs the lock of
    somebody who waits for the end of the step, both would wait for ever: so the step is put
    off, and begins again when the lock is given back.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._n_entered = 0
        self._put_off: list[StepGate] = []

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
        put_off: list[StepGate] = []
        if not self._n_entered:
            put_off, self._put_off = self._put_off, put_off
        self._lock.release()
        for each in put_off:
            each.begin_step()
