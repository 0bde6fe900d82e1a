"""Feature maps of the selected layer: samples down, units across."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.arrays import as_maps
from actwidgets.core.layers import ORDERS, unit_order
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import (
    NAMES,
    NORMALIZATIONS,
    ValueRange,
    color_codes,
    palette,
)
from actwidgets.images.encode import (
    ContactSheet,
    Pixels,
    fitted,
    palette_png,
    resized,
    rgb_png,
    rgba_png,
)
from actwidgets.images.tile_grid import (
    MAX_TILE_PX,
    Mosaic,
    MosaicPlan,
    enlarge,
    plan_mosaic,
    shrink,
)
from actwidgets.session.session import Index
from actwidgets.views.base import MapView
from actwidgets.views.controls import (
    DepthSlider,
    PageRange,
    Readout,
    choice,
    control_row,
    note,
    show,
    title,
)
from actwidgets.views.picture import Image, Picture

INPUT_PX = 88
INPUT_MARGIN_PX = 1


class FeatureMapGrid(MapView):
    """Feature maps: samples down, with their input at the left, and units across.

    Layers without positions (dense ones) show one cell per unit, sequences a strip per unit
    in which time runs to the right, volumes one slice at a time. The mouse over a map tells
    its unit and values; a click chooses the unit, which is framed. Of many visible samples the
    first are drawn, as they are perturbed.
    """

    watched = ("layer", "samples", "unit", "perturbation", "ablations")
    normalize = t.Enum(NORMALIZATIONS, "per layer", help="what one color scale covers").tag(
        option=True
    )
    cmap = t.Enum(NAMES, "viridis", help="colormap").tag(option=True)
    order = t.Enum(tuple(ORDERS), "index", help="how units are sorted").tag(option=True)
    max_samples = t.Int(8, min=1, help="samples drawn at most").tag(option=True)
    units_per_page = t.Int(32, min=1, help="units per page").tag(option=True)
    depth = Index(None, allow_none=True, help="slice of a volume; the middle one where None").tag(
        option=True
    )
    page = t.Int(0, min=0, help="page of units").tag(option=True)
    width_px = t.Int(560, min=200, help="width of the picture").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        self._inputs, self._maps = Image(), Picture()
        self._inputs.add_class("aw-pixels")
        self._maps.on_click(self._on_user_click)
        self._maps.on_hover(self._on_user_hover)
        self._pager = self._make_pager()
        self._n_units, self._units = 0, np.arange(0)
        self._mosaic: Mosaic | None = None
        self._inputs_shown: Any = None
        self._focus = self._session.unit if self.page or self.order != "index" else None
        self._slices = DepthSlider("depth", self._on_user_depth)
        controls = control_row(
            self._control("normalize", choice("normalize", NORMALIZATIONS, "180px")),
            self._control("cmap", choice("colormap", NAMES, "168px")),
            self._control("order", choice("sort", tuple(ORDERS))),
            self._pager,
            self._slices,
        )
        self._pictures = w.HBox([self._inputs, self._maps], layout={"overflow": "auto"})
        return self._title, controls, self._pictures, self._note, self._readout

    def _render(self, selection: Selection) -> None:
        info = self._session.layer_info
        detail = f"{info.name} · {info.kind} · {info.shape_text}"
        self._title.value = title("Feature maps", detail)
        outputs = self._outputs(selection)
        self._slices.show(outputs.shape[1] if outputs.ndim == 5 else None, self.depth)
        maps = self._maps_of(outputs)
        if 0 in maps.shape:
            self._show_nothing(f"nothing to show for {info.name}: its output is empty")
            return
        self._n_units = maps.shape[-1]
        order = unit_order(maps, self.order)
        if self._turns_to_unit(selection, order):
            return  # which drew it
        page = PageRange(self.page, self.units_per_page, self._n_units)
        self._units = order[page.rows]
        span = self._range_of(maps, self.normalize)
        width_px = self.width_px - INPUT_PX - 12
        longest = width_px - 2 if maps.shape[1] == 1 else MAX_TILE_PX
        shown, averaged = shrink(maps[..., self._units], longest)
        plan = plan_mosaic(len(shown), len(self._units), *shown.shape[1:3], width_px=width_px)
        mosaic = plan.mosaic
        picture = mosaic.assemble(enlarge(color_codes(shown, span), *plan.enlarged))
        places = np.flatnonzero(self._units == selection.unit)
        if places.size:
            mosaic.draw_frame(picture, int(places[0]))
        self._mosaic = mosaic
        self._maps.set_size(plan.height_px, plan.width_px)
        self._maps.set_cells(mosaic.row_edges, mosaic.column_edges)
        self._maps.show(palette_png(picture, palette(self.cmap)))
        self._show_inputs(selection, plan)
        self._pager.show(page, page.text("units"))
        text = _describe(span, averaged, outputs.ndim)
        if len(outputs) < len(selection.samples):
            text += f"; {len(outputs):,} of {len(selection.samples):,} samples"
        if len(self._session.picture_inputs) > 1:
            text += f"; at the left: {', '.join(self._session.picture_inputs_of())}"
        self._note.value = note(text)
        show(self._pictures, True)

    def _turns_to_unit(self, selection: Selection, order: np.ndarray) -> bool:
        """Where another unit was chosen, go to its page; one that somebody turned to stays."""
        before, self._focus = self._focus, selection.unit
        if before == selection.unit:
            return False
        places = np.flatnonzero(order == selection.unit)
        page = int(places[0]) // self.units_per_page if places.size else self.page
        turned = page != self.page
        if turned:
            self.page = page
        return turned

    def _show_inputs(self, selection: Selection, plan: MosaicPlan) -> None:
        """The inputs of each sample that the layer sees, beside the first row of its maps."""
        samples = selection.samples[: self.max_samples]
        seen = self._session.picture_inputs_of()
        key = samples, selection.perturbation, plan, self._session.revision, seen
        if key == self._inputs_shown:
            return
        pictures = self._session.pictures(samples, as_shown=True, name=seen)
        png, height_px, width_px, margin_px = _inputs_beside(pictures, plan)
        sized = {"height": height_px, "width": width_px, "margin": margin_px}
        if any(getattr(self._inputs.layout, name) != value for name, value in sized.items()):
            with self._inputs.layout.hold_sync():
                for name, value in sized.items():
                    setattr(self._inputs.layout, name, value)
        self._inputs.value = png
        self._inputs_shown = key

    def _outputs(self, selection: Selection) -> np.ndarray:
        """What the layer makes of the samples that are drawn; the session's lock is held."""
        drawn = selection.samples[: self.max_samples]
        edits = selection.perturbation, selection.ablations
        return self._session.results.maps(selection.layer, drawn, *edits)

    def _maps_of(self, outputs: np.ndarray) -> np.ndarray:
        """Maps of the layer; of a volume the slice that the slider stands at."""
        return as_maps(outputs, self._slices.value if outputs.ndim == 5 else None)

    def _show_nothing(self, why: str) -> None:
        self._mosaic = None
        show(self._pictures, False)
        self._note.value = note(why)

    def _at(self, row: int, column: int) -> tuple[int, int] | None:
        """Sample and unit under a cell, as indices of the session."""
        place = self._mosaic.at(row, column) if self._mosaic else None
        if place is None or place[1] >= len(self._units):
            return None
        return self._session.samples[place[0]], int(self._units[place[1]])

    def _on_user_depth(self, depth: int) -> None:
        with self._guard("could not choose the slice"):
            self.depth = depth

    def _on_user_click(self, row: int, column: int) -> None:
        with self._guard("could not choose the unit"):
            chosen = self._at(row, column)
            if chosen:
                self._session.select(sample=chosen[0], unit=chosen[1])

    def _readout_of_cell(self, row: int, column: int) -> str:
        chosen = self._at(row, column)
        if not chosen:
            return ""
        place = self._session.samples.index(chosen[0])
        outputs = self._outputs(self._session.selection)
        return _readout_text(self._maps_of(outputs)[place, :, :, chosen[1]], *chosen, outputs.ndim)


