"""Tiles, legend and detail panels of attributions."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as w
import numpy as np

from actwidgets.core.attribution.base import Attribution, Method
from actwidgets.core.attribution.registry import method_named
from actwidgets.errors import LayerError, ModelError, ShapeError
from actwidgets.images.colormap import TOP, palette
from actwidgets.images.encode import fit, rgba_png
from actwidgets.images.heatmap import (
    COLORINGS,
    TileSheet,
    as_planes,
    color_limits,
    map_on_picture,
    of_one_size,
    overlay,
    tile_sheet,
)
from actwidgets.images.inputs import GRAY
from actwidgets.session.session import Session
from actwidgets.views.charts import LineFigure
from actwidgets.views.controls import NEUTRAL, fade, labeled, note, shorten, show
from actwidgets.views.picture import Picture

FEATURES = 6  # of a table, that are named
STOPS = 9  # colors of which the legend is mixed


def figure(value: float) -> str:
    """A number as short as it may be read."""
    return "–" if not np.isfinite(value) else f"{value:.3g}"


def caption(attribution: Attribution, place: int, class_name: str) -> str:
    """The second line below a tile: the target score, and the completeness gap."""
    text = f"S({shorten(class_name, 12)}) {figure(float(attribution.scores[place]))}"
    gap, share = float(attribution.gap[place]), float(attribution.gap_share[place])
    told = f"{share:.2%}" if share < 10 else figure(gap)
    return f"{text} · gap {told}" if np.isfinite(gap) else text


def sample_text(row: int, true: str | None, asked: str) -> str:
    """The first line below a tile: the sample, and whether its class is the target."""
    if true is None:
        return f"sample {row}"
    return f"sample {row} ✓" if true == asked else f"sample {row}, is {shorten(true, 12)}"


def legend(
    coloring: str, limits: Sequence[float], *, shared: bool, score: str, has_negative: bool
) -> str:
    """The colors and what their ends mean, and what the score S is, as HTML."""
    if not any(limits):
        return f'<div class="aw-note">zero everywhere · S: {score}</div>'
    is_signed = coloring == "signed"
    first = TOP // 2 if is_signed and not has_negative else 0  # half of them are not used
    colors = palette(COLORINGS[coloring])[np.linspace(first, TOP, STOPS).astype(int)]
    stops = ", ".join("rgb({},{},{})".format(*rgb) for rgb in colors)
    low, high = ("negative", "positive") if is_signed else ("0", "max")
    if shared or len(limits) == 1:
        low, high = f"-{figure(limits[0])}", figure(limits[0])
    if not (is_signed and has_negative):
        low = "0"
    bar = (
        f'<span style="display:inline-block;width:120px;height:10px;margin:0 6px;'
        f'background:linear-gradient(to right,{stops})"></span>'
    )
    scale = ""
    if len(limits) > 1:
        scale = ", one scale for all" if shared else ", each on a scale of its own"
    return f'<div class="aw-note">{low}{bar}{high}{scale} · S: {score}</div>'


def features_text(row: int, attribution: Attribution, place: int, names: Sequence[str]) -> str:
    """The features with the largest attributions, by name; "" where they have no names."""
    most = attribution.by_feature(place, names)[:FEATURES]
    text = ", ".join(f"{shorten(name, 20)} {value:+.3g}" for name, value in most)
    return text and f"sample {row}: {text}"


def account(method: Method, attributions: Sequence[Attribution], *, is_value: bool = False) -> str:
    """What maps mean, what their sums promise, and what went wrong, as HTML."""
    sentences = [method.tells.replace("the class", "the output") if is_value else method.tells]
    if method.promise:
        sentences.append(f"Its values sum to {method.promise}.")
    sentences += sorted({attribution.note for attribution in attributions if attribution.note})
    source = f' <span style="opacity:.75">{html.escape(method.source)}</span>'
    return note(" ".join(sentences)).removesuffix("</div>") + source + "</div>"


LETTER_PX = 5.2  # of the words below a tile


@dataclass(frozen=True)
class Tile:
    """A sample, a row of the data, by a method; at a place of the attribution.

    `values` is the map of an input, of all samples of the attribution, places before channels.
    """

    row: int
    method: str
    attribution: Attribution
    place: int
    input: str = ""
    values: Any = None


@dataclass(frozen=True)
class Look:
    """How tiles are drawn; `shared` is the scale of colors, `score` what is attributed, in words.

    `tile_px` is the longer side of a tile on the screen, `width_px` that of all of them.
    """

    coloring: str
    opacity: float
    shared: bool
    tile_px: int
    width_px: int
    score: str = "the score of the class"


class AttributionTiles(w.VBox):
    """A picture of all tiles, words below each, and the legend; clicks go to `on_tile(tile)`."""

    def __init__(self, on_tile: Callable[[Tile], None]) -> None:
        self._on_tile = on_tile
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
        """Paint tiles, with two lines of words below each; the framed one is chosen.

        Args:
            tiles: One or more.
            pictures: `(row, column, 3)` uint8 for each, of the input that it is the map of;
                None where samples are no pictures.
            picture_shapes: Rows and columns of that input, or ().
        """
        planes, on_picture = [], pictures is not None
        for tile, shape in zip(tiles, picture_shapes, strict=True):
            values, fits = map_on_picture(tile.values, shape)
            on_picture = on_picture and fits
            channels = method_named(tile.method).channels
            one = values[tile.place][None]
            planes.append(as_planes(one, shape, look.coloring, channels=channels))
        if not on_picture:
            pictures, planes = None, of_one_size(planes)
        drawn = None if pictures is None else [picture[None] for picture in pictures]
        sizes = {plane.shape for plane in planes}
        if len(sizes) == 1 and (drawn is None or len({picture.shape for picture in drawn}) == 1):
            planes = [np.concatenate(planes)]  # drawn in one go
            drawn = None if drawn is None else [np.concatenate(drawn)]
        limits = np.concatenate([color_limits(plane, shared=look.shared) for plane in planes])
        if look.shared and len(planes) > 1:
            limits = np.full_like(limits, limits.max())
        painted, ends = [], np.cumsum([len(group) for group in planes])
        for place, (group, end) in enumerate(zip(planes, ends, strict=True)):
            under, part = None if drawn is None else drawn[place], limits[end - len(group) : end]
            painted.append(
                overlay(under, group, part, coloring=look.coloring, opacity=look.opacity)
            )
        height, width = (max(group.shape[axis] for group in painted) for axis in (1, 2))
        colors = np.concatenate([_in_a_box(group, height, width) for group in painted])
        size = colors.shape[1:3]
        grid = tile_sheet(len(tiles), *size, tile_px=look.tile_px, width_px=look.width_px)
        self.tiles, self._columns = tuple(tiles), grid.columns
        height, width = grid.cell
        self.picture.set_size(*grid.size_px)
        self.picture.set_cells(
            np.arange(grid.rows + 1) * height, np.arange(grid.columns + 1) * width
        )
        self.picture.show(rgba_png(grid.compose(colors, framed)))
        self._write(words, grid)
        show(self, True)
        some = any(np.any(plane) for plane in planes)
        self.legend.value = legend(
            look.coloring,
            (limits if some else np.zeros_like(limits)).tolist(),
            shared=look.shared,
            score=look.score,
            has_negative=any(method_named(tile.method).signed for tile in tiles),
        )

    def turn(self, *, shown: bool, old: bool) -> None:
        """Show the tiles or fold them away; those that are about something else are faint."""
        show(self, shown)
        fade(self, old)

    def _write(self, words: Sequence[tuple[str, str]], grid: TileSheet) -> None:
        height, width = grid.cell
        letters = int(width * grid.zoom / LETTER_PX)
        places = []
        for place in range(len(words)):
            down, across = divmod(place, grid.columns)
            x, y = (across + 0.5) * width, down * height + grid.height + 2 * grid.gap
            places += [(x, y + 9 / grid.zoom), (x, y + 23 / grid.zoom)]
        texts = [shorten(line, letters) for both in words for line in both]
        self.picture.set_words(places, texts, [NEUTRAL] * len(texts))

    def _on_user_click(self, row: int, column: int) -> None:
        place = row * self._columns + column
        if column < self._columns and place < len(self.tiles):
            self._on_tile(self.tiles[place])


def _in_a_box(tiles: Any, height: int, width: int) -> Any:
    """Tiles of one size, larger ones' if they are smaller, with gray around them."""
    if tiles.shape[1:3] == (height, width):
        return tiles
    boxes = np.stack([fit(tile, height, width) for tile in tiles])
    return np.where(boxes[..., 3:] > 0, boxes[..., :3], np.uint8(GRAY))


