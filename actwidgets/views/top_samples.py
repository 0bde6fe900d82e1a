"""Samples with the largest activations of the selected unit, with its receptive field."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.selection import Selection
from actwidgets.images.encode import ContactSheet, rgba_png
from actwidgets.views.base import PassView
from actwidgets.views.controls import NEUTRAL, Readout, note, shorten
from actwidgets.views.picture import Picture

LETTERS = 10


class TopSamples(PassView):
    """Top samples of the selected unit, the largest activation first.

    In a layer with maps a frame marks the part of the picture that the unit sees at the
    position of its largest value, its receptive field, where that is not the whole picture.
    A click chooses the sample.
    """

    watched = ("layer", "unit", "sample", "samples")
    columns = t.Int(8, min=1, help="pictures in a row").tag(option=True)
    rows = t.Int(2, min=1, max=3, help="rows of pictures").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        self._sheet = Picture(with_words=True)
        self._sheet.on_click(self._on_user_click)
        self._sheet.on_hover(self._on_user_hover)
        self._rows: np.ndarray = np.zeros(0, int)
        self._values: np.ndarray = np.zeros(0)
        self._drawn: Any = None
        self._picture = w.VBox([self._sheet, self._readout])
        return self._title, self._note, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return f"Top samples of unit {selection.unit}", selection.layer

    def _gathered(self) -> ClassProfiles:
        return self._session.profiles.units(partial=True)

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        session = self._session
        top, self._values = session.top_samples(self.columns * self.rows)
        self._rows, rows = top, top.tolist()
        field = self._field()
        text = self._read_text(profiles.n_samples, complete=profiles.complete)
        if len(rows) and self._values[0] == self._values[-1]:
            text += "; same value on all of these samples"
        elif field is not None and len(rows):
            size = "×".join(map(str, field.size))
            text += f"; framed: receptive field of the peak, {size} pixels"
        seen = session.picture_inputs_of()
        if len(session.picture_inputs) > 1 and len(rows):
            text += f"; shown: {', '.join(seen)}"
        self._note.value = note(text if len(rows) else f"{text}; no finite value")
        frames = tuple(3 if row == selection.sample else 0 for row in rows)
        drawn = tuple(rows), frames, selection.layer, selection.unit, session.revision, self.columns
        if drawn != self._drawn:
            self._paint(rows, frames, field)
            self._drawn = drawn
        return bool(len(rows))

    def _field(self) -> Any:
        """What a position sees of the picture, where pictures are the samples as they are."""
        session = self._session
        field, seen = session.receptive_field(), session.picture_inputs_of()
        shape = session.pictures([0], name=seen).shape[1:3]
        axes = () if field is None else tuple(axis.axis for axis in field.axes)
        is_whole = len(seen) == 1 and session.context.samples.picture_shape_of(seen[0]) == shape
        return field if axes == (1, 2) and is_whole else None

    def _paint(self, rows: list[int], frames: tuple[int, ...], field: Any) -> None:
        if not len(rows):
            return
        session = self._session
        sheet = ContactSheet(self.columns, -(-len(rows) // self.columns))
        pictures = list(session.pictures(rows, name=session.picture_inputs_of()))
        boxes = None
        if field is not None and self._values[0] > self._values[-1]:
            peaks = zip(pictures, session.peak_positions(rows), strict=True)
            boxes = [field.box(place, picture.shape[:2]) for picture, place in peaks]
        self._sheet.set_size(sheet.height_px, sheet.width_px)
        self._sheet.set_cells(sheet.row_edges, sheet.column_edges)
        self._sheet.show(rgba_png(sheet.compose(pictures, frames, boxes)))
        places, texts = [], []
        for place, (row, value) in enumerate(zip(rows, self._values, strict=True)):
            line, column = divmod(place, self.columns)
            x, top = (column + 0.5) * sheet.cell_width_px, line * sheet.cell_height_px + 65
            places += [(x, top + 8), (x, top + 20)]
            name = session.label_words(row)
            texts += [str(row) if name is None else shorten(name, LETTERS), f"{value:.3g}"]
        self._sheet.set_words(places, texts, [NEUTRAL] * len(texts))

    def _place(self, row: int, column: int) -> int | None:
        place = row * self.columns + column
        return place if place < len(self._rows) else None

    def _on_user_click(self, row: int, column: int) -> None:
        with self._guard("could not choose the sample"):
            place = self._place(row, column)
            if place is not None:
                self._session.select(sample=int(self._rows[place]))

    def _readout_of_cell(self, row: int, column: int) -> str:
        place, session = self._place(row, column), self._session
        if place is None:
            return ""
        sample = int(self._rows[place])
        name = session.label_words(sample)
        of = "" if name is None else f", {name}"
        return f"sample {sample:,}{of}: {self._values[place]:.4g}"
