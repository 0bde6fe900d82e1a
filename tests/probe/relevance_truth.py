"""Relevance of a Keras model by the function under test, and what it is compared with."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core.attribution.base import LrpRules
from actwidgets.probe.call_trace import trace_call
from actwidgets.probe.graph_ops import LayerNames
from actwidgets.probe.lrp import Relevance
from actwidgets.probe.score_outputs import class_scores

LRP_0 = LrpRules("epsilon", epsilon=0.0)
ALL_RULES = {
    "epsilon": LrpRules("epsilon", epsilon=1e-12),
    "gamma": LrpRules("gamma", epsilon=1e-12),
    "alpha 2": LrpRules("alpha_beta", epsilon=1e-12),
    "alpha 1": LrpRules("alpha_beta", epsilon=1e-12, alpha=1.0),
    "composite": LrpRules(epsilon=1e-12),
}
N_SAMPLES = 4


@dataclass
class HandedBack:
    """What the predicted score of each sample is handed back as, to inputs or to layers.

    Attributes:
        scores: `(sample,)`.
        relevance: One array per input, or layer asked about.
        gradient_x_input: The same of the gradient times the values.
    """

    scores: np.ndarray
    relevance: list[np.ndarray]
    gradient_x_input: list[np.ndarray]

    @property
    def totals(self):
        """`(sample,)` the sum of all relevance."""
        return sum(self.totals_at)

    @property
    def totals_at(self):
        """The sum of the relevance of each input or layer, `(sample,)` each."""
        return [each.reshape(len(each), -1).sum(axis=1) for each in self.relevance]


def handed_back(model, x, rules=LRP_0, at=None, output=""):
    """The score handed back by one set of rules, to inputs or to layers `at`."""
    return at_places(model, x, {"": rules}, [at], output)[""][0]


def by_each_rule(model, x, rules=ALL_RULES):
    """The same by name of the rules, of one trace: tracing is what takes the time."""
    return {name: found[0] for name, found in at_places(model, x, rules).items()}


def at_places(model, x, rules=ALL_RULES, places=(None,), output=""):
    """By name of the rules: what is handed back to each of `places`, of one trace."""
    arrays = list(x) if isinstance(x, (list, tuple)) else [x]

    def call(*tensors):
        recording = trace_call(model, [list(tensors)] if len(tensors) > 1 else tensors)
        taps = {tap.name: tap.output for tap in recording.taps}
        table = class_scores(taps[output], False)
        start = tf.one_hot(tf.argmax(table, 1), table.shape[-1], dtype=table.dtype) * table
        score, names = tf.reduce_sum(start, 1), LayerNames(recording.taps)
        sources = [list(tensors) if at is None else [taps[name] for name in at] for at in places]
        products = []
        for group in sources:
            slopes = tf.gradients(score, group, unconnected_gradients="zero")
            products.append([slope * each for slope, each in zip(slopes, group, strict=True)])
        found = {
            name: [Relevance(table, group, one, names).of(start) for group in sources]
            for name, one in rules.items()
        }
        return score, found, products

    signature = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in arrays]
    run = tf.function(call, autograph=False).get_concrete_function(*signature)
    score, found, products = tf.nest.map_structure(np.asarray, run(*map(tf.constant, arrays)))
    return {
        name: [HandedBack(score, *pair) for pair in zip(groups, products, strict=True)]
        for name, groups in found.items()
    }


def samples(*shape, seed=0):
    """A few samples, the same every time."""
    return np.random.default_rng(seed).normal(size=(N_SAMPLES, *shape))


def with_weights(model, *, shifted=False, seed=1):
    """The same model with random weights; what is added is 0 unless `shifted`."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        for variable in layer.weights if not getattr(layer, "_layers", None) else ():
            values = random.normal(size=variable.shape) / np.sqrt(
                max(np.prod(variable.shape[:-1]), 1)
            )
            if variable.name in ("gamma", "moving_variance"):
                values = 0.5 + random.uniform(size=variable.shape)
            elif variable.name in ("bias", "beta", "moving_mean"):
                values = values / 4 if shifted else values * 0
            variable.assign(values)
    return model


def chain(*parts, shape=(8, 24, 3)):
    """A sequence of layers that ends in three classes."""
    ends = [keras.layers.Flatten(), keras.layers.Dense(3, name="classes")]
    return keras.Sequential([keras.Input(shape), *parts, *ends])
