"""Products of two things that depend on the input: which of them is the signal.

The signal takes all of the relevance of a product with a gate (Arras 2017, "signal-take-all")
and of one with the size of what is normalized, which counts as a constant (Ali 2022, LN-rule;
Achtibat 2024). Gates are sigmoids and hard sigmoids, scaled or taken from 1, as in squeeze and
excitation, gated linear units and highways.
"""

from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.affine import ADDITIONS, is_affine
from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.operations import COPIES, PRODUCTS

MOVING = COPIES - {"ConcatV2", "MirrorPad", "Pack", "Pad", "PadV2", "SelectV2"}
BOUNDS = ("Maximum", "Minimum")


def signal_place(operation: Any, flow: Flow) -> int | None:
    """The place of the operand that takes all; None where the product is of another kind."""
    operands = dict(flow.operands(operation))
    if operation.type not in PRODUCTS or len(operands) != 2:
        return None
    sizes = {place for place, each in operands.items() if _is_size(each, flow)}
    if "Div" in operation.type:
        return 0 if sizes == {1} else None
    for others in (sizes, {place for place, each in operands.items() if _is_gate(each, flow)}):
        if len(others) == 1:
            return 1 - others.pop()
    return None


def _is_gate(tensor: Any, flow: Flow) -> bool:
    """Whether it is a sigmoid or a hard sigmoid, moved, scaled or shifted by single numbers."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        if operation.type == "Sigmoid":
            return True
        if len(operands) != 1:
            return False
        if operation.type == "Relu6":  # of what is not shifted, it is an activation like others
            return operands[0][1].op.type in ADDITIONS
        if _is_bound_on_both_sides(operation, flow):
            return True
        is_scaled = is_affine(operation, flow) and operation.inputs[0].dtype.is_floating
        if operation.type not in MOVING and not is_scaled:
            return False
        tensor = operands[0][1]
    return False


def _is_bound_on_both_sides(operation: Any, flow: Flow) -> bool:
    """Whether it and the one before it cut off what is below a number and above another."""
    (_, tensor), *others = flow.operands(operation)
    if operation.type not in BOUNDS or others or flow.is_input(tensor):
        return False
    before = tensor.op
    kinds = {operation.type, before.type}
    low = [_bound(each, flow) for each in (operation, before) if each.type != "Minimum"]
    return kinds in ({*BOUNDS}, {"Minimum", "Relu"}) and low == [0]


def _bound(operation: Any, flow: Flow) -> float | None:
    """The lower bound of an operation, where it is a single number."""
    if operation.type == "Relu":
        return 0.0
    for each in operation.inputs:
        value = tf.get_static_value(each) if flow.origin(each).ref() not in flow.carried else None
        if value is not None and value.size == 1:
            return float(value.reshape(-1)[0])
    return None


def _is_size(tensor: Any, flow: Flow) -> bool:
    """Whether it is a norm, a standard deviation or one over it, moved or scaled."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        if not operands:
            return False
        kind, before = operation.type, operands[0][1]
        if kind in ("Sqrt", "Rsqrt"):
            return _is_mean_square(before, flow)
        if kind == "Pow":
            return operands[0][0] == 0 and _is_mean_square(before, flow)
        if kind in ("EuclideanNorm",):
            return True
        if kind in ("Max", "Mean", "Sum"):
            return not flow.is_input(before) and before.op.type == "Abs"
        is_bound = kind in BOUNDS or kind == "Reciprocal" or kind in PRODUCTS
        is_scaled = is_bound or is_affine(operation, flow) or kind in MOVING
        if len(operands) != 1 or not is_scaled:
            return False
        tensor = before
    return False


def _is_mean_square(tensor: Any, flow: Flow) -> bool:
    """Whether it is a sum or a mean of squares, such as a variance, moved or scaled."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        kind = operation.type
        if not operands:
            return False
        before = operands[0][1]
        if kind in ("Mean", "Sum"):
            return not flow.is_input(before) and _is_square(before.op, flow)
        if kind == "Sub" and len(operands) == 2:  # the mean of squares less the squared mean
            return _is_mean_square(before, flow) and _is_square(operands[1][1].op, flow)
        is_scaled = (
            kind in ("DivNoNan", "Maximum", "Relu") or is_affine(operation, flow) or kind in MOVING
        )
        if len(operands) != 1 or not is_scaled:
            return False
        tensor = before
    return False


def _is_square(operation: Any, flow: Flow) -> bool:
    if operation.type == "Mul":
        operands = [each for _, each in flow.operands(operation)]
        if len(operands) == 1:  # weighted
            return not flow.is_input(operands[0]) and _is_square(operands[0].op, flow)
        return operands[0].ref() == operands[1].ref()
    return operation.type in ("Square", "SquaredDifference", "Pow")
