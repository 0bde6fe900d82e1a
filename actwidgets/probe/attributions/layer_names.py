"""Which layer an operation of a traced graph belongs to."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from actwidgets.probe.recorder import Tap

OUTSIDE = 2  # parts of every name: the recorder's own call, and that of the model


class LayerNames:
    """Says which layer an operation belongs to; called with one, in words.

    Keras names operations after the calls they were made in, one inside the other, as taps
    are named; a second call has another number. That tells the innermost layer also where it
    puts out what another made, and also of a model's own operations between its layers.

    Args:
        taps: What layers put out, of a graph.

    Attributes:
        scopes: The calls of layers, each by the parts of the names of its operations, with
            its first output.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self.scopes: dict[tuple[str, ...], Tap] = {}
        self._taps = tuple(taps)
        self._of_operations: dict[Any, Tap] = {}
        self._found: dict[Any, tuple[str, ...]] = {}
        for tap in taps:
            if not isinstance(tap.output, tf.Tensor) or not tap.name.partition(":")[0]:
                continue
            operation = tap.output.op
            if not _is_layer(tap.layer):  # it has no scope of its own
                self._of_operations.setdefault(operation, tap)
            layers = tap.name.partition(":")[0].split("/")
            parts = tuple(operation.name.split("/"))
            scope = parts[OUTSIDE : OUTSIDE + len(layers)]
            if len(scope) == len(layers) and all(map(_is_call_of, scope, layers)):
                self.scopes.setdefault(parts[: OUTSIDE + len(layers)], tap)
        self._outer = {
            scope[:length] for scope in self.scopes for length in range(OUTSIDE, len(scope))
        }

    def __call__(self, operation: Any) -> str:
        """The layer, by name and class."""
        scope = self.scope(operation)
        tap = self.scopes[scope] if scope else self._of_operations.get(operation)
        return "the model's own call" if tap is None else _described(tap)

    def scope(self, operation: Any) -> tuple[str, ...]:
        """The innermost call of a layer that made it; () for the model's own call."""
        if operation not in self._found:
            parts = tuple(operation.name.split("/"))
            lengths = range(len(parts), OUTSIDE, -1)
            scopes = (parts[:length] for length in lengths if parts[:length] in self.scopes)
            self._found[operation] = next(scopes, ())
        return self._found[operation]

    def is_whole(self, operation: Any) -> bool:
        """Whether it is a plain operation that a Functional model is made of."""
        return operation in self._of_operations

    def is_leaf(self, scope: tuple[str, ...]) -> bool:
        """Whether a call is that of a layer without layers inside it."""
        return bool(scope) and scope not in self._outer

    def outputs(self, scope: tuple[str, ...]) -> list[Any]:
        """What a call of a layer puts out, in its order."""
        name = self.scopes[scope].name.partition(":")[0]
        return [tap.output for tap in self._taps if tap.name.partition(":")[0] == name]


def _is_layer(part: Any) -> bool:
    return isinstance(part, keras.Layer) or not isinstance(part, keras.Operation)


def _described(tap: Tap) -> str:
    return f"layer {tap.name.partition(':')[0]!r} ({type(tap.layer).__name__})"


def _is_call_of(part: str, layer: str) -> bool:
    """Whether part of a name is that of a call of a layer, such as `conv_1` of `conv`."""
    name = re.sub(r"#\d+$", "", layer)
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return re.fullmatch(re.escape(name) + r"(_\d+)*", part) is not None
