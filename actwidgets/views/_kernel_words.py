"""What is said about kernels in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from actwidgets.core.kernels import kernels_are_units, sees_one_channel
from actwidgets.core.pictures.colour_codes import ValueRange
from actwidgets.core.pictures.kernel_pictures import AVERAGE, RGB

WRITTEN_OUT = 9  # weights; of more the mean and the ends are told


def subtitle(kind: str, shape: Sequence[int]) -> str:
    """Kind and size of a layer's kernels.

    Args:
        kind: The layer's class.
        shape: `([depth,] row, column, in_channel, out_channel)`.
    """
    *positions, n_channels, n_kernels = shape
    if kind == "Dense":
        return f"Dense · {n_channels:,} to {n_kernels:,} units"
    size = "×".join(map(str, positions[1:] if "1D" in kind else positions))
    if sees_one_channel(kind):
        return f"{kind} · {size}, {n_kernels:,} kernels of one channel"
    return f"{kind} · {size}, {n_channels:,} to {n_kernels:,} channels"


def input_noun(kind: str, input_shape: Sequence[int] | None) -> str:
    """What one of the inputs of a layer's kernels is called."""
    return "input" if kind == "Dense" and not input_shape else "input channel"


def described(
    kind: str,
    n_inputs: int,
    input_shape: Sequence[int] | None,
    *,
    mode: str,
    span: ValueRange,
    averaged: int,
) -> str:
    """What is on show.

    Args:
        kind: The layer's class.
        n_inputs: Input channels of its weights.
        input_shape: What dense weights are shown as, channels last; None where they are not.
        mode: How input channels are shown.
        span: What the colours cover.
        averaged: Weights to the side of a pixel.
    """
    parts = []
    if input_shape:
        lengths = input_shape[:-1] if input_shape[-1] == 1 else input_shape
        if len(input_shape) == 3 and lengths[0] == 1:  # a sequence
            lengths = lengths[1:]
        parts.append(f"each unit's {n_inputs:,} weights as {' x '.join(map(str, lengths))}")
    if mode == AVERAGE:
        n_channels = input_shape[-1] if input_shape else n_inputs
        parts.append(f"mean over {n_channels:,} {input_noun(kind, input_shape)}s")
    parts.append(f"RGB: grey is 0, ±{span.high:.3g}" if mode == RGB else str(span))
    if averaged > 1:
        across = f"{averaged}" if "1D" in kind else f"{averaged}×{averaged}"
        parts.append(f"{across} weights to a pixel")
    if "1D" in kind:
        parts.append("time runs to the right")
    if not kernels_are_units(kind):
        parts.append("the layer mixes them into its units")
    return "; ".join(parts)


def readout(name: str, parts: Mapping[str, np.ndarray]) -> str:
    """The weights of a kernel: number by number where they are few, else in short.

    Args:
        name: Which one.
        parts: `(row, column)` each, by what they are called.
    """
    return f"{name}: " + "; ".join(
        f"{part} {_tell(weights)}".lstrip() for part, weights in parts.items()
    )


def _tell(weights: np.ndarray) -> str:
    if weights.size <= WRITTEN_OUT:
        return " / ".join(" ".join(f"{value:.2f}" for value in row) for row in weights)
    return f"mean {weights.mean():.3g}, from {weights.min():.3g} to {weights.max():.3g}"
