"""The weights that the units of the chosen layer look for."""

import html
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import as_maps
from actwidgets.core.colormaps import NAMES, palette
from actwidgets.core.colour_codes import SCALINGS, colour_codes, value_range
from actwidgets.core.images import palette_png
from actwidgets.core.mosaic import MAX_TILE_PX, Mosaic, enlarge, plan_mosaic, shrink
from actwidgets.core.paging import Page
from actwidgets.errors import LayerError
from actwidgets.session import Selection
from actwidgets.views._controls import choice, note, show
from actwidgets.views._pager import Pager
from actwidgets.views._picture import Picture
from actwidgets.views.base import View


class KernelGrid(View):
    """Kernels as heat maps: a block per input channel downwards, and in it a tile per unit.

    One scale for all, as far below zero as above, so that grey is zero everywhere. The mouse
    over a kernel tells its weights; a click chooses the unit, which is framed.
    """

    watched = ("layer", "unit")
    scaling = t.Enum(SCALINGS, "symmetric", help="what one colour scale covers").tag(option=True)
    colours = t.Enum(NAMES, "blue-red", help="colour map").tag(option=True)
    units_per_page = t.Int(64, min=1, help="units on show at a time").tag(option=True)
    page = t.Int(0, min=0, help="which of the pages of units").tag(option=True)
    channels_per_page = t.Int(4, min=1, help="input channels on show").tag(option=True)
    channel_page = t.Int(0, min=0, help="which of the pages of channels").tag(option=True)
    width_px = t.Int(560, min=200, help="width of the picture").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), w.HTML("&nbsp;")
        self._picture = Picture()
        self._picture.on_click(self._on_user_click)
        self._picture.on_hover(self._on_user_hover)
        self._unit_pager = Pager(self._on_user_unit_page)
        self._channel_pager = Pager(self._on_user_channel_page)
        self._mosaic: Mosaic | None = None
        self._weights = np.zeros((0, 1, 1, 0), np.float32)
        self._first = 0, 0  # channel and unit on show
        controls = w.HBox(
            [
                self._control("scaling", choice("scale", SCALINGS)),
                self._control("colours", choice("colours", NAMES)),
                self._unit_pager,
                self._channel_pager,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._frame = w.HBox([self._picture], layout={"overflow": "auto"})
        return self._title, controls, self._frame, self._note, self._readout

    def _render(self, selection: Selection) -> None:
        info = self._session.layer_info
        name = html.escape(info.name)
        try:
            kernels = self._session.kernels()
        except LayerError as failure:
            self._title.value = f'<div class="aw-title">Kernels <span>{name}</span></div>'
            self._note.value = note(f"nothing to show for {info.name}: {failure}")
            self._mosaic = None
            show(self._frame, False)
            return
        *_, n_channels, n_units = kernels.shape
        size = "×".join(map(str, kernels.shape[:-2]))
        self._title.value = (
            f'<div class="aw-title">Kernels <span>{name} · {html.escape(info.kind)} · '
            f"{size}, {n_channels} to {n_units} channels</span></div>"
        )
        # One block for each input channel, as maps of one sample each; of volumes the middle.
        maps = as_maps(np.moveaxis(kernels, -2, 0))
        span = value_range(maps, self.scaling)
        units, channels = self._pages(n_units, n_channels)
        self._first = channels.rows.start, units.rows.start
        self._weights = maps[channels.rows, :, :, units.rows]
        shown, averaged = shrink(self._weights, MAX_TILE_PX)
        plan = plan_mosaic(len(shown), shown.shape[-1], *shown.shape[1:3], width_px=self.width_px)
        mosaic = self._mosaic = plan.mosaic
        picture = mosaic.assemble(enlarge(colour_codes(shown, span), *plan.enlarged))
        if units.rows.start <= selection.unit < units.rows.stop:
            mosaic.draw_frame(picture, selection.unit - units.rows.start)
        self._picture.set_size(plan.height_px, plan.width_px)
        self._picture.set_cells(mosaic.row_edges, mosaic.column_edges)
        self._picture.show(palette_png(picture, palette(self.colours)))
        self._unit_pager.show(units, units.text("units"))
        self._channel_pager.show(channels, channels.text("input channels"))
        middle = "; the middle slice of each" if kernels.ndim == 5 else ""
        shrunk = f", {averaged}×{averaged} weights to a pixel" if averaged > 1 else ""
        self._note.value = note(f"{span}{shrunk}{middle}")
        show(self._frame, True)

    def _pages(self, n_units: int, n_channels: int) -> tuple[Page, Page]:
        return (
            Page(self.page, self.units_per_page, n_units),
            Page(self.channel_page, self.channels_per_page, n_channels),
        )

    def _at(self, row: int, column: int) -> tuple[int, int] | None:
        """Channel and unit under a cell, as positions on this page."""
        return self._mosaic.at(row, column) if self._mosaic else None

    def _turn(self, option: str, which: int, step: int) -> None:
        with self._guard("could not turn the page"):
            *_, n_channels, n_units = self._session.kernels().shape
            setattr(self, option, self._pages(n_units, n_channels)[which].turned(step))

    def _on_user_unit_page(self, step: int) -> None:
        self._turn("page", 0, step)

    def _on_user_channel_page(self, step: int) -> None:
        self._turn("channel_page", 1, step)

    def _on_user_click(self, row: int, column: int) -> None:
        with self._guard("could not choose the unit"):
            chosen = self._at(row, column)
            if chosen:
                self._session.select(unit=self._first[1] + chosen[1])

    def _on_user_hover(self, row: int, column: int) -> None:
        with self._session.lock, self._guard("could not read the weights"):
            chosen = self._at(row, column)
            if chosen:
                weights = _tell(self._weights[chosen[0], :, :, chosen[1]])
                channel, unit = self._first[0] + chosen[0], self._first[1] + chosen[1]
                self._readout.value = note(f"input channel {channel}, unit {unit}: {weights}")


def _tell(weights: Any) -> str:
    """Small kernels number by number, large ones in short."""
    if weights.size <= 9:
        return " / ".join(" ".join(f"{value:.2f}" for value in row) for row in weights)
    return f"mean {weights.mean():.3g}, from {weights.min():.3g} to {weights.max():.3g}"
