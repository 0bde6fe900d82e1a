"""Colour maps as palettes of a PNG: recolouring a picture changes 256 colours, no pixel.

A palette has one entry per code. Codes 0 to `TOP` are values, the others have a meaning of
their own that holds in every colour map.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from actwidgets.errors import DataError

TOP = 249  # code of the largest value
NAN = 250  # not a number
FRAME = 251  # around what is selected
GAP = 255  # nothing: transparent

NAN_COLOUR = (214, 39, 160)  # in none of the maps, so that NaN is seen
FRAME_COLOUR = (255, 127, 14)

# Colours at equal steps from low to high. Viridis and inferno: S. van der Walt and
# N. Smith 2015 (CC0). Red-blue: C. Brewer's RdBu, reversed.
_STEPS = {
    "viridis": "440154 472c7a 3b518b 2c718e 21908d 27ad81 5cc863 aadc32 fde725",
    "inferno": "000004 1f0c48 550f6d 88226a ba3655 e35933 f98c0a f9c932 fcffa4",
    "grey": "000000 ffffff",
    "blue-red": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
NAMES = tuple(_STEPS)
_STEPS["likelihood"] = "f4f1ea 8ccac4 1f7f78"  # black figures on the low end, white on the high
_STEPS["nearness"] = "3fa7a0 f4f1ea"  # of matrices: black figures can be read on both ends
_STEPS["time"] = "3fa7a0 d0bd62 e08a2e"  # from early to late; on light and on dark


@cache
def palette(name: str) -> NDArray[np.uint8]:
    """The colours of a map.

    Returns:
        `(256, 3)` uint8, read-only: RGB by code.

    Raises:
        DataError: No colour map of that name.
    """
    if name not in _STEPS:
        raise DataError(f"no colour map {name!r}; there are {', '.join(NAMES)}")
    steps = np.array([tuple(bytes.fromhex(step)) for step in _STEPS[name].split()], float)
    places = np.linspace(0, len(steps) - 1, TOP + 1)
    ramp = np.stack([np.interp(places, range(len(steps)), channel) for channel in steps.T], axis=1)
    colours = np.zeros((256, 3), np.uint8)
    colours[: TOP + 1] = ramp.round()
    colours[NAN] = NAN_COLOUR
    colours[FRAME] = FRAME_COLOUR
    colours.flags.writeable = False
    return colours


def css_colour(rgb: tuple[int, int, int]) -> str:
    """The colour as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
