"""Guided backpropagation: the gradient, of which every ReLU lets only the positive part pass."""

from actwidgets.core.arrays import Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Method, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points


def guided_backprop(slice_: ModelSlice, points: Points, target: Integers) -> Steps:
    """The guided gradient at each sample.

    Raises:
        ModelError: There is no ReLU between the inputs and the score, or one in a loop.

    Cost: one forward and one backward pass; the first time a trace.
    """
    yield 0, 1
    scores, gradients = slice_.gradients(points, target, guided=True)
    return Found(gradients, scores, note=slice_.guided_note)


METHOD = Method(
    "guided_backprop",
    "Guided backprop",
    guided_backprop,
    tells="Which edges and dots the network picks up here. It hardly depends on the class, nor "
    "on the weights (Adebayo et al. 2018): a sharp picture of the input, no reason for the class.",
    source="Springenberg et al. 2014, arXiv:1412.6806",
)
