"""Animated GIFs of frames: exact where no more than 256 colours are in them."""

import io
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from actwidgets.errors import DataError

Pixels = NDArray[np.uint8]
MOST_COLOURS = 256
LONGEST = 65535  # a side, in pixels: the format has no room for more
SHORTEST_CS, LONGEST_CS = 2, 65535  # readers slow down what is shorter
SLOWEST_FPS = 1 / 86400  # a frame a day


def gif(
    frames: Sequence[ArrayLike],
    fps: float,
    loop: bool = True,
    *,
    paper: tuple[int, int, int] | None = None,
) -> bytes:
    """Frames as an animated GIF.

    Args:
        frames: `(row, column, 3)` uint8 each. Smaller ones lie in the upper left corner of the
            largest.
        fps: Frames a second, up to 50, down to one a day. The format counts in 1/100 s: the
            time of each frame is the nearest that keeps the whole film as long as it should be.
        loop: Whether it begins again at its end.
        paper: Colour around smaller frames; that of the first frame's corner where None.

    Returns:
        The file. All frames share one palette. Where they have no more than 256 colours in
        all, the paper included, every pixel has exactly its own; beyond that each colour is
        replaced by the nearest of 256 of them that are chosen for all frames together
        (`colour_error` tells how far off). No dithering: a map is not to flicker. Equal
        frames in a row are kept as one that stays longer; beyond 655.35 s, for which the format
        has no number, a pixel of it is repeated.

    Raises:
        DataError: No frames, a frame that is no picture, too large, or `fps` out of its range.
    """
    require_fps(fps)
    shown = [_checked(frame) for frame in frames]
    if not shown:
        raise DataError("a film needs a frame at least; got none")
    shown = on_one_size(shown, paper)
    colours, codes = _coded(shown)
    stills, times = _without_repeats(codes, frame_times(len(codes), fps))
    images = []
    for frame in stills:
        image = Image.fromarray(frame)
        image.putpalette(colours.tobytes())
        images.append(image)
    file = io.BytesIO()
    images[0].save(
        file,
        "gif",
        save_all=True,
        append_images=images[1:],
        duration=[10 * min(each, LONGEST_CS) for each in times],
        disposal=1,
        optimize=False,
        **({"loop": 0} if loop else {}),
    )
    film = file.getvalue()
    if max(times) <= LONGEST_CS:
        return film
    return _prolonged(film, times, [int(frame[0, 0]) for frame in stills])


def require_fps(fps: float) -> None:
    """Refuse a speed that a GIF cannot have.

    Raises:
        DataError: Not a number from one frame a day to 50 a second.
    """
    if not isinstance(fps, Real) or not SLOWEST_FPS <= fps <= 100 / SHORTEST_CS:
        raise DataError(
            f"fps lies above 0, a frame a day at least, and up to {100 // SHORTEST_CS}; got {fps}"
        )


def frame_times(n_frames: int, fps: float) -> list[int]:
    """How long each frame stays, in 1/100 s: their sum is that of the film, rounded."""
    ends = [round(100 * place / fps) for place in range(n_frames + 1)]
    return [max(after - before, SHORTEST_CS) for before, after in pairwise(ends)]


def _without_repeats(
    codes: Sequence[Pixels], times: Sequence[int]
) -> tuple[list[Pixels], list[int]]:
    """Frames that differ from the one before, and how long each stays with its repeats.

    Pillow does the same, but adds up times beyond what it can then write.
    """
    stills: list[Pixels] = []
    stays: list[int] = []
    for frame, time in zip(codes, times, strict=True):
        if stills and np.array_equal(stills[-1], frame):
            stays[-1] += time
        else:
            stills.append(frame)
            stays.append(time)
    return stills, stays


def _prolonged(film: bytes, times: Sequence[int], corners: Sequence[int]) -> bytes:
    """A GIF whose frames stay as long as they should: behind each, its corner pixel again.

    Args:
        film: Whose frames stay for `LONGEST_CS` at most; all share the global colour table.
        times: How long each is to stay, in 1/100 s.
        corners: The code of the upper left pixel of each.
    """
    parts, start = [], 0
    for end, time, corner in zip(_ends_of_frames(film), times, corners, strict=True):
        parts.append(film[start:end])
        left = time - LONGEST_CS
        while left > 0:
            parts.append(_one_pixel(corner, min(left, LONGEST_CS)))
            left -= LONGEST_CS
        start = end
    return b"".join([*parts, film[start:]])


def _one_pixel(code: int, time_cs: int) -> bytes:
    """A frame that draws the upper left pixel alone, by the global colour table."""
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 1 << 2, time_cs, 0, 0)
    place = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0)
    codes = 256 | code << 9 | 257 << 18  # clear, the pixel, end: 9 bits each, the lowest first
    return control + place + bytes([8, 4]) + codes.to_bytes(4, "little") + b"\0"


def _ends_of_frames(film: bytes) -> Iterator[int]:
    """Where the data of each frame ends. References: GIF89a, 1990, appendix B."""
    place = 13 + _table_size(film[10])
    while film[place] != 0x3B:
        is_frame = film[place] == 0x2C
        place += 11 + _table_size(film[place + 9]) if is_frame else 2  # a code size, or a label
        while film[place]:
            place += 1 + film[place]
        place += 1
        if is_frame:
            yield place


