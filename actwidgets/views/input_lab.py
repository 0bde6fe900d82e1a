"""Perturb the visible samples and compare the predictions before and after."""

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.perturbation import UNDISTURBED, patch_between
from actwidgets.core.predictions import PredictionShift, prediction_shift
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import FRAME_COLOR, css_color
from actwidgets.images.encode import Pixels, fit, rgba_png
from actwidgets.views.base import View
from actwidgets.views.charts import output_note
from actwidgets.views.controls import (
    RIGHT,
    WRONG,
    button,
    hint,
    labeled,
    note,
    set_slider,
    share_text,
    show,
    title,
    update,
)
from actwidgets.views.picture import Picture

NOW, CHOSEN = "#8cc9c4", "#3fa7a0"
BARS_SHEET = """<style>
.aw-says { font: 600 14px/20px var(--jp-ui-font-family, sans-serif); margin: 0 0 6px;
  color: var(--jp-ui-font-color1, #212121); font-variant-numeric: tabular-nums; }
.aw-bars { border-collapse: collapse; width: 100%; table-layout: fixed;
  font: 12px/16px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #212121); }
.aw-bars th { width: 92px; padding: 0 8px 0 0; font-weight: 400; text-align: right;
  overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.aw-bars .aw-true th { font-weight: 700; }
.aw-bars td { padding: 2px 0; }
.aw-bars td:last-child { width: 54px; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.aw-bars b, .aw-bars i { display: block; min-width: 1px; }
.aw-bars b { height: 10px; }
.aw-bars i { height: 3px; background: var(--jp-ui-font-color2, #757575); opacity: .6; }
</style>"""


def sentence(
    shift: PredictionShift, names: Sequence[str], true: int | None, *, changed: bool
) -> str:
    """`ankle boot 0.98 → sandal 0.61`, as HTML; without `changed` the first half only."""
    parts = []
    for predicted, sure in zip(shift.predicted, shift.confidence, strict=True):
        text = html.escape(names[predicted])
        if shift.has_probabilities and np.isnan(sure):
            parts.append("not a number")
            continue
        if shift.has_probabilities:
            text += f" {share_text(sure)}"
        if true is not None:
            color = RIGHT if predicted == true else WRONG
            text = f'<span style="color:{color}">{text}</span>'
        parts.append(text)
    return f'<div class="aw-says">{" → ".join(parts if changed else parts[:1])}</div>'


def bars(shift: PredictionShift, names: Sequence[str], true: int | None) -> str:
    """A row for each class, as HTML: what the model says now, and a thin line: before.

    The name of the true class is bold. The bar of the predicted class stands out: green where
    it is the true one, red where it is not.
    """
    rows = []
    for index, before, now in zip(shift.classes, shift.before, shift.now, strict=True):
        name, color = html.escape(names[index]), NOW
        if index == shift.predicted[1] and not np.isnan(now):
            color = CHOSEN if true is None else RIGHT if index == true else WRONG
        kind, of = (' class="aw-true"', ": the true class") if index == true else ("", "")
        figure = "–" if np.isnan(now) else share_text(now)
        rows.append(
            f'<tr{kind}><th title="{name}{of}">{name}</th><td>'
            f'<b style="width:{_percent(now, shift)}%;background:{color}"></b>'
            f'<i style="width:{_percent(before, shift)}%"></i></td><td>{figure}</td></tr>'
        )
    return f'<table class="aw-bars">{"".join(rows)}</table>'


def _percent(value: float, shift: PredictionShift) -> str:
    """How long a bar is: of margins by where it lies among all of them."""
    if not shift.has_probabilities:
        known = np.nan_to_num([*shift.before, *shift.now])
        low, high = min(known.min(), 0.0), max(known.max(), 0.0)
        value = (value - low) / (high - low) if high > low else 0.0
    return f"{0.0 if np.isnan(value) else 100 * value:.1f}"


SMALL = 128  # pixels; pictures up to there are shown with hard edges
PATCH_SHEET = f"""<style>
.aw-patch .bqplot > svg .brushintsel .selection {{ fill-opacity: 0;
  stroke: {css_color(FRAME_COLOR)}; stroke-width: 2px; shape-rendering: crispEdges; }}
.aw-patch:not(.aw-small) img {{ image-rendering: auto; }}
</style>"""
Patch = tuple[int, int, int, int]
Edges = tuple[tuple[float, ...], tuple[float, ...]]  # down and across the picture


