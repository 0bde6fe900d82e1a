"""Live training curves, and the callback that refreshes the other views during `fit`."""

import html
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import Doubles, finite_range
from actwidgets.core.selection import Selection
from actwidgets.errors import LayerError
from actwidgets.session.session import Session
from actwidgets.training.events import VALIDATION, Curves, Interval, TrainingMoment, interval
from actwidgets.training.time_budget import TimeBudget
from actwidgets.views.base import View
from actwidgets.views.charts import (
    ACROSS,
    COLORS,
    SMALL,
    exact,
    fit_axis,
    fitting_size,
    margins,
    ticks,
)
from actwidgets.views.controls import HINT, OfferedChoice, button, note, show, toggle, update
from actwidgets.views.picture import plain_figure

WEIGHTS_UP_TO = 2**20  # that are counted, of one kind: a picture costs milliseconds
AT_FIRST = "at first"


def keep_first(session: Session) -> None:
    """Keep histograms of all weights as they are now, where no moment is kept yet."""
    histograms = session.histograms
    if histograms.recorded or histograms.labels:
        return
    with suppress(LayerError):  # of a probe that does not tell weights
        histograms.remember(AT_FIRST, activations=False, limit=WEIGHTS_UP_TO)


TRAINING, VALIDATING = COLORS
NARROWEST_PX = 160
# An axis goes so far beyond its first and last number, in parts of its length, that a dot there
# is whole.
BEYOND_LEFT, BEYOND_RIGHT, BEYOND_UP_DOWN = 0.0, 0.02, 0.03
NOTHING: Doubles = np.zeros(1)