def _table_size(flags: int) -> int:
    """Bytes of the colour table that a descriptor with these flags brings along."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def colour_error(frames: Sequence[ArrayLike]) -> int:
    """The largest difference of any channel of any pixel that `gif` makes; 0 where it is exact."""
    shown = on_one_size([_checked(frame) for frame in frames])
    colours, codes = _coded(shown)
    differences = (
        np.abs(colours[coded].astype(np.int16) - frame).max()
        for coded, frame in zip(codes, shown, strict=True)
    )
    return int(max(differences, default=0))


def on_one_size(
    frames: Sequence[Pixels], paper: tuple[int, int, int] | None = None
) -> list[Pixels]:
    """Frames of the size of the largest, corner on corner: a title stays where it is.

    Args:
        frames: `(row, column, 3)` uint8 each.
        paper: Colour beside smaller ones; that of the first frame's corner where None.
    """
    if not frames:
        return []
    height = max(frame.shape[0] for frame in frames)
    width = max(frame.shape[1] for frame in frames)
    behind = frames[0][0, 0] if paper is None else np.array(paper, np.uint8)
    placed = []
    for frame in frames:
        if frame.shape[:2] == (height, width):
            placed.append(frame)
            continue
        whole = np.broadcast_to(behind, (height, width, 3)).copy()
        whole[: frame.shape[0], : frame.shape[1]] = frame
        placed.append(whole)
    return placed


def _checked(frame: ArrayLike) -> Pixels:
    pixels = np.asarray(frame)
    is_picture = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    if not is_picture or 0 in pixels.shape:
        raise DataError(
            "a frame is (row, column, 3) uint8, not empty; "
            f"got shape {pixels.shape} of {pixels.dtype}"
        )
    if max(pixels.shape) > LONGEST:
        raise DataError(f"a GIF is up to {LONGEST:,} pixels wide and high; got {pixels.shape[:2]}")
    return pixels


def _coded(frames: Sequence[Pixels]) -> tuple[Pixels, list[Pixels]]:
    """One palette `(256, 3)` for all frames, and the places of their pixels in it."""
    keys = [_keys(frame) for frame in frames]
    known, counts = _counted(keys)
    colours = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1).astype(np.uint8)
    if len(known) <= MOST_COLOURS:
        palette = np.zeros((MOST_COLOURS, 3), np.uint8)
        palette[: len(known)] = colours
        nearest = np.arange(len(known), dtype=np.uint8)
    else:
        palette = _chosen(colours, counts)
        nearest = _nearest(colours, palette)
    return palette, [nearest[np.searchsorted(known, each)] for each in keys]


def _keys(frame: Pixels) -> NDArray[np.uint32]:
    """Each pixel as one number."""
    wide = frame.astype(np.uint32)
    keys: NDArray[Any] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return keys.astype(np.uint32)


def _counted(keys: Sequence[NDArray[np.uint32]]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The colours of all frames, ascending, and how many pixels have each."""
    parts = [np.unique(each, return_counts=True) for each in keys]
    known, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    counts = np.zeros(len(known), np.int64)
    np.add.at(counts, places.ravel(), np.concatenate([part[1] for part in parts]))
    return known, counts


def _chosen(colours: Pixels, counts: NDArray[np.int64]) -> Pixels:
    """A palette that has a colour near to each: as near as 256 of them can be found to lie.

    Colours are taken from those seen most on, unless one that is near enough is there already;
    what is near enough is the least distance, in the channel that differs most, with which
    there is room for all.
    """
    ordered = colours[np.argsort(-counts, kind="stable")].astype(np.int16)
    too_near, enough = 0, 255
    while enough - too_near > 1:
        middle = (too_near + enough) // 2
        if _cover(ordered, middle) is None:
            too_near = middle
        else:
            enough = middle
    found = _cover(ordered, enough)
    assert found is not None  # within 255 lies everything
    palette = np.zeros((MOST_COLOURS, 3), np.uint8)
    palette[: len(found)] = ordered[found]
    return palette


def _cover(colours: NDArray[np.int16], distance: int) -> list[int] | None:
    """Places of colours that lie so near to all others; None where 256 are too few."""
    chosen: list[int] = []
    left = np.arange(len(colours))
    while left.size:
        if len(chosen) == MOST_COLOURS:
            return None
        chosen.append(int(left[0]))
        away = np.abs(colours[left] - colours[left[0]]).max(axis=1)
        left = left[away > distance]
    return chosen


def _nearest(colours: Pixels, palette: Pixels) -> Pixels:
    """The place in the palette that is nearest to each colour."""
    found = np.empty(len(colours), np.uint8)
    wanted = palette.astype(np.int32)
    for start in range(0, len(colours), 4096):
        part = colours[start : start + 4096, None].astype(np.int32)
        found[start : start + 4096] = abs(part - wanted).max(axis=2).argmin(axis=1)
    return found
