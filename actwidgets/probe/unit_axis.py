"""Unit axis of each layer's output: where channels lie, by rules for Keras' layers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from actwidgets.probe.frameworks import calls_of

LAST = -1
Shape = tuple[int | None, ...]


class Given(NamedTuple):
    """An input tensor of a call.

    Attributes:
        shape: Samples first.
        axis: The axis of its units, counted from the samples; None where that is not known.
    """

    shape: Shape
    axis: int | None


@dataclass(frozen=True)
class Call:
    """One call of a layer by shapes.

    Attributes:
        layer: The layer, or a plain operation.
        given: What it takes.
        shape: Of one tensor that it puts out.
        index: Which of those that is.
        args: What it was called with.
        kwargs: Likewise, by name.
    """

    layer: Any
    given: tuple[Given, ...]
    shape: Shape
    index: int = 0
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """The number of its axes, that of the samples included."""
        return len(self.shape)

    @property
    def axis(self) -> int | None:
        """That of the first tensor given."""
        return self.given[0].axis if self.given else None

    def setting(self, *names: str, place: int = 1) -> Any:
        """A setting of an operation: Keras 3 keeps it, Keras 2 is called with it."""
        for name in names:
            if name in self.kwargs:
                return self.kwargs[name]
            if hasattr(self.layer, name):
                return getattr(self.layer, name)
        return self.args[place] if len(self.args) > place else None


class UnitAxes:
    """Follow the unit axis through the layers of one call, tensor by tensor.

    Each layer is asked by its kind and its settings: a convolution by `data_format`, a Dense has
    its units last, a Permute moves them. Only a layer of the user's own that says nothing is
    taken to leave them where they were, if it puts out the shape that it got; and where nothing
    is known the units are last.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, int]] = {}  # by id; holding the tensor keeps its id its

    def note(self, layer: Any, arguments: Any, output: Any) -> None:
        """Take notice of one call.

        Args:
            layer: What is called.
            arguments: Its arguments and its keyword arguments.
            output: What it puts out.
        """
        args, kwargs = arguments
        given = tuple(
            Given(shape, self._axis(tensor))
            for tensor in tf.nest.flatten((args, kwargs))
            if (shape := _shape(tensor))
        )
        for index, tensor in enumerate(each for each in tf.nest.flatten(output) if _shape(each)):
            shape = _shape(tensor)
            if _is_container(layer) or (id(tensor) in self._known and not _is_keras(layer)):
                continue  # what is inside has told
            axis = axis_of(Call(layer, given, shape, index, tuple(args), kwargs))
            self._set(tensor, axis)

    def hand_on(self, given: Sequence[Any], taken: Sequence[Any]) -> None:
        """Some tensors stand for others: those inside a model for those it is called with."""
        if len(given) == len(taken):
            for one, other in zip(given, taken, strict=True):
                self._set(other, self._axis(one))

    def of(self, tensor: Any) -> int:
        """The axis of one tensor's units: -1 for the last, else counted from the samples."""
        axis, rank = self._axis(tensor), len(_shape(tensor))
        return LAST if axis is None or axis == rank - 1 else axis

    def _axis(self, tensor: Any) -> int | None:
        known = self._known.get(id(tensor))
        return _axis_by_operation(tensor, self._known) if known is None else known[1]

    def _set(self, tensor: Any, axis: int | None) -> None:
        if axis is None or not 0 < axis < len(_shape(tensor)):
            self._known.pop(id(tensor), None)
        else:
            self._known[id(tensor)] = tensor, axis


def axis_of(call: Call) -> int | None:
    """Unit axis of a call's output; None where no rule tells."""
    layer = call.layer
    if getattr(layer, "data_format", None) in ("channels_first", "channels_last"):
        return _by_data_format(call)
    if not _is_keras(layer):
        alike = [each for each in call.given if each.shape == call.shape]
        return _agreed([each.axis for each in alike])
    rule = next((_RULES[name] for name in _kinds(layer) if name in _RULES), _kept)
    return rule(call)


# --- which kind of part it is ------------------------------------------------------------


def _kinds(layer: Any) -> list[str]:
    """Names of the Keras classes that a layer is of, the nearest first."""
    symbol = getattr(layer, "symbol", None)  # of a TensorFlow function in a Keras 2 model
    if symbol and isinstance(symbol, str):
        return [f"tf.{symbol.rpartition('.')[2]}"]
    return [each.__name__ for each in type(layer).__mro__ if _is_of_keras(each)]


