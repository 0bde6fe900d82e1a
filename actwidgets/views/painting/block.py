"""A part of a picture that knows how large it is and how it is painted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actwidgets.views.painting.canvas import Canvas


@dataclass(frozen=True)
class Block:
    """Lengths are CSS pixels; `draw` is given where its left upper corner lies."""

    width: float
    height: float
    draw: Callable[[Canvas, float, float], None]


NOTHING = Block(0, 0, lambda _canvas, _x, _y: None)


def together(placed: Sequence[tuple[float, float, Block]], width: float, height: float) -> Block:
    """Blocks at their places, as one."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        for left, top, block in placed:
            block.draw(canvas, x + left, y + top)

    return Block(width, height, draw)


def padded(block: Block, top: float, right: float, bottom: float, left: float) -> Block:
    """A block with room around it."""
    if not (top or right or bottom or left):
        return block
    size = block.width + left + right, block.height + top + bottom
    return together([(left, top, block)], *size)


def below_one_another(blocks: Sequence[Block], gap: float = 0.0) -> Block:
    """Blocks from top to bottom."""
    placed, y = [], 0.0
    for block in blocks:
        placed.append((0.0, y, block))
        y += block.height + gap
    width = max((block.width for block in blocks), default=0.0)
    return together(placed, width, max(0.0, y - gap))


def faint(block: Block, opacity: float) -> Block:
    """A block through which the paper shows."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        block.draw(canvas, x, y)
        canvas.fade(x, y, block.width, block.height, opacity)

    return Block(block.width, block.height, draw)
