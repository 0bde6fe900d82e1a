"""The weights of the selected layer as pictures."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import as_maps
from actwidgets.core.selection import Selection
from actwidgets.errors import LayerError
from actwidgets.images.colormap import NAMES, NORMALIZATIONS, ValueRange, color_codes, palette
from actwidgets.images.encode import palette_png, rgba_png
from actwidgets.images.kernels import (
    AVERAGE,
    EACH,
    MODES,
    RGB,
    dense_input_shape,
    kernel_colors,
    kernel_pictures,
    kernels_are_units,
    modes_of,
    sees_one_channel,
)
from actwidgets.images.tile_grid import (
    MAX_TILE_PX,
    Mosaic,
    color_mosaic,
    enlarge,
    plan_mosaic,
    shrink,
)
from actwidgets.session.session import Index
from actwidgets.views.base import MapView
from actwidgets.views.controls import (
    DepthSlider,
    OfferedChoice,
    PageRange,
    Readout,
    choice,
    control_row,
    note,
    show,
    title,
)
from actwidgets.views.picture import Picture

WRITTEN_OUT = 9  # weights; of more the mean and the ends are told


def subtitle(kind: str, shape: Sequence[int]) -> str:
    """Kind and size of kernels of `([depth,] row, column, in_channel, out_channel)`."""
    *positions, n_channels, n_kernels = shape
    if kind == "Dense":
        return f"Dense · {n_channels:,} to {n_kernels:,} units"
    size = "×".join(map(str, positions[1:] if "1D" in kind else positions))
    of_all = f"{n_channels:,} to {n_kernels:,} channels"
    of_one = f"{n_kernels:,} kernels of one channel"
    return f"{kind} · {size}, {of_one if sees_one_channel(kind) else of_all}"


def input_noun(kind: str, input_shape: Sequence[int] | None) -> str:
    """What one of the inputs of a layer's kernels is called."""
    return "input" if kind == "Dense" and not input_shape else "input channel"


def described(
    kind: str,
    n_inputs: int,
    shape: Sequence[int] | None,
    mode: str,
    span: ValueRange,
    averaged: int,
) -> str:
    """The caption: kernels, mode, scale, weights to the side of a pixel.

    The shape is what dense weights are shown as, channels last; None where they are not.
    """
    parts = []
    if shape:
        lengths = shape[:-1] if shape[-1] == 1 else shape
        if len(shape) == 3 and lengths[0] == 1:  # a sequence
            lengths = lengths[1:]
        parts.append(f"each unit's {n_inputs:,} weights as {' x '.join(map(str, lengths))}")
    if mode == AVERAGE:
        n_channels = shape[-1] if shape else n_inputs
        parts.append(f"mean over {n_channels:,} {input_noun(kind, shape)}s")
    parts.append(f"RGB: gray is 0, ±{span.high:.3g}" if mode == RGB else str(span))
    if averaged > 1:
        across = f"{averaged}" if "1D" in kind else f"{averaged}×{averaged}"
        parts.append(f"{across} weights to a pixel")
    if "1D" in kind:
        parts.append("time runs to the right")
    if not kernels_are_units(kind):
        parts.append("the layer mixes them into its units")
    return "; ".join(parts)


def weights_text(weights: np.ndarray) -> str:
    """`(row, column)` weights, number by number where they are few, else in short."""
    if weights.size <= WRITTEN_OUT:
        return " / ".join(" ".join(f"{value:.2f}" for value in row) for row in weights)
    return f"mean {weights.mean():.3g}, from {weights.min():.3g} to {weights.max():.3g}"


