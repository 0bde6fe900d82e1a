"""Frames of a film with words below them: one alone, or many beside one another."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from actwidgets.core.pictures.gif import Pixels, on_one_size
from actwidgets.errors import DataError

GAP_PX, WORDS_PX, LETTER_PX = 12, 22, 13
WIDEST = 2400  # pixels that a row takes where no number of columns is given
Rgb = tuple[int, int, int]
WHITE, GREY = (255, 255, 255), (97, 97, 97)
# Paper and ink of captions, by theme.
PAPERS: dict[str, tuple[Rgb, Rgb]] = {
    "light": (WHITE, GREY),
    "dark": ((17, 17, 17), (181, 181, 181)),
}


def captioned(
    frame: Pixels, caption: str, *, scale: float = 1, paper: Rgb = WHITE, ink: Rgb = GREY
) -> Pixels:
    """A frame with words below it; what is too long is cut with ….

    Args:
        frame: `(row, column, 3)` uint8.
        caption: The words.
        scale: Of the words.
        paper: Colour behind them.
        ink: Their own.

    Returns:
        `(row, column, 3)` uint8, higher by the strip with the words.
    """
    height, width = frame.shape[:2]
    words = round(WORDS_PX * scale)
    sheet = Image.new("RGB", (width, height + words), paper)
    sheet.paste(Image.fromarray(np.ascontiguousarray(frame)), (0, 0))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LETTER_PX * scale)
    shown = caption
    while shown and pen.textlength(shown, font) > width:
        shown = shown.removesuffix("…")[:-1].rstrip() + "…" if len(shown) > 1 else ""
    pen.text((width / 2, height + words / 2), shown, ink, font, anchor="mm")
    return np.asarray(sheet)


def frame_sheet(
    frames: Sequence[Pixels],
    captions: Sequence[str],
    *,
    columns: int | None = None,
    scale: float = 1,
    paper: Rgb = WHITE,
    ink: Rgb = GREY,
) -> Pixels:
    """Lay out frames in rows.

    Args:
        frames: `(row, column, 3)` uint8 each; smaller ones are centred on the largest.
        captions: One below each; what is too long is cut with ….
        columns: Frames in a row; where None so many that the sheet is about as high as it is
            wide, as far as they fit 2,400 pixels.
        scale: Of the words and of the room between frames.
        paper: Colour behind everything.
        ink: Colour of the captions.

    Returns:
        `(row, column, 3)` uint8; the pixels of every frame are in it as they are.

    Raises:
        DataError: No frames, or another number of captions.
    """
    if not frames or len(frames) != len(captions):
        raise DataError(
            f"a sheet needs a caption for each frame; got {len(captions)} for {len(frames)}"
        )
    cells = [
        captioned(frame, caption, scale=scale, paper=paper, ink=ink)
        for frame, caption in zip(on_one_size(frames, paper), captions, strict=True)
    ]
    gap = round(GAP_PX * scale)
    across, down = cells[0].shape[1] + gap, cells[0].shape[0] + gap
    if columns is None:
        fits = max(1, (round(WIDEST * max(scale, 1)) - gap) // across)
        columns = min(fits, math.ceil(math.sqrt(len(cells) * down / across)))
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    sheet = np.empty((rows * down + gap, columns * across + gap, 3), np.uint8)
    sheet[:] = paper
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        top, left = gap + row * down, gap + column * across
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet
