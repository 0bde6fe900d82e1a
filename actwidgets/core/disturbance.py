"""Disturb images: light, noise, blur, position, and a patch that hides a part of them."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from actwidgets.core.arrays import Array, Doubles, require_axes
from actwidgets.errors import DataError


@dataclass(frozen=True)
class Disturbance:
    """What is done to images before a model sees them. Compared by value; none by default.

    Attributes:
        brightness: Added to every pixel, as a share of the range of the images.
        contrast: Factor of each pixel's distance from the middle of the range; 1 changes nothing.
        noise: Standard deviation of normal noise, as a share of the range.
        blur: Standard deviation of a Gaussian blur, in pixels.
        rotation: Counter-clockwise, in degrees, about the middle.
        shift_down: In pixels; the pixels at the edge are repeated.
        shift_right: Likewise.
        patch: `(top, left, height, width)` in pixels of a part that is hidden, or None.
        patch_value: What hides it, as a share of the range: 0 black, 1 white.
        seed: Of the noise: the same seed, the same noise.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    noise: float = 0.0
    blur: float = 0.0
    rotation: float = 0.0
    shift_down: float = 0.0
    shift_right: float = 0.0
    patch: tuple[int, int, int, int] | None = None
    patch_value: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no number, or none that can be.

        Raises:
            DataError: Not finite, a negative noise or blur, a patch without pixels.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "patch" and not np.isfinite(value):
                raise DataError(f"{field.name} must be a finite number; got {value}")
        for name in ("contrast", "noise", "blur"):
            if getattr(self, name) < 0:
                raise DataError(f"{name} must be 0 or more; got {getattr(self, name)}")
        if self.patch is not None and (len(self.patch) != 4 or min(self.patch[2:]) < 1):
            raise DataError(
                f"patch must be (top, left, height, width) of a pixel or more; got {self.patch}"
            )

    @property
    def changes_nothing(self) -> bool:
        """Whether images come out as they went in."""
        return replace(self, seed=0, patch_value=0.5) == UNDISTURBED


UNDISTURBED = Disturbance()


def disturb(images: ArrayLike, disturbance: Disturbance, low: float, high: float) -> Array:
    """Images as they are under a disturbance.

    Turned and shifted first, then blurred, then contrast, brightness and noise, and the patch
    last, so that it hides what it covers whatever else is done.

    Args:
        images: `(sample, row, column, channel)`, any real dtype. Not modified.
        disturbance: What is done.
        low: The smallest value that images have: black.
        high: The largest: white.

    Returns:
        The same shape and dtype; values within `low..high`, rounded where the dtype is an
        integer's, and the images themselves where nothing changes. NaN spreads as far as the
        blur or the turning reaches.

    Cost: about 0.1 ms for a 32 x 32 image with everything on.
    """
    images = require_axes(images, ("sample", "row", "column", "channel"), name="images")
    if disturbance.changes_nothing:
        return images
    span = float(high) - float(low)
    values = _moved(images.astype(np.float64), disturbance)
    if disturbance.blur:
        sigma = (0, disturbance.blur, disturbance.blur, 0)
        values = ndimage.gaussian_filter(values, sigma, mode="nearest")
    middle = low + span / 2
    values = middle + (values - middle) * disturbance.contrast + disturbance.brightness * span
    if disturbance.noise:
        # One draw for all samples: whichever are looked at together, each has the same noise.
        draw = np.random.default_rng(disturbance.seed).standard_normal(values.shape[1:])
        values = values + draw * disturbance.noise * span
    values = np.clip(values, low, high)
    if disturbance.patch is not None:
        top, left, height, width = disturbance.patch
        rows = slice(max(top, 0), max(top + height, 0))
        columns = slice(max(left, 0), max(left + width, 0))
        values[:, rows, columns] = low + disturbance.patch_value * span
    if np.issubdtype(images.dtype, np.integer):
        values = values.round()
    return values.astype(images.dtype)


def _moved(values: Doubles, disturbance: Disturbance) -> Doubles:
    """Turned about the middle, then shifted; bilinear, and the pixels at the edge repeated."""
    shift = np.array([disturbance.shift_down, disturbance.shift_right])
    if not (disturbance.rotation or shift.any()):
        return values
    angle = np.deg2rad(disturbance.rotation)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(values.shape[1:3]) - 1) / 2
    # Where each pixel comes from: back by the shift, then turned back about the middle.
    matrix, offset = np.eye(4), np.zeros(4)
    matrix[1:3, 1:3] = turn
    offset[1:3] = middle - turn @ (middle + shift)
    moved: Doubles = ndimage.affine_transform(values, matrix, offset, order=1, mode="nearest")
    return moved