@dataclass(frozen=True)
class Subject:
    """The map that a panel is about: of a sample, with what is asked of the method.

    Attributes:
        pictures: `(1, row, column, 3)` uint8 of the sample, or None where it is no picture.
        picture_shape: Rows and columns of the sample, or ().
        input: Name of the input that these are of.
        place: Who asks, for the session.
    """

    row: int
    method: str
    options: dict[str, Any]
    pictures: Any
    picture_shape: tuple[int, ...]
    input: str
    look: Look
    place: str


class AttributionPanel(w.VBox):
    """A figure of lines about the shown map of a sample; `repaint` draws it anew."""

    across: str  # what the axis says
    names: tuple[str, ...]  # of the lines
    one_scale, width_px = True, 520

    def __init__(self, session: Session, repaint: Callable[[], None]) -> None:
        self._attributions = session.attributions
        self.lines = LineFigure(
            self.across, self.names, one_scale=self.one_scale, width_px=self.width_px
        )
        self._text = w.HTML()
        super().__init__(children=(self.lines, self._text))

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        raise NotImplementedError

    def _request(self, subject: Subject, kind: Any) -> Any:
        return self._attributions.request(
            subject.method, kind=kind, client=f"{subject.place} {kind}", **subject.options
        )


class CurvePanel(AttributionPanel):
    """Deletion and insertion curves of the map."""

    across = "share of positions, highest attribution first"
    names = ("deletion", "insertion")

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        deletion, insertion = (self._request(subject, kind) for kind in self.names)
        if deletion is None or insertion is None:
            return False
        self.lines.show(deletion.shares, [deletion.scores[0], insertion.scores[0]])
        self._text.value = note(
            f"Sample {subject.row}: area below the deletion curve {float(deletion.auc[0]):.3f} "
            "(a faithful map has it low), below the insertion curve "
            f"{float(insertion.auc[0]):.3f} (high). Deleted places get the mean of the picture, "
            "insertion begins with it blurred, features get 0: nothing of that is what the model "
            f"was trained on. {deletion.note}"
        )
        return True


