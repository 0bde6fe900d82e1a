"""Guided Grad-CAM: the fine lines of guided backprop, where Grad-CAM says the class is."""

from actwidgets.core.arrays import Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.grad_cam import grad_cam_maps
from actwidgets.core.attributions.method import Method, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.overlay import overlays
from actwidgets.core.attributions.points import Points


def guided_grad_cam(slice_: ModelSlice, points: Points, target: Integers) -> Steps:
    """Guided backprop times Grad-CAM at the size of the input.

    Returns:
        In the shape of each input that the layer's map lies over.

    Raises:
        LayerError: As of `grad_cam`.
        ModelError: As of `guided_backprop`.

    Cost: two forward and two backward passes, one of which ends at the layer.
    """
    wanted = overlays(slice_, points)
    yield 0, 2
    scores, maps = grad_cam_maps(slice_, points, target)
    yield 1, 2
    _, gradients = slice_.gradients(points, target, guided=True)
    values = tuple(gradients[each.place] * each.as_factor(maps) for each in wanted)
    names = tuple(each.name for each in wanted)
    return Found(values, scores, note=slice_.guided_note, names=names)


METHOD = Method(
    "guided_grad_cam",
    "Guided Grad-CAM",
    guided_grad_cam,
    tells="Guided backprop, shown only where Grad-CAM finds the class: the place depends on the "
    "class, the lines hardly do.",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    needs_layer=True,
)
