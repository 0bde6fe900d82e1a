"""Models written out in numpy, for tests of attributions: what they sum to is known."""

import numpy as np

from actwidgets.core.attribution.base import Inputs
from actwidgets.core.attribution.registry import attribution_steps, finished, method_named


class NumpySlice:
    """S_c(x) = the sum over all values of all inputs of weight · f(x); satisfies `ModelSlice`.

    Args:
        weights: One array per input, `(target, …)`.
        function: f, by value.
        slope: Its derivative; `guided_slope` the one that guided methods see.
        bias: Added to every score.
    """

    layer, output, guided_note = "", "logit", ""

    def __init__(
        self,
        *weights,
        function=lambda x: x,
        slope=np.ones_like,
        guided_slope=None,
        bias=0.0,
        batch_size=7,
    ):
        self._weights, self._bias = [np.asarray(each, np.float64) for each in weights], bias
        self._function, self._slope = function, slope
        self._guided_slope = guided_slope or slope
        self.n_targets, self.batch_size = len(weights[0]), batch_size
        self.batch_sizes = []

    def scores(self, points, output=None):
        self._note(points)
        scores = self._bias + sum(
            self._function(x).reshape(len(x), w[0].size) @ w.reshape(len(w), -1).T
            for x, w in zip(points.arrays, self._weights, strict=True)
        )
        if (output or self.output) == "logit":
            return scores
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        return exponents / exponents.sum(axis=1, keepdims=True)

    def gradients(self, points, target, *, guided=False):
        slope = self._guided_slope if guided else self._slope
        scores = np.take_along_axis(self.scores(points), target[:, None], axis=1)[:, 0]
        pairs = zip(points.arrays, self._weights, strict=True)
        return scores, tuple((slope(x) * w[target]).astype(x.dtype) for x, w in pairs)

    def _note(self, points):
        self.batch_sizes.append(len(points))
        assert len(points) <= self.batch_size, "the methods fold their variants into batches"


def points_of(*arrays, others=()):
    names = tuple(f"input_{place}" for place in range(len(arrays)))
    return Inputs(tuple(np.asarray(each, np.float64) for each in arrays), names, tuple(others))


def attributed(slice_, points, method, target=0, **options):
    wanted = method_named(method)
    return finished(attribution_steps(slice_, points, wanted, target, options))


def begun(slice_, points, method, target=0, **options):
    """The method as far as its first piece of work, which it has not done."""
    classes = np.full(len(points), target)
    wanted = method_named(method)
    return next(wanted.run(slice_, points, classes, **wanted.settings(options)))


def linear(shape=(4, 6, 3), n_targets=2, *, seed=0, n_samples=5, **options):
    """A linear model of one input, its samples, and its weights."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n_targets, *shape))
    x = rng.normal(size=(n_samples, *shape))
    return NumpySlice(weights, **options), points_of(x), weights
