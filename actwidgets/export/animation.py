"""Animated GIFs and contact sheets of any view: over a recording's epochs, or a model's layers."""

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from actwidgets.core.files import replacing, require_suffix
from actwidgets.errors import (
    DataError,
    require_choice,
    require_integer,
    require_names,
    require_number,
)
from actwidgets.images.colormap import ValueRange
from actwidgets.session.context import finish
from actwidgets.session.session import all_work

Pixels = NDArray[np.uint8]
Rgb = tuple[int, int, int]
OVER = ("epochs", "layers")
THEME_COLORS: dict[str, tuple[Rgb, Rgb]] = {  # background, and color of the captions
    "light": ((255, 255, 255), (97, 97, 97)),
    "dark": ((17, 17, 17), (181, 181, 181)),
}
MIN_FPS, MAX_FPS = Fraction(1, 86400), 50  # a frame a day; readers slow down what is faster
MAX_SCALE = 16
MAX_DELAY_CS = MAX_SIDE_PX = 65535  # the format counts delays (1/100 s) and sides in two bytes
INPUT_PX, MAX_INPUTS, INPUTS_IN_ROW = 160, 8, 4  # the frame of the input, before its layers
GAP_PX, CAPTION_PX, FONT_PX = 12, 22, 13
MAX_SHEET_PX = 2400  # width of a contact sheet where no number of columns is given


class Renderable(Protocol):
    """What can be animated: any view."""

    session: Any

    def png(self, scale: float = 1, theme: str = "light") -> bytes:
        """What it shows now."""


class Frame(NamedTuple):
    """`(row, column, 3)` uint8 pixels, and the caption below them."""

    pixels: Pixels
    caption: str


def save_gif(
    view: Renderable,
    path: str | os.PathLike[str],
    fps: float = 4,
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
    loop: bool = True,
    captions: bool = True,
    common_range: bool = True,
) -> None:
    """Write what a view shows, epoch by epoch or layer by layer, as an animated GIF.

    Each frame is the finished picture, as `save_png` waits for it. All frames share 256
    colors; `gif` says what becomes of more.

    Args:
        view: Any view. Its session is moved, and put back.
        path: Of the file, `.gif`; one that is there is replaced at once, or not at all.
        fps: Frames a second, up to 50.
        over: "epochs": every snapshot of a recorded session; "layers": first the input of the
            selected samples, then every layer with maps, in the model's order.
        theme: "light" or "dark".
        scale: Pixels of the animation to a pixel of the screen.
        layers: Which layers, for `over="layers"`.
        loop: Whether the animation begins again at its end.
        captions: Whether each frame says below which epoch or layer it is.
        common_range: Whether one color of maps and kernels is one value in all epochs: colors
            then cover the smallest to the largest value of any frame. Otherwise each frame
            has its own range, which the note below its maps tells, as it has over layers,
            whose values have no scale in common, and where each map has its own.

    Raises:
        DataError: Another `over` or `theme`, a session that is no recording, a view that
            fails on the way, `fps` out of its range, a name that ends in another format, or a
            file that cannot be written.
    """
    require_suffix(path, ".gif", "animations")
    require_number("fps", fps, MIN_FPS, MAX_FPS)
    frames = frames_of(view, over, theme, scale=scale, layers=layers, common_range=common_range)
    if captions:
        pixels: Sequence[Pixels] = _all_captioned(frames, scale, theme)
    else:
        pixels = [frame.pixels for frame in frames]
    animation = gif(pixels, fps, loop, background=THEME_COLORS[theme][0])
    with replacing(path, "animations") as file:
        file.write(animation)


