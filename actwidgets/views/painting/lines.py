"""Words of different looks, broken into lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from actwidgets.core.pictures.lettering.letters import Hand, cut, width_of
from actwidgets.views.painting.block import Block
from actwidgets.views.painting.canvas import Canvas, middle_line
from actwidgets.views.painting.colours import Colour


@dataclass(frozen=True)
class Look:
    """How words are written: CSS pixels, and a colour."""

    size: float
    line_height: float
    colour: Colour
    bold: bool = False
    fixed: bool = False
    background: Colour = (0, 0, 0, 0)


@dataclass(frozen=True)
class Word:
    """Letters that stay together, or a block between words; `before` is the space in front."""

    text: str
    look: Look
    before: float = 0.0
    block: Block | None = None
    breaks: bool = False  # whether a line begins here

    @property
    def width(self) -> float:
        """Without the space in front."""
        return self.block.width if self.block else text_width(self.text, self.look)

    @property
    def height(self) -> float:
        """Of the line that it asks for."""
        return max(self.look.line_height, self.block.height if self.block else 0.0)


def text_width(text: str, look: Look) -> float:
    """How wide words are, in CSS pixels, whatever the scale."""
    return width_of(text, Hand(look.size, look.bold, look.fixed))


def broken(words: Sequence[Word], room: float, align: str = "left") -> Block:
    """Words as lines that fit a width; a word that is longer than it is cut with ….

    Args:
        words: In their order.
        room: Width of the lines.
        align: "left", "center" or "right", within `room` where it is not left.
    """
    lines: list[list[tuple[float, Word]]] = []
    x = 0.0
    for word in words:
        before = word.before if x else 0.0
        if not lines or word.breaks or (x and x + before + word.width > room + 0.5):
            lines.append([])
            x, before = 0.0, 0.0
        if word.width > room + 0.5 and not word.block:
            word = _cut(word, room)
        x += before
        if not _continues(lines[-1], word, x):
            lines[-1].append((x, word))
        x += word.width
    widths = [max((left + word.width for left, word in line), default=0.0) for line in lines]
    heights = [max((word.height for _, word in line), default=0.0) for line in lines]
    width = max(widths, default=0.0)
    shift = {"right": 1.0, "center": 0.5, "end": 1.0}.get(align, 0.0)
    if shift:
        width = room

    def draw(canvas: Canvas, left: float, top: float) -> None:
        for line, wide, high in zip(lines, widths, heights, strict=True):
            start = left + shift * (width - wide)
            for x, word in line:
                _write(canvas, word, start + x, top + high / 2)
            top += high

    return Block(width, sum(heights), draw)


def _continues(line: list[tuple[float, Word]], word: Word, x: float) -> bool:
    """Join a word to the one before where they look alike: then no space is rounded."""
    if not line or word.block or line[-1][1].block or line[-1][1].look != word.look:
        return False
    start, last = line[-1]
    joined = f"{last.text} {word.text}"
    if abs(start + text_width(joined, word.look) - (x + word.width)) > 1.0:
        return False
    line[-1] = start, Word(joined, word.look, last.before, None, last.breaks)
    return True


def _write(canvas: Canvas, word: Word, x: float, middle: float) -> None:
    look = word.look
    if word.block:
        word.block.draw(canvas, x, middle - word.block.height / 2)
        return
    canvas.fill(x, middle - look.line_height / 2, word.width, look.line_height, look.background)
    line = middle_line(middle, look.size, canvas.scale)
    canvas.words(x, line, word.text, look.size, look.colour, bold=look.bold, fixed=look.fixed)


def _cut(word: Word, room: float) -> Word:
    look = word.look
    text = cut(word.text, Hand(look.size, look.bold, look.fixed), room)
    return Word(text, look, word.before, None, word.breaks)
