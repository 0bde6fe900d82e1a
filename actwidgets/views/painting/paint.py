"""A widget as a PNG."""

from typing import Any

from actwidgets.errors import DataError
from actwidgets.views.painting.theme import theme_of
from actwidgets.views.painting.widgets import Painting

ROOM_PX = 1600


def paint(widget: Any, scale: float = 1, theme: str = "light", room_px: float = ROOM_PX) -> bytes:
    """Paint a tree of widgets, without a browser.

    Args:
        widget: A view, or any widget: controls and what is hidden are left out.
        scale: Pixels of the picture to a pixel of the screen. Pictures of pixels are painted
            as they are at scale 1 and by nearest neighbour above.
        theme: "light" or "dark".
        room_px: Width that boxes side by side may take before they wrap.

    Returns:
        A PNG; the same bytes for the same state.

    Raises:
        DataError: No such theme, or a scale that is not above 0.
    """
    if not 0 < scale <= 16:
        raise DataError(f"a scale lies above 0 and up to 16; got {scale}")
    return Painting(widget, theme_of(theme), room_px).png(scale)