def _is_keras(layer: Any) -> bool:
    """Whether a layer computes as one of Keras' own, with no `call` of a subclass."""
    call = next((each for each in type(layer).__mro__ if "call" in vars(each)), object)
    return _is_of_keras(call) and type(layer).__name__ != "Lambda"


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("keras", "tf_keras")


def _is_container(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "get_layer")


# --- rules -------------------------------------------------------------------------------


def _agreed(axes: Sequence[int | None]) -> int | None:
    """The axis on which all inputs agree."""
    known = {axis for axis in axes if axis is not None}
    return known.pop() if len(known) == 1 else None


def _kept(call: Call) -> int | None:
    """Elementwise: shapes aligned at their ends; an axis of length one tells nothing."""
    axes = []
    for shape, axis in call.given:
        shift = call.rank - len(shape)
        if axis is None or shift < 0 or (shift and len(call.given) == 1):
            continue
        if shape[axis] != 1 or call.shape[axis + shift] == 1:
            axes.append(axis + shift)
    return _agreed(axes)


def _normalized(call: Call) -> int | None:
    """Normalization: as its input; else the axis with one weight per unit."""
    axis = getattr(call.layer, "axis", None)
    if isinstance(axis, Sequence) and len(axis) == 1:  # of Keras 2
        axis = axis[0]
    kept = _kept(call)
    return axis % call.rank if kept is None and isinstance(axis, int) else kept


def _by_data_format(call: Call) -> int | None:
    if call.layer.data_format == "channels_last":
        return call.rank - 1
    over_time = getattr(call.layer, "return_sequences", False) and call.index == 0
    axis = 2 if over_time else 1  # a ConvLSTM puts time before channels
    return axis if axis < call.rank else None


def _of_attention(call: Call) -> int | None:
    """Attention scores are (sample, head, query, key): a map for each head."""
    return 1 if call.index == 1 and call.rank == 4 else call.rank - 1


def _by_equation(call: Call) -> int | None:
    """Einsum: the last axis that a weight brings in; else that of the input's units."""
    equation = call.setting("equation", "subscripts", place=0)
    if not isinstance(equation, str) or not call.given:
        return None
    taken, _, brought = equation.replace(" ", "").partition("->")
    inputs = taken.partition(",")[0]
    shift = call.rank - len(brought.replace("...", ""))  # axes that an ellipsis stands for
    if "..." in brought:
        at = brought.index("...")
        axes = [k if k < at else k + shift for k in range(call.rank - shift)]
        brought = brought.replace("...", "")
    else:
        axes = list(range(call.rank))
    new = [axis for axis, letter in zip(axes, brought, strict=False) if letter not in inputs]
    if new and any(hasattr(call.layer, name) for name in ("kernel", "_kernel")):
        return new[-1]
    axis = call.axis
    if axis is None or "..." in inputs or axis >= len(inputs) or inputs[axis] not in brought:
        return None
    return axes[brought.index(inputs[axis])]


def _moved(change: Callable[[Call, np.ndarray], np.ndarray]) -> Callable[[Call], int | None]:
    """Rule for a permutation of axes, applied to an array whose lengths tell them."""

    def rule(call: Call) -> int | None:
        if call.axis is None:
            return None
        lengths = range(1, len(call.given[0].shape) + 1)
        try:
            shape = change(call, np.empty(lengths, bool)).shape
        except (TypeError, ValueError, IndexError):  # settings that are tensors
            return None
        return shape.index(call.axis + 1) if call.axis + 1 in shape else None

    return rule


def _moved_axis(call: Call, array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, call.setting("source"), call.setting("destination", place=2))


def _expanded(call: Call, array: np.ndarray) -> np.ndarray:
    axis = call.setting("axis")
    return np.expand_dims(array, axis if isinstance(axis, int) else tuple(axis))


def _picked(call: Call, array: np.ndarray) -> np.ndarray:
    """Indexing such as `x[:, 0]`: an axis picked from goes, a new one comes."""
    names = [each for each in ("key", "slice_spec") if each in call.kwargs]
    key = call.kwargs[names[0]] if names else call.args[1]
    parts: list[Any] = []
    for part in key if isinstance(key, tuple | list) else (key,):
        if isinstance(part, slice | dict):  # Keras 2 writes a slice as a dict
            parts.append(slice(None))
        elif part is None or part is Ellipsis:
            parts.append(part)
        else:
            parts.append(0)
    return array[tuple(parts)]