class PatchPicture(w.Box):
    """A picture enlarged, and a rectangle over it that the mouse moves.

    Args:
        shape: Rows and columns of the model's input, in whose pixels the patch is told.
        side_px: The longer side on the screen.
        on_patch: Called with `(top, left, height, width)` when the mouse moves the rectangle,
            with None when it is taken away by a click beside it.
    """

    def __init__(
        self, shape: tuple[int, ...], side_px: int, on_patch: Callable[[Patch | None], None]
    ) -> None:
        self._shape, self._side_px, self._on_patch = shape, side_px, on_patch
        self._patch: Patch | None = None
        self.picture = Picture()
        scales = self.picture.scales
        self.brush = bq.interacts.BrushSelector(x_scale=scales["x"], y_scale=scales["y"])
        self._shown: Any = self._edges()
        self.brush.observe(self._on_user_brush, names=["selected_x", "selected_y", "brushing"])
        self.picture.figure.interaction = self.brush
        css = w.HTML(PATCH_SHEET, layout={"display": "none"})
        super().__init__(children=(css, self.picture), layout={"overflow": "hidden"})
        self.add_class("aw-patch")
        if max(shape, default=0) <= SMALL:
            self.add_class("aw-small")

    def show(self, pixels: Pixels, patch: Patch | None) -> None:
        """Paint `(row, column, 3)` pixels and put the rectangle where the patch is.

        While the mouse drags the rectangle it is left alone: it gets its whole pixels when the
        mouse lets go.
        """
        rows, columns = self._shape
        scale = self._side_px / max(pixels.shape[:2])
        self.picture.set_size(*(max(1, round(side * scale)) for side in pixels.shape[:2]))
        self.picture.set_cells([0, rows], [0, columns])
        self.picture.show(rgba_png(fit(pixels, *pixels.shape[:2])))
        self._patch = patch
        if not self.brush.brushing:
            self._put(self._edges_of(patch))

    def measure(self) -> None:
        """Have the page measure what the mouse draws on, as behind a tab it had no size.

        bqplot does so only when it makes what draws: where the page was loaded again with the tab
        hidden, every rectangle would lie in the middle.
        """
        if not self.brush.brushing:
            self.picture.figure.interaction = None
            self.picture.figure.interaction = self.brush

    def _edges_of(self, patch: Patch | None) -> Edges | None:
        """The part of a patch that lies on the picture; None where there is none."""
        top, left, height, width = patch or (0, 0, 0, 0)
        rows = max(top, 0), min(top + height, self._shape[0])
        columns = max(left, 0), min(left + width, self._shape[1])
        return (rows, columns) if rows[0] < rows[1] and columns[0] < columns[1] else None

    def _put(self, target: Edges | None) -> None:
        """Lay the rectangle there."""
        self._shown = target
        if target != self._edges():
            down, across = (None, None) if target is None else np.array(target, np.float64)
            update(self.brush, selected_x=across, selected_y=down)

    def _edges(self) -> Edges | None:
        """The rectangle as it lies there now."""
        across, down = self.brush.selected_x, self.brush.selected_y
        if across is None or down is None or not (len(across) and len(down)):
            return None
        return tuple(map(float, down)), tuple(map(float, across))

    def _on_user_brush(self, _change: Any) -> None:
        edges = self._edges()
        if edges != self._shown and not (edges is None and self.brush.brushing):
            self._shown = edges
            self._on_patch(None if edges is None else patch_between(*edges, self._shape))
        if not self.brush.brushing:
            self._put(self._edges_of(self._patch))


# Field, words, lowest, highest, step, format.
SLIDERS: tuple[tuple[Any, ...], ...] = (
    ("brightness", "brightness", -1.0, 1.0, 0.01, "+.0%"),
    ("contrast", "contrast ×", 0.0, 3.0, 0.05, ".2f"),
    ("noise", "noise", 0.0, 0.5, 0.005, ".1%"),
    ("blur", "blur, px", 0.0, 5.0, 0.1, ".1f"),
    ("rotation", "rotation, °", -180.0, 180.0, 1.0, "+.0f"),
    ("patch_value", "patch gray", 0.0, 1.0, 0.01, ".0%"),
)
SHIFTS = (("shift_down", "down, px"), ("shift_right", "right, px"))
MEASURED_AFTER_S = 0.6  # bqplot takes the size of a figure 0.3 s after it has one
HINT = "drag on the picture to occlude a part"


