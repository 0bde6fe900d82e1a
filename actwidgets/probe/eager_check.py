"""Whether a compiled slice gives what an eager call of the same model gives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.arrays import Array

N_COMPARED = FEW_SAMPLES = 4  # samples, once for each layer of each trace
TOLERANCE = 1e-3  # of what a layer puts out, as lengths of vectors
COARSE_TOLERANCE = 3e-2  # where a layer computes in 16 bits or fewer
AMPLIFIED = 100  # times what its input's last digit moves a layer by

Values = Sequence[Array]
Look = Callable[[Sequence[Any]], Values]


def disagreement(
    compiled: Values, tensors: Sequence[Any], look: Look, tolerance: float
) -> tuple[int, float] | None:
    """Which of the outputs of a compiled slice are not those of an eager call.

    A compiled graph adds in another order than an eager call does and leaves out what cancels:
    published networks of float32 then differ by 1e-7 to 1e-5 of a layer's output, and a layer
    that was traced wrongly by a tenth and more. In between lie two kinds of model that are
    right on both roads: one that draws random numbers which are not Keras' own, which two eager
    calls tell, and one that amplifies every rounding, which is told by moving its input by as
    little as that.

    Args:
        compiled: What the slice puts out.
        tensors: For which samples.
        look: Calls the model eagerly and gives the same outputs.
        tolerance: The share of a layer's output by which both may differ.

    Returns:
        The place of the output that differs most, and the share by which it does; None where
        nothing differs.

    Cost: one eager call; two more where something differs.
    """
    eager = look(tensors)
    shares = _shares(eager, compiled)
    if max(shares, default=0.0) <= tolerance:
        return None
    by_chance = _shares(eager, look(tensors))
    by_rounding = _shares(eager, look([_moved(each) for each in tensors]))
    excess = [
        share if share > max(tolerance, AMPLIFIED * rounding) and chance <= tolerance else 0.0
        for share, chance, rounding in zip(shares, by_chance, by_rounding, strict=True)
    ]
    worst = int(np.argmax(excess))
    return (worst, excess[worst]) if excess[worst] else None


def tolerance_of(model: Any) -> float:
    """How far compiled and eager values of a model may lie apart."""
    for layer in model._flatten_layers():
        computes_in = str(getattr(layer, "compute_dtype", "") or "")
        if "16" in computes_in or "float8" in computes_in:
            return COARSE_TOLERANCE
        if getattr(layer, "quantization_mode", None) is not None:
            return COARSE_TOLERANCE
    return TOLERANCE


def as_values(tensors: Sequence[Any]) -> list[Array]:
    """Outputs of layers as numbers that can be compared."""
    return [np.asarray(tf.convert_to_tensor(each)) for each in tensors]


def _shares(eager: Values, others: Values) -> list[float]:
    return [_share(one, other) for one, other in zip(eager, others, strict=True)]


def _share(eager: Array, other: Array) -> float:
    """The length of the difference as a share of the length of what is right; NaN equals NaN."""
    if eager.shape != other.shape:
        return np.inf
    if eager.dtype.kind in "OSU":
        return 0.0 if np.array_equal(eager, other) else np.inf
    kind = np.complex128 if eager.dtype.kind == "c" else np.float64
    one, two = eager.astype(kind), other.astype(kind)
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(two)):
        return np.inf
    if not np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return np.inf
    difference = float(np.linalg.norm(one[finite] - two[finite]))
    if not difference:
        return 0.0
    length = float(np.linalg.norm(one[finite]))
    return difference / length if length else np.inf


def _moved(tensor: Any) -> Any:
    """Floating-point values with their last digit moved, up or down; others as they are."""
    if not tensor.dtype.is_floating:
        return tensor
    values = tf.cast(tensor, tf.float64).numpy()
    known = np.abs(values[np.isfinite(values)])
    step = 2.0 * float(np.finfo(tensor.dtype.as_numpy_dtype).eps) if _has_finfo(tensor) else 2e-2
    signs = np.random.default_rng(0).choice((-1.0, 1.0), values.shape)
    size = np.maximum(np.abs(values), known.mean() if known.size else 0.0)
    moved = np.where(np.isfinite(values), values + step * size * signs, values)
    return tf.cast(moved, tensor.dtype)


def _has_finfo(tensor: Any) -> bool:
    return tensor.dtype in (tf.float16, tf.float32, tf.float64)