def save_contact_sheet(
    view: Renderable,
    path: str | os.PathLike[str],
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
    columns: int | None = None,
    common_range: bool = True,
) -> None:
    """Write the frames of `save_gif` beside one another as one PNG.

    Args:
        view: As for `save_gif`.
        path: As for `save_gif`, `.png`.
        over: As for `save_gif`.
        theme: As for `save_gif`.
        scale: As for `save_gif`.
        layers: As for `save_gif`.
        columns: Frames in a row; chosen where None.
        common_range: As for `save_gif`.

    Raises:
        DataError: As `save_gif`.
    """
    require_suffix(path, ".png", "contact sheets")
    if columns is not None:
        columns = require_integer("columns", columns, 1)
    frames = frames_of(view, over, theme, scale=scale, layers=layers, common_range=common_range)
    sheet = contact_sheet(frames, columns=columns, scale=scale, theme=theme)
    with replacing(path, "contact sheets") as file:
        Image.fromarray(sheet).save(file, "png")


def frames_of(
    view: Renderable,
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
    common_range: bool = True,
) -> list[Frame]:
    """What a view shows at every step, in its own pixels; arguments as for `save_gif`.

    Raises:
        DataError: As `save_gif`.
    """
    if not (hasattr(view, "session") and hasattr(view, "png")):
        raise DataError(f"view must be a view of a session; got {view!r}")
    require_choice("animation over", over, OVER)
    require_choice("theme", theme, THEME_COLORS)
    require_scale(scale)
    if over == "layers":
        return list(_over_layers(view, theme, scale, layers))
    return list(_over_epochs(view, theme, scale, common_range))


def _over_epochs(view: Renderable, theme: str, scale: float, common_range: bool) -> Iterator[Frame]:
    session = view.session
    recording = getattr(session, "recording", None)
    if recording is None:
        raise DataError(
            "an animation over epochs needs a view of a recording's session, "
            f"recording.session(); got one of a {type(session).__name__}; over='layers' works "
            "with any"
        )
    before = session.at
    map_views = [each for each in _with_children(view) if hasattr(each, "common_range")]
    earlier = [(each, each.common_range) for each in map_views if common_range]
    try:
        # A first round gathers the values that colors are to cover, before any frame is drawn.
        ends: dict[int, list[tuple[float, float]]] = {}
        for session.at in range(len(recording.snapshots) if earlier else 0):
            for index, (each, _) in enumerate(earlier):
                own = each.own_range
                if own is not None and own.low is not None:
                    ends.setdefault(index, []).append((own.low, own.high))
        for index, pairs in ends.items():
            lows, highs = zip(*pairs, strict=True)
            earlier[index][0].common_range = ValueRange(min(lows), max(highs))
        for index, snapshot in enumerate(recording.snapshots):
            session.at = index
            is_untrained = index == 0 and not snapshot.epoch
            caption = "before training" if is_untrained else f"epoch {snapshot.epoch:.4g}"
            yield Frame(_rendered(view, theme, scale, caption), caption)
    finally:
        for each, own in earlier:
            each.common_range = own
        session.at = before


