"""Choose the layer that all views of a session show."""

import ipywidgets as w
import traitlets as t

from actwidgets.core.layer_tree import LayerTree, Line
from actwidgets.session import Selection
from actwidgets.views._controls import compact, shorten, shorten_middle
from actwidgets.views.base import View

KIND_LETTERS, LEAST_KIND_LETTERS, LEAST_NAME_LETTERS = 15, 8, 14
OPEN_AT_FIRST = 40  # a model of so many layers is shown whole
SPACE = "\u00a0"  # browsers fold ordinary spaces in a list
MARKS = {True: "▾ ", False: "▸ ", None: "  "}


class LayerPicker(View):
    """A list of the model's layers; the chosen one is `session.layer`.

    Each line gives name, kind, shape of one sample's output and number of parameters. With
    the list in focus, the arrow keys walk through the layers and all views follow. Layers
    inside another layer are indented below it; ▸ opens and ▾ closes it.
    """

    watched = ("layer",)
    filter = t.Unicode("", help="only layers whose name or kind holds this text").tag(option=True)
    rows = t.Int(8, min=2, help="lines of the list").tag(option=True)
    letters = t.Int(50, min=30, help="length of a line").tag(option=True)
    opened = t.Tuple(help="names of the layers whose insides are on show").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title = w.HTML()
        self._filter = self._control(
            "filter",
            w.Text(
                placeholder="filter by name or kind", layout={"flex": "1 1 auto", "width": "auto"}
            ),
        )
        narrow = {"width": "34px", "flex": "none"}
        self._toggle, self._toggle_all = w.Button(layout=narrow), w.Button(layout=narrow)
        self._toggle.on_click(lambda _button: self._on_user_toggle())
        self._toggle_all.on_click(lambda _button: self._on_user_toggle_all())
        self._list = w.Select(options=[], layout={"width": "auto"})
        self._list.add_class("aw-list")
        self._list.observe(self._on_user_layer, names="value")
        self._shown: tuple[tuple[str, str], ...] = ()
        self._tree = LayerTree(())
        above = w.HBox([self._filter, self._toggle, self._toggle_all])
        return self._title, above, self._list

    def _render(self, selection: Selection) -> None:
        if self._tree.layers != self._session.layers:
            is_first = not self._tree.layers
            self._tree = LayerTree(self._session.layers)
            if is_first and not self.opened and len(self._tree.layers) <= OPEN_AT_FIRST:
                self.opened = tuple(sorted(self._tree.containers))
        opened = {*self.opened, *self._tree.around(selection.layer)}
        if len(opened) > len(set(self.opened)):
            self.opened = tuple(sorted(opened))  # repaints
            return
        words = self.filter.lower().split()
        lines = self._tree.lines(opened, words)
        options = _texts(lines, self.letters, in_tree=bool(self._tree.containers))
        if options != self._shown:
            self._shown = options
            self._list.index = None
            self._list.options = options
        self._list.rows = max(2, min(self.rows, len(options)))
        names = [line.layer.name for line in lines]
        self._list.value = selection.layer if selection.layer in names else None
        found, count = self._tree.n_matches(words), len(self._tree.layers)
        self._title.value = f'<div class="aw-title">Layers <span>{found} of {count}</span></div>'
        self._show_buttons(opened, filtered=bool(words))

    def _show_buttons(self, opened: set[str], *, filtered: bool) -> None:
        """Say what the buttons would do; a model without layers in layers has none."""
        target = self._target()
        for button in (self._toggle, self._toggle_all):
            button.layout.display = None if self._tree.containers else "none"
        self._toggle.disabled = filtered or target is None
        self._toggle_all.disabled = filtered
        is_open = target in opened
        self._toggle.icon = "caret-down" if is_open else "caret-right"
        self._toggle.tooltip = f"{'close' if is_open else 'open'} {target or 'a layer'}"
        all_open = self._tree.containers <= opened
        self._toggle_all.icon = "angle-double-up" if all_open else "angle-double-down"
        self._toggle_all.tooltip = "close all" if all_open else "open all"

    def _target(self) -> str | None:
        """What the first button opens or closes: the chosen layer, or the one it lies in."""
        layer = self._session.layer
        around = self._tree.around(layer)
        return layer if layer in self._tree.containers else around[-1] if around else None

    def _on_user_toggle(self) -> None:
        with self._guard("could not open the layer"):
            target = self._target()
            if target is None:
                return
            if target not in self.opened:
                self.opened = (*self.opened, target)
                return
            if self._session.layer != target:  # it lies inside and would be out of sight
                self._session.select(layer=target)
            self.opened = tuple(name for name in self.opened if name != target)

    def _on_user_toggle_all(self) -> None:
        with self._guard("could not open the layers"):
            if not self._tree.containers <= set(self.opened):
                self.opened = tuple(sorted(self._tree.containers))
                return
            around = self._tree.around(self._session.layer)
            if around:
                self._session.select(layer=around[0])
            self.opened = ()

    def _on_user_layer(self, change) -> None:
        if change.new is not None:
            with self._guard("could not choose the layer"):
                self._session.select(layer=change.new)


def _texts(lines: tuple[Line, ...], letters: int, *, in_tree: bool) -> tuple[tuple[str, str], ...]:
    """The list's options: a line of aligned columns, and the name it stands for."""
    cells = [
        (
            " " * line.depth + (MARKS[line.is_open] if in_tree else "") + line.label,
            line.layer.kind,
            line.layer.shape_text,
            compact(line.layer.n_params) if line.layer.n_params else "–",
        )
        for line in lines
    ]
    if not cells:
        return ()
    name, kind, *others = (max(map(len, column)) for column in zip(*cells, strict=True))
    room = letters - sum(others) - 2 * (len(others) + 1)  # two spaces between columns
    kind = min(kind, max(min(KIND_LETTERS, room - name), LEAST_KIND_LETTERS))
    name = min(name, max(room - kind, LEAST_NAME_LETTERS))
    texts = (
        "  ".join(
            [
                shorten_middle(cell[0], name).ljust(name),
                shorten(cell[1], kind).ljust(kind),
                cell[2].ljust(others[0]),
                cell[3].rjust(others[1]),
            ]
        )
        for cell in cells
    )
    return tuple(
        (text.replace(" ", SPACE), line.layer.name) for text, line in zip(texts, lines, strict=True)
    )