class KernelGrid(MapView):
    """Kernels as heat maps: a block per input channel downwards, and in it a tile per unit.

    Or one block: their mean over input channels, or colors where there are three of them.
    The weights of a dense layer behind a picture or a flattened map have its rows and
    columns. One scale for all, as far below zero as above, so that gray is zero everywhere.
    The mouse over a kernel tells its weights; a click chooses the unit, which is framed.
    """

    watched = ("layer", "unit")
    mode = t.Enum(MODES, EACH, help="how input channels are shown, where so they can").tag(
        option=True
    )
    normalize = t.Enum(NORMALIZATIONS, "symmetric", help="what one color scale covers").tag(
        option=True
    )
    cmap = t.Enum(NAMES, "RdBu_r", help="colormap").tag(option=True)
    units_per_page = t.Int(64, min=1, help="units per page").tag(option=True)
    page = t.Int(0, min=0, help="page of units").tag(option=True)
    channels_per_page = t.Int(4, min=1, help="input channels per page").tag(option=True)
    channel_page = t.Int(0, min=0, help="page of channels").tag(option=True)
    depth = Index(None, allow_none=True, help="slice of a volume; the middle one where None").tag(
        option=True
    )
    width_px = t.Int(560, min=200, help="width of the picture").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        self._picture = Picture()
        self._picture.on_click(self._on_user_click)
        self._picture.on_hover(self._on_user_hover)
        self._unit_pager = self._make_pager()
        self._channel_pager = self._make_pager("channel_page")
        self._unit_pager.layout.margin = self._channel_pager.layout.margin = "0 8px 0 0"
        self._slices = DepthSlider("kernel depth", self._on_user_depth)
        self._modes = OfferedChoice("show", self._on_user_mode, "170px")
        self._mosaic: Mosaic | None = None
        self._weights = np.zeros((0, 1, 1, 0), np.float32)
        self._shown_mode, self._n_channels, self._noun = EACH, 0, ""
        self._units, self._channels = PageRange(0, 1, 0), PageRange(0, 1, 0)
        self._focus = self._session.layer, self._session.unit
        if not self.page:
            self._turn_to_focus()
        normalize = self._control("normalize", choice("normalize", NORMALIZATIONS, "180px"))
        cmap = self._control("cmap", choice("colormap", NAMES, "168px"))
        self._scales = w.HBox([normalize, cmap])
        self._controls = control_row(
            self._modes, self._scales, self._unit_pager, self._channel_pager, self._slices
        )
        self._frame = w.HBox([self._picture], layout={"overflow": "auto"})
        return self._title, self._controls, self._frame, self._note, self._readout

    def _render(self, selection: Selection) -> None:
        info = self._session.layer_info
        try:
            kernels = self._session.kernels()
        except LayerError as failure:
            self._title.value = title("Kernels", info.name)
            self._note.value = note(f"nothing to show for {info.name}: {failure}")
            self._mosaic = None
            show(self._frame, False)
            self._controls.layout.display = "none"
            return
        detail = f"{info.name} · {subtitle(info.kind, kernels.shape)}"
        self._title.value = title("Kernels", detail)
        n_inputs, picture_shape = kernels.shape[-2], self._session.picture_shape
        input_shape = dense_input_shape(self._session.layers, info.name, n_inputs, picture_shape)
        self._n_channels = input_shape[-1] if input_shape else n_inputs
        modes = modes_of(self._n_channels)
        mode = self._shown_mode = self.mode if self.mode in modes else EACH
        self._modes.layout.display = None if len(modes) > 1 else "none"
        self._scales.layout.display = "none" if mode == RGB else None
        self._modes.offer(modes, mode)
        pictures = kernel_pictures(kernels, mode, input_shape)
        span = self._range_of(pictures, "symmetric" if mode == RGB else self.normalize)
        n_slices = pictures.shape[1] if pictures.ndim == 5 else None
        maps = as_maps(pictures, self._slices.show(n_slices, self.depth))
        self._units = PageRange(self.page, self.units_per_page, maps.shape[-1])
        n_blocks = 1 if mode == RGB else len(maps)
        self._channels = PageRange(self.channel_page, self.channels_per_page, n_blocks)
        blocks = slice(None) if mode == RGB else self._channels.rows
        self._weights = maps[blocks, :, :, self._units.rows]
        averaged = self._paint(mode, span)
        self._unit_pager.show(self._units, self._units.text(f"{self._kernel_noun()}s"))
        self._noun = input_noun(info.kind, input_shape)
        self._channel_pager.show(self._channels, self._channels.text(f"{self._noun}s"))
        self._channel_pager.layout.display = None if n_blocks > 1 else "none"
        text = described(info.kind, n_inputs, input_shape, mode, span, averaged)
        self._note.value = note(text)
        show(self._frame, True)
        self._controls.layout.display = None

    def _paint(self, mode: str, span: ValueRange) -> int:
        """Show the weights on this page; return how many are averaged to a pixel's side."""
        longest = self.width_px - 2 if self._weights.shape[1] == 1 else MAX_TILE_PX
        shown, averaged = shrink(self._weights, longest)
        n_blocks = 1 if mode == RGB else len(shown)
        plan = plan_mosaic(n_blocks, shown.shape[-1], *shown.shape[1:3], width_px=self.width_px)
        mosaic = self._mosaic = plan.mosaic
        place, page = self._session.unit - self._units.rows.start, self._units.rows
        on_page = 0 <= place < page.stop - page.start
        framed = place if on_page and self._has_units() else None
        if mode == RGB:
            tiles = enlarge(kernel_colors(shown, span.high)[None], *plan.enlarged)
            png = rgba_png(color_mosaic(mosaic, tiles, framed))
        else:
            picture = mosaic.assemble(enlarge(color_codes(shown, span), *plan.enlarged))
            if framed is not None:
                mosaic.draw_frame(picture, framed)
            png = palette_png(picture, palette(self.cmap))
        self._picture.set_size(plan.height_px, plan.width_px)
        self._picture.set_cells(mosaic.row_edges, mosaic.column_edges)
        self._picture.show(png)
        return averaged

    def _has_units(self) -> bool:
        return kernels_are_units(self._session.layer_info.kind)

    def _kernel_noun(self) -> str:
        return "unit" if self._has_units() else "kernel"

    def _turn_to_focus(self) -> None:
        """Go to the page of the selected unit."""
        if self._has_units():
            self.page = self._session.unit // self.units_per_page

    def _on_session(self, change: Any = None) -> None:
        focus = self._session.layer, self._session.unit
        if focus != self._focus:  # a page that somebody turned to stays until they choose
            self._focus = focus
            self._turn_to_focus()
        super()._on_session(change)

    def _on_user_depth(self, depth: int) -> None:
        with self._guard("could not choose the slice"):
            self.depth = depth

    def _on_user_mode(self, mode: str) -> None:
        with self._guard("could not choose what is shown"):
            self.mode = mode

    def _on_user_click(self, row: int, column: int) -> None:
        with self._guard("could not choose the unit"):
            place = self._mosaic.at(row, column) if self._mosaic else None
            if place and self._has_units():
                self._session.select(unit=self._units.rows.start + place[1])

    def _readout_of_cell(self, row: int, column: int) -> str:
        place = self._mosaic.at(row, column) if self._mosaic else None
        if place is None:
            return ""
        block, kernel = place
        name = f"{self._kernel_noun()} {self._units.rows.start + kernel}"
        weights = self._weights[..., kernel]
        if self._shown_mode == RGB:
            parts = zip(("red", "green", "blue"), map(weights_text, weights), strict=True)
            return f"{name}: " + "; ".join(map(" ".join, parts))
        if self._shown_mode == AVERAGE:
            name = f"mean over {self._n_channels:,} {self._noun}s, {name}"
        elif self._n_channels > 1:
            name = f"{self._noun} {self._channels.rows.start + block}, {name}"
        return f"{name}: {weights_text(weights[block])}"
