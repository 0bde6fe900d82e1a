"""Which inputs of a model can be differentiated, and where the others first become numbers.

What decides is what the model does with an input, never the dtype that it is declared with:
token ids through a floating-point input, as most text models are written, are cast to whole
numbers and looked up, and no derivative leads back to them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.score_call import Call
from actwidgets.probe.catalogue import is_models_own
from actwidgets.probe.receptive_fields import OF_SHAPES
from actwidgets.probe.recorder import Tap

# What makes floating-point values of whole numbers by what they stand for, not by their size.
LOOKUPS = frozenset((
    "Bincount", "DenseBincount", "Gather", "GatherNd", "GatherV2", "LookupTableFindV2", "OneHot",
    "RaggedBincount", "ResourceGather", "ResourceGatherNd", "SparseBincount",
    "SparseTensorDenseMatMul",
))  # fmt: skip


@dataclass(frozen=True)
class EmbeddedInputs:
    """How the inputs of a model are seen by what differentiates it.

    Attributes:
        differentiated: One per input, whether its own values are differentiated.
        taps: The outputs of layers in which the others become floating-point, in the order of
            the calls; of an embedding its output. What is computed from an input beside an
            embedding, such as a mask, is none.
        sources: One per tap, the places of the inputs that it is made of.
    """

    differentiated: tuple[bool, ...]
    taps: tuple[Tap, ...] = ()
    sources: tuple[frozenset[int], ...] = ()

    @property
    def left_out(self) -> tuple[int, ...]:
        """The inputs of which nothing is differentiated."""
        seen = frozenset[int]().union(*self.sources)
        return tuple(
            place
            for place, differentiated in enumerate(self.differentiated)
            if not differentiated and place not in seen
        )

    def names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """What is differentiated by name: the inputs, and those that are embedded.

        An embedded one goes by the name of its input where that has no other, and the model
        has several inputs; else by that of the layer.
        """
        names = [name for name, mine in zip(inputs, self.differentiated, strict=True) if mine]
        for tap, sources in zip(self.taps, self.sources, strict=True):
            place = next(iter(sources))
            alone = len(sources) == 1 and sum(place in each for each in self.sources) == 1
            by_input = len(inputs) > 1 and alone and not self.differentiated[place]
            name = inputs[place] if by_input else tap.name
            names.append(f"{name} (layer)" if name in inputs and not by_input else name)
        return tuple(names)


def embedded_inputs(call: Call) -> EmbeddedInputs:
    """Follow the inputs through one call of a model.

    An input is differentiated where a chain of floating-point values leads from it to an
    output of the model. One that is also looked up, such as a number and its bucket, is seen
    at both. A floating-point one that is rounded or compared, and then used as a number, is a
    number still: that no derivative leads to it is for the caller to say.
    """
    floating = frozenset(place for place, each in enumerate(call.inputs) if each.dtype.is_floating)
    reached = _follow(call, floating, {}).reaching
    unused = floating - reached
    by_tensor = {tap.output.ref(): tap for tap in call.recorded if hasattr(tap.output, "ref")}
    walk = _follow(call, reached, by_tensor)
    embedded = frozenset[int]().union(*(sources for _, sources in walk.found))
    differentiated = reached | (unused - embedded)
    return EmbeddedInputs(
        tuple(place in differentiated for place in range(len(call.inputs))),
        tuple(tap for tap, _ in walk.found),
        tuple(sources for _, sources in walk.found),
    )


@dataclass
class _Walk:
    """What was met: inputs that reach an output, and taps with the inputs they are made of."""

    reaching: frozenset[int]
    found: list[tuple[Tap, frozenset[int]]]


def _follow(call: Call, points: frozenset[int], by_tensor: Mapping[Any, Tap]) -> _Walk:
    """Walk over the operations once.

    Args:
        call: The call.
        points: The inputs that are differentiated, as far as is known.
        by_tensor: The taps at which others may become floating-point; none for none.
    """
    live: dict[Any, frozenset[int]] = {}  # floating all the way from these inputs
    cut: dict[Any, frozenset[int]] = {}  # made of these, with something whole on the way
    settled: set[Any] = set()  # follows from what is differentiated
    looked_up: set[Any] = set()
    found: list[tuple[Tap, frozenset[int]]] = []
    floating = _floating(call)
    for place, each in enumerate(call.inputs):
        (live if each.dtype.is_floating else cut)[each.ref()] = frozenset((place,))
        if place in points:
            settled.add(each.ref())
    for operation in call.operations:
        if operation.type in OF_SHAPES:
            continue
        sources = [each.ref() for each in operation.inputs]
        alive, whole = _union(live, sources), _union(cut, sources)
        is_settled = any(each in settled for each in sources)
        if not (alive or whole or is_settled):
            continue
        is_lookup = operation.type in LOOKUPS or any(each in looked_up for each in sources)
        for output in operation.outputs:
            place = output.ref()
            if not _carries_derivatives(output.dtype):
                cut[place] = alive | whole
                looked_up |= {place} if is_lookup else set()
                continue
            if alive:
                live[place] = alive
            if is_settled:
                settled.add(place)
            elif whole and not alive:
                tap = by_tensor.get(place) if output.dtype.is_floating else None
                # Of a floating-point input a mask is no second use, a lookup is.
                if tap is not None and (is_lookup or whole - floating):
                    found.append((tap, whole))
                    settled.add(place)
                else:
                    cut[place] = whole
                    looked_up |= {place} if is_lookup else set()
    ends = (tap.output.ref() for tap in call.recorded if is_models_own(tap.name))
    return _Walk(_union(live, ends), found)


def _floating(call: Call) -> frozenset[int]:
    return frozenset(p for p, each in enumerate(call.inputs) if each.dtype.is_floating)


def _carries_derivatives(dtype: Any) -> bool:
    """Whether values of this kind may: numbers that are not whole, and lists of such in loops."""
    return dtype.is_floating or dtype.is_complex or dtype == tf.variant


def _union(known: Mapping[Any, frozenset[int]], places: Iterable[Any]) -> frozenset[int]:
    return frozenset[int]().union(*(known.get(each, ()) for each in places))
