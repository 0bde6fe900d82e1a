"""Class probabilities as a coloured table: which columns it has, and where its words go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.core.pictures.colormaps import GAP, TOP

LINE_PX = 20  # of a sample
HEAD_PX = 40  # of the names above
CLASSES_UP_TO = 12
CLASS_AT_LEAST_PX = 26  # two digits and a point


@dataclass(frozen=True)
class ProbabilitySheet:
    """A line per sample; in it a cell per class, between words to both sides.

    Attributes:
        n_lines: Samples.
        n_classes: Classes that have a column.
        left_px: Room for what the sample is.
        class_px: Width of a class's cell.
        right_px: Room for confidence, margin and loss; 0 for none.
    """

    n_lines: int
    n_classes: int
    left_px: int = 168
    class_px: int = 34
    right_px: int = 144

    @property
    def width_px(self) -> int:
        """Width of the whole sheet."""
        return self.left_px + self.n_classes * self.class_px + self.right_px

    @property
    def height_px(self) -> int:
        """Height of the whole sheet."""
        return HEAD_PX + self.n_lines * LINE_PX

    @property
    def row_edges(self) -> NDArray[np.float64]:
        """Where the head and each line begin, and the last one ends."""
        return np.concatenate([[0.0], HEAD_PX + LINE_PX * np.arange(self.n_lines + 1.0)])

    @property
    def column_edges(self) -> NDArray[np.float64]:
        """Where the words to the left, each class, and the words to the right begin and end."""
        classes = self.left_px + self.class_px * np.arange(self.n_classes + 1.0)
        end = [classes[-1] + self.right_px] if self.right_px else []
        return np.concatenate([[0.0], classes, end])

    def middle(self, line: int) -> float:
        """Half the height of a line."""
        return HEAD_PX + (line + 0.5) * LINE_PX

    def class_middle(self, place: int) -> float:
        """Half the width of a class's cells."""
        return self.left_px + (place + 0.5) * self.class_px

    def codes(self, shares: Doubles) -> NDArray[np.uint8]:
        """The cells as colours of a palette.

        Args:
            shares: `(line, class)` in 0..1; NaN leaves a cell empty.

        Returns:
            `(height_px, width_px)` uint8, transparent around the cells.
        """
        sheet = np.full((self.height_px, self.width_px), GAP, np.uint8)
        known = np.clip(np.nan_to_num(shares), 0, 1)
        cells = np.where(np.isnan(shares), GAP, np.rint(known * TOP)).astype(np.uint8)
        block = cells.repeat(LINE_PX, axis=0).repeat(self.class_px, axis=1)
        block[LINE_PX - 1 :: LINE_PX] = GAP
        block[:, self.class_px - 1 :: self.class_px] = GAP
        sheet[HEAD_PX:, self.left_px : self.left_px + block.shape[1]] = block
        return sheet


def sheet_within(width_px: int, n_lines: int, n_classes: int) -> ProbabilitySheet:
    """A sheet of at most a width: with narrower cells, then without the words to the right.

    Args:
        width_px: The width; where narrow cells of so many classes do not fit, it is exceeded.
        n_lines: Samples.
        n_classes: Classes that have a column; `classes_within` says how many fit.
    """
    whole = ProbabilitySheet(n_lines, n_classes)
    for right_px in (whole.right_px, 0):
        cell_px = (width_px - whole.left_px - right_px) // max(n_classes, 1)
        if cell_px >= CLASS_AT_LEAST_PX or not right_px:
            break
    cell_px = min(max(cell_px, CLASS_AT_LEAST_PX), whole.class_px)
    return ProbabilitySheet(n_lines, n_classes, class_px=cell_px, right_px=right_px)


def classes_within(width_px: int, n_classes: int) -> int:
    """How many of the classes may have a column in a sheet of this width; one in any case.

    All of them, if need be without the words to the right; where some have to go in any case,
    as many as leave these words their room, unless that were few.
    """
    empty = ProbabilitySheet(0, 0)
    fitting = min((width_px - empty.left_px) // CLASS_AT_LEAST_PX, CLASSES_UP_TO)
    if n_classes <= fitting:
        return max(n_classes, 1)
    beside = (width_px - empty.left_px - empty.right_px) // CLASS_AT_LEAST_PX
    beside = min(beside, CLASSES_UP_TO)
    return max(beside if 2 * beside >= fitting else fitting, 1)


def shown_classes(values: Doubles, limit: int = CLASSES_UP_TO) -> Integers:
    """The classes that have a column: all of them, or those that hold most in these samples.

    Args:
        values: `(sample, class)`, scores below 0 included; NaN counts as nothing.
        limit: How many columns at most.

    Returns:
        `(class,)` int64, ascending.
    """
    n_classes = values.shape[1]
    if n_classes <= limit:
        return np.arange(n_classes)
    held = np.nan_to_num(values, nan=-np.inf).max(axis=0, initial=-np.inf)
    return np.sort(np.argsort(-held, kind="stable")[:limit])
