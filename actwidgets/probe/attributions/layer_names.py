"""Which layer an operation of a traced graph belongs to."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from actwidgets.probe.recorder import Tap

OUTSIDE = 2  # parts of every name: the recorder's own call, and that of the model


def layer_names(taps: Sequence[Tap]) -> Callable[[Any], str]:
    """A function that says in words which layer an operation belongs to.

    Keras names operations after the calls they were made in, one inside the other, as taps
    are named; a second call has another number. That tells the innermost layer also where it
    puts out what another made, and also of a model's own operations between its layers.

    Args:
        taps: What layers put out, of a graph.
    """
    scopes: dict[tuple[str, ...], Tap] = {}
    of_operations: dict[Any, Tap] = {}
    for tap in taps:
        if not isinstance(tap.output, tf.Tensor) or not tap.name.partition(":")[0]:
            continue
        operation = tap.output.op
        if not _is_layer(tap.layer):  # it has no scope of its own
            of_operations.setdefault(operation, tap)
        layers = tap.name.partition(":")[0].split("/")
        parts = tuple(operation.name.split("/"))
        scope = parts[OUTSIDE : OUTSIDE + len(layers)]
        if len(scope) == len(layers) and all(map(_is_call_of, scope, layers)):
            scopes.setdefault(parts[: OUTSIDE + len(layers)], tap)

    def layer_of(operation: Any) -> str:
        parts = tuple(operation.name.split("/"))
        for length in range(len(parts), OUTSIDE, -1):
            if parts[:length] in scopes:
                return _described(scopes[parts[:length]])
        own = of_operations.get(operation)
        return "the model's own call" if own is None else _described(own)

    return layer_of


def _is_layer(part: Any) -> bool:
    return isinstance(part, keras.Layer) or not isinstance(part, keras.Operation)


def _described(tap: Tap) -> str:
    return f"layer {tap.name.partition(':')[0]!r} ({type(tap.layer).__name__})"


def _is_call_of(part: str, layer: str) -> bool:
    """Whether part of a name is that of a call of a layer, such as `conv_1` of `conv`."""
    name = re.sub(r"#\d+$", "", layer)
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return re.fullmatch(re.escape(name) + r"(_\d+)*", part) is not None
