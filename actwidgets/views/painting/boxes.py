"""Boxes of widgets: rows, columns, grids and pages, as a browser would lay them out."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from actwidgets.views.painting.block import Block, together
from actwidgets.views.painting.sheets import length

Arrange = Callable[[Any, float], Block | None]
TEXT_PX = 440  # how wide a column of words alone may grow
_REPEAT = re.compile(r"repeat\(\s*(\d+)\s*,")


def is_hidden(widget: Any) -> bool:
    """Whether a widget is not on show: taken away, or folded to nothing."""
    layout = getattr(widget, "layout", None)
    if layout is None:
        return True
    if layout.display == "none" or layout.visibility == "hidden":
        return True
    return "0px" in (layout.width, layout.height, layout.max_height)


def _unfolded(box: Any) -> Sequence[Any]:
    """The children of a box; of a view that has nothing to show, what says why."""
    if "aw-unrecorded" not in box._dom_classes:
        return box.children
    return [child for child in box.children if "aw-banner" in child._dom_classes]


def is_row(box: Any) -> bool:
    """Whether the children of a box lie beside one another."""
    flow = box.layout.flex_flow or ""
    if "column" in flow:
        return False
    return "row" in flow or not isinstance(box, w.VBox | w.Tab)


def column_block(box: Any, room: float, arrange: Arrange, is_text: Callable[[Any], bool]) -> Block:
    """Children below one another. Words are as wide as the pictures beside them, or wider."""
    children = [child for child in _unfolded(box) if not is_hidden(child)]
    wide = length(box.layout.width) or 0.0
    blocks: dict[int, Block | None] = {}
    for place, child in enumerate(children):
        if not is_text(child):
            blocks[place] = arrange(child, room)
    pictures = max((block.width for block in blocks.values() if block), default=0.0)
    text_room = min(room, wide or max(pictures, TEXT_PX))
    for place, child in enumerate(children):
        if is_text(child):
            blocks[place] = arrange(child, text_room)
    gap = length((box.layout.grid_gap or "").split(" ")[0]) or 0.0
    centred = box.layout.align_items == "center"
    shown = [block for _, block in sorted(blocks.items()) if block and block.height]
    width = max((block.width for block in shown), default=0.0)
    placed, y = [], 0.0
    for block in shown:
        placed.append(((width - block.width) / 2 if centred else 0.0, y, block))
        y += block.height + gap
    return together(placed, max(width, wide if shown else 0), max(0.0, y - gap))


def row_block(box: Any, room: float, arrange: Arrange) -> Block:
    """Children beside one another, in several lines where they wrap and there is no room."""
    children = [child for child in box.children if not is_hidden(child)]
    gaps = [length(part) or 0.0 for part in (box.layout.grid_gap or "").split()] or [0.0]
    wraps = "wrap" in (box.layout.flex_flow or "") and "nowrap" not in (box.layout.flex_flow or "")
    lines: list[list[Block]] = [[]]
    left = room
    for place, child in enumerate(children):
        basis = _basis(child, room)
        rest = sum(_basis(each, room) or 0.0 for each in children[place + 1 :])
        if wraps:
            if lines[-1] and basis is not None and basis > left + 0.5:
                lines, left = [*lines, []], room
            block = arrange(child, left if basis is None else basis + _grown(child, children, room))
            if block and lines[-1] and block.width > left + 0.5:
                lines, left = [*lines, []], room
                block = arrange(child, room)
        else:
            block = arrange(child, max(left - rest, 60.0))
        if block and block.height:
            lines[-1].append(block)
            left -= max(block.width, basis or 0.0 if _is_fixed(child) else 0.0) + gaps[-1]
    return _rows([line for line in lines if line], gaps, box.layout.align_items)


def grid_block(box: Any, room: float, arrange: Arrange) -> Block:
    """Children in as many columns as the box says."""
    columns = box.layout.grid_template_columns or ""
    found = _REPEAT.search(columns)
    count = int(found[1]) if found else max(1, len(columns.split()))
    gaps = [length(part) or 0.0 for part in (box.layout.grid_gap or "").split()] or [0.0]
    shown = [child for child in box.children if not is_hidden(child)]
    made = (arrange(child, room / count) for child in shown)
    blocks = [block for block in made if block and block.height]
    lines = [blocks[start : start + count] for start in range(0, len(blocks), count)]
    return _rows(lines, gaps, box.layout.align_items)


def _rows(lines: Sequence[Sequence[Block]], gaps: Sequence[float], align: str | None) -> Block:
    placed, y, width = [], 0.0, 0.0
    for line in lines:
        x, high = 0.0, max(block.height for block in line)
        for block in line:
            share = {"center": 0.5, "flex-end": 1.0, "end": 1.0}.get(align or "", 0.0)
            placed.append((x, y + share * (high - block.height), block))
            x += block.width + gaps[-1]
        width, y = max(width, x - gaps[-1]), y + high + gaps[0]
    return together(placed, width, max(0.0, y - gaps[0]))


def _basis(child: Any, room: float) -> float | None:
    """The width that a child asks for."""
    layout = child.layout
    flex = (layout.flex or "").split()
    if len(flex) == 3 and length(flex[2], room) is not None:
        return length(flex[2], room)
    return length(layout.width) or length(layout.min_width)


def _grown(child: Any, children: Sequence[Any], room: float) -> float:
    """What a child gets of the room that all of them leave, by its share in growing."""
    own = _growth(child)
    spare = room - sum(_basis(each, room) or 0.0 for each in children)
    return max(spare, 0.0) * own / sum(map(_growth, children)) if own else 0.0


def _growth(child: Any) -> float:
    return length((child.layout.flex or "0").split()[0]) or 0.0


def _is_fixed(child: Any) -> bool:
    return length(child.layout.width) is not None
