"""What the inputs of a dense layer were before they were flattened, read off the layer list."""

import math
from collections.abc import Sequence

from actwidgets.core.layer_info import LayerInfo

# fmt: off
# Every value comes out where it went in.
KEEPS_ORDER = frozenset((
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "Identity", "InputLayer", "LayerNormalization",
    "LeakyReLU", "Masking", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ThresholdedReLU",
    "UnitNormalization",
))
FLATTENS = frozenset(("Flatten", "Reshape"))
# With one of these in a model the layer before in the list need not be the one that feeds.
MERGES = frozenset((
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot",
    "GroupedQueryAttention", "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "Stack",
    "Subtract", "TFOpLambda",
))
# fmt: on


def dense_input_shape(
    layers: Sequence[LayerInfo], name: str, n_inputs: int, picture_shape: Sequence[int] = ()
) -> tuple[int, ...] | None:
    """The shape that the inputs of a dense layer had before they were flattened.

    Args:
        layers: All layers, in the model's order.
        name: The dense layer's.
        n_inputs: How many weights each of its units has.
        picture_shape: Rows and columns of the samples' pictures; () where they are none.

    Returns:
        `(row, column, channel)` of the picture that the model takes, where nothing but layers
        that keep the order of values lies before the dense one; or of the map that the layer
        before was flattened from, `(1, time, channel)` of a sequence and `(depth, row, column,
        channel)` of a volume. None where there was none, and wherever it is in doubt: another
        kind of layer, numbers of values that do not match, shapes that are not known, channels
        in front, several ways through the model that could feed the layer.
    """
    place = next((place for place, each in enumerate(layers) if each.name == name), None)
    if place is None or layers[place].kind != "Dense" or len(layers[place].output_shape) != 2:
        return None
    branches = any(each.kind in MERGES for each in layers)
    expected: tuple[int | None, ...] | None = (n_inputs,)
    for each in reversed(_feeding(layers[: place + 1])):
        shape = each.output_shape[1:]
        if ":" in each.name or (shape != expected if expected else _size(shape) != n_inputs):
            return None
        if each.kind in KEEPS_ORDER:
            expected = shape
        elif each.kind in FLATTENS and expected == (n_inputs,):
            expected = None
        elif expected == (n_inputs,):
            return None
        else:
            found = _of_map(each, n_inputs)
            doubtful = branches or sum(other.kind in FLATTENS for other in layers) > 1
            rivals = {_of_map(other, n_inputs) for other in layers[:place]} - {None, found}
            return None if doubtful and rivals else found
    return None if branches else _of_picture(n_inputs, picture_shape)


def _feeding(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """What comes before the last layer, without the sub-models that it lies in.

    A sub-model stands in the list before its layers, of which the last is what it puts out.
    """
    inner, found = layers[-1].name, list[LayerInfo]()
    for each in reversed(layers[:-1]):
        if not inner.startswith(f"{each.name}/"):
            found.append(each)
            inner = each.name
    return found[::-1]


def _size(shape: Sequence[int | None]) -> int | None:
    """How many values; None where a length varies."""
    lengths = [length for length in shape if length is not None]
    return math.prod(lengths) if len(lengths) == len(shape) else None


def _of_map(info: LayerInfo, n_values: int) -> tuple[int, ...] | None:
    """The shape of a layer's output as `([depth,] row, column, channel)`, if it has so many."""
    shape = info.output_shape[1:]
    if len(shape) not in (2, 3, 4) or info.unit_axis != -1 or _size(shape) != n_values:
        return None
    known = tuple(length for length in shape if length is not None)
    return (1, *known) if len(known) == 2 else known


def _of_picture(n_values: int, picture_shape: Sequence[int]) -> tuple[int, ...] | None:
    """Rows, columns and channels of the model's own input, if it has so many values."""
    n_places = math.prod(picture_shape) if len(picture_shape) == 2 else 0
    if not n_places or n_values % n_places:
        return None
    return (picture_shape[0], picture_shape[1], n_values // n_places)
