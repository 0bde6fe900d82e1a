"""Guided SmoothGrad: the mean guided gradient over noisy copies of the sample."""

from functools import partial

from actwidgets.core.attributions.method import Method
from actwidgets.core.attributions.smooth_grad import OPTIONS, smooth_grad

METHOD = Method(
    "guided_smooth_grad",
    "Guided SmoothGrad",
    partial(smooth_grad, guided=True),
    tells="What excites units on the way to the class, on average over noisy copies.",
    source="Smilkov et al. 2017, arXiv:1706.03825; Springenberg et al. 2014, arXiv:1412.6806",
    options=OPTIONS,
)
