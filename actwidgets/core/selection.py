"""One consistent choice of layer, samples, unit, class and threshold, and its description."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.ablation import Ablation
from actwidgets.core.perturbation import UNDISTURBED, Perturbation
from actwidgets.errors import SelectionError

Cell = tuple[int | None, int | None]


@dataclass(frozen=True)
class Selection:
    """The selected layer, samples, unit, class, threshold and edits; compared by value.

    Attributes:
        layer: Name of a layer.
        sample: The row of the data in focus; always one of `samples`.
        samples: The rows on show, in this order.
        unit: Channel of the layer in focus.
        class_index: Class in focus, or None.
        threshold: A unit fires when its value is above it.
        perturbation: What is done to the pictures of the samples on show.
        ablations: What is done to units of the model before it predicts.
        confusion_cell: True and predicted class of the cell of the confusion matrix whose
            samples `samples` are, None for any; or None where they are of no cell.
    """

    layer: str
    sample: int = 0
    samples: tuple[int, ...] = (0,)
    unit: int = 0
    class_index: int | None = None
    threshold: float = 0.0
    perturbation: Perturbation = UNDISTURBED
    ablations: tuple[Ablation, ...] = ()
    confusion_cell: Cell | None = None

    @property
    def chosen(self) -> tuple[int, ...]:
        """The rows on show where they are a choice: several, or those of a cell.

        None where it is the one in focus alone.
        """
        is_choice = len(self.samples) > 1 or self.confusion_cell is not None
        return self.samples if is_choice else ()


FIELDS = tuple(field.name for field in fields(Selection))


def resolve(
    now: Selection,
    choice: Mapping[str, Any],
    *,
    n_units: Mapping[str, int],
    n_samples: int,
    n_classes: int,
) -> Selection:
    """The selection after a choice, repaired where the choice leaves no doubt.

    A unit that the new layer does not have becomes 0. A sample in focus that is not among
    the rows on show takes the place of the first; rows without the sample in focus move the
    focus to the first of them. Ablations of units that a new model does not have go. The cell
    of the confusion matrix goes where other samples are chosen, or other ablations.

    Args:
        now: The selection before.
        choice: The fields that change.
        n_units: Units by layer name.
        n_samples: Rows of the data.
        n_classes: Classes of the model.

    Raises:
        SelectionError: A layer, sample, unit or class that does not exist.
        TypeError: No field of that name.
    """
    unknown = sorted(set(choice) - set(FIELDS))
    if unknown:
        raise TypeError(
            f"a selection has no field {', '.join(unknown)}; it has {', '.join(FIELDS)}"
        )
    fields_ = {name: choice.get(name, getattr(now, name)) for name in FIELDS}
    layer = fields_["layer"]
    if not isinstance(layer, str) or layer not in n_units:
        raise SelectionError(f"no layer {layer!r}; this model has {', '.join(n_units)}")
    sample, samples = _samples(choice, fields_, n_samples)
    ablations = _ablations(choice, fields_["ablations"], n_units)
    is_same = (samples, ablations) == (now.samples, now.ablations)
    cell = fields_["confusion_cell"] if "confusion_cell" in choice or is_same else None
    return Selection(
        layer=layer,
        sample=sample,
        samples=samples,
        unit=_unit(choice, fields_, n_units[layer]),
        class_index=_class_index(fields_["class_index"], n_classes),
        threshold=_number(fields_["threshold"]),
        perturbation=_perturbation(fields_["perturbation"]),
        ablations=ablations,
        confusion_cell=_cell(cell, n_classes),
    )


def known_rows(rows: Sequence[int] | NDArray[Any], n_samples: int) -> tuple[int, ...]:
    """The rows as a tuple of int, after checking that they exist.

    Raises:
        SelectionError: A row outside `0..n_samples-1`, or not an integer.
    """
    if isinstance(rows, range | np.ndarray) and len(rows) > 1:  # very many, most often
        array = np.asarray(rows)
        if (
            array.ndim == 1
            and array.dtype.kind in "iu"
            and 0 <= array.min() <= array.max() < n_samples
        ):
            return tuple(array.tolist())
    return tuple(_known("sample", row, n_samples) for row in rows)


def _unit(choice: Mapping[str, Any], unit: Mapping[str, Any], n_units: int) -> int:
    if "unit" not in choice and unit["unit"] >= n_units:
        return 0
    return _known("unit", unit["unit"], n_units, f" of layer {unit['layer']!r}")


def _samples(
    choice: Mapping[str, Any], fields_: Mapping[str, Any], n_samples: int
) -> tuple[int, tuple[int, ...]]:
    rows = fields_["samples"]
    if isinstance(rows, str) or not hasattr(rows, "__iter__") or getattr(rows, "ndim", 1) == 0:
        raise SelectionError(f"samples must be several rows; got {rows!r}")
    samples = known_rows(rows, n_samples)
    if not samples:
        raise SelectionError("samples must name at least one row; got none")
    if len(set(samples)) != len(samples):
        raise SelectionError(f"samples must differ; got {samples}")
    sample = _known("sample", fields_["sample"], n_samples)
    if sample not in samples and "sample" not in choice:
        sample = samples[0]
    if sample not in samples:
        samples = (sample, *samples[1:])
    return sample, samples


def _class_index(value: Any, n_classes: int) -> int | None:
    return None if value is None else _known("class", value, n_classes, ", or None")


def _cell(value: Any, n_classes: int) -> Cell | None:
    if value is None:
        return None
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
        raise SelectionError(
            f"confusion_cell must be a true and a predicted class, or None; got {value!r}"
        )
    true, predicted = (_class_index(each, n_classes) for each in value)
    return None if true is None and predicted is None else (true, predicted)


def _perturbation(value: Any) -> Perturbation:
    if value is None:
        return UNDISTURBED
    if not isinstance(value, Perturbation):
        raise SelectionError(f"perturbation must be a Perturbation, or None; got {value!r}")
    return value


def _ablations(
    choice: Mapping[str, Any], value: Any, n_units: Mapping[str, int]
) -> tuple[Ablation, ...]:
    given = (value,) if isinstance(value, Ablation) else () if value is None else value
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise SelectionError(f"ablations must be several Ablation; got {value!r}")
    given = tuple(given)
    for each in given:
        if not isinstance(each, Ablation):
            raise SelectionError(f"ablations must be several Ablation; got {each!r}")
    if "ablations" not in choice:
        return tuple(
            each for each in given if max(each.units, default=-1) < n_units.get(each.layer, 0)
        )
    taken: set[tuple[str, int]] = set()
    for each in given:
        if each.layer not in n_units:
            raise SelectionError(f"no layer {each.layer!r}; this model has {', '.join(n_units)}")
        for unit in each.units:
            _known("unit", unit, n_units[each.layer], f" of layer {each.layer!r}")
            if (each.layer, unit) in taken:
                raise SelectionError(f"unit {unit} of layer {each.layer!r} is ablated twice")
            taken.add((each.layer, unit))
    return tuple(each for each in given if each.units)


def _known(name: str, value: Any, count: int, where: str = "") -> int:
    try:
        index = operator.index(value)
    except TypeError:
        raise SelectionError(f"{name} must be an integer; got {value!r}") from None
    if not 0 <= index < count:
        raise SelectionError(f"{name} {index} is outside 0..{count - 1}{where}")
    return index


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise SelectionError(f"threshold must be a number; got {value!r}") from None
    if not np.isfinite(number):
        raise SelectionError(f"threshold must be finite; got {number}")
    return number


ROWS_NAMED = 3
UNITS_NAMED = 6
_UNITS_OF = {"rotation": "°", "blur": " px", "shift_down": " px", "shift_right": " px"}


@dataclass(frozen=True)
class Chip:
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


def chips(
    selection: Selection,
    class_names: Sequence[str],
    labels: Sequence[int] | None = None,
    predicted: Sequence[int] | None = None,
) -> tuple[Chip, ...]:
    """The choices of a selection that can be taken back.

    Args:
        selection: The selection.
        labels: True classes of `selection.samples`, where known.
        predicted: Predicted classes of the same, where known.
    """
    items = []
    if selection.chosen:
        clear: tuple[tuple[str, Any], ...] = (("samples", (selection.sample,)),)
        if selection.confusion_cell is not None:
            clear += (("confusion_cell", None),)
        cell = _cell_text(selection, class_names, labels, predicted)
        text = cell or _samples_text(selection.samples, class_names, labels, predicted)
        items.append(Chip("samples", text, clear))
    if selection.class_index is not None:
        name = class_names[selection.class_index]
        items.append(Chip("class_index", f"class {name}", (("class_index", None),)))
    if selection.threshold:
        text = f"threshold {selection.threshold:.3g}"
        items.append(Chip("threshold", text, (("threshold", 0.0),)))
    if not selection.perturbation.is_identity:
        text = perturbation_text(selection.perturbation)
        items.append(Chip("perturbation", text, (("perturbation", None),)))
    if selection.ablations:
        text = "; ".join(map(ablation_text, selection.ablations))
        items.append(Chip("ablations", text, (("ablations", ()),)))
    return tuple(items)


def ablation_text(ablation: Ablation) -> str:
    """An ablation in words: `dense: units 3, 5 off`."""
    units = ablation.units
    named = ", ".join(map(str, units[:UNITS_NAMED]))
    more = f" and {len(units) - UNITS_NAMED} more" if len(units) > UNITS_NAMED else ""
    what = "off" if ablation.scale == 0 else f"× {ablation.scale:.3g}"
    if ablation.fill == "mean":
        what = "at their mean" if ablation.scale == 0 else f"{what} about their mean"
    return f"{ablation.layer}: unit{'s' if len(units) > 1 else ''} {named}{more} {what}"


def perturbation_text(perturbation: Perturbation) -> str:
    """A perturbation in words: `noise 0.2, rotation 15°`."""
    words = []
    for field in fields(perturbation):
        value = getattr(perturbation, field.name)
        if field.name in ("seed", "patch_value") or value == getattr(UNDISTURBED, field.name):
            continue
        name = field.name.replace("_", " ")
        if field.name == "patch":
            words.append(f"{value[2]} × {value[3]} px hidden")
        else:
            words.append(f"{name} {value:.3g}{_UNITS_OF.get(field.name, '')}")
    return ", ".join(words)


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
    words = []
    if labels is not None and len(set(labels)) == 1:
        words.append(f"of {class_names[labels[0]]}")
    if predicted is not None and len(set(predicted)) == 1:
        words.append(f"predicted as {class_names[predicted[0]]}")
    if words:
        return " ".join([count, *words])
    named = ", ".join(map(str, samples[:ROWS_NAMED]))
    return f"{count}: {named}{', …' if len(samples) > ROWS_NAMED else ''}"
