"""A slider over the snapshots of a recording, with play and a metric curve."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from actwidgets.core.arrays import finite_range
from actwidgets.core.selection import Selection
from actwidgets.recording.replay import RecordedSession
from actwidgets.session.session import Session
from actwidgets.training.events import VALIDATION
from actwidgets.views.base import View
from actwidgets.views.charts import COLORS, exact, fit_axis, fixed_size, margins, place_mark, ticks
from actwidgets.views.controls import HINT, labeled, note, show, toggle, update
from actwidgets.views.picture import plain_figure

BEYOND = 0.06  # of its length an axis goes beyond its last numbers, that a dot there is whole


class MetricCurve(w.VBox):
    """One line over the snapshots, and above it what it is."""

    def __init__(self, width_px: int, height_px: int = 72) -> None:
        self._x, y = exact(), exact()
        style = {"colors": [COLORS[0]], "stroke_width": 1.5, "marker": "circle", "marker_size": 12}
        self.line = bq.Lines(x=[0], y=[0], scales={"x": self._x, "y": y}, **style)
        self.mark = place_mark(self._x)
        style = {"tick_format": "~g", "grid_lines": "none", "tick_style": {"font-size": "10px"}}
        self._axis = bq.Axis(scale=y, orientation="vertical", **style)
        figure = plain_figure(
            [self.mark, self.line],
            margin=margins(6, 8, 44, 12),
            axes=[self._axis],
            layout=fixed_size(width_px, height_px),
        )
        self._name = w.HTML()
        super().__init__(children=(self._name, figure))

    def show(self, name: str, values: ArrayLike) -> None:
        """Draw another line of `(snapshot,)` values; those that are not finite are left out."""
        values = np.asarray(values, np.float32)
        fit_axis(self._axis, ticks(*finite_range(values), count=3), BEYOND, BEYOND)
        last = max(len(values) - 1, 1)
        update(self._x, min=-0.02 * last, max=1.02 * last)
        self._name.value = note(name)
        known = np.flatnonzero(np.isfinite(values))  # bqplot's markers fail on NaN
        marker = "circle" if len(values) <= 40 else None
        update(self.line, x=known.astype(np.float32), y=values[known], marker=marker)

    def move_mark(self, position: int) -> None:
        """Put the mark at a snapshot."""
        self.mark.x = np.array([position, position], np.float32)


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

    _session: RecordedSession

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
        tip = "which snapshot of the recording all views show"
        self._slider = labeled(w.IntSlider, "epoch", "0", max=0, readout=False, tooltip=tip)
        self._slider.layout.flex = "1 1 auto"
        self._slider.add_class(HINT)  # the title tells the epoch
        for widget in (self._play, self._slider):
            widget.observe(self._on_user_position, names="value")
        row = w.HBox(
            [self._play, self._slider, self._control("loop", toggle("loop", "54px"))],
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
        self._epoch.value = _title_html(session)
        self._show_curve(snapshots, at)

    def _show_curve(self, snapshots: Any, at: int) -> None:
        # That of the option, or the first there is; none where there is but one snapshot.
        names = [name for snapshot in snapshots for name in snapshot.metrics]
        name = self.metric if self.metric in names else "".join(names[:1])
        name = name if len(snapshots) > 1 else ""
        drawn = tuple((snapshot.index, snapshot.metrics.get(name)) for snapshot in snapshots)
        if (name, drawn) != self._drawn:
            self._drawn = name, drawn
            values = [float("nan") if value is None else value for _, value in drawn]
            self._curve.show(name, values)
        show(self._frame, bool(name))
        self._curve.move_mark(at)

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


def _title_html(session: RecordedSession) -> str:
    """The readout, as HTML."""
    snapshot = session.snapshot
    parts = list(_figures(snapshot.metrics))
    if not snapshot.epoch:
        parts.insert(0, "before training")
    count = len(session.recording.snapshots)
    parts.append(f"snapshot {session.at + 1:,} of {count:,}")
    if unread := len(session.recording.refused):
        parts.append(f"{unread:,} cannot be read")
    text = " · ".join(parts)
    return f'<div class="aw-title">epoch {snapshot.epoch:.4g} <span>{text}</span></div>'