STEPS = 20
METHOD = "interior_gradients"


class PathPanel(AttributionPanel):
    """Score and gradient norm at alpha · x against alpha, and the map at one alpha."""

    across, names = "alpha", ("score", "gradient norm")
    one_scale, width_px = False, 420

    def __init__(self, session: Session, repaint: Callable[[], None]) -> None:
        super().__init__(session, repaint)
        self.alphas = tuple((np.arange(1, STEPS + 1) / STEPS).tolist())
        self.slider = labeled(
            w.SelectionSlider,
            "alpha",
            "400px",
            options=[(f"{alpha:.2f}", alpha) for alpha in self.alphas],
            value=self.alphas[-1],
            tooltip="place on the path from the baseline, 0, to the sample, 1",
        )
        self.slider.observe(lambda _change: repaint(), names="value")
        self.tiles = AttributionTiles(lambda _tile: None)
        left = w.VBox([self.lines, self.slider, self._text], layout={"width": "440px"})
        self.children = (w.HBox([left, self.tiles], layout={"flex_flow": "row wrap"}),)

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        alpha, row = float(self.slider.value), subject.row
        whole, here = (
            self._attributions.request(
                METHOD,
                client=f"{subject.place} {len(alphas)}",
                alphas=alphas,
                **{name: subject.options[name] for name in ("rows", "target", "output")},
            )
            for alphas in (self.alphas, (alpha,))
        )
        self.lines.move_mark(alpha)
        if whole is None or here is None or whole.path is None:
            return False
        path = whole.path
        scores, norms = path.scores[0], path.gradient_norms[0]
        self.lines.show(path.alphas, [scores, norms])
        score, end = float(here.path.scores[0, 0] if here.path else np.nan), float(scores[-1])
        at = int(np.argmin(np.abs(path.alphas - alpha)))
        known = end > 0 and np.isfinite(score)
        share = f", {score / end:.0%} of that of the sample" if known else ""
        self._text.value = note(
            f"From 0 to sample {row}, whatever the method above. "
            f"At {alpha:.2f} · x the score is {figure(score)}{share}; the gradient norm is "
            f"{figure(float(norms[at]))}, at the sample {figure(float(norms[-1]))}."
        )
        values, has_own = here.values, True
        if isinstance(values, dict):  # of several inputs that which is drawn first
            has_own = subject.input in values
            values = values[subject.input] if has_own else next(iter(values.values()))
        self.tiles.draw(
            [Tile(row, METHOD, here, 0, subject.input, values)],
            subject.pictures if has_own else None,
            [subject.picture_shape if has_own else ()],
            [("x · gradient", f"at {alpha:.2f} · x")],
            subject.look,
            framed=None,
        )
        return True


