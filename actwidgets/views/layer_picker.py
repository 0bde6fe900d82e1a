"""List or tree of layers, to select what all views of a session show."""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.layers import LayerTree, Row
from actwidgets.core.selection import Selection
from actwidgets.views.base import View
from actwidgets.views.controls import button, shorten, title

SPACE = "\u00a0"  # browsers fold ordinary spaces in a list
KIND_LETTERS, LEAST_KIND_LETTERS = 15, 6
LEAST_NAME_LETTERS, LEAST_WORD_LETTERS = 10, 3
MARKS = {(True, True): "▾ ", (True, False): "▸ ", (False, False): "  "}

Lines = tuple[tuple[str, str], ...]


def layer_lines(rows: Sequence[Row], letters: int, *, in_tree: bool) -> Lines:
    """A line of columns for each layer, and the name it stands for.

    Names are indented as the tree is deep; names and kinds are shortened to fit into so many
    letters, which only very long shapes exceed.
    """
    marks = [MARKS[row.is_container, row.is_open] if in_tree else "" for row in rows]
    indents = ["  " * row.depth + mark for row, mark in zip(rows, marks, strict=True)]
    names = [indent + row.label for indent, row in zip(indents, rows, strict=True)]
    shapes = [row.layer.shape_text for row in rows]
    counts = [row.layer.n_params_text for row in rows]
    room = letters - _widest(shapes) - _widest(counts)
    whole = _widest(names) + min(KIND_LETTERS, _widest(row.layer.kind for row in rows))
    gap = "  " if whole + 6 <= room else " "
    room -= 3 * len(gap)
    kind_letters = max(LEAST_KIND_LETTERS, min(KIND_LETTERS, room - _widest(names)))
    name_letters = max(LEAST_NAME_LETTERS, room - kind_letters)
    cells = [
        (
            indent + abbreviate(row.label, max(1, name_letters - len(indent))),
            shorten(row.layer.kind, kind_letters),
            shape,
            count,
        )
        for indent, row, shape, count in zip(indents, rows, shapes, counts, strict=True)
    ]
    return _aligned(cells, (row.layer.name for row in rows), gap)


def abbreviate(name: str, letters: int) -> str:
    """A name that fits. Its words lose their ends, the longest first; its numbers stay whole.

    They are what tells the layers of a large model apart: `conv2_block1_2_relu` in 15 letters
    is `co…2_bl…1_2_re…`. Where even that is too long, the end of the name is what stays.
    """
    parts = re.findall(r"[^\W\d_]+|[\W\d_]+", name)
    lengths = [len(part) if part[0].isalpha() else 0 for part in parts]
    excess = len(name) - letters
    while excess > 0:
        longest = max(lengths)
        if longest <= LEAST_WORD_LETTERS:
            return shorten(name, min(4, letters)) + name[len(name) - max(0, letters - 4) :]
        lengths[lengths.index(longest)] -= 1
        excess -= 1
    return "".join(
        shorten(part, length) if length else part
        for part, length in zip(parts, lengths, strict=True)
    )


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _aligned(cells: Sequence[Sequence[str]], names: Iterable[str], gap: str) -> Lines:
    widths = [_widest(column) for column in zip(*cells, strict=True)]
    lines = (gap.join([*map(str.ljust, row[:3], widths), row[3].rjust(widths[3])]) for row in cells)
    return tuple((line.replace(" ", SPACE), name) for line, name in zip(lines, names, strict=True))


FILTERED = "Matches of the filter are shown, open or not"


