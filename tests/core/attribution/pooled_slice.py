"""Models whose scores, maps and gradients can be worked out by hand: slices without Keras."""

import numpy as np

from actwidgets.core.attribution.base import Inputs, score_of


class LinearSlice:
    """Two inputs and no layer: the scores are `x @ left + z @ right + bias`."""

    layer, output, batch_size = "", "logit", 4

    def __init__(self, left, right=None, bias=0.0):
        self.left, self.right, self.bias = left, right, bias
        self.n_targets = left.shape[1]

    def points(self, *arrays):
        return Inputs(arrays, ("x", "z")[: len(arrays)])

    def scores(self, points, output=None):
        scores = points.arrays[0] @ self.left + self.bias
        return scores if self.right is None else scores + points.arrays[1] @ self.right

    def gradients(self, points, target, *, guided=False):
        found = [self.left.T[target]]
        if self.right is not None:
            found.append(self.right.T[target])
        return score_of(self.scores(points), target), tuple(found)


class PooledSlice:
    """Maps are the ReLU of a mix of channels, pooled two by two; the scores weigh their means.

    `weights` is `(unit, class)`; probabilities are the softmax of the scores. Positions lie along
    rows and columns of the one input "x", or as `axes` says.
    """

    guided_note = ""

    layer, output = "conv", "logit"

    def __init__(self, mix, weights, batch_size=8, axes=None):
        self.mix, self.weights, self.batch_size = mix, weights, batch_size
        self.n_targets = weights.shape[1]
        self.axes = {"x": (1, 2)} if axes is None else axes
        self.batches = []

    def position_axes(self):
        return self.axes

    def maps(self, points):
        x = points.arrays[0]
        n_samples, n_rows, n_columns, n_channels = x.shape
        pooled = x.reshape(n_samples, n_rows // 2, 2, n_columns // 2, 2, n_channels)
        return np.maximum(pooled.mean(axis=(2, 4)) @ self.mix, 0)

    def scores(self, points, output=None):
        self.batches.append(len(points))
        scores = self.maps(points).mean(axis=(1, 2)) @ self.weights
        if (output or self.output) == "logit":
            return scores
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def map_gradients(self, points, target):
        maps = self.maps(points)
        n_positions = maps.shape[1] * maps.shape[2]
        gradients = np.broadcast_to(self.weights.T[target][:, None, None] / n_positions, maps.shape)
        return score_of(self.scores(points), target), maps, gradients
