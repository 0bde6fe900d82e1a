"""The gradient times the input: the score split over the values, were the model linear."""

from actwidgets.core.arrays import Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Method, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points


def gradient_x_input(slice_: ModelSlice, points: Points, target: Integers) -> Steps:
    """The input times dS_c/dx, at each sample.

    Cost: one forward and one backward pass.
    """
    yield 0, 1
    scores, gradients = slice_.gradients(points, target)
    values = tuple(x * each for x, each in zip(points.arrays, gradients, strict=True))
    return Found(values, scores)


METHOD = Method(
    "gradient_x_input",
    "Gradient × input",
    gradient_x_input,
    tells="What this value adds to the score, were the model linear.",
    source="Shrikumar et al. 2016, arXiv:1605.01713",
)
