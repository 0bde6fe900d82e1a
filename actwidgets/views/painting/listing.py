"""Lists to choose from, as their lines: they tell what is there, and what is chosen."""

from typing import Any

from actwidgets.core.pictures.lettering.letters import Hand, width_of
from actwidgets.views.painting.block import NOTHING, Block
from actwidgets.views.painting.canvas import Canvas, middle_line
from actwidgets.views.painting.colours import colour
from actwidgets.views.painting.sheets import length

FONT_PX, LINE_PX, PADDING_PX = 11, 16, 4
CHOSEN = "rgba(63, 167, 160, .3)"


def list_block(widget: Any, room: float) -> Block:
    """The lines that such a list shows at a time, around the one that is chosen."""
    texts = [str(each).replace("\xa0", " ") for each in widget._options_labels]
    count = min(widget.rows, len(texts))
    index = widget.index if isinstance(widget.index, int) else None
    first = 0 if index is None else max(0, min(index - count + 1, len(texts) - count))
    shown = texts[first : first + count]
    hand = Hand(FONT_PX, fixed=True)
    wanted = max((width_of(text, hand) for text in shown), default=0.0) + 2 * PADDING_PX + 2
    width = min(length(widget.layout.width, room) or wanted, room)
    height = len(shown) * LINE_PX + 2 * PADDING_PX

    def draw(canvas: Canvas, x: float, y: float) -> None:
        with canvas.pen(x, y, width, height) as pen:
            edge = colour(canvas.theme.rule)
            pen.box(x + 0.5, y + 0.5, width - 1, height - 1, (0, 0, 0, 0), edge, 1)
        ink = colour(canvas.theme.ink)
        for place, text in enumerate(shown):
            top = y + PADDING_PX + place * LINE_PX
            if index == first + place:
                canvas.fill(x + 1, top, width - 2, LINE_PX, colour(CHOSEN))
            line = middle_line(top + LINE_PX / 2, FONT_PX, canvas.scale)
            space = width - 2 * PADDING_PX
            canvas.words(x + PADDING_PX, line, text, FONT_PX, ink, fixed=True, room=space)

    return Block(width, height, draw) if shown else NOTHING
