"""The lines of the list of layers: aligned columns of plain text."""

import re
from collections.abc import Iterable, Sequence

from actwidgets.core.layer_tree import Row
from actwidgets.views._controls import shorten

SPACE = "\u00a0"  # browsers fold ordinary spaces in a list
KIND_LETTERS, LEAST_KIND_LETTERS = 15, 6
LEAST_NAME_LETTERS, LEAST_WORD_LETTERS = 10, 3
MARKS = {(True, True): "▾ ", (True, False): "▸ ", (False, False): "  "}

Lines = tuple[tuple[str, str], ...]


def layer_lines(rows: Sequence[Row], letters: int, *, in_tree: bool) -> Lines:
    """A line of columns for each layer, and the name it stands for.

    Names are indented as the tree is deep; names and kinds are shortened to fit.

    Args:
        rows: The rows on show.
        letters: How long a line may be; only very long shapes make it longer.
        in_tree: Whether there is anything to open and close.
    """
    indents = [
        "  " * row.depth + (MARKS[row.is_container, row.is_open] if in_tree else "") for row in rows
    ]
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
    lines = (
        gap.join(
            cell.rjust(width) if place == 3 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return tuple((line.replace(" ", SPACE), name) for line, name in zip(lines, names, strict=True))
