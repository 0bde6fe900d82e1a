"""Distribution of the selected layer's weights and activations."""

import html
from collections.abc import Sequence
from functools import partial
from itertools import count

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from actwidgets.core.histograms import ACTIVATIONS, NOW, Histogram, SharedBins, shared_bins
from actwidgets.core.selection import Selection
from actwidgets.errors import LayerError
from actwidgets.images.colormap import TOP, css_color, palette
from actwidgets.views.base import View
from actwidgets.views.charts import (
    SMALL,
    Outlines,
    exact,
    fitting_size,
    margins,
    outlines,
    round_ticks,
    spread_marks,
    tick_labels,
)
from actwidgets.views.controls import (
    OfferedChoice,
    button,
    choice,
    control_row,
    note,
    shorten,
    show,
    title,
    update,
)
from actwidgets.views.picture import plain_figure
from actwidgets.views.training_monitor import WEIGHTS_UP_TO, keep_first

MINUS = "\u2212"


def moment_lines(moments: Sequence[tuple[str, Histogram]], colors: Sequence[str]) -> str:
    """A line for each moment: its mean and standard deviation, in its color, as HTML."""
    parts = [
        f'<span style="color:{color}">▬</span> {html.escape(label)}: {_figures(histogram)}'
        for (label, histogram), color in zip(moments, colors, strict=True)
    ]
    return "".join(f'<div class="aw-note">{part}</div>' for part in parts)


def _figures(histogram: Histogram) -> str:
    text = f"mean {histogram.mean:.3g}, standard deviation {histogram.std:.3g}"
    return text.replace("-", MINUS) if histogram.n_finite else "no finite values"


def odd_values(moments: Sequence[tuple[str, Histogram]]) -> str:
    """What the bins do not hold; "" where they hold everything."""
    parts = []
    for label, histogram in moments:
        kinds = [(histogram.n_nan, "NaN"), (histogram.n_infinite, "infinite")]
        if some := [f"{count:,} {kind}" for count, kind in kinds if count]:
            parts.append(f"{label}: {' and '.join(some)} not in the bins")
    return "; ".join(parts)


HEIGHT_PX, ROWS_HEIGHT_PX = 240, 360
NARROWEST_PX = 240
FEWEST_BINS = 8  # there is room for, however few there are
LABELS_UP_TO = 14  # rows that are named
LETTERS = 15  # of a name
ROW_TICK = 0.5  # how far up the mark at a mean goes, of a row
FAINT, PLAIN, STRONG = 0.3, 0.4, 0.8  # how opaque an area is
Histograms = Sequence[Histogram]
Colors = Sequence[str]