class TrainingCurve(w.VBox):
    """A figure with a thin line by batches, and dots at the ends of the epochs."""

    def __init__(self, width_px: int, height_px: int) -> None:
        scales = {"x": exact(), "y": exact()}
        plain = {"scales": scales, "x": NOTHING, "y": NOTHING, "visible": False}
        dots = {"stroke_width": 2.0, "marker": "circle", "marker_size": 28}
        self._lines = (
            bq.Lines(colors=[TRAINING], stroke_width=1.2, opacities=[0.75], **plain),
            *(bq.Lines(colors=[color], **dots, **plain) for color in (TRAINING, VALIDATING)),
        )
        self.by_step, self.by_epoch, self.validation = self._lines
        style = {"label": "epoch", "label_offset": "30px", "tick_style": SMALL, "tick_format": "~g"}
        self._axes = [
            bq.Axis(scale=scales["x"], grid_lines="none", **style),
            bq.Axis(scale=scales["y"], orientation="vertical", tick_format="~g", **ACROSS),
        ]
        self.figure = plain_figure(
            self._lines,
            margin=margins(8, 40, 52, 14),
            axes=self._axes,
            layout=fitting_size(width_px, NARROWEST_PX, height_px),
        )
        self._key = w.HTML()
        super().__init__(children=(self._key, self.figure))

    def show(self, curves: Curves, name: str) -> None:
        """Draw what there is of a metric so far."""
        validation = curves.by_epoch(f"{VALIDATION}{name}")
        drawn = [curves.by_step(name), curves.by_epoch(name), validation]
        places, values = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
        across, up = self._axes
        fit_axis(across, ticks(0.0, max(places.max(initial=0.0), 1.0)), BEYOND_LEFT, BEYOND_RIGHT)
        fit_axis(up, ticks(*finite_range(values)), BEYOND_UP_DOWN, BEYOND_UP_DOWN)
        for line, (x, y) in zip(self._lines, drawn, strict=True):
            visible = bool(np.isfinite(y).any())  # a line without a point is not there
            x, y = (x, y) if visible else (NOTHING, NOTHING)
            if visible or line.visible:
                update(line, x=x, y=y, visible=visible)
        key = f'<b>{html.escape(name)}</b> <span style="color:{TRAINING}">▬ training</span>'
        if len(validation[0]):
            key += f' <span style="color:{VALIDATING}">▬ validation</span>'
        self._key.value = f'<div class="aw-note">{key}</div>'


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
        state: "", "training", "stopping", "stopped", "finished" or "interrupted".
        moment: Where the training stood when it told last.
        failure: Why something could not be shown, or "".
    """

    def __init__(self, session: Session, draw: Callable[[], None]) -> None:
        self._session, self._draw = session, draw
        self.curves, self.moment = Curves(), TrainingMoment()
        self.state = self.failure = ""
        self.share, self.every, self.paused = 0.02, Interval(1.0, "seconds"), False
        self._begun_s = self._ended_s = 0.0
        self._weights: Any = None  # those that were shown at the end
        self._over = threading.Event()

    # --- what a training tells -----------------------------------------------------------

    def begins(self, moment: TrainingMoment) -> None:
        """Watch it from now on."""
        self._over.set()  # an earlier one may have ended without a word
        self._over = threading.Event()
        self.moment, self.state, self.failure = moment, "training", ""
        self.curves.begin()
        self._begun_s = self._drawn_s = self._refreshed_s = time.monotonic()
        self._refreshed_at = moment
        self._for_curves = TimeBudget(self.share / 3)
        self._for_views = TimeBudget(self.share * 2 / 3)
        self._window_s = 0.0
        self._noticing = threading.Thread(
            target=self._notice_the_end, args=(self._over,), name="actwidgets watch", daemon=True
        )
        self._noticing.start()
        self._draw()

    def before_step(self, moment: TrainingMoment) -> None:
        """Nothing: whoever looks has been let in."""

    def after_step(self, moment: TrainingMoment) -> None:
        """Show it, where it is time and the time has been earned."""
        self.moment = moment
        self.curves.add_step(moment)
        self._show_what_is_due()

    def after_epoch(self, moment: TrainingMoment) -> None:
        """The same at the end of an epoch."""
        self.moment = moment
        self.curves.add_epoch(moment)
        histograms = self._session.histograms  # kept where the first are
        if histograms.labels and self._for_views.can_afford():
            with self._for_views.spending():
                label = f"epoch {self.curves.n_epochs}"
                histograms.remember(label, activations=False, limit=COUNTED_WEIGHTS)
        self._show_what_is_due()

    def ends(self, moment: TrainingMoment) -> None:
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
        now, last, since_s = self.moment, self._refreshed_at, now_s - self._refreshed_s
        due = self.every.is_over(now.epoch - last.epoch, now.step - last.step, since_s)
        if due and self._for_views.can_afford(self._window_s):
            self._refreshed_s, self._refreshed_at, self._drawn_s = now_s, self.moment, now_s
            with self._for_views.spending():
                self._session.refresh()  # of which the curves are a view
            self._read_on()
        elif now_s - self._drawn_s >= CURVES_EVERY_S and self._for_curves.can_afford():
            self._drawn_s = now_s
            with self._for_curves.spending():
                self._draw()

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
        training = self._session.training
        while not over.wait(LOOK_AGAIN_S):
            if not training.under_way:
                if over is self._over:
                    self._finish("interrupted")
                return
        pause_s = LEAVING_S
        while over is self._over and (training.under_way or training.is_leaving):
            time.sleep(pause_s)
            pause_s = min(1.1 * pause_s, LEAVING_LONG_S)  # a loop of one's own may go on for long
        if over is self._over and training.weights() != self._weights:
            self._session.refresh()


OFTEN = {
    "each second": ("seconds", 1.0),
    "every 10 s": ("seconds", 10.0),
    "each epoch": ("epochs", 1.0),
    "each batch": ("batches", 1.0),
}


class TrainingMonitor(View):
    """Loss and metrics of a training, drawn live; refreshes the other views meanwhile.

    Give its `callback` to `model.fit(…, callbacks=[monitor.callback])`. While it goes on,
    sliders of all views answer between two steps, with the weights of that moment. What drawing
    and refreshing take of the time is measured and held at `share`: beyond it frames are left
    out. A failure to draw is told in the view it concerns and never ends the training.
    """

    every = t.Any(
        ("seconds", 1.0),
        help='how often the other views are refreshed at most: "epoch", ("batches", 50), …',
    ).tag(option=True)
    share = t.Float(0.02, min=0.001, max=1.0, help="of the time, for drawing").tag(option=True)
    paused = t.Bool(False, help="whether nothing is drawn and refreshed").tag(option=True)
    metric = t.Unicode("", help="which is shown beside the loss; the first by default").tag(
        option=True
    )
    spelled = t.Unicode("monitor.callback", help="how a cell calls its callback").tag(option=True)
    width_px = t.Int(760, min=320, help="of the two figures together").tag(option=True)

    def __init__(self, session: Session, **options: Any) -> None:
        self._watch = TrainingWatch(session, self._draw)
        self._callback: Any = None
        super().__init__(session, **options)

    @property
    def callback(self) -> Any:
        """A `keras.callbacks.Callback` for `fit` of the session's model; always the same one."""
        if self._callback is None:
            self._callback = self._session.training.callback(self._watch)
            keep_first(self._session)  # for histograms that are only looked at afterwards
        return self._callback

    @property
    def state(self) -> str:
        """Empty, "training", "stopping", "stopped", "finished" or "interrupted"."""
        return self._watch.state

    @property
    def spent_share(self) -> float:
        """What drawing and refreshing took of the time of the last training."""
        return self._watch.spent_share

    def stop(self) -> None:
        """End the training after the step under way; `fit` returns as if it were complete."""
        if self._watch.state == "training":
            self._watch.state = "stopping"
            self.callback.stop()
            self._repaint()

    def _draw(self) -> None:
        if self._subscribed:  # it may be closed while a training goes on
            self._repaint()

    def _build(self) -> tuple[w.Widget, ...]:
        self._title = w.HTML('<div class="aw-title">Training</div>')
        self._status = w.HTML()
        tip = "end the training after the batch under way"
        self._stop = button("Stop", self._on_user_stop, "90px", icon="stop", tooltip=tip)
        pause = self._control("paused", toggle("Pause drawing", "150px", icon="pause"))
        self._often = OfferedChoice("refresh", self._on_user_often, "180px")
        self._often.add_class(HINT)
        self._which = OfferedChoice("metric", self._on_user_metric, "220px")
        half = self.width_px // 2 - 4
        self.loss, self.other = TrainingCurve(half, 210), TrainingCurve(half, 210)
        self._curves = w.HBox([self.loss, self.other])
        wrapping = {"flex_flow": "row wrap"}
        controls = w.HBox([self._stop, pause, self._often, self._which], layout=wrapping)
        return self._title, controls, self._status, self._curves

    @t.validate("every")
    def _check_interval(self, proposal: Any) -> Any:
        checked = interval(proposal.value)
        return checked.unit, checked.count

    def _render(self, _selection: Selection) -> None:
        watch = self._watch
        watch.every, watch.share, watch.paused = interval(self.every), self.share, self.paused
        self._stop.disabled = watch.state != "training"
        labels = {value: label for label, value in OFTEN.items()}
        often = labels.get(self.every) or f"every {self.every[1]:g} {self.every[0]}"
        self._often.offer(list(dict.fromkeys([*OFTEN, often])), often)
        names = watch.curves.names
        others = [name for name in names if name != "loss"]
        shown = self.metric if self.metric in others else others[0] if others else ""
        self._which.offer(others, shown or None)
        self._which.layout.display = None if len(others) > 1 else "none"
        show(self._curves, bool(names))
        show(self.other, bool(shown))
        if names:
            self.loss.show(watch.curves, names[0])
        if shown:
            self.other.show(watch.curves, shown)
        self._status.value = self._status_html()

    def _status_html(self) -> str:
        watch = self._watch
        failure = ""
        if watch.failure:
            failure = f'<div class="aw-note">could not be drawn: {html.escape(watch.failure)}</div>'
        if not watch.state:  # a click on the code marks all of it, to be copied
            code = html.escape(f"callbacks=[{self.spelled}]")
            code = f'<code style="user-select: all; cursor: text">{code}</code>'
            return f'<div class="aw-note">no training yet: pass {code} to fit</div>{failure}'
        now = watch.moment
        epoch = now.epoch + (now.step_of_epoch > 0)  # the one under way
        of_all = f" of {now.n_epochs}" if now.n_epochs else ""
        before = watch.curves.earlier_epochs
        in_all = f" ({epoch + before} in all)" if before else ""
        state = "drawing paused" if self.paused and watch.state == "training" else watch.state
        parts = [f"{state}: epoch {epoch}{of_all}{in_all}"]
        if now.step_of_epoch:
            of = f" of {now.n_steps:,}" if now.n_steps else ""
            parts.append(f"batch {now.step_of_epoch:,}{of}")
        parts += [f"{name} {value:.4g}" for name, value in watch.curves.last.items()]
        parts.append(f"{watch.seconds:.0f} s")
        if watch.state == "training" and watch.seconds_left is not None:
            parts.append(f"about {watch.seconds_left:.0f} s left")
        parts.append(f"drawing took {watch.spent_share:.1%}")
        return note(" · ".join(parts)) + failure

    def _on_user_stop(self) -> None:
        with self._guard("could not stop the training"):
            self.stop()

    def _on_user_often(self, label: str) -> None:
        with self._guard("could not set how often"):
            self.every = OFTEN.get(label, self.every)

    def _on_user_metric(self, name: str) -> None:
        with self._guard("could not choose the metric"):
            self.metric = name
