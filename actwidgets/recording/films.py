"""Any view as a film: over the epochs of a recording, or over the layers of a model."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

from actwidgets.core.atomic_file import replacing, require_suffix
from actwidgets.core.pictures.frame_sheet import PAPERS, captioned, frame_sheet
from actwidgets.core.pictures.gif import Pixels, gif, on_one_size, require_fps
from actwidgets.errors import DataError
from actwidgets.finishing import all_work, finish

OVER = ("epochs", "layers")
INPUT_PX = 160  # about how large the input is shown, before its layers
SAMPLES_UP_TO, SAMPLES_IN_ROW = 8, 4  # of the input


class Paintable(Protocol):
    """What a film can be made of: any view."""

    session: Any

    def png(self, scale: float = 1, theme: str = "light") -> bytes:
        """What it shows now."""


@dataclass(frozen=True)
class Frame:
    """`(row, column, 3)` uint8 pixels, and what is written below them."""

    pixels: Pixels
    caption: str


def save_gif(
    view: Paintable,
    path: str | os.PathLike[str],
    fps: float = 4,
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
    loop: bool = True,
    captions: bool = True,
) -> None:
    """Write what a view shows, moment by moment or layer by layer, as an animated GIF.

    Args:
        view: Any view. Its session is moved, and put back.
        path: Of the file, `.gif`; one that is there is replaced at once, or not at all.
        fps: Frames a second, up to 50.
        over: "epochs": every snapshot of a recorded session; "layers": first the input of the
            samples on show, then every layer with maps, in the model's order.
        theme: "light" or "dark".
        scale: Pixels of the film to a pixel of the screen.
        layers: Which layers, for `over="layers"`.
        loop: Whether the film begins again at its end.
        captions: Whether each frame says below which epoch or layer it is.

    Each frame is the finished picture, as `save_png` waits for it.

    All frames share 256 colours; `core.pictures.gif` says what becomes of more.

    Raises:
        DataError: No such way to go over it, a session that is no recording, a view that
            fails on the way, `fps` out of its range, a name that ends in another format, or a
            file that cannot be written.
    """
    require_suffix(path, ".gif", "films")
    require_fps(fps)
    frames = frames_of(view, over, theme, scale=scale, layers=layers)
    paper, ink = PAPERS[theme]
    shown = on_one_size([frame.pixels for frame in frames], paper)
    if captions:
        shown = [
            captioned(pixels, frame.caption, scale=scale, paper=paper, ink=ink)
            for pixels, frame in zip(shown, frames, strict=True)
        ]
    film = gif(shown, fps, loop, paper=paper)
    with replacing(path, "films") as file:
        file.write(film)


def save_contact_sheet(
    view: Paintable,
    path: str | os.PathLike[str],
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
    columns: int | None = None,
) -> None:
    """Write what `save_gif` makes a film of as one PNG: the frames beside one another.

    Args:
        view: As for `save_gif`.
        path: As for `save_gif`, `.png`.
        over: As for `save_gif`.
        theme: As for `save_gif`.
        scale: As for `save_gif`.
        layers: As for `save_gif`.
        columns: Frames in a row; chosen where None.

    Raises:
        DataError: As `save_gif`.
    """
    require_suffix(path, ".png", "contact sheets")
    frames = frames_of(view, over, theme, scale=scale, layers=layers)
    paper, ink = PAPERS[theme]
    sheet = frame_sheet(
        [frame.pixels for frame in frames],
        [frame.caption for frame in frames],
        columns=columns,
        scale=scale,
        paper=paper,
        ink=ink,
    )
    with replacing(path, "contact sheets") as file:
        Image.fromarray(sheet).save(file, "png")


def frames_of(
    view: Paintable,
    over: str = "epochs",
    theme: str = "light",
    *,
    scale: float = 1,
    layers: Sequence[str] | None = None,
) -> list[Frame]:
    """What a view shows on the way, in its own pixels.

    Args:
        view: As for `save_gif`.
        over: As for `save_gif`.
        theme: As for `save_gif`.
        scale: As for `save_gif`.
        layers: As for `save_gif`.

    Raises:
        DataError: As `save_gif`.
    """
    if over not in OVER:
        raise DataError(f"no film over {over!r}; there are {', '.join(OVER)}")
    if theme not in PAPERS:
        raise DataError(f"no theme {theme!r}; there are {', '.join(PAPERS)}")
    if over == "layers":
        return list(_over_layers(view, theme, scale, layers))
    return list(_over_epochs(view, theme, scale))


def _over_epochs(view: Paintable, theme: str, scale: float) -> Iterator[Frame]:
    session = view.session
    recording = getattr(session, "recording", None)
    if recording is None:
        raise DataError(
            "a film over epochs needs a view of a recording's session, recording.session(); "
            f"got one of a {type(session).__name__}; over='layers' works with any"
        )
    before = session.at
    try:
        for place, snapshot in enumerate(recording.snapshots):
            session.at = place
            caption = f"epoch {snapshot.epoch:.4g}" if place else "before training"
            if not place and snapshot.epoch:
                caption = f"epoch {snapshot.epoch:.4g}"
            yield Frame(_painted(view, theme, scale, caption), caption)
    finally:
        session.at = before


def _over_layers(
    view: Paintable, theme: str, scale: float, layers: Sequence[str] | None
) -> Iterator[Frame]:
    session = view.session
    names = list(_layers_with_maps(session)) if layers is None else list(layers)
    known = [info.name for info in session.layers]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"no layer {unknown[0]!r}; there are {', '.join(known)}")
    before = {"layer": session.layer, "unit": session.unit}
    try:
        yield Frame(_input(session, theme, scale), "input")
        for name in names:
            session.layer = name
            yield Frame(_painted(view, theme, scale, name), name)
    finally:
        session.select(**before)


def _layers_with_maps(session: Any) -> Iterator[str]:
    """Names of the layers whose units have positions in the plane; of all where none has."""
    shapes = {info.name: info.output_shape for info in session.layers}
    found = [name for name, shape in shapes.items() if len(shape) > 3 and 0 not in shape[1:]]
    yield from found or shapes


def _painted(view: Paintable, theme: str, scale: float, where: str) -> Pixels:
    finish(view.session, all_work(view.session), type(view).__name__)
    failure = getattr(view, "error", "")
    if failure:
        raise DataError(f"{type(view).__name__} failed at {where}: {failure}")
    with Image.open(io.BytesIO(view.png(scale, theme))) as image:
        return np.asarray(image.convert("RGB"))


def _input(session: Any, theme: str, scale: float) -> Pixels:
    """The samples on show, as large as they can be told from one another."""
    rows = session.samples[:SAMPLES_UP_TO]
    pictures = session.pictures(rows)
    larger = max(1, round(INPUT_PX * scale / max(pictures[0].shape[:2])))
    paper, ink = PAPERS[theme]
    return frame_sheet(
        [np.asarray(each).repeat(larger, axis=0).repeat(larger, axis=1) for each in pictures],
        [f"sample {row}" for row in rows],
        columns=SAMPLES_IN_ROW,
        scale=scale,
        paper=paper,
        ink=ink,
    )
