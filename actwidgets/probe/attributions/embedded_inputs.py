"""Where a model with integer or text inputs first has numbers that can be differentiated."""

from collections.abc import Sequence
from typing import Any

from actwidgets.probe.receptive_fields import OF_SHAPES
from actwidgets.probe.recorder import Tap


def embedded_inputs(
    operations: Sequence[Any], inputs: Sequence[Any], taps: Sequence[Tap]
) -> tuple[Tap, ...]:
    """The outputs of layers in which inputs without a gradient become floating-point.

    Args:
        operations: Of one call of the model, in order.
        inputs: The model's inputs there.
        taps: What its layers put out.

    Returns:
        In that order; of an embedding its output. What is computed from an input
        beside an embedding that lies before it, such as a mask, is none.
    """
    by_tensor = {tap.output.ref(): tap for tap in taps if hasattr(tap.output, "ref")}
    from_whole = {each.ref() for each in inputs if not each.dtype.is_floating}
    settled = {each.ref() for each in inputs if each.dtype.is_floating}
    found = []
    for operation in operations:
        sources = {each.ref() for each in operation.inputs}
        if operation.type in OF_SHAPES:
            continue
        is_settled, is_whole = bool(sources & settled), bool(sources & from_whole)
        for output in operation.outputs:
            place = output.ref()
            if is_settled:
                settled.add(place)
            elif is_whole and output.dtype.is_floating and place in by_tensor:
                found.append(by_tensor[place])
                settled.add(place)
            elif is_whole:
                from_whole.add(place)
    return tuple(found)