class HistogramFigure(w.VBox):
    """Overlaid or stacked histograms as areas, each with its mean and standard deviation."""

    def __init__(self, width_px: int) -> None:
        self._x, self._y = exact(), exact()
        nothing = np.zeros((2, 2), np.float32)
        plain = {"x": nothing, "y": nothing, "scales": {"x": self._x, "y": self._y}}
        self.areas = bq.Lines(fill="inside", stroke_width=1.0, apply_clip=True, **plain)
        self.spreads = bq.Lines(stroke_width=2.0, **plain)
        plain = {"tick_style": SMALL, "grid_lines": "none"}
        self._upwards = bq.Axis(scale=self._y, side="left", label_offset="52px", **plain)
        self._across = bq.Axis(scale=self._x, **plain)
        self.figure = plain_figure(
            [self.areas, self.spreads],
            margin=margins(8, 30, 100, 14),
            axes=[self._across, self._upwards],
            layout=fitting_size(width_px, NARROWEST_PX, HEIGHT_PX),
        )
        super().__init__(children=(self.figure,))

    def show(
        self, shared: SharedBins, histograms: Histograms, colors: Colors, *, log: bool, noun: str
    ) -> None:
        """Lay a few histograms of shared bins over one another, a color for each.

        By `log` bins are as high as the powers of ten in their counts; `noun` is what is counted.
        """
        shapes = outlines(shared, log=log)
        top = shapes.top or 1.0
        below = -0.055 * top * (1.0 + np.arange(len(histograms)))
        self._resize(HEIGHT_PX, shared, below[-1] - 0.05 * top, 1.05 * top)
        powers = list(range(int(top) + 1)) if log else []
        ticks = np.array(powers, np.float64) if log else round_ticks(0.0, 1.05 * top, 5)
        names = {str(n): f"{10 ** (n - 1):,}" if n else "0" for n in powers}
        update(self._upwards, tick_labels=names, tick_values=ticks, label=f"number of {noun}")
        self._paint(shapes, histograms, colors, [FAINT] * len(histograms), below, top - below)

    def show_rows(
        self,
        shared: SharedBins,
        histograms: Histograms,
        colors: Colors,
        labels: Sequence[str],
        *,
        log: bool,
        in_view: int,
    ) -> None:
        """Stand histograms in rows, the first on top; that which is in view stands out."""
        shapes = outlines(shared, log=log, rows=True)
        self._resize(ROWS_HEIGHT_PX, shared, -0.3, shapes.top + 0.1)
        named = _named(len(labels), in_view)
        names = {
            str(int(shapes.feet[row])): "▸ " * (row == in_view) + shorten(labels[row], LETTERS)
            for row in named
        }
        update(self._upwards, tick_labels=names, tick_values=shapes.feet[named], label="")
        strengths = [STRONG if row == in_view else PLAIN for row in range(len(labels))]
        self._paint(shapes, histograms, colors, strengths, shapes.feet, ROW_TICK)

    def _paint(
        self,
        shapes: Outlines,
        histograms: Histograms,
        colors: Colors,
        strengths: Sequence[float],
        feet: np.ndarray,
        heights: ArrayLike,
    ) -> None:
        colors = list(colors)
        filled = {"fill_colors": colors, "fill_opacities": strengths}
        update(self.areas, x=shapes.x, y=shapes.y, colors=colors, **filled)
        means = [histogram.mean for histogram in histograms]
        stds = [histogram.std for histogram in histograms]
        x, y = spread_marks(means, stds, feet, heights)
        update(self.spreads, x=x, y=y, colors=colors)

    def _resize(self, height_px: int, shared: SharedBins, low: float, high: float) -> None:
        update(self.figure.layout, height=f"{height_px}px", min_height=f"{height_px}px")
        edges = shared.edges
        beside = max(FEWEST_BINS - (len(edges) - 1), 0) / 2 * float(edges[1] - edges[0])
        left, right = float(edges[0]) - beside, float(edges[-1]) + beside
        update(self._x, min=left, max=right)
        ticks = round_ticks(left, right, 8)  # bqplot is late to follow a `tick_format`
        update(self._across, tick_labels=tick_labels(ticks), tick_values=ticks)
        update(self._y, min=float(low), max=float(high))


def moment_colors(n_moments: int) -> list[str]:
    """A color for each moment, from early to late."""
    places = np.linspace(0, TOP, n_moments).round().astype(int)
    return [css_color((int(r), int(g), int(b))) for r, g, b in palette("time")[places]]


def _named(n_rows: int, in_view: int) -> list[int]:
    """The rows whose names have room: evenly, and the current one instead of its neighbors."""
    if n_rows <= LABELS_UP_TO:
        return list(range(n_rows))
    rows = np.linspace(0, n_rows - 1, LABELS_UP_TO).round().astype(int).tolist()
    apart = (n_rows - 1) / (LABELS_UP_TO - 1)
    return sorted({in_view, *(row for row in rows if abs(row - in_view) >= 0.8 * apart)})


STYLES = ("overlaid", "ridgeline")
ROWS_UP_TO = 40
Moments = Sequence[tuple[str, Histogram]]


