"""`randomisation_check`: whether a method's map tells of the model, without a widget."""

from typing import Any

from numpy.typing import ArrayLike

from actwidgets.core.attributions.attributing import finished
from actwidgets.core.attributions.methods import method_named
from actwidgets.core.attributions.model_slice import checked_output
from actwidgets.core.attributions.option_checks import whole
from actwidgets.core.attributions.randomisation import RandomisationCheck, randomising
from actwidgets.probe.attributions.recent_probe import recent_probe
from actwidgets.probe.attributions.score_model import MEMORY_BUDGET_BYTES


def randomisation_check(
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
) -> RandomisationCheck:
    """How a method's map changes when layers get random weights, from the output down.

    A map that stays the same does not tell what the model has learnt. Some twenty samples are
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
        A `RandomisationCheck`: `.stages`, `.similarity` `(stage, sample)`, `.insensitive` and
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
    slice_ = probe.model_slice(layer, output, **shared)
    seed = whole("seed", seed, least=0)
    randomised = probe.randomised_slice(layer, output, seed=seed, **shared)
    points = slice_.points(x)
    return finished(randomising(slice_, randomised, points, wanted, target, options, n_layers))
