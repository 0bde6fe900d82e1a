"""What a training monitor does on the thread that trains: gather, and show when it is time."""

import threading
import time
from collections.abc import Callable
from typing import Any

from actwidgets.core.training.allowance import Allowance
from actwidgets.core.training.curves import Curves
from actwidgets.core.training.interval import Interval
from actwidgets.core.training.listener import Moment
from actwidgets.session import Session

COUNTED_WEIGHTS = 1_000_000  # of each, for a histogram: 4 ms
CURVES_EVERY_S = 0.5  # nobody reads a curve more often
LOOK_AGAIN_S = 0.5  # how soon an interrupt is noticed
LEAVING_S, LEAVING_LONG_S = 0.005, 0.2  # how often it is asked whether `fit` has returned
FIRST_WINDOW_S, LONGEST_WINDOW_S = 0.1, 5.0  # for passes over the samples, between two steps


class TrainingWatch:
    """A `TrainingListener` that has a view and its session follow a training.

    What it spends is kept below a share of the time: a third of it goes to the curves, the rest
    to the pictures of the other views. A pass over all samples, where a view waits for one, is
    given time between two steps as soon as that has been earned, so that it sees one state of
    the weights.

    Args:
        session: Whose views are refreshed.
        draw: Draws the curves; called on the thread that trains, and once on another where a
            training ended without a word.

    Attributes:
        curves: The metrics so far.
        state: "", "training", "stopping", "stopped", "finished" or "interrupted".
        moment: Where the training stood when it told last.
        failure: Why something could not be shown, or "".
        share: Of the time, that showing may take.
        every: How often the other views are refreshed.
        paused: Whether nothing is drawn.
    """

    def __init__(self, session: Session, draw: Callable[[], None]) -> None:
        self._session, self._draw = session, draw
        self.curves, self.moment = Curves(), Moment()
        self.state = self.failure = ""
        self.share, self.every, self.paused = 0.02, Interval(1.0, "seconds"), False
        self._begun_s = self._ended_s = 0.0
        self._weights: Any = None  # those that were shown at the end
        self._over = threading.Event()

    # --- what a training tells -----------------------------------------------------------

    def begins(self, moment: Moment) -> None:
        """Watch it from now on."""
        self._over.set()  # an earlier one may have ended without a word
        self._over = threading.Event()
        self.moment, self.state, self.failure = moment, "training", ""
        self.curves.begin()
        self._begun_s = self._drawn_s = self._refreshed_s = time.monotonic()
        self._refreshed_at = moment
        self._for_curves, self._for_views = Allowance(self.share / 3), Allowance(self.share * 2 / 3)
        self._window_s = 0.0
        self._noticing = threading.Thread(
            target=self._notice_the_end, args=(self._over,), name="actwidgets watch", daemon=True
        )
        self._noticing.start()
        self._draw()

    def before_step(self, moment: Moment) -> None:
        """Nothing: whoever looks has been let in."""

    def after_step(self, moment: Moment) -> None:
        """Show it, where it is time and the time has been earned."""
        self.moment = moment
        self.curves.add_step(moment)
        self._show_what_is_due()

    def after_epoch(self, moment: Moment) -> None:
        """The same at the end of an epoch."""
        self.moment = moment
        self.curves.add_epoch(moment)
        self._remember()
        self._show_what_is_due()

    def ends(self, moment: Moment) -> None:
        """Show how it ended, whatever it costs."""
        self._finish("stopped" if self.state == "stopping" else "finished")

    def failed(self, failure: Exception) -> None:
        """Keep why; the training goes on, and so does the watching."""
        self.failure = f"{type(failure).__name__}: {failure}"
        self._draw()

    # --- what a view asks ----------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long it has been training."""
        if not self._begun_s:
            return 0.0
        return (self._ended_s if self._over.is_set() else time.monotonic()) - self._begun_s

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at this rate; None where nobody knows."""
        now = self.moment
        if not (now.n_epochs and now.n_steps and now.step):
            return None
        left = (now.n_epochs - now.epoch) * now.n_steps - now.step_of_epoch
        return self.seconds / now.step * max(left, 0)

    @property
    def spent_share(self) -> float:
        """What showing it has taken of the time."""
        if not self._begun_s or not self.seconds:
            return 0.0
        return (self._for_curves.spent_s + self._for_views.spent_s) / self.seconds

    # --- when to show it -----------------------------------------------------------------

    def _show_what_is_due(self) -> None:
        if self.paused:
            return
        now_s = time.monotonic()
        self._for_curves.share, self._for_views.share = self.share / 3, self.share * 2 / 3
        now, last = self.moment, self._refreshed_at
        due = self.every.is_over(
            now.epoch - last.epoch, now.step - last.step, now_s - self._refreshed_s
        )
        if due and self._for_views.can_afford(self._window_s):
            self._refreshed_s, self._refreshed_at, self._drawn_s = now_s, self.moment, now_s
            with self._for_views.spending():
                self._session.refresh()  # of which the curves are a view
            self._read_on()
        elif now_s - self._drawn_s >= CURVES_EVERY_S and self._for_curves.can_afford():
            self._drawn_s = now_s
            with self._for_curves.spending():
                self._draw()

    def _remember(self) -> None:
        """Keep how the weights are spread after an epoch, where the first are kept."""
        histograms = self._session.histograms
        if histograms.labels and self._for_views.can_afford():
            with self._for_views.spending():
                label = f"epoch {self.curves.n_epochs}"
                histograms.remember(label, activations=False, limit=COUNTED_WEIGHTS)

    def _read_on(self) -> None:
        """Have passes over the samples go on while the weights stay as they are."""
        if not self._session.is_reading:
            self._window_s = 0.0
            return
        window_s = min(self._for_views.left_s, LONGEST_WINDOW_S)
        if window_s < FIRST_WINDOW_S:  # a batch that is begun is waited for
            self._window_s = max(self._window_s, FIRST_WINDOW_S)
            return
        begun_s = time.monotonic()
        self._session.wait(window_s)
        took_s = time.monotonic() - begun_s
        self._for_views.add(took_s)
        longer_s = max(2 * self._window_s, FIRST_WINDOW_S)
        self._window_s = min(longer_s if self._session.is_reading else took_s, LONGEST_WINDOW_S)

    def _finish(self, state: str) -> None:
        self.state, self._ended_s = state, time.monotonic()
        self._weights = self._session.training.weights()
        self._over.set()
        self._session.refresh()
        self._draw()

    def _notice_the_end(self, over: threading.Event) -> None:
        """An exception or an interrupt ends `fit` without a word.

        Callbacks behind this one, such as `EarlyStopping`, may change the weights at the end.
        """
        while not over.wait(LOOK_AGAIN_S):
            if not self._session.training.under_way:
                if over is self._over:
                    self._finish("interrupted")
                return
        training = self._session.training
        pause_s = LEAVING_S
        while over is self._over and (training.under_way or training.is_leaving):
            time.sleep(pause_s)
            pause_s = min(1.1 * pause_s, LEAVING_LONG_S)  # a loop of one's own may go on for long
        if over is self._over and training.weights() != self._weights:
            self._session.refresh()
