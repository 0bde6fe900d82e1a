"""The methods there are. One more needs a file of its own and a line here."""

from types import MappingProxyType

from actwidgets.core.attributions import (
    grad_cam,
    grad_cam_plus_plus,
    gradient,
    gradient_x_input,
    guided_backprop,
    guided_grad_cam,
    guided_smooth_grad,
    integrated_gradients,
    interior_gradients,
    lrp,
    occlusion,
    score_cam,
    smooth_grad,
)
from actwidgets.core.attributions.method import Method
from actwidgets.errors import DataError

METHODS = MappingProxyType(
    {
        module.METHOD.name: module.METHOD
        for module in (
            gradient,
            gradient_x_input,
            smooth_grad,
            guided_backprop,
            guided_smooth_grad,
            integrated_gradients,
            interior_gradients,
            occlusion,
            grad_cam,
            grad_cam_plus_plus,
            guided_grad_cam,
            score_cam,
            lrp,
        )
    }
)


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        DataError: There is none.
    """
    if name not in METHODS:
        raise DataError(f"no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def attribution_methods() -> tuple[Method, ...]:
    """All methods of `attribute`, each with its title, its options and what its map tells."""
    return tuple(METHODS.values())
