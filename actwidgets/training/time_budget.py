"""What watching a training may cost it: a share of the time, measured and held."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_COST_S = 0.02


class TimeBudget:
    """Keeps time spent below a share of the time since it began.

    Something is afforded where its cost, taken to be that of the last time, fits in as well;
    what costs much is therefore done seldom, and never before it has been earned. What the
    first time costs is not known: it is taken to be small.

    Args:
        share: Of the time, in 0..1.
        clock: Tells seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self._clock = clock
        self._begun_s = clock()
        self.spent_s, self._last_cost_s = 0.0, FIRST_COST_S

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._begun_s

    @property
    def spent_share(self) -> float:
        """What has been spent of the time so far; 0 at the beginning."""
        elapsed_s = self.elapsed_s
        return self.spent_s / elapsed_s if elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float:
        """Seconds that may be spent now."""
        return max(self.share * self.elapsed_s - self.spent_s, 0.0)

    def can_afford(self, more_s: float = 0.0) -> bool:
        """Whether the same again may be done now, and something that takes `more_s`."""
        return self._last_cost_s + more_s < self.left_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """A time that counts."""
        begun_s = self._clock()
        try:
            yield
        finally:
            self._last_cost_s = self._clock() - begun_s
            self.spent_s += self._last_cost_s

    def add(self, seconds: float) -> None:
        """Count what was spent besides, on something whose cost is not that of the next time."""
        self.spent_s += seconds