class WeightHistogram(View):
    """Histograms of the selected layer's weights at two moments, or at all of them in rows.

    The bins are the same for all. Below them lies a line for each moment, from one standard
    deviation below the mean to one above. The weights as they are when the view is made, or
    before that a `TrainingMonitor` is asked for its callback, are kept as a moment, where there
    is none yet; `session.histograms.remember` keeps others, and so does the button. A recorded
    session has those of the recording, and the one it is at stands out.
    """

    watched = ("layer",)
    what = t.Unicode("kernel", help='name of the weights, or "activations"').tag(option=True)
    style = t.Enum(STYLES, "overlaid", help="two moments, or all in rows").tag(option=True)
    earlier = t.Unicode("", help="the moment compared with; the first where empty").tag(option=True)
    later = t.Unicode("", help="the moment shown; the current one where empty").tag(option=True)
    log_counts = t.Bool(False, help="whether bins rise by powers of ten").tag(option=True)
    n_bins = t.Int(64, min=4, max=256, help="bins at most").tag(option=True)
    width_px = t.Int(560, min=240, help="width of the plot").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._histograms = self._session.histograms
        keep_first(self._session)
        self._shown = ""
        self._title, self._means, self._note = w.HTML(), w.HTML(), w.HTML()
        self._figure = HistogramFigure(self.width_px)
        self._whats, self._earlier, self._later = (
            OfferedChoice(label, partial(self._on_user_choice, option), width)
            for label, option, width in (
                ("show", "what", "190px"),
                ("from", "earlier", "170px"),
                ("to", "later", "170px"),
            )
        )
        tip = "Remember weights and activations as they are now"
        self._keep = button("Keep this moment", self._on_user_keep, "140px", tooltip=tip)
        width = {"width": "100px"}
        log = w.Checkbox(description="log counts", indent=False, layout=width)
        self._controls = control_row(
            self._whats,
            self._control("style", choice("as", STYLES, "130px")),
            self._earlier,
            self._later,
            self._control("log_counts", log),
            self._keep,
        )
        self._picture = w.VBox([self._figure, self._means])
        self._subscribe(self._histograms, self._on_news, "n_changes")
        return self._title, self._controls, self._picture, self._note

    def _render(self, selection: Selection) -> None:
        layer = selection.layer
        try:
            names = self._histograms.weight_names(layer)
        except LayerError:
            names = ()
        what = self.what if self.what in (*names, ACTIVATIONS) else "".join(names[:1])
        self._shown = what
        kind = "Activations" if what == ACTIVATIONS else "Weights"
        self._title.value = title(kind, f"{layer} · {what}" if names else layer)
        self._whats.offer([(name, name) for name in (*names, ACTIVATIONS)], what or None)
        self._keep.layout.display = "none" if self._histograms.recorded else None
        if not what:
            self._show_nothing(layer, "it has no weights")
            return
        moments = self._histograms.moments(layer, what, limit=WEIGHTS_UP_TO)
        if not any(histogram.n_finite for _, histogram in moments):
            n_values = sum(histogram.n_values for _, histogram in moments)
            self._show_nothing(layer, "no value is finite" if n_values else "its output is empty")
            return
        (self._draw_pair if self.style == "overlaid" else self._draw_rows)(moments)
        shown = None if self.style == "overlaid" and len(moments) > 1 else "none"
        self._earlier.layout.display = self._later.layout.display = shown
        show(self._picture, True)

    def _draw_pair(self, moments: Moments) -> None:
        """Lay the earlier and the later moment over one another."""
        labels = [label for label, _ in moments]
        first, missing_first = _place(labels, self.earlier, 0)
        last, missing_last = _place(labels, self.later, self._in_view(moments))
        named = [(label, label) for label in labels if label != NOW]
        default = "the current one" if self._histograms.recorded else NOW
        self._earlier.offer([("the first", ""), *named], "" if missing_first else self.earlier)
        self._later.offer([(default, ""), *named], "" if missing_last else self.later)
        places = [first, last] if first != last else [last]
        shown = [moments[place] for place in places]
        histograms = [histogram for _, histogram in shown]
        colors = moment_colors(2)[-len(shown) :]
        # Of a recording all moments are known: the axis stays while one is scrubbed.
        within = range(len(moments)) if self._histograms.recorded else places
        bins = shared_bins([moments[place][1] for place in within], self.n_bins)
        shared = bins.only([within.index(place) for place in places])
        noun = "values" if self._shown == ACTIVATIONS else "weights"
        self._figure.show(shared, histograms, colors, log=self.log_counts, noun=noun)
        self._means.value = moment_lines(shown, colors)
        self._show_note(shown, [*missing_first, *missing_last])

    def _draw_rows(self, moments: Moments) -> None:
        """Stand all moments in rows, or some evenly chosen ones where they are many."""
        in_view = self._in_view(moments)
        rows = np.linspace(0, len(moments) - 1, min(len(moments), ROWS_UP_TO)).round().astype(int)
        if in_view not in rows:
            rows[np.abs(rows - in_view).argmin()] = in_view
        shown = [moments[row] for row in rows]
        labels, histograms = zip(*shown, strict=True)
        colors = moment_colors(len(shown))
        focus = int(np.flatnonzero(rows == in_view)[0])
        shared = shared_bins(histograms, self.n_bins)
        self._figure.show_rows(
            shared, histograms, colors, labels, log=self.log_counts, in_view=focus
        )
        of_ends = [(shown[row], colors[row]) for row in sorted({0, focus})]
        self._means.value = moment_lines(*zip(*of_ends, strict=True))
        few = f"{len(shown)} of {len(moments)} moments" if len(shown) < len(moments) else ""
        self._show_note(shown, [few])

    def _in_view(self, moments: Moments) -> int:
        """The place of the moment that the session is at."""
        return range(len(moments))[self._histograms.in_view]

    def _show_note(self, shown: Moments, extra: Sequence[str]) -> None:
        """Say what was counted, what is not in the picture, and what else there is to say."""
        session, layer = self._session, self._session.layer
        n_values = shown[-1][1].n_values
        if self._shown == ACTIVATIONS:
            n_samples, n_all = self._histograms.n_samples(layer), session.n_samples
            few = "" if n_samples == n_all else f"{n_samples:,} of "
            where = " at all positions" if len(session.layer_info.output_shape) > 2 else ""
            text = f"{n_values:,} values: of {few}{n_all:,} samples{where}"
        else:
            n_all = self._histograms.n_weights(layer, self._shown) or n_values
            text = f"{n_values:,} weight{'s' * (n_values != 1)}"
            if n_all != n_values:
                text = f"{n_values:,} of {n_all:,} weights, evenly spread"
        if len(shown) == 1 and not self._histograms.recorded:
            extra = [*extra, "keep this moment to compare with it later"]
        self._note.value = note("; ".join(filter(None, [text, odd_values(shown), *extra])))

    def _show_nothing(self, layer: str, why: str) -> None:
        self._note.value = note(f"nothing to show for {layer}: {why}")
        self._earlier.layout.display = self._later.layout.display = "none"
        show(self._picture, False)

    def _on_user_choice(self, option: str, value: str) -> None:
        with self._guard(f"could not set {option}"):
            setattr(self, option, value)

    def _on_user_keep(self) -> None:
        with self._guard("could not keep this moment"):
            labels = self._histograms.labels
            number = next(n for n in count(1) if f"moment {n}" not in labels)
            self._histograms.remember(f"moment {number}", limit=WEIGHTS_UP_TO)


def _place(labels: Sequence[str], label: str, default: int) -> tuple[int, list[str]]:
    """Where a moment is among those of a layer; the default where it is not, and that said."""
    if label in labels:
        return labels.index(label), []
    return default, [f"no moment {label} of this layer"] if label else []
