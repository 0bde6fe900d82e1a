"""Which layers lie inside which, and what a list shows of them when some are folded away."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from actwidgets.core.layer_info import LayerInfo

SMALL_MODEL = 40  # layers; up to that a tree is shown with everything open


@dataclass(frozen=True)
class Row:
    """One line of the tree.

    Attributes:
        layer: The layer it stands for.
        label: Its name inside the container it lies in: `conv1` for `backbone/conv1`.
        depth: How many containers it lies in.
        is_container: Whether layers lie in it.
        is_open: Whether any of those is on show.
    """

    layer: LayerInfo
    label: str
    depth: int
    is_container: bool
    is_open: bool


class LayerTree:
    """The layers of a model, nested as their names are.

    A layer lies in the innermost container whose call has not ended when its own begins, so
    the tree, read from the top, is always the model's order. A further output (`sub:1`) of a
    container lies in that container. Where a container is not itself a layer of the list, as
    when it puts out no tensor, its layers stay one level up and keep its name in their label.

    Args:
        layers: All layers, in the order in which their calls begin.
    """

    def __init__(self, layers: Sequence[LayerInfo]) -> None:
        self.layers = tuple(layers)
        self._containers_of = _containers_of([layer.name for layer in self.layers])
        holding = {within[-1] for within in self._containers_of.values() if within}
        self.containers = tuple(layer.name for layer in self.layers if layer.name in holding)

    @property
    def depth(self) -> int:
        """Containers around the innermost layer; 0 for a flat model."""
        return max(map(len, self._containers_of.values()), default=0)

    def containers_of(self, name: str) -> tuple[str, ...]:
        """The containers that a layer lies in, the outermost first; none if it is unknown."""
        return self._containers_of.get(name, ())

    def nearest_container(self, name: str) -> str | None:
        """The layer itself if it is a container, else the one it lies in, if there is one."""
        if name in self.containers:
            return name
        return next(reversed(self.containers_of(name)), None)

    def nearest_shown(self, name: str, opened: Collection[str]) -> str:
        """The layer itself, or what is on show in its stead: the closed container it is in."""
        closed = (outer for outer in self.containers_of(name) if outer not in opened)
        return next(closed, name)

    def known(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of `names` that are containers of this model, in its order."""
        return tuple(name for name in self.containers if name in names)

    def opened_at_first(self) -> tuple[str, ...]:
        """The containers to begin with: all of them in a small model, none in a large one."""
        return self.containers if len(self.layers) <= SMALL_MODEL else ()

    def opened_after(self, before: "LayerTree", opened: Collection[str]) -> tuple[str, ...]:
        """What is open when this tree takes the place of another one.

        Containers that both have stay as they were; the others are as `opened_at_first`.
        """
        first = self.opened_at_first()
        return tuple(
            name
            for name in self.containers
            if name in (opened if name in before.containers else first)
        )

    def found(self, words: Collection[str]) -> tuple[LayerInfo, ...]:
        """The layers whose name or kind holds each of `words`, in lower or upper case."""
        wanted = [word.lower() for word in words]
        return tuple(
            layer
            for layer in self.layers
            if all(word in f"{layer.name} {layer.kind}".lower() for word in wanted)
        )

    def rows(self, opened: Collection[str], words: Collection[str] = ()) -> tuple[Row, ...]:
        """The lines on show, in the model's order.

        Args:
            opened: Names of the containers whose layers are on show.
            words: If there are any, the layers that hold all of them are on show instead, and
                the containers these lie in, whatever is open.
        """
        if words:
            shown = {layer.name for layer in self.found(words)}
            shown |= {outer for name in shown for outer in self._containers_of[name]}
        else:
            shown = {
                name
                for name, within in self._containers_of.items()
                if all(outer in opened for outer in within)
            }
        unfolded = {self._containers_of[name][-1] for name in shown if self._containers_of[name]}
        return tuple(
            Row(
                layer,
                self._label(layer.name),
                len(self._containers_of[layer.name]),
                layer.name in self.containers,
                layer.name in unfolded,
            )
            for layer in self.layers
            if layer.name in shown
        )

    def _label(self, name: str) -> str:
        for outer in reversed(self._containers_of[name]):  # `net/sub:1` lies in `net/sub`
            if name.startswith(f"{outer}/"):
                return name.removeprefix(f"{outer}/") or name
        return name


def _containers_of(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The containers around each name, the outermost first."""
    paths = {name[:place] for name in names for place, sign in enumerate(name) if sign == "/"}
    found: dict[str, tuple[str, ...]] = {}
    running: list[str] = []
    for name in names:
        while running and not (
            name.startswith(f"{running[-1]}/")
            or (running[-1] in paths and name.startswith(f"{running[-1]}:"))
        ):
            running.pop()
        found[name] = tuple(running)
        running.append(name)
    return found
