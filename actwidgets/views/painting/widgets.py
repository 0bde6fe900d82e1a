"""From a tree of widgets to one block."""

import html
import io
from typing import Any

import bqplot as bq
import ipywidgets as w
from ipywidgets.widgets.widget_description import DescriptionWidget
from PIL import Image

from actwidgets.views._point_cloud import PointCloud
from actwidgets.views.painting.block import NOTHING, Block, below_one_another, faint, padded
from actwidgets.views.painting.boxes import (
    column_block,
    grid_block,
    is_row,
    row_block,
)
from actwidgets.views.painting.canvas import Canvas
from actwidgets.views.painting.clouds import cloud_block
from actwidgets.views.painting.figures import figure_block, tell_unknown
from actwidgets.views.painting.listing import list_block
from actwidgets.views.painting.markup import tree
from actwidgets.views.painting.prose import Prose
from actwidgets.views.painting.sheets import Element, Sheet, length, sheets_in, sides
from actwidgets.views.painting.theme import Theme

MARGIN_PX = 2  # around every widget that is no box
EDGE_PX = 6  # of paper around all
TEXTS = (w.HTML, w.HTMLMath, w.Label)
PAGES = (w.Tab, w.Accordion, w.Stack)


class Painting:
    """A widget laid out, ready to be painted.

    Args:
        widget: The root of the tree.
        theme: Its colours.
        room: Width in CSS pixels that it may take.
    """

    def __init__(self, widget: Any, theme: Theme, room: float) -> None:
        self._theme = theme
        self._sheet = Sheet(_sheets(widget))
        self._prose = Prose(theme.variables)
        self._path: list[Element] = []
        self._fixed_ink = {"color": theme.ink, "font-size": "12px", "line-height": "18px"}
        block = self._arrange(widget, room) or NOTHING
        self.block = padded(block, EDGE_PX, EDGE_PX, EDGE_PX, EDGE_PX)

    def png(self, scale: float) -> bytes:
        """Paint it."""
        canvas = Canvas(self.block.width, self.block.height, scale, self._theme)
        self.block.draw(canvas, 0, 0)
        return canvas.png()

    def _arrange(self, widget: Any, room: float) -> Block | None:
        """A widget as a block; None where there is nothing to paint."""
        classes = frozenset(getattr(widget, "_dom_classes", ()))
        self._path.append(Element("div", classes | {"jupyter-widgets"}))
        try:
            block = self._shown(widget, room)
        finally:
            self._path.pop()
        if block is None or not (block.width and block.height):
            return None
        if "aw-old" in classes:
            block = faint(block, 0.35)
        return padded(block, *_around(widget))

    def _shown(self, widget: Any, room: float) -> Block | None:
        if isinstance(widget, bq.Figure):
            return figure_block(widget, room)
        if isinstance(widget, PointCloud):
            return cloud_block(widget)
        if isinstance(widget, TEXTS):
            return self._text(widget, room)
        if isinstance(widget, w.Image):
            return _picture(widget)
        if isinstance(widget, w.Select):
            return list_block(widget, room)
        if isinstance(widget, w.Box):
            return self._box(widget, room)
        is_control = isinstance(widget, DescriptionWidget | w.Button)
        if not is_control and not type(widget).__module__.startswith("ipywidgets."):
            tell_unknown(widget)
        return None

    def _box(self, box: Any, room: float) -> Block:
        within = self._padding(box)
        given = length(box.layout.width, room)
        most = length(box.layout.max_width, room)
        inner = min(room if given is None else given, room if most is None else most)
        inner = max(inner - within[1] - within[3], 1.0)
        if isinstance(box, PAGES):
            block = self._page(box, inner)
        elif isinstance(box, w.GridBox):
            block = grid_block(box, inner, self._arrange)
        elif is_row(box):
            block = row_block(box, inner, self._arrange)
        else:
            block = column_block(box, inner, self._arrange, _is_text)
        return padded(block, *within) if block.height else block

    def _padding(self, box: Any) -> tuple[float, float, float, float]:
        if box.layout.padding:
            return sides({"padding": box.layout.padding}, "padding")
        return sides(self._sheet.style_of(self._path, {}), "padding")

    def _page(self, box: Any, room: float) -> Block:
        """The page that is open, with its title above it."""
        index = box.selected_index
        if index is None or not 0 <= index < len(box.children):
            return NOTHING
        title = (box.titles[index] if index < len(box.titles) else "") or ""
        blocks = [self._html(f'<div class="aw-title aw-model">{html.escape(title)}</div>', room)]
        page = self._arrange(box.children[index], room)
        return below_one_another([each for each in (*blocks, page) if each], 4)

    def _text(self, widget: Any, room: float) -> Block | None:
        value = str(widget.value)
        if isinstance(widget, w.Label):
            value = html.escape(value)
        room = min(room - 2 * MARGIN_PX, length(widget.layout.width, room) or room)
        return self._html(value, room)

    def _html(self, value: str, room: float) -> Block | None:
        self._path.append(Element("div", frozenset({"widget-html-content"})))
        style = self._sheet.style_of(self._path, self._fixed_ink)
        node = tree(value, self._sheet, self._path, self._fixed_ink | style)
        self._path.pop()
        if not node.text().strip() and "background" not in value:
            return None  # the place of words to come, or a style sheet alone
        return self._prose.block(node, room)


def _picture(widget: Any) -> Block | None:
    """An `Image` widget."""
    if not widget.value:
        return None
    image = Image.open(io.BytesIO(bytes(widget.value)))
    width = length(str(widget.width)) or length(widget.layout.width)
    height = length(str(widget.height)) or length(widget.layout.height)
    if width is None and height is None:
        width, height = image.size
    width = width or height * image.width / image.height
    height = height or width * image.height / image.width

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.paste(image, x, y, width, height)

    return Block(width, height, draw)


def _around(widget: Any) -> tuple[float, float, float, float]:
    """The margin of a widget."""
    if widget.layout.margin:
        return sides({"margin": widget.layout.margin}, "margin")
    spare = 0.0 if isinstance(widget, w.Box) else float(MARGIN_PX)
    return spare, spare, spare, spare


def _is_text(widget: Any) -> bool:
    """Whether a widget takes the width that it is given, as words do."""
    if isinstance(widget, TEXTS):
        return True
    children = getattr(widget, "children", ())
    return isinstance(widget, w.Box) and bool(children) and all(map(_is_text, children))


def _sheets(widget: Any) -> str:
    """The style sheets of all views in a tree: they hold on the whole page."""
    if isinstance(widget, w.HTML):
        return sheets_in(widget.value)
    found = dict.fromkeys(map(_sheets, getattr(widget, "children", ())))
    return "\n".join(text for text in found if text)
