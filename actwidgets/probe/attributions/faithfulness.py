"""`faithfulness`: whether a map tells what the model goes by, without a widget."""

from typing import Any

from actwidgets.core.attributions.attributing import finished
from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.faithfulness import Faithfulness
from actwidgets.core.attributions.faithfulness import faithfulness as following
from actwidgets.core.input_axes import checked_axes
from actwidgets.errors import DataError, ShapeError
from actwidgets.probe.attributions.recent_probe import recent_probe


def faithfulness(
    model: Any,
    x: Any,
    attribution: Attribution,
    kind: str = "deletion",
    *,
    steps: int = 32,
    fill: Any = None,
    head: str | int | None = None,
    output_is: str | None = None,
    axes: Any = None,
    memory_budget_bytes: int = 512 * 2**20,
) -> Faithfulness:
    """Follow each class's probability while what a map ranks highest is hidden, or shown.

    Args:
        model: The model that the map is of; nothing about it is changed.
        x: The samples that it is of.
        attribution: The map, of `attribute`; its `target` is the class that is followed.
        kind: "deletion": places go, and a faithful map has a low `.auc`; "insertion": they
            come, and it has a high one.
        steps: In so many.
        fill: What is seen in the place of the sample: "mean" of each channel, "blur", a
            number, or an array. By default the mean for deletion and the blur for insertion,
            and 0 for features and for channels that are the same all over, whose mean and
            blur are themselves. A map that compares with a baseline, as integrated gradients
            do, is judged fairly where the fill is that baseline.
        head: Which of several outputs, by name or index; the first by default.
        output_is: What that output is, as in `attribute`.
        axes: As of `attribute`.
        memory_budget_bytes: How much a batch may take, about.

    Returns:
        `.shares` `(step,)` of places, `.scores` `(sample, step)` the probability, `.auc`
        `(sample,)` the area under the curve. Compare with that of a random map: how hard
        a sample is to hide differs.

    Raises:
        DataError: No such kind, steps below 1, a fill that is none.
        ShapeError: A map of other samples, or of another layer's positions.
        ModelError: Not a built Keras model, or one that gives no probabilities.

    Cost: a trace of the model, and one forward pass for each step of each sample.
    """
    if not isinstance(attribution, Attribution):
        raise DataError(
            "attribution must be one of actwidgets.attribute, with its target; got "
            f"{type(attribution).__name__}: for a map of your own, "
            "dataclasses.replace(attribution, values=…)"
        )
    slice_ = recent_probe(model, x, head, output_is).model_slice(
        memory_budget_bytes=memory_budget_bytes
    )
    points = slice_.points(x).with_axes(checked_axes(axes))
    maps = attribution.values
    if isinstance(maps, dict):
        if set(maps) != set(points.names):
            known, given = ", ".join(points.names), ", ".join(maps)
            raise ShapeError(
                f"the model's inputs are {known}, and the attribution has a map of {given}: take "
                "a method that gives one for each, such as gradient_x_input"
            )
        values = tuple(maps[name] for name in points.names)
    else:
        values = (maps,)
    return finished(
        following(slice_, points, attribution.target, values, kind=kind, steps=steps, fill=fill)
    )
