"""Disturb the samples on show, and see what becomes of the prediction."""

import html
from dataclasses import replace
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.interventions.disturbance import UNDISTURBED
from actwidgets.core.predictions.prediction_shift import prediction_shift
from actwidgets.session import Selection
from actwidgets.views import _prediction_bars as said
from actwidgets.views._controls import hint, note, set_slider, show
from actwidgets.views._patch_picture import Patch, PatchPicture
from actwidgets.views._value_lines import output_note
from actwidgets.views.base import View

# Field, words, lowest, highest, step, format.
SLIDERS = (
    ("brightness", "brightness", -1.0, 1.0, 0.01, "+.0%"),
    ("contrast", "contrast ×", 0.0, 3.0, 0.05, ".2f"),
    ("noise", "noise", 0.0, 0.5, 0.005, ".1%"),
    ("blur", "blur, px", 0.0, 5.0, 0.1, ".1f"),
    ("rotation", "rotation, °", -180.0, 180.0, 1.0, "+.0f"),
    ("patch_value", "patch grey", 0.0, 1.0, 0.01, ".0%"),
)
SHIFTS = (("shift_down", "down, px"), ("shift_right", "right, px"))
HINT = "drag over it to hide a part"


class InputLab(View):
    """Brightness, contrast, noise, blur, rotation, shift, and a patch drawn with the mouse.

    They hold for all samples on show; the picture is that of the one in focus. Beside it the
    most probable classes: what the model says now, and as a thin grey line what it says of the
    sample as it was given. The true class is bold.
    """

    watched = ("sample", "samples", "disturbance", "ablations")
    max_classes = t.Int(10, min=1, help="classes on show at most").tag(option=True)
    picture_px = t.Int(240, min=40, help="longer side of the picture").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        shape = self._session.picture_shape
        self._title, self._note, self._says, self._where = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self._picture = PatchPicture(shape or (1, 1), self.picture_px, self._on_user_patch)
        self._sliders = {
            field: self._slider(field, words, low, high, step, form)
            for field, words, low, high, step, form in SLIDERS
        }
        for (field, words), length in zip(SHIFTS, shape or (1, 1), strict=True):
            reach = float(max(1, length // 2))
            self._sliders[field] = self._slider(field, words, -reach, reach, 0.5, "+.1f")
        self._reset = _button("Reset", "as the samples were given", self._on_user_reset)
        self._unhide = _button("Remove patch", "hide nothing", lambda _: self._on_user_patch(None))
        column = {"width": f"{self.picture_px}px", "margin": "0 18px 0 0", "overflow": "hidden"}
        picture = w.VBox([self._picture, self._where], layout=column | {"flex": "0 0 auto"})
        says = w.VBox([self._says], layout={"flex": "1 1 240px", "min_width": "220px"})
        order = ("brightness", "rotation", "contrast", "shift_down", "noise", "shift_right")
        order = (*order, "blur", "patch_value")
        sliders = w.GridBox(
            [self._sliders[field] for field in order],
            layout={
                "grid_template_columns": "repeat(auto-fit, minmax(250px, 1fr))",
                "grid_gap": "0 16px",
                "margin": "8px 0 0",
            },
        )
        self._frame = w.VBox(
            [
                w.HBox([picture, says], layout={"align_items": "flex-start"}),
                sliders,
                w.HBox([self._reset, self._unhide], layout={"margin": "6px 0 0"}),
            ],
            layout={"max_width": "640px"},  # alone in a cell it has all of the page
        )
        return w.HTML(said.SHEET, layout={"display": "none"}), self._title, self._frame, self._note

    def _slider(
        self, field: str, words: str, low: float, high: float, step: float, form: str
    ) -> w.FloatSlider:
        value = getattr(UNDISTURBED, field)
        slider = w.FloatSlider(
            value=value,
            min=low,
            max=high,
            step=step,
            description=words,
            tooltip=words,
            readout_format=form,
            layout={"width": "auto"},
            style={"description_width": "76px"},
        )
        slider.observe(lambda change: self._on_user_slider(field, change.new), names="value")
        return slider

    def _render(self, selection: Selection) -> None:
        self._session.require_changes()
        shape = self._session.picture_shape
        of = self._session.picture_inputs
        self._title.value = _title(selection, shape, of[0] if len(of) > 1 else "")
        self._note.value = "" if shape else note("nothing to show: the samples are no images")
        show(self._frame, bool(shape))
        if not shape:
            return
        disturbance = selection.disturbance
        for field, slider in self._sliders.items():
            set_slider(slider, slider.min, slider.max, getattr(disturbance, field))
        first = self._session.picture_inputs[0]
        picture = self._session.pictures([selection.sample], as_shown=True, name=first)[0]
        self._picture.show(picture, disturbance.patch)
        self._where.value = (
            hint(HINT) if disturbance.patch is None else note(_place(disturbance.patch))
        )
        self._reset.disabled = disturbance == UNDISTURBED
        self._unhide.disabled = disturbance.patch is None
        self._says.value = self._what_is_said(selection)

    def _what_is_said(self, selection: Selection) -> str:
        """The prediction before and now, as HTML; why there is none, where there is none."""
        session = self._session
        changed = not selection.disturbance.changes_nothing
        if missing := session.missing_for_predictions():
            if session.n_outputs != 1:
                return note(f"no predictions: {missing}")
            before, now = self._before_and_now(selection)
            told = said.values_sentence(before.item(), now.item(), changed=changed)
            return told + output_note(session.output)
        before, now = self._before_and_now(selection)
        true = None if session.labels is None else int(session.labels[selection.sample])
        shift = prediction_shift(
            before, now, output=session.output, true_class=true, limit=self.max_classes
        )
        names = session.class_names
        told = said.sentence(shift, names, true, changed=changed) + said.bars(shift, names, true)
        told += output_note(session.output)
        left = shift.n_classes - len(shift.classes)
        return told + (note(f"{len(shift.classes)} of {shift.n_classes:,} classes") if left else "")

    def _before_and_now(self, selection: Selection) -> tuple[Any, Any]:
        """What the model puts out of the sample in focus, as it was given and as it is shown."""
        focus = [selection.sample]
        return self._session.outputs(focus)[0], self._session.outputs(focus, as_shown=True)[0]

    def _on_user_slider(self, field: str, value: float) -> None:
        if value != getattr(self._session.disturbance, field):
            self._disturb(**{field: value})

    def _on_user_patch(self, patch: Patch | None) -> None:
        if patch != self._session.disturbance.patch:
            self._disturb(patch=patch)

    def _on_user_reset(self, _button: Any) -> None:
        self._disturb(**vars(UNDISTURBED))

    def _disturb(self, **fields: Any) -> None:
        with self._guard("could not disturb the samples"):
            self._session.select(disturbance=replace(self._session.disturbance, **fields))


def _button(words: str, tooltip: str, act: Any) -> w.Button:
    button = w.Button(description=words, tooltip=tooltip, layout={"width": "auto"})
    button.on_click(act)
    return button


def _title(selection: Selection, shape: tuple[int, ...], of: str) -> str:
    told = f"sample {selection.sample}"
    if len(selection.samples) > 1:
        told += f", one of {len(selection.samples):,} on show"
    if shape:
        told += f" · {shape[0]}×{shape[1]} pixels"
    if of:
        told += f" of input {html.escape(repr(of))} alone"
    return f'<div class="aw-title">Input lab <span>{told}</span></div>'


def _place(patch: Patch) -> str:
    top, left, height, width = patch
    return f"{height}×{width} hidden, row {top}, column {left}"
