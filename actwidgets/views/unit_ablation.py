"""Ablate or scale units, and see how predictions change."""

import html
from collections.abc import Callable, Collection
from typing import Any, get_args

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.ablation import Ablation, Fill, replaced
from actwidgets.core.confusion import Confusion, MultilabelConfusion
from actwidgets.core.selection import Selection
from actwidgets.images.encode import rgba_png
from actwidgets.views.charts import class_figure, output_note
from actwidgets.views.confusion_matrix import PredictionView
from actwidgets.views.controls import (
    PageRange,
    button,
    choice,
    control_row,
    labeled,
    note,
    setting,
    share_text,
    unique_short,
    update,
)
from actwidgets.views.picture import Picture

TILE_PX = 26
ROWS_UP_TO = 8
ON, OFF, FOCUS = (207, 231, 228, 255), (217, 83, 79, 255), (255, 127, 14, 255)
ON_TEXT, OFF_TEXT = "#2b4a47", "#ffffff"


class UnitTiles(Picture):
    """Numbered tiles in rows of `width_px`; a click calls `on_click(unit)`."""

    def __init__(self, width_px: int, on_click: Callable[[int], None]) -> None:
        super().__init__(with_words=True)
        self._columns = max(1, width_px // TILE_PX)
        self.capacity = self._columns * ROWS_UP_TO
        self._units = slice(0, 0)
        self._drawn: object = None

        def clicked(row: int, column: int) -> None:
            unit = self._units.start + row * self._columns + column
            if column < self._columns and unit < self._units.stop:
                on_click(unit)

        self.on_click(clicked)

    def display(self, units: slice, filled: Collection[int], focus: int) -> None:
        """Show some units: those in a set filled with another color, that in focus framed."""
        key = units, tuple(filled), focus
        if key == self._drawn:
            return
        self._drawn, self._units = key, units
        shown = range(units.start, units.stop)
        n_rows = max(-(-len(shown) // self._columns), 1)  # of no units an empty one
        picture = np.zeros((n_rows * TILE_PX, self._columns * TILE_PX, 4), np.uint8)
        places, colors = [], []
        for place, unit in enumerate(shown):
            row, column = divmod(place, self._columns)
            tile = picture[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX :][:, :TILE_PX]
            if unit == focus:
                tile[:-1, :-1] = FOCUS
                tile[2:-3, 2:-3] = 0
            tile[2:-3, 2:-3] = OFF if unit in filled else ON
            places.append(((column + 0.5) * TILE_PX - 0.5, (row + 0.5) * TILE_PX - 0.5))
            colors.append(OFF_TEXT if unit in filled else ON_TEXT)
        self.set_size(*picture.shape[:2])
        self.set_cells(np.arange(n_rows + 1) * TILE_PX, np.arange(self._columns + 1) * TILE_PX)
        self.show(rgba_png(picture))
        self.set_words(places, list(map(str, shown)), colors)


AnyConfusion = Confusion | MultilabelConfusion
CLASSES_UP_TO = 30
SHOWN_UP_TO = 256  # visible samples whose outputs are averaged, of a regression


class UnitAblation(PredictionView):
    """A tile for each unit of the selected layer: a click ablates the unit, or restores it.

    A unit that is off puts out zero, or its mean over the samples; the slider scales instead
    how far it is from there. Accuracy and the recall of each class are told before and after,
    over all samples, as fast as they can be predicted. Other views follow: predictions,
    confusion, and feature maps behind the layer. The model itself is never touched; profiles
    of classes, kernels and embeddings are those of the model as it is.
    """

    every_layer = False
    folds_controls = False  # units are turned off without labels too
    watched = ("layer", "unit", "sample", "ablations")
    fill = t.Enum(get_args(Fill), "zero", help="what replaces an ablated output").tag(option=True)
    scale = t.Float(
        0.0, min=0.0, max=3.0, help="factor of its output: 0 ablates, 1 changes nothing"
    ).tag(option=True)
    page = t.Int(0, min=0, help="page of units").tag(option=True)
    width_px = t.Int(560, min=200, help="width of the view").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._effect = w.HTML(), w.HTML(), w.HTML()
        self._tiles = UnitTiles(self.width_px, self._on_user_tile)
        self._pager = self._make_pager()
        steps = {"min": 0.0, "max": 3.0, "step": 0.05, "style": {"description_width": "38px"}}
        fills = [("zero", "zero"), ("the mean", "mean")]
        controls = control_row(
            self._control("fill", choice("replace by", fills, "168px")),
            self._control("scale", labeled(w.FloatSlider, "scale", "250px", **steps)),
            button("this unit only", self._on_user_only, "112px"),
            button("all on", self._on_user_none, "70px"),
            self._pager,
        )
        self._picture = w.VBox([self._build_recall()])
        return self._title, controls, self._tiles, self._note, self._effect, self._picture

    def _build_recall(self) -> bq.Figure:
        self._names = unique_short(self._session.class_names, 12)
        self._across = bq.OrdinalScale()
        scales = {"x": self._across, "y": bq.LinearScale(min=0, max=1)}
        self.recall = bq.Bars(
            x=[""],
            y=np.zeros((2, 1)),
            scales=scales,
            colors=["rgba(128,128,128,.45)", "#3fa7a0"],
            type="grouped",
            labels=["before", "now"],
            display_legend=False,
        )
        return class_figure(
            [self.recall],
            scales,
            self._names,
            n_shown=CLASSES_UP_TO,
            width_px=self.width_px,
            height_share=0.34,
            label="recall",
            ticks=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        )

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Unit ablation", selection.layer

    def _seen_in(self, selection: Selection) -> list[Any]:
        rows = () if self._session.predicts_classes else selection.chosen  # told on average
        return [*super()._seen_in(selection), rows]

    def _missing(self) -> str:
        if not self._session.layer_info.n_units:
            return "the number of its units varies"
        if self._session.masks is not None:
            return self._session.missing_labels
        return super()._missing()

    def _render(self, selection: Selection) -> None:
        self._session.require_changes()
        self._show_altered(selection)
        n_units = self._session.layer_info.n_units or 0
        page = PageRange(self.page, self._tiles.capacity, n_units)
        self._tiles.display(page.rows, self._mine(selection), selection.unit)
        self._pager.show(page, page.text("units"))
        if self._missing():
            self._effect.value = self._without_labels(selection)
        super()._render(selection)
        output = self._session.output
        if self._session.n_outputs and output.kind == "value" and self._effect.value:
            self._note.value = output_note(output)  # what becomes of the values is told

    def _draw(self, selection: Selection, confusion: AnyConfusion) -> bool:
        before = self._session.confusion(confusion.rows, ablated=False)
        assert isinstance(before, Confusion | MultilabelConfusion)  # masks are not drawn here
        supported = np.flatnonzero(before.report.support)
        lost = before.report.recall - confusion.report.recall
        if len(supported) > CLASSES_UP_TO:
            supported = np.sort(supported[np.argsort(-np.abs(lost[supported]))[:CLASSES_UP_TO]])
        names = [self._names[index] for index in supported]
        if list(self._across.domain or ()) != names:
            self._across.domain = names
        recalls = [of.report.recall[supported] for of in (before, confusion)]
        update(self.recall, x=names, y=np.stack(recalls))
        self._effect.value = self._result(selection, before, confusion)
        text = self._read_of(confusion)
        if len(supported) < np.count_nonzero(before.report.support):
            text += f"; the {CLASSES_UP_TO} classes whose recall changes most"
        self._note.value = note(text)
        return True

    def _result(self, selection: Selection, before: AnyConfusion, now: AnyConfusion) -> str:
        n_off = len(self._mine(selection))
        units = f"{n_off} unit{'s' if n_off != 1 else ''} ablated in this layer"
        changed = int((before.predicted != now.predicted).sum())
        text = f"<b>accuracy {before.accuracy:.4f} → {now.accuracy:.4f}</b> &nbsp; {units}, "
        text += f"{changed:,} of {len(now.rows):,} predictions changed"
        return f'<div class="aw-note">{text}{self._of_focus(selection)}</div>'

    def _without_labels(self, selection: Selection) -> str:
        """The effect on predictions where there are no labels, as HTML."""
        session = self._session
        if not session.missing_for_predictions():
            text = "no labels: only the prediction of the current sample is shown"
            return f'<div class="aw-note">{text}{self._of_focus(selection)}</div>'
        if not session.n_outputs or not session.layer_info.n_units:
            return ""
        rows = selection.samples[:SHOWN_UP_TO]
        before, now = (session.outputs(rows, ablated=ablated) for ablated in (False, True))
        place = rows.index(selection.sample) if selection.sample in rows else 0
        text = f"sample {rows[place]}: {before[place, 0]:.4g} → {now[place, 0]:.4g}"
        if len(rows) > 1:
            means = f"{before[:, 0].mean():.4g} → {now[:, 0].mean():.4g}"
            text += f"; mean of {len(rows):,} visible samples: {means}"
        return note(text)

    def _of_focus(self, selection: Selection) -> str:
        """What becomes of the current sample, in words."""
        session = self._session
        texts = []
        for ablated in (False, True):
            scores = session.scores([selection.sample], ablated=ablated)
            name = session.class_names[int(scores.predicted[0])]
            sure, text = float(scores.confidence[0]), html.escape(name)
            texts.append(text if np.isnan(sure) else f"{text} {share_text(sure)}")
        return f"<br>sample {selection.sample}: {' → '.join(texts)}"

    def _mine(self, selection: Selection) -> tuple[int, ...]:
        """The units of the selected layer that are altered."""
        return tuple(unit for ablation in self._of_layer(selection) for unit in ablation.units)

    def _of_layer(self, selection: Selection) -> list[Ablation]:
        return [ablation for ablation in selection.ablations if ablation.layer == selection.layer]

    def _show_altered(self, selection: Selection) -> None:
        """Controls stand where the ablation of this layer does, whoever made it."""
        if mine := self._of_layer(selection):
            with setting(self):
                self.fill, self.scale = mine[0].fill, min(max(mine[0].scale, 0.0), 3.0)

    def _alter(self, units: tuple[int, ...], **choice: int) -> None:
        """Have these units of the layer altered, and choose what else is given, in one step."""
        session = self._session
        ablations = replaced(session.ablations, session.layer, units, self.scale, self.fill)
        session.select(ablations=ablations, **choice)

    def _on_option(self, change: Any) -> None:
        units = self._mine(self._session.selection)
        if change.name in ("fill", "scale") and units:
            self._alter(units)
        else:
            super()._on_option(change)

    def _on_user_tile(self, unit: int) -> None:
        with self._guard("could not switch the unit"):
            units = self._mine(self._session.selection)
            kept = tuple(altered for altered in units if altered != unit)
            self._alter(kept if unit in units else tuple(sorted((*units, unit))), unit=unit)

    def _on_user_only(self) -> None:
        with self._guard("could not switch the unit off"):
            self._alter((self._session.unit,))

    def _on_user_none(self) -> None:
        with self._guard("could not switch the units on"):
            self._alter(())
