"""Public `attribute`, `faithfulness` and `randomization_check`, without a widget."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from actwidgets.core import batches
from actwidgets.core.arrays import as_arrays, feature_names
from actwidgets.core.attribution.base import Attribution, checked_output, whole
from actwidgets.core.attribution.evaluation import (
    Faithfulness,
    RandomizationCheck,
    randomization_steps,
)
from actwidgets.core.attribution.evaluation import faithfulness as following
from actwidgets.core.attribution.registry import attribution_steps, finished, method_named
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.inputs import checked_axes
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.scores import MEMORY_BUDGET_BYTES

KEPT_S = 30.0  # after that nobody waits for it any more, and it holds memory

_lock = threading.Lock()
_kept: tuple[Any, Any, KerasProbe] | None = None  # the model, what it was asked with, its probe
_used_s = 0.0
_releasing: threading.Thread | None = None


def recent_probe(
    model: Any, x: Any, head: str | int | None, output_is: str | None = None
) -> KerasProbe:
    """Return the last probe made where it is of the same unchanged model, else make one.

    It is kept for half a minute, and with it the model.

    Args:
        model: A built Keras model.
        x: One batch.
        head: Which of its outputs.
        output_is: What that output is, as of a `KerasProbe`.

    Raises: as `KerasProbe`.
    """
    global _kept, _used_s, _releasing
    x = as_arrays(x)
    asked = head, output_is, _kinds(x)
    with _lock:
        kept = _kept
        if kept is None or kept[0] is not model or kept[1] != asked or kept[2].is_stale():
            _kept = kept = None  # before another is made: memory for one is enough
            _kept = kept = model, asked, KerasProbe(model, x, head=head, output_is=output_is)
        _used_s = time.monotonic()
        if _releasing is None:
            _releasing = threading.Thread(target=_release, daemon=True)
            _releasing.start()
        return kept[2]


def _release() -> None:
    """Drop the kept probe once it has not been used for a while."""
    global _kept, _releasing
    while True:
        with _lock:
            left_s = _used_s + KEPT_S - time.monotonic()
            if left_s <= 0:
                _kept = _releasing = None
                return
        time.sleep(left_s)


def _kinds(x: Any) -> Any:
    """Shapes and types of one sample of each input, as part of the key of the kept probe."""
    parts = batches.parts(x) if batches.is_arrays(x) else ()
    names = tuple(x) if isinstance(x, Mapping) else ()
    return names, tuple((tuple(part.shape[1:]), str(part.dtype)) for part in parts)


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
    """How much each part of each sample is evidence for a class.

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
        without its channels), float32, signed, not normalized; one by name of input where
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
    score_function = recent_probe(model, x, head, output_is).score_function(
        layer, output, memory_budget_bytes=memory_budget_bytes
    )
    points = score_function.points(x).with_axes(said)
    found = finished(attribution_steps(score_function, points, wanted, target, options))
    return replace(found, feature_names=feature_names(x))


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
    """Deletion and insertion curves: each class's probability as ranked parts are hidden or shown.

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
    score_function = recent_probe(model, x, head, output_is).score_function(
        memory_budget_bytes=memory_budget_bytes
    )
    points = score_function.points(x).with_axes(checked_axes(axes))
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
        following(
            score_function, points, attribution.target, values, kind=kind, steps=steps, fill=fill
        )
    )


def randomization_check(
    model: Any,
    x: Any,
    target: ArrayLike | None = None,
    method: str = "gradient",
    layer: str | None = None,
    output: str = "logit",
    *,
    n_layers: int | None = None,
    seed: int = 0,
    head: str | int | None = None,
    output_is: str | None = None,
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    **options: Any,
) -> RandomizationCheck:
    """Compare a method's map with those under random weights, layer by layer from the output down.

    A map that stays the same does not tell what the model has learned. Some twenty samples are
    enough.

    Args:
        model: A built model of Keras 3; nothing about it is changed, its weights are copied.
        x: One batch.
        target: The class asked about, as in `attribute`; it stays that of the model.
        method: Name of the method.
        layer: Whose maps class activation maps are made of.
        output: "logit" or "probability".
        n_layers: How many layers, from the output down; all by default. One is enough for
            `.insensitive`.
        seed: Of the random weights: each layer's own initializers, where it has some, with
            this seed.
        head: Which of several outputs, by name or index.
        output_is: What that output is, as in `attribute`.
        memory_budget_bytes: How much a batch may take, about.
        **options: Of the method.

    Returns:
        A `RandomizationCheck`: `.stages`, `.similarity` `(stage, sample)`, `.insensitive` and
        a `.sentence` that says it.

    Raises:
        ModelError: A model of Keras 2, one without weights, one to which the method does not
            apply. And as `attribute`.

    Cost: two traces of the model, its weights once more in memory, and one attribution for
    each layer that has a matrix of weights, and two more.
    """
    wanted = method_named(method)
    checked_output(output)
    wanted.settings(options)
    probe = recent_probe(model, x, head, output_is)
    shared = {"memory_budget_bytes": memory_budget_bytes}
    score_function = probe.score_function(layer, output, **shared)
    seed = whole("seed", seed, least=0)
    randomized = probe.randomized_score_function(layer, output, seed=seed, **shared)
    points = score_function.points(x)
    return finished(
        randomization_steps(score_function, randomized, points, wanted, target, options, n_layers)
    )
