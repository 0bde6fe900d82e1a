"""What a layer puts out for a few samples as one picture: a tile for each sample and unit."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from actwidgets.core.arrays import as_maps
from actwidgets.core.pictures.colormaps import GAP, palette
from actwidgets.core.pictures.colour_codes import ValueRange, colour_codes, value_range
from actwidgets.core.pictures.mosaic import (
    MAX_TILE_PX,
    STRIP_PX,
    Codes,
    Mosaic,
    enlarge,
    plan_mosaic,
    shrink,
)
from actwidgets.errors import ShapeError

MAX_UNITS = 512
SEEN_PX = 8  # a tile of fewer pixels is enlarged


@dataclass(frozen=True, eq=False)
class MapSheet:
    """A picture of maps, a block per sample and in it a tile per unit, row by row.

    Attributes:
        codes: `(row, column)` uint8 palette codes.
        mosaic: Where each tile lies.
        enlarged: How often a map's pixels are repeated, down and across.
        averaged: Side of the squares that large maps were averaged over; 1 for none.
        span: The values at the ends of the colour map.
        n_units: Of the layer; the first `mosaic.n_units` are shown.
    """

    codes: Codes
    mosaic: Mosaic
    enlarged: tuple[int, int]
    averaged: int
    span: ValueRange
    n_units: int

    def png(self, colours: str = "viridis") -> bytes:
        """The picture as a file that is to be kept: smaller, and made more slowly, than others.

        Transparent where there is no tile.

        Raises:
            DataError: No such colour map.
        """
        image = Image.fromarray(np.ascontiguousarray(self.codes))
        image.putpalette(palette(colours).tobytes())
        file = io.BytesIO()
        image.save(file, "png", compress_level=9, transparency=GAP)
        return file.getvalue()

    @property
    def shows_maps(self) -> bool:
        """Whether there is more than a value in a tile."""
        return (self.mosaic.tile_height, self.mosaic.tile_width) != self.enlarged

    def pixels(self, colours: str = "viridis", paper: tuple[int, int, int] = (255,) * 3) -> Codes:
        """The picture as `(row, column, 3)` uint8, `paper` where there is no tile.

        Raises:
            DataError: No such colour map.
        """
        found = palette(colours)[self.codes]
        found[self.codes == GAP] = paper
        return found

    def __str__(self) -> str:
        """What is to be said of the picture."""
        told = [f"{self.span}"]
        if self.averaged > 1:
            told.append(f"averaged over {self.averaged}×{self.averaged} positions")
        if self.mosaic.n_units < self.n_units:
            told.append(f"the first {self.mosaic.n_units:,} of {self.n_units:,} units")
        return "; ".join(told)


def map_sheet(
    outputs: ArrayLike,
    scaling: str = "per layer",
    *,
    width_px: int | None = None,
    max_units: int = MAX_UNITS,
) -> MapSheet:
    """Lay out and colour the maps of a layer.

    Args:
        outputs: What the layer puts out, `(sample, …, unit)`; see `as_maps` for what becomes of
            vectors, sequences and volumes.
        scaling: What one colour scale covers: "per layer", "per map" or "symmetric".
        width_px: Enlarge small maps to about this width; when omitted a value is one pixel,
            where tiles can be seen at all.
        max_units: No more units than these are shown.

    Raises:
        ShapeError: An output without values, or with too many axes.
        DataError: No such scaling.
    """
    maps = as_maps(outputs)
    if 0 in maps.shape:
        raise ShapeError(f"no picture of an output without values: its shape is {maps.shape}")
    span = value_range(maps, scaling)
    n_units = maps.shape[-1]
    maps = maps[..., :max_units]
    is_sequence = maps.shape[1] == 1 < maps.shape[2]
    longest = (width_px or 1024) - 2 if is_sequence else MAX_TILE_PX
    maps, averaged = shrink(maps, longest)
    n_samples, height, width, n_shown = maps.shape
    if width_px is None:
        mosaic, enlarged = _smallest(n_samples, n_shown, height, width)
    else:
        plan = plan_mosaic(n_samples, n_shown, height, width, width_px=width_px)
        down, across = (plan.zoom * times for times in plan.enlarged)  # no browser enlarges it
        mosaic = Mosaic(n_samples, n_shown, height * down, width * across, plan.mosaic.columns)
        enlarged = down, across
    codes = mosaic.assemble(enlarge(colour_codes(maps, span), *enlarged))
    return MapSheet(codes, mosaic, enlarged, averaged, span, n_units)


def _smallest(
    n_samples: int, n_units: int, height: int, width: int
) -> tuple[Mosaic, tuple[int, int]]:
    """A pixel for a value, unless nobody could see it."""
    times = max(1, SEEN_PX // max(height, width))
    down, across = (STRIP_PX, times) if height == 1 < width else (times, times)
    columns = 1 if width > MAX_TILE_PX else min(n_units, 8 if n_units <= 32 else 16)
    return Mosaic(n_samples, n_units, height * down, width * across, columns), (down, across)