class LayerPicker(View):
    """A list of the model's layers; the chosen one is `session.layer`.

    Each line gives name, kind, shape of one sample's output and number of parameters. With
    the list in focus, the arrow keys walk through the layers and all views follow.

    Layers that hold layers, such as a model inside the model, open and close: `opened` names
    those that are open. The selected layer is never hidden: choosing it opens what it lies in,
    and closing what it lies in chooses that.
    """

    watched = ("layer",)
    filter = t.Unicode("", help="only layers whose name or kind holds this text").tag(option=True)
    rows = t.Int(8, min=2, help="lines of the list").tag(option=True)
    letters = t.Int(43, min=30, help="length of a line; 43 fit into 330 pixels").tag(option=True)
    opened = t.Tuple(help="names of the containers whose layers are listed").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title = w.HTML()
        wide = {"width": "auto", "flex": "1 1 0"}
        name = self._control("filter", w.Text(placeholder="filter by name or kind", layout=wide))
        self._fold = button("", self._on_user_fold, "32px")
        self._fold_all = button("", self._on_user_fold_all, "32px")
        self._list = w.Select(options=[], layout={"width": "auto"})
        self._list.add_class("aw-list")
        self._list.observe(self._on_user_layer, names="value")
        self._shown: Lines = ()
        self._open_around_the_chosen(self.opened)
        return self._title, w.HBox([name, self._fold, self._fold_all]), self._list

    def _render(self, selection: Selection) -> None:
        tree, terms = self._tree, self.filter.split()
        rows = tree.rows(self.opened, terms)
        options = layer_lines(rows, self.letters, in_tree=bool(tree.containers))
        with self._list.hold_sync():
            if options != self._shown:
                self._shown = options
                self._list.index = None  # else the first of the new lines is chosen for a moment
                self._list.options = options
            n_lines = len(tree.layers if tree.containers else rows)
            self._list.rows = max(2, min(self.rows, n_lines))
            names = [row.layer.name for row in rows]
            self._list.value = selection.layer if selection.layer in names else None
        n_layers = len(tree.layers)
        if terms or len(rows) == n_layers:
            counts = f"{len(tree.matching(terms))} of {n_layers}"
        else:
            counts = f"{n_layers} in all, {len(rows)} shown"
        self._title.value = title("Layers", counts)
        idle = FILTERED if terms else ""
        containers, container = tree.containers, tree.nearest_container(selection.layer)
        for fold in (self._fold, self._fold_all):
            fold.layout.display = None if containers else "none"
        opening = container is not None and container not in self.opened
        outside = "" if container else "The selected layer is not nested"
        _announce(self._fold, "angle", opening, container, idle or outside)
        _announce(self._fold_all, "angle-double", self.opened != containers, "all", idle)

    @cached_property
    def _tree(self) -> LayerTree:
        return LayerTree(self._session.layers)

    def _open_around_the_chosen(self, opened: tuple[str, ...]) -> None:
        self.opened = (*opened, *self._tree.containers_of(self._session.layer))

    def _on_session(self, change: Any = None) -> None:
        with self._session.lock, self._guard("could not list the layers"):
            before, opened = self._tree, self.opened
            if before.layers != self._session.layers:
                self._tree = LayerTree(self._session.layers)
                opened = self._tree.opened_after(before, opened)
            self._open_around_the_chosen(opened)
        super()._on_session(change)

    def _on_option(self, change: Any) -> None:
        if change.name == "opened":
            with self._guard("could not choose the container"):
                layer = self._session.layer
                shown = self._tree.nearest_shown(layer, self.opened)
                if shown != layer:
                    self._session.select(layer=shown)
        super()._on_option(change)

    def _on_user_layer(self, change: Any) -> None:
        if change.new is not None:
            with self._guard("could not choose the layer"):
                self._session.select(layer=change.new)

    def _on_user_fold(self) -> None:
        with self._guard("could not open or close"):
            container = self._tree.nearest_container(self._session.layer)
            if container in self.opened:
                self.opened = tuple(name for name in self.opened if name != container)
            else:
                self.opened = (*self.opened, container)

    def _on_user_fold_all(self) -> None:
        with self._guard("could not open or close"):
            containers = self._tree.containers
            self.opened = () if self.opened == containers else containers

    @t.default("opened")
    def _opened_at_first(self) -> tuple[str, ...]:
        return self._tree.opened_at_first()

    @t.validate("opened")
    def _known_containers(self, proposal: Any) -> tuple[str, ...]:
        return self._tree.known(proposal.value)


def _announce(fold: w.Button, icon: str, opening: bool, what: str | None, idle: str) -> None:
    """Let a button say what it will do, or why it does nothing."""
    fold.icon = f"{icon}-{'down' if opening else 'up'}"
    fold.disabled = bool(idle)
    fold.tooltip = idle or f"{'Open' if opening else 'Close'} {what}"
