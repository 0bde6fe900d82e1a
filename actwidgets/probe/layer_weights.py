"""Weights of a layer by name, dequantized and with LoRA, as its call applies them.

A quantized layer keeps whole-number codes, two of them in a byte or not, and scales beside
them; one adapted by LoRA keeps two small matrices. What Keras' attributes `kernel` and
`embeddings` then hold depends on both settings, and is mostly not what the layer multiplies
with: codes without their scale, or codes and a LoRA term added up. Here both are resolved.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

_RESOLVED = ("kernel", "embeddings", "reverse_embeddings")


class UnreadableWeightError(ValueError):
    """A weight stored in an unknown way; says which, as half a sentence."""


def layer_weights(layer: Any) -> dict[str, np.ndarray]:
    """Copies of a layer's floating-point weights, float32, trainable or not.

    Named as the layer names them: `kernel`, `bias`; `cell/kernel` of a layer inside it. A
    quantized or adapted kernel is what `effective_weight` says, and stands under its own name
    beside its scales.

    Raises:
        UnreadableWeightError: A layer quantized in a way that is not known.

    Cost: a copy; of a quantized layer also its reading.
    """
    resolved = {
        id(variable): effective_weight(part, name)
        for part in _parts_of(layer)
        if getattr(part, "quantization_mode", None) or getattr(part, "lora_enabled", False)
        for name, variable in _kept_weights(part)
    }
    found: dict[str, np.ndarray] = {}
    for variable in getattr(layer, "weights", ()):
        if id(variable) not in resolved and "float" not in str(variable.dtype):
            continue  # a seed, a counter
        name = base = _name(variable, layer)
        while name in found:
            name = f"{base}#{sum(each.startswith(base) for each in found)}"
        values = resolved.get(id(variable))
        if values is None:
            values = np.asarray(variable)  # mostly a copy; a view of the weights would change
        found[name] = values.astype(np.float32, copy=not values.flags.owndata)
    return found


def count_weights(layer: Any) -> int:
    """How many numbers a layer's weights hold, trainable or not.

    Two codes that share a byte are two: a kernel has as many of them as it had weights.
    """
    found = sum(math.prod(weight.shape) for weight in getattr(layer, "weights", ()))
    for part in _parts_of(layer):
        if getattr(part, "quantization_mode", None) in ("int4", "gptq", "awq"):
            for name, variable in _kept_weights(part):
                if "int" in str(variable.dtype):
                    found += math.prod(_shape(part, name, variable)) - math.prod(variable.shape)
    return found


def effective_weight(layer: Any, name: str) -> np.ndarray:
    """A kernel as the layer's own call applies it: dequantized, with its LoRA term.

    Args:
        layer: A layer that is built.
        name: Its attribute, such as `kernel`, `depthwise_kernel` or `embeddings`.

    Returns:
        With the axes that it has without quantization. `layer(x)` is the product with it, but
        for the rounding of `x`. Of float8 it is what is left after the rounding to eight bits.

    Raises:
        UnreadableWeightError: Quantized in a way that is not known.
    """
    mode = getattr(layer, "quantization_mode", None)
    values = np.asarray(_without_lora(layer, name))
    if mode is not None:
        values = _dequantized(layer, name, mode, values.astype(np.float32))
    if getattr(layer, "lora_enabled", False) and name in ("kernel", "embeddings"):
        a, b = (np.asarray(getattr(layer, f"lora_{name}_{letter}")) for letter in "ab")
        factor = getattr(layer, "lora_alpha", layer.lora_rank) / layer.lora_rank
        values = values.astype(np.float32) + np.float32(factor) * np.matmul(a, b)
    return values


# --- what a layer keeps ------------------------------------------------------------------


def _parts_of(layer: Any) -> list[Any]:
    """A layer and those inside it; none of a plain operation."""
    flatten = getattr(layer, "_flatten_layers", None)
    return [] if flatten is None else list({id(part): part for part in flatten()}.values())


def _kept_weights(layer: Any) -> Iterator[tuple[str, Any]]:
    """Variables that hold a layer's kernels, in whatever encoding."""
    for name in _RESOLVED:
        variable = getattr(layer, f"_{name}", None)
        if variable is None and name == "kernel":
            variable = getattr(layer, "quantized_kernel", None)
        if variable is None and name == "reverse_embeddings":
            variable = getattr(layer, name, None)
        if variable is not None:
            yield name, variable


