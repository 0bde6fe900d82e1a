"""The gradient of a class score: what a small change of each input would do to it."""

from actwidgets.core.arrays import Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Method, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points


def gradient(slice_: ModelSlice, points: Points, target: Integers) -> Steps:
    """dS_c/dx at each sample.

    Cost: one forward and one backward pass.
    """
    yield 0, 1
    scores, gradients = slice_.gradients(points, target)
    return Found(gradients, scores)


METHOD = Method(
    "gradient",
    "Gradient",
    gradient,
    tells="How much the score would rise if this value rose a little.",
    source="Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034",
)
