"""Layers within layers: which lines of the list are on show, and how far each is indented."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from actwidgets.core.layer_info import LayerInfo


@dataclass(frozen=True)
class Line:
    """One layer in the list.

    Attributes:
        layer: The layer.
        depth: How many layers of the list it lies in.
        label: Its name without the path of the one it lies in.
        is_open: Whether the layers in it are on show; None where there are none.
    """

    layer: LayerInfo
    depth: int
    label: str
    is_open: bool | None


class LayerTree:
    """The layers of a model by what they lie in.

    Args:
        layers: In the model's order; a layer comes before those in it.
    """

    def __init__(self, layers: Sequence[LayerInfo]) -> None:
        self.layers = tuple(layers)
        self._names = {layer.name for layer in layers}
        self._around = {name: self._containers(name) for name in self._names}
        self.containers = {name for around in self._around.values() for name in around}

    def around(self, name: str) -> tuple[str, ...]:
        """The layers that a layer lies in, the outermost first."""
        return self._around[name]

    def lines(self, opened: Collection[str], words: Sequence[str] = ()) -> tuple[Line, ...]:
        """The lines on show.

        Args:
            opened: Names of layers whose insides are on show; others are ignored.
            words: Where there are some, the layers whose name or kind holds all of them, and
                what those lie in, are on show instead, whatever is open.
        """
        if words:
            found = {layer.name for layer in self.layers if _matches(layer, words)}
            shown = found | {name for each in found for name in self._around[each]}
        else:
            shown = {name for name in self._names if set(self._around[name]) <= set(opened)}
        parents = {self._around[name][-1] for name in shown if self._around[name]}
        return tuple(self._line(layer, parents) for layer in self.layers if layer.name in shown)

    def n_matches(self, words: Sequence[str]) -> int:
        """How many layers hold all the words in name or kind."""
        return sum(_matches(layer, words) for layer in self.layers)

    def _line(self, layer: LayerInfo, parents: set[str]) -> Line:
        around = self._around[layer.name]
        label = layer.name[len(around[-1]) + 1 :] if around else layer.name
        is_open = layer.name in parents if layer.name in self.containers else None
        return Line(layer, len(around), label, is_open)

    def _containers(self, name: str) -> tuple[str, ...]:
        parts = name.split("/")
        prefixes = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return tuple(prefix for prefix in prefixes if prefix in self._names)


def _matches(layer: LayerInfo, words: Sequence[str]) -> bool:
    text = f"{layer.name} {layer.kind}".lower()
    return all(word in text for word in words)