class InputLab(View):
    """Brightness, contrast, noise, blur, rotation, shift, and a patch drawn with the mouse.

    They apply to all visible samples; the picture is the current one. Beside it the
    most probable classes: what the model says now, and as a thin gray line what it says of the
    sample as it was given. The true class is bold.
    """

    watched = ("sample", "samples", "perturbation", "ablations")
    max_classes = t.Int(10, min=1, help="classes shown at most").tag(option=True)
    picture_px = t.Int(240, min=40, help="longer side of the picture").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        shape = self._session.picture_shape
        self._title, self._note, self._says, self._where = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self._picture = PatchPicture(shape or (1, 1), self.picture_px, self._on_user_patch)
        self._sliders = {field: self._slider(field, *settings) for field, *settings in SLIDERS}
        for (field, label), length in zip(SHIFTS, shape or (1, 1), strict=True):
            reach = float(max(1, length // 2))
            self._sliders[field] = self._slider(field, label, -reach, reach, 0.5, "+.1f")
        self._reset, self._unhide = (
            button("Reset", self._on_user_reset, tooltip="as the samples were given"),
            button("Remove patch", lambda: self._on_user_patch(None), tooltip="hide nothing"),
        )
        column = {"width": f"{self.picture_px}px", "margin": "0 18px 0 0", "overflow": "hidden"}
        picture = w.VBox([self._picture, self._where], layout=column | {"flex": "0 0 auto"})
        says = w.VBox([self._says], layout={"flex": "1 1 240px", "min_width": "220px"})
        order = ("brightness", "rotation", "contrast", "shift_down", "noise", "shift_right")
        columns = {"grid_template_columns": "repeat(auto-fit, minmax(250px, 1fr))"}
        sliders = w.GridBox(
            [self._sliders[field] for field in (*order, "blur", "patch_value")],
            layout=columns | {"grid_gap": "0 16px", "margin": "8px 0 0"},
        )
        self.observe(self._on_watching, names="watching")
        self._cleanup.callback(self._session.context.queue.drop_call, self._measure)
        above = w.HBox([picture, says], layout={"align_items": "flex-start"})
        below = w.HBox([self._reset, self._unhide], layout={"margin": "6px 0 0"})
        # Alone in a cell it has all of the page.
        self._frame = w.VBox([above, sliders, below], layout={"max_width": "640px"})
        return w.HTML(BARS_SHEET, layout={"display": "none"}), self._title, self._frame, self._note

    def _slider(
        self, field: str, label: str, low: float, high: float, step: float, form: str
    ) -> w.FloatSlider:
        ends = {"value": getattr(UNDISTURBED, field), "min": low, "max": high, "step": step}
        style = {"readout_format": form, "style": {"description_width": "76px"}}
        slider: w.FloatSlider = labeled(w.FloatSlider, label, "auto", **ends, **style)
        slider.observe(lambda change: self._on_user_slider(field, change.new), names="value")
        return slider

    def _render(self, selection: Selection) -> None:
        self._session.require_changes()
        shape, of = self._session.picture_shape, self._session.picture_inputs
        self._title.value = _title(selection, shape, of[0] if len(of) > 1 else "")
        self._note.value = "" if shape else note("nothing to show: the samples are no images")
        show(self._frame, bool(shape))
        if not shape:
            return
        perturbation = selection.perturbation
        for field, slider in self._sliders.items():
            set_slider(slider, slider.min, slider.max, getattr(perturbation, field))
        picture = self._session.pictures([selection.sample], as_shown=True, name=of[0])[0]
        self._picture.show(picture, perturbation.patch)
        where = hint(HINT)
        if perturbation.patch is not None:
            where = note("{2}×{3} hidden, row {0}, column {1}".format(*perturbation.patch))
        self._where.value = where
        self._reset.disabled = perturbation == UNDISTURBED
        self._unhide.disabled = perturbation.patch is None
        self._says.value = self._what_is_said(selection)

    def _what_is_said(self, selection: Selection) -> str:
        """The prediction before and now, as HTML; why there is none, where there is none."""
        session = self._session
        changed = not selection.perturbation.is_identity
        if missing := session.missing_for_predictions():
            if session.n_outputs != 1:
                return note(f"no predictions: {missing}")
            before, now = self._before_and_now(selection)
            text = f"{before.item():.4g}" + (f" → {now.item():.4g}" if changed else "")
            return f'<div class="aw-says">{text}</div>' + output_note(session.output)
        before, now = self._before_and_now(selection)
        true = None if session.labels is None else int(session.labels[selection.sample])
        shift = prediction_shift(
            before, now, output=session.output, true_class=true, limit=self.max_classes
        )
        names = session.class_names
        text = sentence(shift, names, true, changed=changed) + bars(shift, names, true)
        text += output_note(session.output)
        left = shift.n_classes - len(shift.classes)
        return text + (note(f"{len(shift.classes)} of {shift.n_classes:,} classes") if left else "")

    def _before_and_now(self, selection: Selection) -> tuple[Any, Any]:
        """What the model puts out of the current sample, as it was given and as it is shown."""
        focus = [selection.sample]
        return self._session.outputs(focus)[0], self._session.outputs(focus, as_shown=True)[0]

    def _on_watching(self, change: Any) -> None:
        if change.new:
            self._session.context.queue.call_later(MEASURED_AFTER_S, self._measure)

    def _measure(self) -> None:
        with self._session.lock, self._guard("could not measure the picture"):
            self._picture.measure()

    def _on_user_slider(self, field: str, value: float) -> None:
        if value != getattr(self._session.perturbation, field):
            self._perturb(**{field: value})

    def _on_user_patch(self, patch: Patch | None) -> None:
        if patch != self._session.perturbation.patch:
            self._perturb(patch=patch)

    def _on_user_reset(self) -> None:
        self._perturb(**vars(UNDISTURBED))

    def _perturb(self, **fields: Any) -> None:
        with self._guard("could not perturb the samples"):
            self._session.select(perturbation=replace(self._session.perturbation, **fields))


def _title(selection: Selection, shape: tuple[int, ...], of: str) -> str:
    text = f"sample {selection.sample}"
    if len(selection.samples) > 1:
        text += f", 1 of {len(selection.samples):,} visible"
    if shape:
        text += f" · {shape[0]}×{shape[1]} pixels"
    if of:
        text += f" of input {of!r} alone"
    return title("Input lab", text)
