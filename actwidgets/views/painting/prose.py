"""Nodes of HTML as blocks: paragraphs, lines of words, swatches of colour, tables."""

import re
from collections.abc import Iterator, Mapping

from actwidgets.views.painting.block import (
    NOTHING,
    Block,
    below_one_another,
    faint,
    padded,
    together,
)
from actwidgets.views.painting.canvas import Canvas
from actwidgets.views.painting.colours import Colour, colour, faded, ramp, resolved
from actwidgets.views.painting.lines import Look, Word, broken, text_width
from actwidgets.views.painting.markup import Node
from actwidgets.views.painting.sheets import Style, length, sides
from actwidgets.views.painting.tables import table_block

BLOCKS = {"div", "p", "table", "ul", "ol", "li", "h1", "h2", "h3", "h4", "pre", "center"}
_STOPS = re.compile(r"rgba?\([^)]*\)|#[0-9a-fA-F]{3,8}|\b[a-z]+\b")
_NOT_STOPS = {"to", "right", "left", "top", "bottom", "deg", "linear", "gradient"}


class Prose:
    """Lays out HTML.

    Args:
        variables: Of the theme: what `var(--name)` stands for.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def block(self, node: Node, room: float) -> Block:
        """A node with its own margin, padding, background and size."""
        style = node.style
        if style.get("display") == "none":
            return NOTHING
        around, within = sides(style, "margin"), sides(style, "padding")
        room = max(room - around[1] - around[3], 1.0)
        given = length(style.get("width"), room)
        inner = max((room if given is None else given) - within[1] - within[3], 1.0)
        inside = self._inside(node, inner)
        high = length(style.get("height"))
        size = (
            max(
                inside.width,
                0.0 if given is None else given - within[1] - within[3],
                length(style.get("min-width")) or 0.0,
            ),
            inside.height if high is None else high,
        )
        inside = padded(together([(0, 0, inside)], *size), *within)
        inside = padded(self._behind(inside, style), *around)
        opacity = length(style.get("opacity"))
        return inside if opacity is None or opacity >= 1 else faint(inside, opacity)

    def _behind(self, block: Block, style: Style) -> Block:
        """A block on its background, with a line at its left where it has one."""
        fill = self.colour(style.get("background"))
        edge = style.get("border-left", "")
        thick = length(edge.split()[0]) if edge else None
        if not fill[3] and not thick:
            return block
        ink = self.colour(" ".join(edge.split()[2:])) if thick else fill
        radius = length((style.get("border-radius") or "0").replace("50%", "99px")) or 0.0

        def draw(canvas: Canvas, x: float, y: float) -> None:
            if radius:
                with canvas.pen(x, y, block.width, block.height) as pen:
                    most = min(block.width, block.height) / 2
                    pen.box(x, y, block.width, block.height, fill, radius=min(radius, most))
            else:
                canvas.fill(x, y, block.width, block.height, fill)
            if thick:
                canvas.fill(x, y, thick, block.height, ink)
            block.draw(canvas, x, y)

        return Block(block.width, block.height, draw)

    def _inside(self, node: Node, room: float) -> Block:
        style = node.style
        if style.get("position") == "relative" and any(map(_is_placed, node.children)):
            return self._placed(node, room)
        if node.tag == "table":
            return table_block(node, room, self)
        blocks: list[Block] = []
        run: list[Node | str] = []
        for child in [*node.children, None]:
            if child is not None and not _is_block(child):
                run.append(child)
                continue
            words = list(self._words(run, node, room))
            if words:
                blocks.append(broken(words, room, style.get("text-align", "left")))
            run = []
            if isinstance(child, Node):
                blocks.append(self.block(child, room))
        return below_one_another(blocks)

    def _placed(self, node: Node, room: float) -> Block:
        """Children that each say where they lie."""
        placed = []
        for child in node.children:
            if isinstance(child, Node):
                left = length(child.style.get("left"), room) or 0.0
                top = length(child.style.get("top"), room) or 0.0
                placed.append((left, top, self.block(child, room)))
        width = max((left + block.width for left, _, block in placed), default=0.0)
        return together(placed, width, max((top + b.height for _, top, b in placed), default=0))

    def look(self, style: Style) -> Look:
        """How words of a style are written."""
        size = length(style.get("font-size")) or 12.0
        high = style.get("line-height", "")
        factor = float(high) if re.fullmatch(r"[\d.]+", high) else None
        line = size * factor if factor else length(high) or round(size * 1.5)
        weight = style.get("font-weight", "400")
        return Look(
            size,
            line,
            self.colour(style.get("color")),
            weight in ("bold", "bolder") or (weight.isdigit() and int(weight) >= 600),
            "monospace" in style.get("font-family", ""),
            self.colour(style.get("background")),
        )

    def colour(self, text: str | None) -> Colour:
        """A colour, where it is one alone."""
        return colour(resolved(text or "", self._variables))

    def _words(self, run: list[Node | str], parent: Node, room: float) -> Iterator[Word]:
        """Words of a run of inline nodes, spaces between them counted once."""
        space = 0.0
        for word in self._spaced(run, parent.style, room, parent.style.get("gap", "")):
            if word.text == " ":
                space = max(space, word.before)
            elif word.text or word.block or word.breaks:
                before = word.before + space
                yield Word(word.text, word.look, before, word.block, word.breaks)
                space = 0.0

    def _spaced(
        self, run: list[Node | str], style: Style, room: float, gap: str = ""
    ) -> Iterator[Word]:
        beside = length(gap.split()[-1]) or 0.0 if gap else 0.0
        look = self.look(style | {"background": ""})
        for child in run:
            if isinstance(child, str):
                yield from _split(child, self.look(style | {"background": ""}), style)
                continue
            shown = child.style.get("display")
            if shown == "none" or child.tag == "img":
                continue
            if child.tag == "br":
                yield Word("", look, breaks=True)
                continue
            if child.style.get("opacity"):
                yield from self._fainter(child, room)
                continue
            margin = sides(child.style, "margin")
            sized = length(child.style.get("width"), room) is not None
            if shown == "inline-block" or sized:
                yield Word("", look, margin[3], self._swatch(child, room))
                after = margin[1]
            else:
                words = list(self._spaced(child.children, child.style, room))
                for place, word in enumerate(words):
                    extra = margin[3] if place == 0 else 0.0
                    yield Word(word.text, word.look, word.before + extra, word.block, word.breaks)
                after = margin[1]
            if after + beside:
                yield Word(" ", look, after + beside)

    def _fainter(self, node: Node, room: float) -> Iterator[Word]:
        opacity = length(node.style["opacity"])
        style = {name: value for name, value in node.style.items() if name != "opacity"}
        inner = Node(node.tag, node.attributes, node.children, style)
        for word in self._spaced([inner], style, room):
            look = word.look
            dim = faded(look.colour, 1.0 if opacity is None else opacity)
            shown = Look(look.size, look.line_height, dim, look.bold, look.fixed)
            yield Word(word.text, shown, word.before, word.block, word.breaks)

    def _swatch(self, node: Node, room: float) -> Block:
        """A piece of colour between words, or words in a frame of their own."""
        style = node.style
        width, height = length(style.get("width"), room), length(style.get("height"))
        background = resolved(style.get("background", ""), self._variables)
        if width is None or height is None or node.text().strip():
            return self.block(node, room)
        if "gradient" not in background:
            inner = {**style, "margin": "0", "margin-right": "0", "margin-left": "0"}
            return self._behind(Block(width, height, NOTHING.draw), inner)
        inside = background.partition("(")[2]
        found = [each for each in _STOPS.findall(inside) if each not in _NOT_STOPS]
        return gradient([colour(each) for each in found], width, height)


def gradient(stops: list[Colour], width: float, height: float) -> Block:
    """Colours from left to right."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        count = max(2, round(width * canvas.scale))
        for place in range(count):
            left = x + place * width / count
            canvas.fill(left, y, width / count, height, ramp(stops, place / (count - 1)))

    return Block(width, height, draw if stops else NOTHING.draw)


def _split(text: str, look: Look, style: Style) -> Iterator[Word]:
    space = text_width(" ", look)
    if style.get("white-space") in ("nowrap", "pre"):
        if text.startswith(" "):
            yield Word(" ", look, space)
        if text.strip(" "):
            yield Word(text.strip(" "), look)
        if text.endswith(" ") and text.strip(" "):
            yield Word(" ", look, space)
        return
    for place, part in enumerate(text.split(" ")):
        if place:
            yield Word(" ", look, space)
        if part:
            yield Word(part, look)


def _is_block(child: Node | str) -> bool:
    if isinstance(child, str):
        return False
    shown = child.style.get("display", "")
    return shown in ("block", "flex") or (child.tag in BLOCKS and not shown.startswith("inline"))


def _is_placed(child: Node | str) -> bool:
    return isinstance(child, Node) and child.style.get("position") == "absolute"
