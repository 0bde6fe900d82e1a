"""Which tensors of a graph lie between some inputs and an output, and who reads them."""

from collections.abc import Sequence
from typing import Any

from actwidgets.probe.attributions.operations import ELEMENTWISE, same_shape
from actwidgets.probe.trace import operations_behind

OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")  # tell nothing of values


class Flow:
    """What depends on the inputs, of all that an output depends on.

    Integers and truth values do not: they change by jumps, so a mask is a constant.

    Args:
        outputs: The tensor at the end.
        inputs: Tensors of the same graph.

    Attributes:
        carried: Those tensors, by reference.
        operations: Those that depend on an input, in the order in which they are run.
    """

    def __init__(self, outputs: Any, inputs: Sequence[Any]) -> None:
        self._inputs = {each.ref() for each in inputs}
        self.carried = set(self._inputs)
        self.operations = []
        behind = operations_behind([outputs])
        for operation in (each for each in outputs.graph.get_operations() if each in behind):
            if self.operands(operation):
                told = [each for each in operation.outputs if _tells_values(operation, each)]
                self.carried |= {each.ref() for each in told}
            if any(output.ref() in self.carried for output in operation.outputs):
                self.operations.append(operation)
        self._order = {operation: place for place, operation in enumerate(self.operations)}

    def is_input(self, tensor: Any) -> bool:
        """Whether it is one of the inputs."""
        return tensor.ref() in self._inputs

    def operands(self, operation: Any) -> list[tuple[int, Any]]:
        """The operands that depend on an input, with their places."""
        operands = enumerate(operation.inputs)
        return [(place, each) for place, each in operands if each.ref() in self.carried]

    def readers_are(self, tensor: Any, kinds: Sequence[str]) -> bool:
        """Whether everything that reads it is of these kinds, and something does."""
        readers = [each for each in tensor.consumers() if each in self._order]
        return bool(readers) and all(each.type in kinds for each in readers)

    def elementwise_source(self, tensor: Any) -> Any:
        """The tensor of which this one is a function number by number, or None."""
        waiting = {tensor.ref(): tensor}
        while len(waiting) > 1 or tensor.ref() in waiting:
            latest = max(waiting.values(), key=lambda each: self._order.get(each.op, -1))
            inside = tensor is latest or not self.is_input(latest)
            if not inside or latest.op.type not in ELEMENTWISE:
                return None
            del waiting[latest.ref()]
            parts = self.operands(latest.op)
            waiting |= {each.ref(): each for _, each in parts}
        (source,) = waiting.values()
        return source if same_shape(source, tensor) else None


def _tells_values(operation: Any, output: Any) -> bool:
    by_jumps = output.dtype.is_integer or output.dtype.is_bool
    return not by_jumps and operation.type not in OF_SHAPES
