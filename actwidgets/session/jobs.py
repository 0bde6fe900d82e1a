"""What is being made for a session in the background, for whom, and how it is stopped."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from actwidgets.errors import DataError
from actwidgets.session.profiles import SessionPasses
from actwidgets.session.tasks import BackgroundWork, Job, Progress, Task, TaskQueue, progress_of

KEPT = 24  # results, besides those that are on show
KEPT_SHARE = 8  # of the memory budget: that part may be results
AnyPass = TypeVar("AnyPass", bound=Job)


class JobsMixin(BackgroundWork):
    """Passes that views wish for, kept until weights or data change.

    Each wish has a place; at the same place the next one takes its room, and what nobody
    wishes for any more is left.

    Args:
        session: Whose samples are read.
    """

    def __init__(self, session: SessionPasses) -> None:
        self._session = session
        self._reader = TaskQueue(self._report, lambda: session._probe.background_read())
        self._passes: OrderedDict[Hashable, Job] = OrderedDict()
        self._wishes: dict[str, Hashable] = {}
        self._revision = _revision(session)
        super().__init__()
        session.observe(self._give_way, names="selection")

    def cancel(self) -> None:
        """Make no further picture; what was made stays, and `resume` goes on."""
        left = self._reader.cancel()
        for each in left:
            _stop(each)
        if left:
            self._report(progress_of(left[-1], cancelled=True))

    def resume(self) -> None:
        """Go on with what was cancelled or failed, as soon as a view asks for it."""
        with self._session.lock:
            for each in self._passes.values():
                each.resume()
            if self.reading is not None:
                self.set_trait("reading", replace(self.reading, cancelled=False, failure=""))

    def leave(self, place: str, *, but: Collection[str] = ()) -> None:
        """Say that nobody at a place, or within it, asks for anything any more.

        Args:
            place: "a" and what begins with "a ".
            but: Places within it, of which this is not said.
        """
        with self._session.lock:
            left = [each for each in self._wishes if _is_within(each, place)]
            for each in left:
                if not any(_is_within(each, kept) for kept in but):
                    del self._wishes[each]
            self._leave_unwanted()

    def close(self) -> None:
        """Stop working in the background."""
        for each in self._reader.cancel():
            _stop(each)
        self._reader.stop()

    # --- how they are kept ---------------------------------------------------------------

    def _pass(self, key: Hashable, make: Callable[[], AnyPass]) -> AnyPass:
        """What answers a wish, kept or new."""
        revision = _revision(self._session)
        if revision != self._revision:
            self._forget_all()
            self._revision = revision
        found: Any = self._passes.get(key)
        if found is None:
            self._make_room()
            found = self._passes[key] = make()
        self._passes.move_to_end(key)
        return found

    def _make_room(self) -> None:
        """Drop what was asked for longest ago, but not what somebody still wishes for.

        A view that shows more than is kept would else make it all anew at each glance.
        """
        wished = set(self._wishes.values())
        spare = [key for key in self._passes if key not in wished]
        n_bytes = sum(getattr(each, "n_bytes", 0) for each in self._passes.values())
        while spare and (
            len(spare) >= KEPT or n_bytes > self._session.memory_budget_bytes // KEPT_SHARE
        ):
            dropped = self._passes.pop(spare.pop(0))
            n_bytes -= getattr(dropped, "n_bytes", 0)
            dropped.stop()

    def _forget_all(self) -> None:
        """Drop what was made, and leave what is under way: it is of other weights or data."""
        for each in self._reader.cancel():
            _stop(each)
        self._passes.clear()

    def _leave_unwanted(self) -> None:
        """Stop and drop what is under way and nobody asks for any more."""
        unwanted = [
            key
            for key, each in self._passes.items()
            if not each.complete and key not in self._wishes.values()
        ]
        if not unwanted:
            return
        under_way = self._reader.cancel()
        left = [self._passes.pop(key) for key in unwanted]
        for each in left:
            each.stop()
        for other in under_way:
            if not any(other is each for each in left):
                self._reader.read(other)

    def _advance(
        self, wanted: Job, key: Hashable, partial: bool, place: str, at_once_s: float = 0.0
    ) -> None:
        """Have a pass made: here and now, or in the background.

        What takes no longer than `at_once_s` is made now in any case.
        """
        if partial and self._wishes.get(place) != key:
            with self._session.lock:
                self._wishes[place] = key
                self._leave_unwanted()
        if wanted.complete:
            return
        if not partial:
            wanted.resume()
            try:
                while not wanted.complete:
                    wanted.step()
            except BaseException:
                wanted.stop()
                raise
            return
        if wanted.failure:
            raise wanted.error or DataError(wanted.failure)
        if wanted.cancelled:
            if self.reading is None or not self.reading.cancelled:
                self._report(progress_of(wanted, cancelled=True))
            return
        if at_once_s:
            until_s = time.monotonic() + at_once_s
            while not wanted.complete and time.monotonic() < until_s:
                if wanted.n_read and not self._session._probe.may_read_on:
                    break
                wanted.step()
        if not wanted.complete:
            self._reader.read(wanted)

    def _give_way(self, _change: Any) -> None:
        self._reader.touch()

    def _report(self, reading: Progress) -> None:
        with self._session.lock:
            self.set_trait("reading", reading)


def _is_within(place: str, other: str) -> bool:
    return place == other or place.startswith(f"{other} ")


def _stop(one: Task) -> None:
    stop = getattr(one, "stop", None)
    if stop is not None:
        stop()


def _revision(session: SessionPasses) -> int:
    return getattr(session, "revision", 0)
