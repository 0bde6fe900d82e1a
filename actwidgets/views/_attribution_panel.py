"""What may be unfolded below an attribution: each panel is about the sample in focus."""

from dataclasses import dataclass
from typing import Any

import ipywidgets as w

from actwidgets.views._attribution_tiles import Look


@dataclass(frozen=True)
class Subject:
    """The map that a panel is about.

    Attributes:
        row: The sample.
        method: Name of the method.
        settings: Of the method.
        target: Class asked about, or None for the predicted one.
        output: What its score is.
        layer: Of class activation maps, or None.
        pictures: `(1, row, column, 3)` uint8 of the sample, or None where it is no picture.
        picture_shape: Rows and columns of the sample, or ().
        input: Name of the input that these are of.
        look: How maps are drawn.
        place: Who asks, for the session.
    """

    row: int
    method: str
    settings: dict[str, Any]
    target: Any
    output: str
    layer: str | None
    pictures: Any
    picture_shape: tuple[int, ...]
    input: str
    look: Look
    place: str

    @property
    def rows(self) -> tuple[int, ...]:
        """The one row, as the session asks for them."""
        return (self.row,)


class AttributionPanel(w.VBox):
    """A panel, made when it is first unfolded."""

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        raise NotImplementedError
