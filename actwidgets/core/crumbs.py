"""What is selected, in words, and what takes each choice back."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from actwidgets.core.interventions.ablation import Ablation
from actwidgets.core.interventions.disturbance import UNDISTURBED, Disturbance
from actwidgets.core.selection import Selection

ROWS_NAMED = 3
UNITS_NAMED = 6
_UNITS_OF = {"rotation": "°", "blur": " px", "shift_down": " px", "shift_right": " px"}


@dataclass(frozen=True)
class Crumb:
    """One choice.

    Attributes:
        kind: The field of the selection.
        text: What was chosen, in words; not escaped.
        clear: The fields that take it back, for `session.select(**dict(clear))`; of several
            samples the one that is in focus stays.
    """

    kind: str
    text: str
    clear: tuple[tuple[str, Any], ...]


def crumbs(
    selection: Selection,
    class_names: Sequence[str],
    labels: Sequence[int] | None = None,
    predicted: Sequence[int] | None = None,
) -> tuple[Crumb, ...]:
    """The choices of a selection that can be taken back.

    Args:
        selection: The selection.
        class_names: One per class.
        labels: True classes of `selection.samples`, where known.
        predicted: Predicted classes of the same, where known.
    """
    found = []
    if selection.chosen:
        clear: tuple[tuple[str, Any], ...] = (("samples", (selection.sample,)),)
        if selection.confusion_cell is not None:
            clear += (("confusion_cell", None),)
        cell = _cell_text(selection, class_names, labels, predicted)
        text = cell or _samples_text(selection.samples, class_names, labels, predicted)
        found.append(Crumb("samples", text, clear))
    if selection.class_index is not None:
        name = class_names[selection.class_index]
        found.append(Crumb("class_index", f"class {name}", (("class_index", None),)))
    if selection.threshold:
        text = f"threshold {selection.threshold:.3g}"
        found.append(Crumb("threshold", text, (("threshold", 0.0),)))
    if not selection.disturbance.changes_nothing:
        text = disturbance_text(selection.disturbance)
        found.append(Crumb("disturbance", text, (("disturbance", None),)))
    if selection.ablations:
        text = "; ".join(map(ablation_text, selection.ablations))
        found.append(Crumb("ablations", text, (("ablations", ()),)))
    return tuple(found)


def ablation_text(ablation: Ablation) -> str:
    """An ablation in words: `dense: units 3, 5 off`."""
    units = ablation.units
    named = ", ".join(map(str, units[:UNITS_NAMED]))
    more = f" and {len(units) - UNITS_NAMED} more" if len(units) > UNITS_NAMED else ""
    what = "off" if ablation.scale == 0 else f"× {ablation.scale:.3g}"
    if ablation.fill == "mean":
        what = "at their mean" if ablation.scale == 0 else f"{what} about their mean"
    return f"{ablation.layer}: unit{'s' if len(units) > 1 else ''} {named}{more} {what}"


def disturbance_text(disturbance: Disturbance) -> str:
    """A disturbance in words: `noise 0.2, rotation 15°`."""
    told = []
    for field in fields(disturbance):
        value = getattr(disturbance, field.name)
        if field.name in ("seed", "patch_value") or value == getattr(UNDISTURBED, field.name):
            continue
        name = field.name.replace("_", " ")
        if field.name == "patch":
            told.append(f"{value[2]} × {value[3]} px hidden")
        else:
            told.append(f"{name} {value:.3g}{_UNITS_OF.get(field.name, '')}")
    return ", ".join(told)


def _cell_text(
    selection: Selection,
    class_names: Sequence[str],
    labels: Sequence[int] | None,
    predicted: Sequence[int] | None,
) -> str:
    """The cell of the confusion matrix that the samples are of; "" where they are no more."""
    parts = []
    for word, index, known in zip(
        ("true", "predicted"),
        selection.confusion_cell or (None, None),
        (labels, predicted),
        strict=True,
    ):
        if index is not None:
            if known is not None and set(known) != {index}:
                return ""  # other weights, or another model, that takes them for something else
            parts.append(f"{word} {class_names[index]}")
    return f"{' → '.join(parts)} ({len(selection.samples):,})" if parts else ""


def _samples_text(
    samples: tuple[int, ...],
    class_names: Sequence[str],
    labels: Sequence[int] | None,
    predicted: Sequence[int] | None,
) -> str:
    count = f"{len(samples):,} sample{'s' if len(samples) > 1 else ''}"
    told = []
    if labels is not None and len(set(labels)) == 1:
        told.append(f"of {class_names[labels[0]]}")
    if predicted is not None and len(set(predicted)) == 1:
        told.append(f"taken for {class_names[predicted[0]]}")
    if told:
        return " ".join([count, *told])
    named = ", ".join(map(str, samples[:ROWS_NAMED]))
    return f"{count}: {named}{', …' if len(samples) > ROWS_NAMED else ''}"
