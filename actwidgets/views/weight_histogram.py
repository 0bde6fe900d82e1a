"""How the weights of the chosen layer, or what it puts out, are spread; then and now."""

import html
from collections.abc import Sequence
from itertools import count
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.training.histogram import Histogram, shared_bins
from actwidgets.core.training.kept_moments import ACTIVATIONS, NOW
from actwidgets.errors import LayerError
from actwidgets.session import Selection
from actwidgets.views._at_first import WEIGHTS_UP_TO, keep_first
from actwidgets.views._controls import choice, note, show
from actwidgets.views._histogram_figure import HistogramFigure, moment_colours
from actwidgets.views._histogram_words import (
    counted_activations,
    counted_weights,
    odd_values,
    told,
)
from actwidgets.views._offered_choice import OfferedChoice
from actwidgets.views.base import View

STYLES = ("overlaid", "ridgeline")
ROWS_UP_TO = 40
Moments = Sequence[tuple[str, Histogram]]


class WeightHistogram(View):
    """Histograms of the chosen layer's weights at two moments, or at all of them in rows.

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
    later = t.Unicode("", help="the moment in focus; the one in view where empty").tag(option=True)
    log_counts = t.Bool(False, help="whether bins rise by powers of ten").tag(option=True)
    n_bins = t.Int(64, min=4, max=256, help="bins at most").tag(option=True)
    width_px = t.Int(560, min=240, help="width of the plot").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._histograms = self._session.histograms
        keep_first(self._session)
        self._shown = ""
        self._title, self._told, self._note = w.HTML(), w.HTML(), w.HTML()
        self._figure = HistogramFigure(self.width_px)
        self._whats = OfferedChoice("show", self._on_user_what, "190px")
        self._earlier = OfferedChoice("from", self._on_user_earlier, "170px")
        self._later = OfferedChoice("to", self._on_user_later, "170px")
        self._keep = w.Button(
            description="Keep this moment",
            tooltip="Remember weights and activations as they are now",
            layout={"width": "140px"},
        )
        self._keep.on_click(self._on_user_keep)
        log = w.Checkbox(
            description="log counts", tooltip="", indent=False, layout={"width": "100px"}
        )
        self._controls = w.HBox(
            [
                self._whats,
                self._control("style", choice("as", STYLES, "130px")),
                self._earlier,
                self._later,
                self._control("log_counts", log),
                self._keep,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._picture = w.VBox([self._figure, self._told])
        self._histograms.observe(self._on_moments, names="n_changes")
        return self._title, self._controls, self._picture, self._note

    def _render(self, selection: Selection) -> None:
        layer = selection.layer
        try:
            names = self._histograms.weight_names(layer)
        except LayerError:
            names = ()
        what = self._shown = self._shown_what(names)
        self._title.value = (
            f'<div class="aw-title">{"Activations" if what == ACTIVATIONS else "Weights"} '
            f"<span>{html.escape(layer)}{f' · {html.escape(what)}' if names else ''}</span></div>"
        )
        self._whats.offer([(each, each) for each in (*names, ACTIVATIONS)], what or None)
        self._keep.layout.display = "none" if self._histograms.recorded else None
        if not what:
            self._show_nothing(layer, "it has no weights")
            return
        moments = self._histograms.moments(layer, what, limit=WEIGHTS_UP_TO)
        if not any(found.n_finite for _, found in moments):
            n_values = sum(found.n_values for _, found in moments)
            self._show_nothing(layer, "no value is finite" if n_values else "its output is empty")
            return
        if self.style == "overlaid":
            self._draw_pair(moments)
        else:
            self._draw_rows(moments)
        self._earlier.layout.display = self._later.layout.display = (
            None if self.style == "overlaid" and len(moments) > 1 else "none"
        )
        show(self._picture, True)

    def _shown_what(self, names: tuple[str, ...]) -> str:
        """What of a layer is shown: what is asked for, else the first of its weights."""
        if self.what in (*names, ACTIVATIONS):
            return self.what
        return names[0] if names else ""

    def _draw_pair(self, moments: Moments) -> None:
        """Lay the earlier and the later moment over one another."""
        labels = [label for label, _ in moments]
        first, missing_first = _place(labels, self.earlier, 0)
        last, missing_last = _place(labels, self.later, self._in_view(moments))
        named = [(label, label) for label in labels if label != NOW]
        default = "the one in view" if self._histograms.recorded else NOW
        self._earlier.offer([("the first", ""), *named], "" if missing_first else self.earlier)
        self._later.offer([(default, ""), *named], "" if missing_last else self.later)
        places = [first, last] if first != last else [last]
        shown = [moments[place] for place in places]
        found = [each for _, each in shown]
        colours = moment_colours(2)[-len(shown) :]
        # Of a recording all moments are known: the axis stays while one is scrubbed.
        within = range(len(moments)) if self._histograms.recorded else places
        bins = shared_bins([moments[place][1] for place in within], self.n_bins)
        shared = bins.only([within.index(place) for place in places])
        self._figure.show(shared, found, colours, log=self.log_counts, noun=self._noun())
        self._told.value = told(shown, colours)
        self._tell(shown, [*missing_first, *missing_last])

    def _draw_rows(self, moments: Moments) -> None:
        """Stand all moments in rows, or some evenly chosen ones where they are many."""
        in_view = self._in_view(moments)
        rows = np.linspace(0, len(moments) - 1, min(len(moments), ROWS_UP_TO)).round().astype(int)
        if in_view not in rows:
            rows[np.abs(rows - in_view).argmin()] = in_view
        shown = [moments[row] for row in rows]
        found = [each for _, each in shown]
        colours = moment_colours(len(shown))
        focus = int(np.flatnonzero(rows == in_view)[0])
        self._figure.show_rows(
            shared_bins(found, self.n_bins),
            found,
            colours,
            [label for label, _ in shown],
            log=self.log_counts,
            in_view=focus,
        )
        ends = [0, focus] if focus else [0]
        self._told.value = told([shown[row] for row in ends], [colours[row] for row in ends])
        few = f"{len(shown)} of {len(moments)} moments" if len(shown) < len(moments) else ""
        self._tell(shown, [few] if few else [])

    def _in_view(self, moments: Moments) -> int:
        """The place of the moment that the session is at."""
        return range(len(moments))[self._histograms.in_view]

    def _noun(self) -> str:
        return "values" if self._shown == ACTIVATIONS else "weights"

    def _tell(self, shown: Moments, extra: Sequence[str]) -> None:
        """Say what was counted, what is not in the picture, and what else there is to say."""
        session, layer = self._session, self._session.layer
        found = shown[-1][1]
        if self._shown == ACTIVATIONS:
            text = counted_activations(
                found,
                self._histograms.n_samples(layer),
                session.n_samples,
                has_positions=len(session.layer_info.output_shape) > 2,
            )
        else:
            text = counted_weights(found, self._histograms.n_weights(layer, self._shown))
        if len(shown) == 1 and not self._histograms.recorded:
            extra = [*extra, "keep this moment to compare with it later"]
        self._note.value = note("; ".join(filter(None, [text, odd_values(shown), *extra])))

    def _show_nothing(self, layer: str, why: str) -> None:
        self._note.value = note(f"nothing to show for {layer}: {why}")
        self._earlier.layout.display = self._later.layout.display = "none"
        show(self._picture, False)

    def _on_moments(self, _change: Any) -> None:
        if self.watching:
            self._repaint()
        else:
            self._painted = None  # there is more to show by then

    def _on_user_what(self, what: str) -> None:
        with self._guard("could not set what"):
            self.what = what

    def _on_user_earlier(self, label: str) -> None:
        with self._guard("could not set earlier"):
            self.earlier = label

    def _on_user_later(self, label: str) -> None:
        with self._guard("could not set later"):
            self.later = label

    def _on_user_keep(self, _button: w.Button) -> None:
        with self._guard("could not keep this moment"):
            labels = self._histograms.labels
            number = next(n for n in count(1) if f"moment {n}" not in labels)
            self._histograms.remember(f"moment {number}", limit=WEIGHTS_UP_TO)

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._histograms.unobserve(self._on_moments, names="n_changes")
        super().close()


def _place(labels: Sequence[str], wanted: str, default: int) -> tuple[int, list[str]]:
    """Where a moment is among those of a layer; the default where it is not, and that said."""
    if not wanted:
        return default, []
    if wanted in labels:
        return labels.index(wanted), []
    return default, [f"no moment {wanted} of this layer"]
