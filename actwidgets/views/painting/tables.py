"""Tables of HTML as blocks."""

from typing import TYPE_CHECKING

from actwidgets.views.painting.block import Block, together
from actwidgets.views.painting.canvas import Canvas
from actwidgets.views.painting.markup import Node
from actwidgets.views.painting.sheets import length, sides

if TYPE_CHECKING:
    from actwidgets.views.painting.prose import Prose

UNBOUNDED = 100_000.0


def table_block(node: Node, room: float, prose: "Prose") -> Block:
    """The rows of a table: columns as wide as they need, narrower ones where there is no room."""
    rows = [row for row in _rows(node) if row.style.get("display") != "none"]
    cells = [[each for each in row.children if isinstance(each, Node)] for row in rows]
    n_columns = max((sum(map(_span, line)) for line in cells), default=0)
    wide = length(node.style.get("width"), room)
    widths = _widths(cells, n_columns, room, wide, prose)
    placed: list[tuple[float, float, Block]] = []
    y = 0.0
    for row, line in zip(rows, cells, strict=True):
        x, column, high = 0.0, 0, 0.0
        shown = []
        for cell in line:
            span = _span(cell)
            width = sum(widths[column : column + span])
            block = prose.block(_of_width(cell, width), width)
            shown.append((x, block, cell.style.get("vertical-align", "middle")))
            high = max(high, block.height)
            x, column = x + width, column + span
        placed.append((0.0, y, _behind_row(row, cells, x, high, prose)))
        for left, block, lies in shown:
            spare = 0.0 if lies == "top" else (high - block.height) / 2
            placed.append((left, y + spare, block))
        y += high
    return together(placed, sum(widths), y)


def _rows(node: Node) -> list[Node]:
    found = []
    for child in node.children:
        if isinstance(child, Node):
            found += [child] if child.tag == "tr" else _rows(child)
    return found


def _span(cell: Node) -> int:
    text = cell.attributes.get("colspan", "1")
    return max(1, int(text)) if text.isdigit() else 1


def _of_width(cell: Node, width: float) -> Node:
    """A cell whose words are aligned within the width of its column."""
    style = cell.style | {"width": f"{width}px"}
    return Node(cell.tag, cell.attributes, cell.children, style)


def _widths(
    cells: list[list[Node]], n_columns: int, room: float, wide: float | None, prose: "Prose"
) -> list[float]:
    """Of the columns."""
    natural, fixed = [0.0] * n_columns, [False] * n_columns
    for line in cells:
        column = 0
        for cell in line:
            if _span(cell) == 1:
                given = length(cell.style.get("width"))
                free = {**cell.style, "text-align": "left"}
                inner = prose.block(Node(cell.tag, {}, cell.children, free), UNBOUNDED)
                padding = sides(cell.style, "padding")
                is_bar = inner.width >= UNBOUNDED / 2
                width = padding[1] + padding[3] if is_bar else inner.width
                if given is not None:
                    width = given + padding[1] + padding[3]
                    fixed[column] = True
                natural[column] = max(natural[column], width)
            column += _span(cell)
    total, target = sum(natural), wide if wide is not None else room
    free = [column for column in range(n_columns) if not fixed[column]]
    if free and (total > target or (wide is not None and total < target)):
        spare = target - total
        weights = {column: max(natural[column], 1.0) for column in free}
        if total > target:  # the widest gives way
            weights = {column: max(natural[column] - 60.0, 0.0) for column in free}
        whole = sum(weights.values()) or 1.0
        for column in free:
            natural[column] = max(natural[column] + spare * weights[column] / whole, 8.0)
    return natural


def _behind_row(
    row: Node, cells: list[list[Node]], width: float, height: float, prose: "Prose"
) -> Block:
    """The background of a row, and the line above it."""
    fill = prose.colour(row.style.get("background"))
    line = next(
        (each.style.get("border-top", "") for each in row.children if isinstance(each, Node)), ""
    )
    parts = line.split(None, 2)
    ink = prose.colour(parts[2]) if len(parts) == 3 else (0, 0, 0, 0)

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.fill(x, y, width, height, fill)
        canvas.fill(x, y, width, 1, ink)

    return Block(width, height, draw)