def _shape(layer: Any, name: str, variable: Any) -> tuple[int, ...]:
    """The shape of a kernel before its codes were packed."""
    if name == "reverse_embeddings":
        return layer.output_dim, layer.input_dim
    if hasattr(layer, "original_kernel_shape"):  # an EinsumDense
        return tuple(layer.original_kernel_shape)
    if name == "kernel" and hasattr(layer, "kernel_shape"):  # GPTQ and AWQ
        return tuple(layer.kernel_shape)
    if hasattr(layer, "_orig_output_dim"):
        return *variable.shape[:-1], layer._orig_output_dim
    return tuple(variable.shape)


class _WithoutLora:
    """Stand-in for a layer with its LoRA off, to read its property."""

    lora_enabled = False

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


def _without_lora(layer: Any, name: str) -> Any:
    """Stored values of a property, or its codes one by one."""
    described = getattr(type(layer), name, None)
    if isinstance(described, property) and getattr(layer, "lora_enabled", False):
        return described.fget(_WithoutLora(layer))  # type: ignore[misc]
    values = getattr(layer, name)
    if name == "reverse_embeddings" and layer.quantization_mode == "int4":
        return keras.quantizers.unpack_int4(values, layer.output_dim, axis=0)
    return values


# --- from codes to values ----------------------------------------------------------------


def _dequantized(layer: Any, name: str, mode: str, values: np.ndarray) -> np.ndarray:
    """Dequantize values from a layer's codes and scales."""
    if mode in ("gptq", "awq") and not getattr(layer, f"is_{mode}_calibrated", False):
        return values  # until it is calibrated, the call multiplies with these
    if mode not in _READERS or name not in _RESOLVED or not hasattr(layer, f"{name}_scale"):
        raise UnreadableWeightError(f"is quantized to {mode}, and its {name} cannot be read")
    scale = np.asarray(getattr(layer, f"{name}_scale")).astype(np.float32)
    return _READERS[mode](layer, name, values, scale)


def _from_float8(layer: Any, _: str, values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rounded = keras.quantizers.quantize_and_dequantize(
        keras.ops.convert_to_tensor(values, layer.compute_dtype),
        scale,
        "float8_e4m3fn",
        layer.compute_dtype,
    )
    return np.asarray(rounded)


def _from_int8(layer: Any, name: str, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if name == "embeddings":
        scale = scale[:, np.newaxis]  # a token has one
    elif hasattr(layer, "_adjust_scale_for_dequant"):  # an EinsumDense
        scale = np.asarray(layer._adjust_scale_for_dequant(scale))
    return codes / scale


def _from_int4(layer: Any, name: str, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    shape = codes.shape
    if hasattr(layer, "_int4_unpacked_column_size"):  # an EinsumDense has scales for a matrix
        codes = codes.reshape(-1, layer._int4_unpacked_column_size)
    zero = getattr(layer, f"{name}_zero", None)
    if zero is None:
        return (codes / (scale[:, np.newaxis] if name == "embeddings" else scale)).reshape(shape)
    if name == "reverse_embeddings":
        groups = np.arange(layer.output_dim) // layer._int4_block_size
    else:
        groups = np.asarray(layer.g_idx).astype(int)
    axis = 1 if name == "embeddings" else 0
    return _by_groups(codes, scale, zero, groups, axis).reshape(shape)


def _from_gptq(layer: Any, _: str, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    groups = np.asarray(layer.g_idx).astype(int)  # codes are (output, input)
    values = _by_groups(codes, scale, layer.kernel_zero, groups, 1).T
    if layer.quantization_mode == "awq":
        values = values / np.asarray(layer.awq_scales)[:, np.newaxis]
    return values.reshape(getattr(layer, "original_kernel_shape", values.shape))


def _by_groups(
    codes: np.ndarray, scale: np.ndarray, zero: Any, groups: np.ndarray, axis: int
) -> np.ndarray:
    """Dequantize with the scale and zero of each input group."""
    zeros = np.asarray(zero).astype(np.float32)
    return (codes - np.take(zeros, groups, axis)) * np.take(scale, groups, axis)


_READERS = {
    "float8": _from_float8,
    "int8": _from_int8,
    "int4": _from_int4,
    "gptq": _from_gptq,
    "awq": _from_gptq,
}


def _name(variable: Any, layer: Any) -> str:
    """A variable's path below the name of the layer."""
    path = str(getattr(variable, "path", variable.name)).removesuffix(":0")
    _, found, below = f"/{path}".rpartition(f"/{layer.name}/")
    return below if found else path.rpartition("/")[2]
