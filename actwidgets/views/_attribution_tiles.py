"""Attributions over the pictures that they are about, side by side in one picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as w
import numpy as np

from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.methods import method_named
from actwidgets.core.pictures.attribution_pictures import (
    TileSheet,
    as_planes,
    colour_limits,
    map_on_picture,
    of_one_size,
    overlay,
    tile_sheet,
)
from actwidgets.core.pictures.images import fit, rgba_png
from actwidgets.core.pictures.picture_inputs import GREY
from actwidgets.views import _attribution_words as said
from actwidgets.views._controls import fade, shorten, show
from actwidgets.views._picture import Picture
from actwidgets.views._style import NEUTRAL

LETTER_PX = 5.2  # of the words below a tile


@dataclass(frozen=True)
class Tile:
    """One sample by one method.

    Attributes:
        row: Of the data.
        method: Name of the method.
        attribution: What it found, of this sample and perhaps others.
        place: Of the sample in the attribution.
        input: Name of the input that this is the map of.
        values: That map, of all samples of the attribution, places before channels.
    """

    row: int
    method: str
    attribution: Attribution
    place: int
    input: str = ""
    values: Any = None


@dataclass(frozen=True)
class Look:
    """How tiles are drawn.

    Attributes:
        colouring: "signed" or "absolute".
        opacity: Of the map on its picture.
        shared: Whether one scale of colours holds for all.
        tile_px: Longer side of a tile on the screen.
        width_px: Of all of them.
        score: What the map is a map of, in words.
    """

    colouring: str
    opacity: float
    shared: bool
    tile_px: int
    width_px: int
    score: str = "the score of the class"


class AttributionTiles(w.VBox):
    """A picture of all tiles, words below each, and the legend of the colours.

    Args:
        on_tile: Called with the tile that is clicked.
    """

    def __init__(self, on_tile: Callable[[Tile], None]) -> None:
        self._tell = on_tile
        self._columns = 1
        self.tiles: Sequence[Tile] = ()
        self.picture = Picture(with_words=True)
        self.picture.add_class("aw-labels")
        self.picture.on_click(self._on_user_click)
        self.legend = w.HTML()
        super().__init__(children=(self.picture, self.legend))
        show(self, False)

    def draw(
        self,
        tiles: Sequence[Tile],
        pictures: Sequence[Any] | None,
        picture_shapes: Sequence[tuple[int, ...]],
        words: Sequence[tuple[str, str]],
        look: Look,
        *,
        framed: int | None,
    ) -> None:
        """Paint tiles.

        Args:
            tiles: One or more.
            pictures: `(row, column, 3)` uint8 for each, of the input that it is the map of;
                None where samples are no pictures.
            picture_shapes: Rows and columns of that input, or ().
            words: Two lines for each.
            look: How.
            framed: Place of the tile that is chosen.
        """
        planes, on_picture = [], pictures is not None
        for each, shape in zip(tiles, picture_shapes, strict=True):
            values, fits = map_on_picture(each.values, shape)
            on_picture = on_picture and fits
            channels = method_named(each.method).channels
            one = values[each.place][None]
            planes.append(as_planes(one, shape, look.colouring, channels=channels))
        if not on_picture:
            pictures, planes = None, of_one_size(planes)
        drawn = None if pictures is None else [each[None] for each in pictures]
        sizes = {each.shape for each in planes}
        if len(sizes) == 1 and (drawn is None or len({each.shape for each in drawn}) == 1):
            planes = [np.concatenate(planes)]  # drawn in one go
            drawn = None if drawn is None else [np.concatenate(drawn)]
        limits = np.concatenate([colour_limits(each, shared=look.shared) for each in planes])
        if look.shared and len(planes) > 1:
            limits = np.full_like(limits, limits.max())
        colours, first = [], 0
        for place, each in enumerate(planes):
            part = slice(first, first + len(each))
            first = part.stop
            of_part = None if drawn is None else drawn[place]
            painted = overlay(
                of_part, each, limits[part], colouring=look.colouring, opacity=look.opacity
            )
            colours.append(painted)
        height, width = (max(each.shape[axis] for each in colours) for axis in (1, 2))
        colours = [_in_a_box(each, height, width) for each in colours]
        colours = np.concatenate(colours)
        size = colours.shape[1:3]
        sheet = tile_sheet(len(tiles), *size, tile_px=look.tile_px, width_px=look.width_px)
        self.tiles, self._columns = tuple(tiles), sheet.columns
        height, width = sheet.cell
        self.picture.set_size(*sheet.size_px)
        self.picture.set_cells(
            np.arange(sheet.rows + 1) * height, np.arange(sheet.columns + 1) * width
        )
        self.picture.show(rgba_png(sheet.compose(colours, framed)))
        self._write(words, sheet)
        show(self, True)
        some = any(np.any(each) for each in planes)
        self.legend.value = said.legend(
            look.colouring,
            limits if some else np.zeros_like(limits),
            shared=look.shared,
            score=look.score,
            has_negative=any(method_named(tile.method).signed for tile in tiles),
        )

    def turn(self, *, shown: bool, old: bool) -> None:
        """Show the tiles or fold them away; those that are about something else are faint."""
        show(self, shown)
        fade(self, old)

    def _write(self, words: Sequence[tuple[str, str]], sheet: TileSheet) -> None:
        height, width = sheet.cell
        letters = int(width * sheet.zoom / LETTER_PX)
        places = []
        for place in range(len(words)):
            down, across = divmod(place, sheet.columns)
            x, y = (across + 0.5) * width, down * height + sheet.height + 2 * sheet.gap
            places += [(x, y + 9 / sheet.zoom), (x, y + 23 / sheet.zoom)]
        texts = [shorten(line, letters) for both in words for line in both]
        self.picture.set_words(places, texts, [NEUTRAL] * len(texts))

    def _on_user_click(self, row: int, column: int) -> None:
        place = row * self._columns + column
        if column < self._columns and place < len(self.tiles):
            self._tell(self.tiles[place])


def _in_a_box(tiles: Any, height: int, width: int) -> Any:
    """Tiles of one size, larger ones' if they are smaller, with grey around them."""
    if tiles.shape[1:3] == (height, width):
        return tiles
    boxes = np.stack([fit(each, height, width) for each in tiles])
    return np.where(boxes[..., 3:] > 0, boxes[..., :3], np.uint8(GREY))
