"""The sheet that is painted on. Places and lengths are CSS pixels, whatever its scale."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from PIL import Image, ImageDraw

from actwidgets.core.pictures.lettering.letters import Hand, ascent, capital, cut, mask_of, width_of
from actwidgets.views.painting.colours import Colour, colour, faded
from actwidgets.views.painting.theme import Theme

Place = tuple[float, float]
ANCHORS = {"start": 0.0, "middle": 0.5, "end": 1.0}


class Canvas:
    """A sheet of paper.

    Args:
        width: In CSS pixels.
        height: In CSS pixels.
        scale: Pixels of the picture to a CSS pixel.
        theme: Its colours.
    """

    def __init__(self, width: float, height: float, scale: float, theme: Theme) -> None:
        self.scale, self.theme = scale, theme
        size = (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))
        self.image = Image.new("RGB", size, theme.paper)

    def png(self) -> bytes:
        """The sheet as a file."""
        file = io.BytesIO()
        self.image.save(file, "png", compress_level=6)
        return file.getvalue()

    def paste(self, picture: Image.Image, x: float, y: float, width: float, height: float) -> None:
        """Lay a picture on the sheet: enlarged pixel by pixel, reduced by averaging."""
        size = max(1, round(width * self.scale)), max(1, round(height * self.scale))
        picture = picture.convert("RGBA")
        if picture.size != size:
            grows = size[0] >= picture.width and size[1] >= picture.height
            method = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
            picture = picture.resize(size, method)
        self.image.paste(picture, (round(x * self.scale), round(y * self.scale)), picture)

    def fill(self, x: float, y: float, width: float, height: float, rgba: Colour) -> None:
        """Colour a rectangle whose edges lie between pixels."""
        left, top = round(x * self.scale), round(y * self.scale)
        right, bottom = round((x + width) * self.scale), round((y + height) * self.scale)
        if rgba[3] and right > left and bottom > top:
            draw = ImageDraw.Draw(self.image, "RGBA")
            draw.rectangle((left, top, right - 1, bottom - 1), rgba)

    def fade(self, x: float, y: float, width: float, height: float, opacity: float) -> None:
        """Let the paper show through what has been painted on a part of the sheet."""
        self.fill(x, y, width, height, faded(colour(self.theme.paper), 1 - opacity))

    def words(
        self,
        x: float,
        line: float,
        text: str,
        size: float,
        rgba: Colour,
        *,
        bold: bool = False,
        fixed: bool = False,
        anchor: str = "start",
        turned: float = 0.0,
        room: float | None = None,
    ) -> None:
        """Write on a line.

        Args:
            x: Where the text begins, has its middle or ends, as `anchor` says.
            line: What it stands on.
            text: The words.
            size: CSS pixels.
            rgba: Their colour.
            bold: Whether they are.
            fixed: Whether all letters are equally wide.
            anchor: "start", "middle" or "end".
            turned: Degrees, clockwise, around that place.
            room: Longer text is cut with ….
        """
        hand = Hand(round(size * self.scale, 3), bold, fixed)
        if room is not None:
            text = cut(text, hand, room * self.scale)
        if not text.strip() or not rgba[3]:
            return
        before = ANCHORS[anchor] * width_of(text, hand)
        if turned:
            mask = self._inked(text, hand, rgba)
            self._turned(
                mask, x * self.scale, line * self.scale, before, ascent(hand), rgba, turned
            )
        else:
            top = math.floor(line * self.scale + 0.5 - ascent(hand))
            shift = math.floor(line * self.scale + 0.5) - ascent(hand) - top
            mask = self._inked(text, hand, rgba, shift)
            place = round(x * self.scale - before), top
            self.image.paste(
                rgba[:3], (*place, place[0] + mask.width, place[1] + mask.height), mask
            )

    @staticmethod
    def _inked(text: str, hand: Hand, rgba: Colour, shift: float = 0.0) -> Image.Image:
        """A mask of words that are written in a colour, which may be faint."""
        mask = mask_of(text, hand, shift)
        return mask if rgba[3] == 255 else mask.point(lambda value: value * rgba[3] // 255)

    def _turned(
        self,
        mask: Image.Image,
        x: float,
        line: float,
        before: float,
        above: float,
        rgba: Colour,
        degrees: float,
    ) -> None:
        """Lay a mask on the sheet, turned around the place that its text is anchored at."""
        reach = math.ceil(math.hypot(mask.width, mask.height)) + 2
        wide = Image.new("L", (2 * reach, 2 * reach), 0)
        wide.paste(mask, (round(reach - before), round(reach - above)))
        wide = wide.rotate(-degrees, Image.Resampling.BICUBIC, center=(reach, reach))
        left, top = round(x) - reach, round(line) - reach
        self.image.paste(rgba[:3], (left, top, left + wide.width, top + wide.height), wide)

    @contextmanager
    def pen(self, x: float, y: float, width: float, height: float) -> Iterator["Pen"]:
        """Draw smooth lines and areas within a rectangle; nothing is drawn beyond it."""
        scale = self.scale
        box = (
            *(max(0, math.floor(x * scale)), max(0, math.floor(y * scale))),
            min(self.image.width, math.ceil((x + width) * scale)),
            min(self.image.height, math.ceil((y + height) * scale)),
        )
        if box[2] <= box[0] or box[3] <= box[1]:
            box = (0, 0, 1, 1)
        pen = Pen(self.image.crop(box), (box[0], box[1]), scale)
        yield pen
        self.image.paste(pen.drawn(), box[:2])


class Pen:
    """Draws on a part of a sheet at several times its size, and reduces what it drew.

    Where it draws nothing, every pixel stays what it was.
    """

    def __init__(self, part: Image.Image, corner: tuple[int, int], scale: float) -> None:
        self._fine = 4 if scale < 2 else 3
        size = part.width * self._fine, part.height * self._fine
        self._image = part.resize(size, Image.Resampling.NEAREST)
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._corner, self._scale = corner, scale

    def drawn(self) -> Image.Image:
        """The part with what was drawn on it."""
        return self._image.reduce(self._fine)

    def _at(self, place: Place) -> Place:
        left, top = self._corner
        return (
            (place[0] * self._scale - left) * self._fine,
            (place[1] * self._scale - top) * self._fine,
        )

    def line(
        self, places: Sequence[Place], rgba: Colour, width: float, dash: Sequence[float] = ()
    ) -> None:
        """A line through places; `dash` are lengths drawn and left out, in turn."""
        if not rgba[3] or len(places) < 2 or width <= 0:
            return
        thick = max(1, round(width * self._scale * self._fine))
        for part in dashes(places, dash) if dash else [places]:
            self._draw.line([self._at(place) for place in part], rgba, thick, joint="curve")

    def area(self, places: Sequence[Place], rgba: Colour) -> None:
        """What lies within places."""
        if rgba[3] and len(places) > 2:
            self._draw.polygon([self._at(place) for place in places], rgba)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        rgba: Colour,
        stroke: Colour = (0, 0, 0, 0),
        stroke_width: float = 1.0,
        radius: float = 0.0,
    ) -> None:
        """A rectangle, with a frame around it."""
        left, top = self._at((x, y))
        right, bottom = self._at((x + width, y + height))
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        if radius:
            self._draw.rounded_rectangle(corners, radius * self._scale * self._fine, rgba)
        elif rgba[3]:
            self._draw.rectangle(corners, rgba)
        if stroke[3] and stroke_width:
            edge = [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]
            self.line(edge, stroke, stroke_width)

    def disc(self, x: float, y: float, radius: float, rgba: Colour) -> None:
        """A filled circle."""
        if rgba[3]:
            self._draw.ellipse(
                (*self._at((x - radius, y - radius)), *self._at((x + radius, y + radius))), rgba
            )

    def ring(self, x: float, y: float, radius: float, rgba: Colour, width: float) -> None:
        """A circle."""
        outer = radius + width / 2
        corners = (*self._at((x - outer, y - outer)), *self._at((x + outer, y + outer)))
        self._draw.ellipse(corners, None, rgba, max(1, round(width * self._scale * self._fine)))


def dashes(places: Sequence[Place], dash: Sequence[float]) -> Iterator[list[Place]]:
    """The pieces of a line that are drawn, where others are left out."""
    place, on = 0, True
    left, part = float(dash[0]), [places[0]]
    for start, end in pairwise(places):
        length = math.dist(start, end)
        done = 0.0
        while length - done > left:
            done += left
            share = done / length
            at = tuple(a + (b - a) * share for a, b in zip(start, end, strict=True))
            if on:
                yield [*part, at]
            part, on, place = [at], not on, place + 1
            left = max(float(dash[place % len(dash)]), 0.1)
        left -= length - done
        part.append(end)
    if on and len(part) > 1:
        yield part


def middle_line(middle: float, size: float, scale: float) -> float:
    """The line on which words of a size stand whose capitals have their middle at a height."""
    return middle + capital(Hand(round(size * scale, 3))) / scale / 2