class RandomizationPanel(AttributionPanel):
    """How alike the map stays while the weights are made random, layer by layer from the top."""

    across = "share of layers randomized, from the top"
    names = ("similarity to the original map",)

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        check = self._request(subject, "random weights")
        if check is None:
            return False
        similarity = check.similarity[:, 0]
        self.lines.show(np.linspace(0, 1, len(similarity)), [similarity])
        text = f"Sample {subject.row} only; actwidgets.randomization_check takes several."
        self._text.value = note(f"{check.sentence} {text}")
        return True


TITLES = {
    "path": "path from the baseline",
    "curves": "deletion and insertion",
    "randomization": "randomization check",
}
PANELS = {"path": PathPanel, "curves": CurvePanel, "randomization": RandomizationPanel}
REFUSALS = (LayerError, ModelError)  # a method that does not apply here is nothing unusual


class AttributionPanels(w.VBox):
    """A place for one panel at a time; `repaint` draws what is unfolded anew."""

    children: tuple[w.Widget, ...]

    def __init__(self, session: Session, repaint: Callable[[], None]) -> None:
        self._session, self._draw = session, repaint
        self.made: dict[str, AttributionPanel] = {}
        self._note = w.HTML()
        super().__init__()

    def fold(self) -> None:
        """Show none."""
        self.children = ()

    def unfold(self, name: str, subject: Subject) -> bool:
        """Show a panel about a sample; say whether all of it is there."""
        if name not in self.made:
            self.made[name] = PANELS[name](self._session, self._draw)
        panel = self.made[name]
        if panel not in self.children[:1]:
            self.children = (panel, self._note)
        complete, message = True, ""
        try:
            complete = panel.show(subject)
        except (*REFUSALS, ShapeError) as refusal:  # also maps coarser than the samples
            message = note(f"nothing to show here: {refusal}")
        self._note.value = message
        show(panel, not message)
        fade(panel, not complete)
        return complete

    def gather(self) -> None:
        """Hold all that was made, also what is folded, so that it is closed with this."""
        self.children = (*self.made.values(), self._note)
