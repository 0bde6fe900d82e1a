"""Choose the layer that all views of a session show."""

import ipywidgets as w
import traitlets as t

from actwidgets.core.layer_info import LayerInfo
from actwidgets.session import Selection
from actwidgets.views._controls import shorten
from actwidgets.views.base import View

KIND_LETTERS = 15
SPACE = "\u00a0"  # browsers fold ordinary spaces in a list


class LayerPicker(View):
    """A list of the model's layers; the chosen one is `session.layer`.

    Each line gives name, kind, shape of one sample's output and number of parameters. With
    the list in focus, the arrow keys walk through the layers and all views follow.
    """

    watched = ("layer",)
    filter = t.Unicode("", help="only layers whose name or kind holds this text").tag(option=True)
    rows = t.Int(8, min=2, help="lines of the list").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title = w.HTML()
        self._filter = self._control(
            "filter",
            w.Text(placeholder="filter by name or kind", layout={"width": "auto"}),
        )
        self._list = w.Select(options=[], layout={"width": "auto"})
        self._list.add_class("aw-list")
        self._list.observe(self._on_user_layer, names="value")
        self._shown: tuple[tuple[str, str], ...] = ()
        return self._title, self._filter, self._list

    def _render(self, selection: Selection) -> None:
        layers = self._session.layers
        words = self.filter.lower().split()
        found = [
            layer
            for layer in layers
            if all(word in f"{layer.name} {layer.kind}".lower() for word in words)
        ]
        options = _lines(found)
        if options != self._shown:
            self._shown = options
            self._list.index = None
            self._list.options = options
        self._list.rows = max(2, min(self.rows, len(options)))
        names = [layer.name for layer in found]
        self._list.value = selection.layer if selection.layer in names else None
        self._title.value = (
            f'<div class="aw-title">Layers <span>{len(found)} of {len(layers)}</span></div>'
        )

    def _on_user_layer(self, change) -> None:
        if change.new is not None:
            with self._guard("could not choose the layer"):
                self._session.select(layer=change.new)


def _lines(layers: list[LayerInfo]) -> tuple[tuple[str, str], ...]:
    """The list's options: a line of aligned columns, and the name it stands for."""
    cells = [
        (
            layer.name,
            shorten(layer.kind, KIND_LETTERS),
            layer.shape_text,
            f"{layer.n_params:,}" if layer.n_params else "–",
        )
        for layer in layers
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if place == 3 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return tuple(
        (line.replace(" ", SPACE), layer.name) for line, layer in zip(lines, layers, strict=True)
    )