def _inputs_beside(pictures: Pixels, plan: MosaicPlan) -> tuple[bytes, str, str, str]:
    """Inputs beside the rows of their maps: a PNG, and its height, width and margin as CSS.

    Args:
        pictures: `(sample, row, column, 3)` uint8.
        plan: Where the maps lie.
    """
    count = plan.mosaic.n_samples
    if count == 1:
        side = INPUT_PX - 2 * INPUT_MARGIN_PX
        scale, top, left, height, width = fitted(pictures.shape[1:3], side, side)
        around = [
            INPUT_MARGIN_PX + each for each in (top, side - width - left, side - height - top, left)
        ]
        margin = " ".join(f"{each}px" for each in around)
        # What is enlarged by whole pixels, the page enlarges.
        png = rgb_png(
            pictures[0] if isinstance(scale, int) else resized(pictures[0], height, width)
        )
        return png, f"{height}px", f"{width}px", margin
    block = plan.mosaic.block_height * plan.zoom
    side = max(1, min(block, INPUT_PX) - 2)
    sheet = ContactSheet(1, count, side, side + 2, block + plan.mosaic.gap * plan.zoom)
    png = rgba_png(sheet.compose(list(pictures), [0] * count))
    return png, f"{sheet.height_px}px", f"{sheet.width_px}px", "0"


def _describe(span: ValueRange, averaged: int, n_axes: int) -> str:
    time = "; time runs to the right" if n_axes == 3 else ""
    if averaged > 1:
        what = f"{averaged} steps" if n_axes == 3 else f"{averaged}×{averaged} values"
        return f"{span}, {what} to a pixel{time}"
    return f"{span}{time}"


def _readout_text(values: np.ndarray, sample: int, unit: int, n_axes: int) -> str:
    if values.size == 1:
        return f"sample {sample}, unit {unit}: {values.item():.4g}"
    if np.isnan(values).all():
        return f"sample {sample}, unit {unit}: not a number anywhere"
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    where = f"step {column}" if n_axes == 3 else f"row {row}, column {column}"
    lost = int(np.isnan(values).sum())
    text = (
        f"sample {sample}, unit {unit}: mean {np.nanmean(values):.4g}, "
        f"peak {values[row, column]:.4g} at {where}"
    )
    return f"{text}; {lost} values are not a number" if lost else text
