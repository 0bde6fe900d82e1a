"""A training as it goes on: curves, and the other views refreshed from its weights."""

import html
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.training.interval import interval
from actwidgets.session import Selection, Session
from actwidgets.views._at_first import keep_first
from actwidgets.views._controls import choice, note, show
from actwidgets.views._style import HINT
from actwidgets.views._training_curve import TrainingCurve
from actwidgets.views._training_watch import TrainingWatch
from actwidgets.views.base import View

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

    Args:
        session: Whose model is trained.
        **options: Of the view.
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
        self._stop = w.Button(description="Stop", icon="stop", layout={"width": "90px"})
        self._stop.tooltip = "end the training after the batch under way"
        self._stop.on_click(self._on_user_stop)
        self._pause = w.ToggleButton(
            description="Pause drawing", icon="pause", layout={"width": "150px"}
        )
        self._control("paused", self._pause)
        self._often = choice("refresh", list(OFTEN), "180px")
        self._often.add_class(HINT)
        self._often.observe(self._on_user_often, names="value")
        self._which = choice("metric", [], "220px")
        self._which.observe(self._on_user_metric, names="value")
        half = self.width_px // 2 - 4
        self.loss, self.other = TrainingCurve(half, 210), TrainingCurve(half, 210)
        self._curves = w.HBox([self.loss, self.other])
        controls = w.HBox(
            [self._stop, self._pause, self._often, self._which], layout={"flex_flow": "row wrap"}
        )
        return self._title, controls, self._status, self._curves

    @t.validate("every")
    def _check_interval(self, proposal: Any) -> Any:
        found = interval(proposal.value)
        return found.unit, found.count

    def _render(self, _selection: Selection) -> None:
        watch = self._watch
        watch.every, watch.share, watch.paused = interval(self.every), self.share, self.paused
        self._stop.disabled = watch.state != "training"
        self._show_often()
        names = watch.curves.names
        others = [name for name in names if name != "loss"]
        shown = self.metric if self.metric in others else others[0] if others else ""
        if tuple(self._which.options) != tuple(others):
            self._which.unobserve(self._on_user_metric, names="value")
            self._which.options, self._which.value = others, shown or None
            self._which.observe(self._on_user_metric, names="value")
        self._which.layout.display = None if len(others) > 1 else "none"
        show(self._curves, bool(names))
        show(self.other, bool(shown))
        if names:
            self.loss.show(watch.curves, names[0])
        if shown:
            self.other.show(watch.curves, shown)
        self._status.value = self._told()

    def _no_training(self) -> str:
        """What to give `fit`, as HTML; a click on the code marks all of it, to be copied."""
        code = html.escape(f"callbacks=[{self.spelled}]", quote=True)
        code = f'<code style="user-select: all; cursor: text">{code}</code>'
        return f'<div class="aw-note">no training yet: give fit {code}</div>'

    def _told(self) -> str:
        watch = self._watch
        failure = ""
        if watch.failure:
            failure = f'<div class="aw-note">could not show it: {html.escape(watch.failure)}</div>'
        if not watch.state:
            return self._no_training() + failure
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

    def _show_often(self) -> None:
        """Have the list say what is set; what it does not offer becomes one more of it."""
        found = {value: label for label, value in OFTEN.items()}
        label = found.get(self.every) or f"every {self.every[1]:g} {self.every[0]}"
        if self._often.value != label:
            self._often.unobserve(self._on_user_often, names="value")
            if label not in self._often.options:
                self._often.options = [*OFTEN, label]
            self._often.value = label
            self._often.observe(self._on_user_often, names="value")

    def _on_user_stop(self, _button: Any) -> None:
        with self._guard("could not stop the training"):
            self.stop()

    def _on_user_often(self, change: Any) -> None:
        with self._guard("could not set how often"):
            if change.new in OFTEN:
                self.every = OFTEN[change.new]

    def _on_user_metric(self, change: Any) -> None:
        with self._guard("could not choose the metric"):
            if change.new:
                self.metric = change.new