def _with_children(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _with_children(child)


def _over_layers(
    view: Renderable, theme: str, scale: float, layers: Sequence[str] | None
) -> Iterator[Frame]:
    session = view.session
    shapes = {info.name: info.output_shape for info in session.layers}
    with_maps = [name for name, shape in shapes.items() if len(shape) > 3 and 0 not in shape[1:]]
    names = with_maps or list(shapes)
    if layers is not None:
        names = list(require_names("layers", layers))
    unknown = [name for name in names if name not in shapes]
    if unknown:
        raise DataError(f"no layer {unknown[0]!r}; there are {', '.join(shapes)}")
    before = {"layer": session.layer, "unit": session.unit}
    try:
        yield Frame(_input(session, theme, scale), "input")
        for name in names:
            session.layer = name
            yield Frame(_rendered(view, theme, scale, name), name)
    finally:
        session.select(**before)


def _rendered(view: Renderable, theme: str, scale: float, caption: str) -> Pixels:
    finish(view.session.context, all_work(view.session), type(view).__name__)
    failure = getattr(view, "error", "")
    if failure:
        raise DataError(f"{type(view).__name__} failed at {caption}: {failure}")
    with Image.open(io.BytesIO(view.png(scale, theme))) as image:
        return np.asarray(image.convert("RGB"))


def _input(session: Any, theme: str, scale: float) -> Pixels:
    """The selected samples, enlarged by whole pixels."""
    rows = session.samples[:MAX_INPUTS]
    pictures = session.pictures(rows)
    times = max(1, round(INPUT_PX * scale / max(pictures[0].shape[:2])))
    frames = [
        Frame(np.asarray(picture).repeat(times, axis=0).repeat(times, axis=1), f"sample {row}")
        for picture, row in zip(pictures, rows, strict=True)
    ]
    return contact_sheet(frames, columns=INPUTS_IN_ROW, scale=scale, theme=theme)


def gif(
    frames: Sequence[ArrayLike], fps: float, loop: bool = True, *, background: Rgb | None = None
) -> bytes:
    """Encode frames as an animated GIF.

    Args:
        frames: `(row, column, 3)` uint8 each. Smaller ones lie in the upper left corner of the
            largest.
        fps: Frames a second, up to 50, down to one a day. The format counts in 1/100 s: the
            delay of each frame is the nearest that keeps the length of the whole.
        loop: Whether it begins again at its end.
        background: Color beside smaller frames; that of the first frame's corner where None.

    Returns:
        The file. All frames share one palette. Up to 256 colors in all, the background
        included, every pixel is exact. Of more, 256 are chosen for all frames together by
        Pillow's maximum coverage, and the most frequent one is exact. No dithering: a map is
        not to flicker. Equal frames in a row are kept as one with a longer delay.

    Raises:
        DataError: No frames, a frame that is no picture, too large, or `fps` out of its range.
    """
    require_number("fps", fps, MIN_FPS, MAX_FPS)
    if not isinstance(frames, Iterable):
        raise DataError(f"frames must be a list of pictures; got {frames!r}")
    pixels = on_one_size([_checked(frame) for frame in frames], background)
    n_frames = len(pixels)
    if not n_frames:
        raise DataError("an animation needs a frame at least; got none")
    palette, codes = _quantized(pixels)
    ends_cs = [round(100 * number / fps) for number in range(n_frames + 1)]
    changes = [n for n in range(n_frames) if not n or not np.array_equal(codes[n], codes[n - 1])]
    images, delays_cs = [], []
    for first, after in pairwise([*changes, n_frames]):
        for part, begin_cs in enumerate(range(ends_cs[first], ends_cs[after], MAX_DELAY_CS)):
            # Pillow adds up the delays of equal frames, beyond what it can write. Every other
            # part of a long delay therefore has its palette shifted, and leaves the color of
            # its corner transparent: the same color shines through from below.
            is_odd = part % 2
            shifted = codes[first] + np.uint8(is_odd)
            image = Image.fromarray(shifted)
            image.putpalette(np.roll(palette, is_odd, axis=0).tobytes())
            if is_odd:
                image.info["transparency"] = int(shifted[0, 0])
            images.append(image)
            delays_cs.append(min(ends_cs[after] - begin_cs, MAX_DELAY_CS))
    file = io.BytesIO()
    images[0].save(
        file,
        "gif",
        save_all=True,
        append_images=images[1:],
        duration=[10 * delay for delay in delays_cs],
        disposal=1,  # leave the frame: the next one is drawn over it
        optimize=False,
        **({"loop": 0} if loop else {}),
    )
    return file.getvalue()


def require_scale(scale: float) -> None:
    """Refuse a scale that no picture is drawn at.

    Raises:
        DataError: It is no number above 0 and up to 16.
    """
    require_number("scale", scale, above=0, high=MAX_SCALE)


def _checked(frame: ArrayLike) -> Pixels:
    pixels = np.asarray(frame)
    is_picture = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    if not is_picture or 0 in pixels.shape:
        raise DataError(
            "a frame is (row, column, 3) uint8, not empty; "
            f"got shape {pixels.shape} of {pixels.dtype}"
        )
    if max(pixels.shape) > MAX_SIDE_PX:
        raise DataError(f"a GIF is up to {MAX_SIDE_PX:,} pixels wide and high; got {pixels.shape}")
    return pixels


def _quantized(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """One palette `(256, 3)` for all frames, and their codes `(frame, row, column)`."""
    tall = Image.fromarray(pixels.reshape(-1, *pixels.shape[2:]))
    coded = tall.quantize(256, Image.Quantize.MAXCOVERAGE)
    codes = np.asarray(coded).reshape(pixels.shape[:3])
    colors = np.array(coded.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    # A color of the palette is the mean of those that it stands for. The most frequent one,
    # the background most often, is put in its place: there the eye sees the least step.
    _, most_frequent = max(tall.getcolors(tall.width * tall.height) or [(0, colors[0])])
    for frame, coded_frame in zip(pixels, codes, strict=True):
        is_there = (frame == most_frequent).all(axis=-1)
        if is_there.any():
            palette[coded_frame[is_there][0]] = most_frequent
            break
    return palette, codes


def on_one_size(frames: Sequence[Pixels], background: Rgb | None = None) -> Pixels:
    """Frames `(frame, row, column, 3)` of the size of the largest, upper left corners together.

    Args:
        frames: `(row, column, 3)` uint8 each.
        background: Color beside smaller ones; that of the first frame's corner where None.
    """
    height = max((frame.shape[0] for frame in frames), default=0)
    width = max((frame.shape[1] for frame in frames), default=0)
    placed = np.empty((len(frames), height, width, 3), np.uint8)
    if frames:
        placed[:] = frames[0][0, 0] if background is None else background
    for canvas, frame in zip(placed, frames, strict=True):
        canvas[: frame.shape[0], : frame.shape[1]] = frame
    return placed


def captioned(
    frame: Pixels,
    caption: str,
    scale: float = 1,
    theme: str = "light",
) -> Pixels:
    """A frame `(row, column, 3)` with a caption below it, ended by … where it is too long."""
    import matplotlib  # for its font alone, which has more letters than Pillow's own

    background, color = THEME_COLORS[theme]
    height, width = frame.shape[:2]
    strip = round(CAPTION_PX * scale)
    font = ImageFont.truetype(
        Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), FONT_PX * scale
    )
    fitting, n_letters = caption, len(caption)
    while n_letters and font.getlength(fitting) > width:
        n_letters -= 1
        fitting = caption[:n_letters].rstrip() + "…"
    image = Image.new("RGB", (width, height + strip), background)
    image.paste(Image.fromarray(np.ascontiguousarray(frame)), (0, 0))
    ImageDraw.Draw(image).text(
        (width / 2, height + strip / 2), fitting, color, font=font, anchor="mm"
    )
    return np.asarray(image)


def _all_captioned(frames: Sequence[Frame], scale: float, theme: str) -> list[Pixels]:
    """Frames of one size with their captions."""
    pixels = on_one_size([frame.pixels for frame in frames], THEME_COLORS[theme][0])
    return [
        captioned(each, frame.caption, scale, theme)
        for each, frame in zip(pixels, frames, strict=True)
    ]


def contact_sheet(
    frames: Sequence[Frame], *, columns: int | None = None, scale: float = 1, theme: str = "light"
) -> Pixels:
    """Frames with their captions, row by row.

    Args:
        frames: One at least; smaller ones are filled up to the size of the largest.
        columns: Frames in a row; where None so many that the sheet is about as high as it is
            wide, as far as they fit 2,400 pixels.
        scale: Of the captions and of the gaps between frames.
        theme: "light" or "dark".

    Returns:
        `(row, column, 3)` uint8; the pixels of every frame are in it as they are.
    """
    cells = _all_captioned(frames, scale, theme)
    gap = round(GAP_PX * scale)
    across, down = cells[0].shape[1] + gap, cells[0].shape[0] + gap
    if columns is None:
        fits = max(1, (round(MAX_SHEET_PX * max(scale, 1)) - gap) // across)
        columns = min(fits, math.ceil(math.sqrt(len(cells) * down / across)))
    columns = max(1, min(columns, len(cells)))
    n_rows = -(-len(cells) // columns)
    sheet = np.empty((n_rows * down + gap, columns * across + gap, 3), np.uint8)
    sheet[:] = THEME_COLORS[theme][0]
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        top, left = gap + row * down, gap + column * across
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet
