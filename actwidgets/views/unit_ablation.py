"""Switch units off, or scale them, and watch what the model then predicts."""

import html
from typing import Any, get_args

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.interventions.ablation import Ablation, Fill, replaced
from actwidgets.core.paging import Page
from actwidgets.core.predictions.confusion import Confusion, MultilabelConfusion
from actwidgets.session import Selection
from actwidgets.views._class_figure import class_figure
from actwidgets.views._controls import choice, note, share_text, unique_short
from actwidgets.views._pager import Pager
from actwidgets.views._prediction_view import PredictionView
from actwidgets.views._unit_tiles import UnitTiles
from actwidgets.views._value_lines import output_note

CLASSES_UP_TO = 30
SHOWN_UP_TO = 256  # samples on show whose outputs are averaged, of a regression


class UnitAblation(PredictionView):
    """A tile for each unit of the chosen layer: a click switches the unit off, or on again.

    A unit that is off puts out zero, or its mean over the samples; the slider scales instead
    how far it is from there. Accuracy and the recall of each class are told before and after,
    over all samples, as fast as they can be predicted. Other views follow: predictions,
    confusion, and feature maps behind the layer. The model itself is never touched; profiles
    of classes, kernels and embeddings are those of the model as it is.
    """

    every_layer = False
    folds_controls = False  # units are turned off without labels too
    watched = ("layer", "unit", "sample", "ablations")
    fill = t.Enum(get_args(Fill), "zero", help="what a unit puts out that is off").tag(option=True)
    scale = t.Float(0.0, min=0.0, max=3.0, help="0 is off, 1 as it is").tag(option=True)
    page = t.Int(0, min=0, help="which of the pages of units").tag(option=True)
    width_px = t.Int(560, min=200, help="width of the view").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._told = w.HTML(), w.HTML(), w.HTML()
        self._tiles = UnitTiles(self.width_px, self._on_user_tile)
        self._pager = Pager(self._on_user_page)
        self._following = False
        slider = w.FloatSlider(
            description="scale",
            tooltip="",
            min=0.0,
            max=3.0,
            step=0.05,
            layout={"width": "250px"},
            style={"description_width": "38px"},
        )
        fills = [("zero", "zero"), ("its mean", "mean")]
        self._only = w.Button(description="this unit only", layout={"width": "112px"})
        self._only.on_click(self._on_user_only)
        self._none = w.Button(description="all on", layout={"width": "70px"})
        self._none.on_click(self._on_user_none)
        controls = w.HBox(
            [
                self._control("fill", choice("off is", fills, "130px")),
                self._control("scale", slider),
                self._only,
                self._none,
                self._pager,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._picture = w.VBox([self._build_recall()])
        return self._title, controls, self._tiles, self._note, self._told, self._picture

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

    def _heading(self, selection: Selection) -> str:
        return f"Unit ablation <span>{html.escape(selection.layer)}</span>"

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
        self._follow(selection)
        n_units = self._session.layer_info.n_units or 0
        page = Page(self.page, self._tiles.capacity, n_units)
        self._tiles.display(page.rows, self._mine(selection), selection.unit)
        self._pager.show(page, page.text("units"))
        if self._missing():
            self._told.value = self._without_labels(selection)
        super()._render(selection)
        output = self._session.output
        if self._session.n_outputs and output.kind == "value" and self._told.value:
            self._note.value = output_note(output)  # what becomes of the values is told

    def _draw(self, selection: Selection, confusion: Confusion | MultilabelConfusion) -> bool:
        before = self._session.confusion_of(confusion.rows, ablated=False)
        supported = np.flatnonzero(before.report.support)
        lost = before.report.recall - confusion.report.recall
        if len(supported) > CLASSES_UP_TO:
            supported = np.sort(supported[np.argsort(-np.abs(lost[supported]))[:CLASSES_UP_TO]])
        names = [self._names[index] for index in supported]
        if list(self._across.domain or ()) != names:
            self._across.domain = names
        with self.recall.hold_sync(), self.recall.hold_trait_notifications():
            self.recall.x = names
            self.recall.y = np.stack(
                [before.report.recall[supported], confusion.report.recall[supported]]
            )
        self._told.value = self._result(selection, before, confusion)
        text = self._read_of(confusion)
        if len(supported) < np.count_nonzero(before.report.support):
            text += f"; the {CLASSES_UP_TO} classes whose recall changes most"
        self._note.value = note(text)
        return True

    def _result(self, selection: Selection, before: Confusion, now: Confusion) -> str:
        n_off = len(self._mine(selection))
        units = f"{n_off} unit{'s' if n_off != 1 else ''} altered here"
        changed = int((before.predicted != now.predicted).sum())
        told = (
            f"<b>accuracy {before.accuracy:.4f} → {now.accuracy:.4f}</b> &nbsp; {units}, "
            f"{changed:,} of {len(now.rows):,} predictions differ"
        )
        return f'<div class="aw-note">{told}{self._of_focus(selection)}</div>'

    def _without_labels(self, selection: Selection) -> str:
        """What can be told where right and wrong cannot, as HTML."""
        session = self._session
        if not session.missing_for_predictions():
            told = "without labels the prediction of the sample in focus is what can be told"
            return f'<div class="aw-note">{told}{self._of_focus(selection)}</div>'
        if not session.n_outputs or not session.layer_info.n_units:
            return ""
        rows = selection.samples[:SHOWN_UP_TO]
        before, now = (session.outputs(rows, ablated=ablated) for ablated in (False, True))
        place = rows.index(selection.sample) if selection.sample in rows else 0
        first = f"sample {rows[place]}: {before[place, 0]:.4g} → {now[place, 0]:.4g}"
        if len(rows) > 1:
            first += f"; {len(rows):,} samples on show: {before[:, 0].mean():.4g} → "
            first += f"{now[:, 0].mean():.4g} on average"
        return note(first)

    def _of_focus(self, selection: Selection) -> str:
        """What becomes of the sample in focus, in words."""
        session = self._session
        texts = []
        for ablated in (False, True):
            scores = session.scores([selection.sample], ablated=ablated)
            name = session.class_names[int(scores.predicted[0])]
            sure, told = float(scores.confidence[0]), html.escape(name)
            texts.append(told if np.isnan(sure) else f"{told} {share_text(sure)}")
        return f"<br>sample {selection.sample}: {' → '.join(texts)}"

    def _mine(self, selection: Selection) -> tuple[int, ...]:
        """The units of the chosen layer that are altered."""
        return tuple(unit for each in self._of_layer(selection) for unit in each.units)

    def _of_layer(self, selection: Selection) -> list[Ablation]:
        return [each for each in selection.ablations if each.layer == selection.layer]

    def _follow(self, selection: Selection) -> None:
        """Controls stand where the ablation of this layer does, whoever made it."""
        mine = self._of_layer(selection)
        if mine:
            self._following = True
            try:
                self.fill, self.scale = mine[0].fill, min(max(mine[0].scale, 0.0), 3.0)
            finally:
                self._following = False

    def _alter(self, units: tuple[int, ...], **choice: int) -> None:
        """Have these units of the layer altered, and choose what else is given, in one step."""
        session = self._session
        ablations = replaced(session.ablations, session.layer, units, self.scale, self.fill)
        session.select(ablations=ablations, **choice)

    def _on_option(self, change: Any) -> None:
        if self._following:
            return
        units = self._mine(self._session.selection)
        if change.name in ("fill", "scale") and units:
            self._alter(units)
        else:
            super()._on_option(change)

    def _on_user_tile(self, unit: int) -> None:
        with self._guard("could not switch the unit"):
            units = self._mine(self._session.selection)
            kept = tuple(each for each in units if each != unit)
            self._alter(kept if unit in units else tuple(sorted((*units, unit))), unit=unit)

    def _on_user_only(self, _button: w.Button) -> None:
        with self._guard("could not switch the unit off"):
            self._alter((self._session.unit,))

    def _on_user_none(self, _button: w.Button) -> None:
        with self._guard("could not switch the units on"):
            self._alter(())

    def _on_user_page(self, step: int) -> None:
        with self._guard("could not turn the page"):
            n_units = self._session.layer_info.n_units or 0
            self.page = Page(self.page, self._tiles.capacity, n_units).turned(step)
