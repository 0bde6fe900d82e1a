"""Layer-wise relevance propagation: its rules and options."""

import math
from typing import Any

import numpy as np

from actwidgets.core.arrays import Integers
from actwidgets.core.attribution.base import (
    RULES,
    Inputs,
    LrpRules,
    Method,
    MethodResult,
    Option,
    ScoreFunction,
    Steps,
)
from actwidgets.errors import DataError

DEFAULTS = LrpRules()


def lrp(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    rule: str = DEFAULTS.rule,
    epsilon: float = DEFAULTS.epsilon,
    gamma: float = DEFAULTS.gamma,
    alpha: float = DEFAULTS.alpha,
    box: Any = DEFAULTS.box,
) -> Steps:
    """Layer-wise relevance propagation of the target's pre-softmax score.

    `MethodResult.gap` is by how much the values' sum differs from the score: what biases took, and
    what `epsilon` left out.

    Args:
        rule: As in `LrpRules`, like what follows.
        epsilon: Added to denominators.
        gamma: By how much what agrees with the sign of an output counts more.
        alpha: Share of the evidence for the output.
        box: The lowest and the highest value of the inputs, or None.

    Raises:
        DataError: Rules that are none; the probability was asked for.
        LayerError: A layer through which relevance cannot be handed; says which.

    Cost: for the epsilon rule about one forward and one backward pass, for others up to four
    of each.
    """
    rules = LrpRules(rule, epsilon, gamma, alpha, box)
    if model.output != "logit":
        raise DataError(
            "layer-wise relevance propagation hands back the score before the softmax; got "
            f"output={model.output!r}: ask for output='logit'"
        )
    yield 0, 1
    scores, values = model.relevance(points, target, rules)
    flat = [value.reshape(len(points), math.prod(value.shape[1:])) for value in values]
    total = sum(value.sum(axis=1, dtype=np.float64) for value in flat)
    return MethodResult(values, scores, gap=total - scores)


LRP = Method(
    "lrp",
    "LRP",
    lrp,
    tells="What part of the score was handed back to this value, layer by layer.",
    source="Bach et al. 2015, PLOS ONE 10(7); Montavon et al. 2019, LNCS 11700",
    options=(
        Option("rule", DEFAULTS.rule, RULES, "how a layer shares out what it is handed"),
        Option("epsilon", DEFAULTS.epsilon, (0.0, 1e-6, 1e-3, 0.1), "added to denominators"),
        Option("gamma", DEFAULTS.gamma, (0.0, 0.1, 0.25, 1.0), "how much more its own sign counts"),
        Option("alpha", DEFAULTS.alpha, (1.0, 1.5, 2.0), "share of the evidence for the class"),
        Option("box", DEFAULTS.box, (), "lowest and highest value of the input"),
    ),
    promise="the score, less what the biases took",
)
