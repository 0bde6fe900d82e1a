"""Attributions over the pictures they are about, and tables of probabilities as colors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.images.colormap import FRAME_COLOR, GAP, NAN_COLOR, TOP, palette
from actwidgets.images.encode import Pixels, fit

COLORINGS = {"signed": "RdBu_r", "absolute": "inferno"}  # and the map of each
STRIP = 8  # how many times as long as it is high a row of places is drawn
_LUMINANCE = (0.299, 0.587, 0.114)
_OUTLIERS = 1.0  # per cent of the values that may lie beyond the ends of the colors
_SMALLEST_PX = 64  # below that, tiles are enlarged, so that frames come out thin


def as_planes(
    values: Array, picture_shape: tuple[int, ...], coloring: str, *, channels: bool = True
) -> Floats:
    """Attributions as one plane per sample: the axes that are no position are summed over.

    Args:
        values: `(sample, …)` as an attribution holds them.
        picture_shape: Rows and columns where the samples are pictures, or ().
        coloring: "signed", or "absolute": then sizes are summed, whatever their signs.
        channels: Whether the last axis is one of channels, where there are several.

    Returns:
        `(sample, row, column)`. Of pictures, vectors shown as such included, their shape or a
        coarser one. Of sequences a row with a place per step, of vectors one with a place
        per feature, of numbers one place; of volumes the planes of positions, summed over
        their depth. Of four axes that are no picture the channels are the first or the last
        behind that of samples, whichever is shorter.
    """
    values = np.asarray(values, np.float32)
    values = np.abs(values) if coloring == "absolute" else values
    n_samples = len(values)
    n_places = int(np.prod(picture_shape)) if picture_shape else 0
    if n_places and values.ndim == 2 and values.shape[1] % n_places == 0:
        return values.reshape(n_samples, *picture_shape, -1).sum(axis=-1)
    if values.ndim < 3:
        return values.reshape(n_samples, 1, -1)
    if values.ndim == 3:
        return values.sum(axis=-1)[:, None, :] if channels and not picture_shape else values
    if values.ndim == 4:
        is_last = channels and (picture_shape or values.shape[-1] <= values.shape[1])
        return values.sum(axis=-1 if is_last else 1)
    return values.sum(axis=(1, *range(4, values.ndim)))


def map_on_picture(
    values: Array | Mapping[str, Array], picture_shape: tuple[int, ...]
) -> tuple[Array, bool]:
    """The map to draw, and whether it goes on the picture of the samples.

    Args:
        values: `(sample, …)`, one array or one by input.
        picture_shape: Rows and columns of the picture, or ().

    Returns:
        Of several, the first in the picture's shape, else the first. That of another input
        that is a vector would be smeared over a picture: it is drawn beside none.
    """
    maps = list(values.values()) if isinstance(values, Mapping) else [values]
    n_places = int(np.prod(picture_shape)) if picture_shape else 0
    for array in maps:
        is_vector = n_places and array.ndim == 2 and array.shape[1] % n_places == 0
        if picture_shape and (is_vector or array.shape[1:3] == picture_shape):
            return array, True
    return maps[0], bool(picture_shape) and maps[0].ndim > 2


def of_one_size(groups: Sequence[Floats]) -> list[Floats]:
    """Planes of one size, that of the largest: coarser ones repeat their values.

    Where all are rows of places, each is some pixels high, so that it can be seen.

    Args:
        groups: `(plane, row, column)` each.
    """
    rows, columns = (max(group.shape[axis] for group in groups) for axis in (1, 2))
    if rows == 1:
        rows = max(1, round(columns / STRIP))
    return [
        group if group.shape[1:] == (rows, columns) else _resized(group, rows, columns)
        for group in groups
    ]


def color_limits(planes: Floats, *, shared: bool) -> NDArray[np.float64]:
    """The value at which the colors end, for each plane: all but its outliers lie within.

    Args:
        planes: `(plane, row, column)`.
        shared: Whether all planes have the same.

    Returns:
        `(plane,)`, above 0; the size of the largest value where nearly all are 0.
    """
    if not len(planes):
        return np.zeros(0)
    sizes = np.abs(planes.reshape(1 if shared else len(planes), -1)).astype(np.float64)
    sizes = np.where(np.isfinite(sizes), sizes, 0.0)
    limits = np.percentile(sizes, 100 - _OUTLIERS, axis=1)
    limits = np.where(limits > 0, limits, sizes.max(axis=1))
    return np.broadcast_to(np.where(limits > 0, limits, 1.0), (len(planes),)).copy()


def overlay(
    pictures: Pixels | None,
    planes: Floats,
    limits: NDArray[np.float64],
    *,
    coloring: str = "signed",
    opacity: float = 0.5,
) -> Pixels:
    """Color each plane over the gray of its picture.

    Args:
        pictures: `(plane, row, column, 3)` uint8; None for planes alone.
        planes: `(plane, row, column)`, finer or coarser than the pictures.
        limits: `(plane,)` the value at which the colors end.
        coloring: One of `COLORINGS`.
        opacity: 0 shows the picture, 1 the plane. At 0.5 a value covers the picture by its
            size: what is 0 leaves it as it is.

    Returns:
        `(plane, row, column, 3)` uint8, in the size of the pictures; NaN in a color of its own.
    """
    if pictures is not None and pictures.shape[1:3] != planes.shape[1:3]:
        planes = _resized(planes, *pictures.shape[1:3])
    share = np.clip(planes / limits[:, None, None], -1, 1)
    is_nan = np.isnan(share)
    share = np.where(is_nan, 0, share)
    strength = np.abs(share)
    level = (share + 1) / 2 if coloring == "signed" else strength
    colors = palette(COLORINGS[coloring])[(level * TOP + 0.5).astype(np.uint8)]
    if pictures is None:
        painted = colors
    else:
        gray = (pictures @ np.array(_LUMINANCE, np.float32))[..., None]
        cover = 2 * opacity * strength
        if opacity > 0.5:
            cover = strength + (2 * opacity - 1) * (1 - strength)
        cover = cover[..., None]
        painted = (gray * (1 - cover) + colors * cover + 0.5).astype(np.uint8)
    painted[is_nan] = NAN_COLOR
    return painted


@dataclass(frozen=True)
class TileSheet:
    """Tiles of one size in a grid, each with room for words below it; in pixels of the sheet.

    Attributes:
        height: Of a tile.
        width: Of a tile.
        columns: Tiles in a row.
        rows: Rows of tiles.
        enlarged: How often each pixel of what is drawn is repeated.
        zoom: Pixels on the screen for one of the sheet.
        words_px: Room for words below a tile, on the screen.
        least_px: Width of a cell on the screen, at least: that of its words.
        gap: Between tiles.
    """

    height: int
    width: int
    columns: int
    rows: int
    enlarged: int
    zoom: int
    words_px: int = 36
    least_px: int = 156
    gap: int = 3

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width of a tile with its words and its margin."""
        below = -(-self.words_px // self.zoom)
        width = max(self.width + 2 * self.gap, -(-self.least_px // self.zoom))
        return self.height + below + 2 * self.gap, width

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width on the screen."""
        height, width = self.cell
        return height * self.rows * self.zoom, width * self.columns * self.zoom

    def compose(self, tiles: Pixels, framed: int | None = None) -> Pixels:
        """Draw the sheet.

        Args:
            tiles: `(tile, row, column, 3)` uint8, not yet enlarged.
            framed: The tile that has a frame.

        Returns:
            `(height, width, 4)` uint8, transparent between the tiles.
        """
        height, width = self.cell
        canvas = np.zeros((height * self.rows, width * self.columns, 4), np.uint8)
        for place, tile in enumerate(tiles):
            row, column = divmod(place, self.columns)
            top, left = row * height + self.gap, column * width + (width - self.width) // 2
            if place == framed:
                edge = 2 if self.zoom == 1 else 1
                box = canvas[
                    top - edge : top + self.height + edge, left - edge : left + self.width + edge
                ]
                box[...] = (*FRAME_COLOR, 255)
            large = tile.repeat(self.enlarged, axis=0).repeat(self.enlarged, axis=1)
            canvas[top : top + self.height, left : left + self.width, :3] = large
            canvas[top : top + self.height, left : left + self.width, 3] = 255
        return canvas


def tile_sheet(n_tiles: int, rows: int, columns: int, *, tile_px: int, width_px: int) -> TileSheet:
    """Lay tiles out in a grid.

    Args:
        n_tiles: How many.
        rows: Of a tile, as it is drawn.
        columns: Of a tile.
        tile_px: Its longer side on the screen, at most, where it is not larger by itself.
        width_px: Of the whole grid, at most, where one tile is not wider.
    """
    most = max(1, tile_px // max(rows, columns))  # pixels on the screen for one of the tile
    needed = min(-(-_SMALLEST_PX // max(rows, columns)), most)
    zoom = max(1, most // needed)
    enlarged = max(1, most // zoom)
    one = TileSheet(rows * enlarged, columns * enlarged, 1, 1, enlarged, zoom)
    across = min(max(1, width_px // one.size_px[1]), max(n_tiles, 1))
    return replace(one, columns=across, rows=max(1, -(-n_tiles // across)))


def shrunk(pictures: Pixels, longest: int) -> Pixels:
    """Pictures whose longer side is no longer than that; those that are short stay."""
    rows, columns = pictures.shape[1:3]
    scale = longest / max(rows, columns)
    if scale >= 1:
        return pictures
    size = max(1, round(rows * scale)), max(1, round(columns * scale))
    return np.stack([fit(picture, *size)[..., :3] for picture in pictures])


def _resized(planes: Floats, rows: int, columns: int) -> Floats:
    """Planes with the nearest values at other positions."""
    down = (np.arange(rows) + 0.5) * planes.shape[1] / rows
    across = (np.arange(columns) + 0.5) * planes.shape[2] / columns
    enlarged: Floats = planes[:, down.astype(int)][:, :, across.astype(int)]
    return enlarged


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
        """The cells as colors of a palette.

        Args:
            shares: `(line, class)` in 0..1; NaN leaves a cell empty.

        Returns:
            `(height_px, width_px)` uint8, transparent around the cells.
        """
        canvas = np.full((self.height_px, self.width_px), GAP, np.uint8)
        known = np.clip(np.nan_to_num(shares), 0, 1)
        cells = np.where(np.isnan(shares), GAP, np.rint(known * TOP)).astype(np.uint8)
        block = cells.repeat(LINE_PX, axis=0).repeat(self.class_px, axis=1)
        block[LINE_PX - 1 :: LINE_PX] = GAP
        block[:, self.class_px - 1 :: self.class_px] = GAP
        canvas[HEAD_PX:, self.left_px : self.left_px + block.shape[1]] = block
        return canvas


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
