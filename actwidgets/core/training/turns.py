"""Whose turn it is at the weights of a model: a training step's, or somebody's who looks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

ASK_AGAIN_S = 0.25  # how often somebody who waits asks whether the training still goes on


def _ended() -> bool:
    return False


class Turns:
    """Keeps forward passes and training steps of one model apart, so that none is torn.

    They take turns: who wants to look waits for one step at most, and a step for those who
    look and those who waited for the step before. Any number may look at a time, and who
    looks may look again meanwhile. Where no training has announced itself nothing ever waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._trainer: int | None = None
        self._is_alive: Callable[[], bool] = _ended
        self._stepping = self._step_is_wanted = False
        self._n_steps = self._n_windows = 0
        self._n_looking = self._n_waiting = self._n_let_in = 0
        self._mine = threading.local()  # .n_looks: how many times this thread looks

    # --- the side of the training --------------------------------------------------------

    def begin_training(self, is_alive: Callable[[], bool]) -> None:
        """Say that this thread trains the model from now on.

        Args:
            is_alive: Whether it still does: an interrupt may end it without a word.
        """
        with self._changed:
            self._end()
            self._trainer, self._is_alive = threading.get_ident(), is_alive

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

    def _end(self) -> None:
        self._trainer, self._is_alive = None, _ended  # which may hold a frame and all in it
        self._let_in()

    def _let_in(self) -> None:
        self._stepping = self._step_is_wanted = False
        self._n_steps += 1
        self._n_let_in = self._n_waiting
        self._changed.notify_all()

    @contextmanager
    def window(self) -> Iterator[None]:
        """A time between two steps in which passes over the samples may go on."""
        with self._changed:
            self._n_windows += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_windows -= 1

    # --- the side of those who look ------------------------------------------------------

    @contextmanager
    def looking(self) -> Iterator[None]:
        """A time in which the weights stay as they are."""
        if self.trains_here:  # its own steps are not under way
            yield
            return
        n_looks = getattr(self._mine, "n_looks", 0)
        with self._changed:
            if not n_looks and (self._stepping or self._step_is_wanted):
                self._wait_for_a_step()
            self._n_looking += 1
        with self._counted(n_looks):
            yield

    @contextmanager
    def reading(self) -> Iterator[bool]:
        """The same for one batch of a pass over many samples, all of which see one state.

        Gives whether the batch may be read: not while training goes on, but for a `window`.
        Never waits.
        """
        with self._changed:
            may_read = self.may_read_on
            self._n_looking += may_read
        with self._counted(getattr(self._mine, "n_looks", 0)) if may_read else nullcontext():
            yield may_read

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

    def _wait_for_a_step(self) -> None:
        n_steps = self._n_steps
        self._n_waiting += 1
        try:
            while n_steps == self._n_steps:
                if not self._changed.wait(ASK_AGAIN_S):
                    _ = self.training  # an interrupt ends it without a word
        finally:
            self._n_waiting -= 1
            if n_steps != self._n_steps:
                self._n_let_in -= 1

    @property
    def may_read_on(self) -> bool:
        """Whether a pass that has begun may go on: all its batches are to see one state."""
        return bool(self._n_windows) or not self.training

    @property
    def training(self) -> bool:
        """Whether the model is being trained, as far as anybody has said."""
        with self._changed:
            if self._trainer is not None and not self._is_alive():
                self._end()
            return self._trainer is not None

    @property
    def trains_here(self) -> bool:
        """Whether it is this thread that trains the model."""
        return self._trainer == threading.get_ident()
