"""`attribute`: what of the input speaks for a class, without a widget."""

from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from actwidgets.core.array_like import feature_names
from actwidgets.core.attributions.attributing import attributing, finished
from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.methods import method_named
from actwidgets.core.attributions.model_slice import checked_output
from actwidgets.core.input_axes import checked_axes
from actwidgets.probe.attributions.recent_probe import recent_probe


def attribute(
    model: Any,
    x: Any,
    target: ArrayLike | None = None,
    method: str = "grad_cam",
    layer: str | None = None,
    output: str = "logit",
    *,
    head: str | int | None = None,
    output_is: str | None = None,
    axes: Any = None,
    memory_budget_bytes: int = 512 * 2**20,
    **options: Any,
) -> Attribution:
    """How much each part of each sample speaks for a class.

    Args:
        model: A built Keras model; nothing about it is changed.
        x: One batch: an array `(sample, …)`, or a list or dict with one per input.
        target: The class asked about: one for all, `(sample,)`, or None for the class that
            each sample is predicted as. A single sigmoid or logit has two classes, 0 and 1.
        method: Name of the method; see `actwidgets.attribution_methods`.
        layer: Whose maps class activation maps are made of, nested ones by path; the last with
            as many axes as the input by default. Other methods look at none.
        output: "logit": the score before the softmax or sigmoid that the model ends in, which
            is found and left out; of a model without one, its output. "probability": after it.
        head: Which of several outputs, by name or index; the first by default.
        output_is: What that output of the model is: "logit", "probability" or "value". None has
            it read off the model: its last function, or the loss it was compiled with.
        axes: What the axes of the samples are, such as `("time", "feature")` or `("row",
            "column", "channel")`, of several inputs a dict of these by name. By default what
            the layers that take them say. Patches lie along all but features and channels.
        memory_budget_bytes: How much a batch may take, about. Steps of a path, noisy copies
            and patches are run as many at a time as that allows.
        **options: Of the method, such as `steps` of "integrated_gradients".

    Returns:
        An `Attribution`: `.values` in the shape of the input (of class activation maps
        without its channels), float32, signed, not normalised; one by name of input where
        there are several. Of integer or text input that is embedded, in the shape of the
        embedding's output. NaN where the gradient is NaN, told in `.note`.

    Raises:
        DataError: An unknown method or option, a target outside the classes, options that
            cannot be; gradients of which none is a number.
        ShapeError: Samples or a baseline of another shape than the model takes.
        LayerError: No such layer, or one to which the method does not apply.
        ModelError: Not a built Keras model, or one to which the method does not apply.

    Cost: what the method says, for most one forward and one backward pass; and one or two
    traces of the model where the last call was about another one. The model asked about last
    is kept traced, and in memory, for half a minute.
    """
    wanted = method_named(method)
    checked_output(output)
    wanted.settings(options)
    said = checked_axes(axes)
    slice_ = recent_probe(model, x, head, output_is).model_slice(
        layer, output, memory_budget_bytes=memory_budget_bytes
    )
    points = slice_.points(x).with_axes(said)
    found = finished(attributing(slice_, points, wanted, target, options))
    return replace(found, feature_names=feature_names(x))