def _n_numbers(lengths: Shape) -> int:
    return math.prod(length for length in lengths if length is not None)


def _reshaped(call: Call) -> int | None:
    """Reshape: an axis survives if as many numbers follow it as before."""
    axis, shape = call.axis, call.given[0].shape if call.given else ()
    if axis is None or None in shape[1 : axis + 1]:
        return None
    if len(shape) == 2 and call.rank == 3:
        return None  # a sequence of single numbers, or one step of many: nothing tells
    before = _n_numbers(shape[1:axis])
    for place in range(1, call.rank):
        so_far = call.shape[1:place]
        if None in so_far:
            return None
        if call.shape[place] == shape[axis] and _n_numbers(so_far) == before:
            behind = [call.shape[place + 1 :], shape[axis + 1 :]]
            if len({_n_numbers(each) for each in behind if None not in each}) == 1:
                return place
    return None


def _reduced(call: Call) -> int | None:
    left = _left_of(call, call.setting("axis"))
    return call.axis if left is not None and call.setting("keepdims", place=2) else left


def _left_of(call: Call, axes: Any) -> int | None:
    """Where the unit axis lies once other axes are gone; None where it is one of them."""
    axis = call.axis
    if axis is None or axes is None:
        return None
    rank = len(call.given[0].shape)
    gone = {each % rank for each in ([axes] if isinstance(axes, int) else axes)}
    return None if axis in gone else axis - sum(each < axis for each in gone)


def _averaged(call: Call) -> int | None:
    """`ops.average` is a mean; the layer `Average` is elementwise."""
    return _reduced(call) if hasattr(call.layer, "axis") else _kept(call)


def _multiplied(call: Call) -> int | None:
    """Matrix product: rows of the first by columns of the second; the axes before them stay."""
    flags = ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b")
    matrices = [each for each in call.given if len(each.shape) == call.rank]
    if len(matrices) != 2 or any(call.kwargs.get(each) for each in flags):
        return None
    (_, of_first), (_, of_second) = matrices
    if of_second == call.rank - 1 or of_first == call.rank - 2:
        return of_second if of_second == call.rank - 1 else of_first
    before = [axis for axis in (of_first, of_second) if axis and axis < call.rank - 2]
    return _agreed(before)


def _squeezed(call: Call) -> int | None:
    axes = call.setting("axis")
    if axes is None:
        axes = [place for place, length in enumerate(call.given[0].shape) if length == 1]
    return _left_of(call, axes)


def _concatenated(call: Call) -> int | None:
    return _agreed([each.axis for each in call.given])


def _stacked(call: Call) -> int | None:
    axis, place = _agreed([each.axis for each in call.given]), call.setting("axis") or 0
    return None if axis is None else axis + (place % call.rank <= axis)


def _through_time(call: Call) -> int | None:
    """TimeDistributed: the inner layer's rule for one step."""
    inside = call.layer.layer
    steps = tuple(
        Given((shape[0], *shape[2:]), None if axis is None or axis < 2 else axis - 1)
        for shape, axis in call.given
        if len(shape) > 2
    )
    axis = _inside(inside, Call(inside, steps, (call.shape[0], *call.shape[2:]), call.index))
    if axis is None:  # it makes no units: those along its steps stay there
        return 1 if call.axis == 1 else None
    return axis + 1


def _wrapped(call: Call) -> int | None:
    inside = getattr(call.layer, "forward_layer", None) or call.layer.layer
    return _inside(inside, Call(inside, call.given, call.shape, call.index))


def _inside(layer: Any, call: Call) -> int | None:
    if not _is_container(layer):
        return axis_of(call)
    try:
        graph = getattr(layer, "_functional", None) or layer
        axes = UnitAxes()
        for tensor, (_, axis) in zip(graph.inputs, call.given, strict=False):
            axes._set(tensor, axis)
        for part, node in calls_of(graph).made:
            said = getattr(node, "arguments", None)  # Keras 2 has them on the node
            args = (said.args, said.kwargs) if said else (node.call_args, node.call_kwargs)
            axes.note(part, args, node.outputs)
        return axes._axis(graph.outputs[call.index])
    except (AttributeError, IndexError):  # not a graph
        return None


Rule = Callable[[Call], int | None]


