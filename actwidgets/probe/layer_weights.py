"""The weights of a layer by name."""

from typing import Any

import numpy as np


def layer_weights(layer: Any) -> dict[str, np.ndarray]:
    """Copies of a layer's floating-point weights, float32, trainable or not.

    Named as the layer names them: `kernel`, `bias`; `cell/kernel` of a layer inside it.

    Cost: a copy.
    """
    found: dict[str, np.ndarray] = {}
    for variable in getattr(layer, "weights", ()):
        if "float" not in str(variable.dtype):  # a seed, a counter
            continue
        name = base = _name(variable, layer)
        while name in found:
            name = f"{base}#{sum(each.startswith(base) for each in found)}"
        values = np.asarray(variable)  # mostly a copy; a view of the weights would change
        found[name] = values.astype(np.float32, copy=not values.flags.owndata)
    return found


def _name(variable: Any, layer: Any) -> str:
    """What is left of a variable's path behind the name of the layer."""
    path = str(getattr(variable, "path", variable.name)).removesuffix(":0")
    _, found, below = f"/{path}".rpartition(f"/{layer.name}/")
    return below if found else path.rpartition("/")[2]
