"""Scrub through a recorded training: a slider of its snapshots, and play."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.training.curves import VALIDATION
from actwidgets.recording.recorded_session import RecordedSession
from actwidgets.session import Selection, Session
from actwidgets.views._controls import show
from actwidgets.views._metric_curve import MetricCurve
from actwidgets.views._style import HINT
from actwidgets.views.base import View

PADDING_PX = 24


class EpochSlider(View):
    """The snapshots of a recording as a slider, with the epoch and the metrics of each.

    Play goes from one to the next; where a picture takes longer than a tick, ticks are left
    out. Below it a curve of one metric, with a mark where the slider stands.

    Args:
        session: A session over a recording: `recording.session()`.
    """

    loop = t.Bool(False, help="whether play begins anew at the end").tag(option=True)
    interval_ms = t.Int(400, min=20, help="between two snapshots while playing").tag(option=True)
    metric = t.Unicode("loss", help="what the curve shows; another where it is not there").tag(
        option=True
    )
    width_px = t.Int(560, min=240, help="width of the view").tag(option=True)

    def __init__(self, session: Session, **options: Any) -> None:
        if not isinstance(session, RecordedSession):
            raise TypeError(
                "EpochSlider() needs a session over a recording, as recording.session() gives; "
                f"got {type(session).__name__}"
            )
        super().__init__(session, **options)

    @property
    def playing(self) -> bool:
        """Whether it plays; may be set."""
        return bool(self._play.playing)

    @playing.setter
    def playing(self, playing: bool) -> None:
        self._play.playing = playing

    def _build(self) -> tuple[w.Widget, ...]:
        self._drawn: Any = None
        self._epoch = w.HTML()
        self._play = w.Play(max=0, show_repeat=False, layout={"width": "auto"})
        self._slider = w.IntSlider(
            max=0,
            readout=False,
            description="epoch",
            tooltip="which snapshot of the recording all views show",
            layout={"flex": "1 1 auto", "width": "0"},
            style={"description_width": "initial"},
        )
        self._slider.add_class(HINT)  # the title tells the epoch
        for widget in (self._play, self._slider):
            widget.observe(self._on_user_position, names="value")
        loop = w.ToggleButton(
            description="loop", tooltip=self.traits()["loop"].help, layout={"width": "54px"}
        )
        row = w.HBox(
            [self._play, self._slider, self._control("loop", loop)],
            layout={"align_items": "center", "width": f"{self.width_px - PADDING_PX}px"},
        )
        self._curve = MetricCurve(self.width_px - PADDING_PX)
        self._frame = w.VBox([self._curve])
        return self._epoch, row, self._frame

    def _render(self, selection: Selection) -> None:
        session = self._session
        snapshots, at = session.recording.snapshots, session.at
        last = len(snapshots) - 1
        for widget in (self._play, self._slider):
            with widget.hold_sync():
                widget.max = max(widget.max, last)  # so that the value is not clamped on its way
                widget.value = at
                widget.max = last
                widget.disabled = last == 0
        self._play.repeat, self._play.interval = self.loop, self.interval_ms
        self._epoch.value = _told(session)
        self._show_curve(snapshots, at)

    def _show_curve(self, snapshots: Any, at: int) -> None:
        name = self._metric_of(snapshots)
        drawn = tuple((each.index, each.metrics.get(name)) for each in snapshots)
        if (name, drawn) != self._drawn:
            self._drawn = name, drawn
            values = [float("nan") if value is None else value for _, value in drawn]
            self._curve.show(name, values)
        show(self._frame, bool(name))
        self._curve.move_mark(at)

    def _metric_of(self, snapshots: Any) -> str:
        """The metric that is drawn; "" where there is none of more than one snapshot."""
        names = [name for each in snapshots for name in each.metrics]
        if len(snapshots) < 2 or not names:
            return ""
        return self.metric if self.metric in names else names[0]

    def _on_user_position(self, change: Any) -> None:
        with self._guard("could not go to the snapshot"):
            if change.new != self._session.at:
                self._session.at = change.new


def _figures(metrics: Mapping[str, float]) -> Iterator[str]:
    """Each metric, and behind it the same of the validation."""
    for name, value in metrics.items():
        if name.removeprefix(VALIDATION) in metrics and name.startswith(VALIDATION):
            continue
        text = f"{html.escape(name)} {value:.3g}"
        of_validation = metrics.get(f"{VALIDATION}{name}")
        yield text if of_validation is None else f"{text} (val {of_validation:.3g})"


def _told(session: RecordedSession) -> str:
    """The readout, as HTML."""
    snapshot = session.snapshot
    parts = list(_figures(snapshot.metrics))
    if not snapshot.epoch:
        parts.insert(0, "before training")
    count = len(session.recording.snapshots)
    parts.append(f"snapshot {session.at + 1:,} of {count:,}")
    if unread := len(session.recording.refused):
        parts.append(f"{unread:,} cannot be read")
    told = " · ".join(parts)
    return f'<div class="aw-title">epoch {snapshot.epoch:.4g} <span>{told}</span></div>'