# Keras classes, and `tf.` functions in a model of Keras 2, by the rule for their output.
_NAMES: tuple[tuple[Rule, str], ...] = (
    (
        lambda call: call.rank - 1,
        "Dense Embedding RNN RepeatVector CategoryEncoding Attention BaseDenseAttention "
        "HashedCrossing Hashing TextVectorization StringLookup IntegerLookup",
    ),
    (_of_attention, "MultiHeadAttention GroupedQueryAttention GroupQueryAttention"),
    (_by_equation, "EinsumDense Einsum tf.einsum"),
    (_normalized, "BatchNormalization GroupNormalization"),
    (_through_time, "TimeDistributed"),
    (_wrapped, "Bidirectional Wrapper"),
    (_moved(lambda call, array: array.transpose(0, *call.layer.dims)), "Permute"),
    (
        _moved(lambda call, array: array.transpose(call.setting("axes", "perm"))),
        "Transpose tf.transpose",
    ),
    (
        _moved(lambda call, array: array.swapaxes(call.setting("axis1"), call.setting("axis2"))),
        "Swapaxes",
    ),
    (_moved(_moved_axis), "Moveaxis"),
    (_moved(_expanded), "ExpandDims tf.expand_dims"),
    (_moved(_picked), "GetItem SlicingOpLambda tf.getitem"),
    (_reshaped, "Reshape View tf.reshape"),
    (_squeezed, "Squeeze tf.squeeze"),
    (_concatenated, "Concatenate tf.concat"),
    (_stacked, "Stack tf.stack"),
    (
        _reduced,
        "Mean Max Min Sum Prod Std Var Any All Amax Amin Argmax Argmin Median Quantile "
        "Percentile CountNonzero Logsumexp Norm Nanmean Nanmax Nanmin Nansum Nanstd Nanvar "
        "Nanprod Nanmedian Nanquantile Nanpercentile Ptp Unstack Trapezoid tf.reduce_mean "
        "tf.reduce_max tf.reduce_min tf.reduce_sum tf.reduce_prod tf.reduce_std "
        "tf.reduce_variance tf.reduce_logsumexp",
    ),
    (_multiplied, "Matmul tf.matmul"),
    (_averaged, "Average"),
    (
        lambda call: None,
        "Dot Tensordot Inner Outer Kron Vdot tf.tensordot tf.gather tf.boolean_mask Cholesky Inv "
        "Pinv Qr SVD Eig Eigh Solve SolveTriangular Lstsq CholeskyInverse Diag Diagflat Diagonal "
        "Rot90 Cross CDist Corrcoef Correlate DotProductAttention Scatter Map Scan "
        "AssociativeScan WhileLoop Cond VectorizedMap Rearrange Function Switch",
    ),
)
_RULES = {name: rule for rule, names in _NAMES for name in names.split()}


# --- a graph's own operations, between the layers of a model without a list of them -------

# fmt: off
_NUMBER_BY_NUMBER = {
    "AddV2", "Add", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum",
    "SquaredDifference", "Pow", "BiasAdd", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu",
    "Softplus", "Softsign", "Sigmoid", "Tanh", "Exp", "Log", "Log1p", "Sqrt", "Rsqrt",
    "Square", "Abs", "Neg", "Erf", "Cast", "Identity", "StopGradient", "SelectV2",
    "ClipByValue", "Softmax", "FusedBatchNormV3", "MulNoNan",
}
# fmt: on


def _axis_by_operation(
    tensor: Any, known: Mapping[int, tuple[Any, int]], depth: int = 8
) -> int | None:
    """Unit axis by the operation that computed a traced tensor, as `x + y` in a model's `call`."""
    operation: Any = None if hasattr(tensor, "numpy") else getattr(tensor, "op", None)
    kind, rank = getattr(operation, "type", None), len(_shape(tensor))
    if not depth or not (kind == "Transpose" or kind in _NUMBER_BY_NUMBER):
        return None
    axes = []
    for given in operation.inputs:
        found = known.get(id(given))
        axis = _axis_by_operation(given, known, depth - 1) if found is None else found[1]
        if axis is not None and len(_shape(given)) == rank:
            axes.append(axis)
    if kind == "Transpose" and axes:
        order = tf.get_static_value(operation.inputs[1])
        return None if order is None else [*order].index(axes[0])
    return _agreed(axes)


def _shape(tensor: Any) -> Shape:
    shape = getattr(tensor, "shape", None)
    if shape is None or isinstance(tensor, keras.Layer) or getattr(shape, "rank", 0) is None:
        return ()
    return tuple(shape)
