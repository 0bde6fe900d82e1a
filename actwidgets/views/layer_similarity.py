"""CKA between all layers of a model, or of two models."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.cka import LayerSimilarityTable
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import FRAME, GAP, ValueRange, color_codes, palette
from actwidgets.images.encode import palette_png
from actwidgets.session.session import Session
from actwidgets.session.tasks import Progress
from actwidgets.views.base import PassView
from actwidgets.views.controls import (
    NEUTRAL,
    Readout,
    choice,
    note,
    shorten_path,
    show,
    title,
    unique_short,
)
from actwidgets.views.picture import Picture

POSITIONS = [("mean of each map", "mean"), ("every position", "flat")]
VALUES_UP_TO = 14  # more layers than that leave no room for figures
NAMES_UP_TO = 36
BESIDE_PX, BELOW_PX = 96, 16


class LayerSimilarity(PassView):
    """Debiased linear CKA of every layer with every other, as a matrix.

    1 (dark) where two layers lay the samples out alike up to rotation and scale, near 0 where
    the one tells nothing of the other. A click chooses the layer of the row.

    Args:
        session: Its model's layers are the rows.
        other: A session over the same samples; its model's layers are the columns. Such as
            that of the same model before training.
    """

    watched = ("layer",)
    positions: t.Enum[Any] = t.Enum(("mean", "flat"), "mean", help="what of a map counts").tag(
        option=True
    )
    width_px = t.Int(460, min=160, help="width of the matrix at most").tag(option=True)

    _other: Session | None = None  # a refused view is closed too, when it is collected

    def __init__(self, session: Session, other: Session | None = None, **options: Any) -> None:
        if other is not None and not isinstance(other, Session):
            raise TypeError(f"other must be a Session or None; got {type(other).__name__}")
        self._other = other
        super().__init__(session, **options)
        if other is not None and other is not session:
            self._subscribe(other, self._on_session, "revision")

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        controls = self._control("positions", choice("maps", POSITIONS, "200px"))
        self._picture = Picture(with_words=True)
        self._picture.on_click(self._on_user_cell)
        self._picture.on_hover(self._on_user_hover)
        self._table: LayerSimilarityTable | None = None
        self._box = w.VBox([self._picture, self._readout])
        return self._title, controls, self._note, self._box

    def _seen_in(self, selection: Selection) -> list[Any]:
        other = None if self._other is None else self._other.revision
        return [*super()._seen_in(selection), other]

    def _render(self, selection: Selection) -> None:
        of = "" if self._other is None else " of two models"
        self._title.value = title(f"Layer similarity{of}", "debiased linear CKA")
        other = None if self._other is None else self._other.profiles
        table, left_out = self._session.profiles.layer_similarity(
            other=other, positions=self.positions, partial=True
        )
        self._table = table
        if table is None:
            self._note.value = note("nothing to show: this needs 4 samples or more")
            show(self._box, False)
            return
        self._note.value = note(self._describe(table, left_out))
        self._paint(table, selection.layer)
        show(self._box, True)

    def _paint(self, table: LayerSimilarityTable, layer: str) -> None:
        n_rows, n_columns = table.values.shape
        cell = max(2, min(46, self.width_px // max(n_rows, n_columns)))
        distances = 1 - np.clip(table.values, 0, 1)
        codes = color_codes(distances[None, :, :, None], ValueRange(0.0, 1.0))[0, :, :, 0]
        beside = BESIDE_PX if n_rows <= NAMES_UP_TO else 0
        below = BELOW_PX * 2 if n_columns <= VALUES_UP_TO else 0
        height, width = n_rows * cell + below, beside + n_columns * cell
        picture = np.full((height, width), GAP, np.uint8)
        picture[: n_rows * cell, beside:] = codes.repeat(cell, axis=0).repeat(cell, axis=1)
        if layer in table.layers:
            _frame(picture, table.layers.index(layer) * cell, beside, cell, n_columns * cell)
        self._picture.set_size(height, width)
        edges = np.arange(n_rows + 1) * cell, beside + np.arange(n_columns + 1) * cell
        rows = np.append(edges[0], height) if below else edges[0]
        columns = np.concatenate([[0], edges[1]]) if beside else edges[1]
        self._first_column = int(bool(beside))
        self._picture.set_cells(rows, columns)
        self._picture.show(palette_png(picture, palette("nearness")))
        self._write(table, cell, beside)

    def _write(self, table: LayerSimilarityTable, cell: int, beside: int) -> None:
        n_rows, n_columns = table.values.shape
        places, texts, colors = [], [], []
        if beside:
            for row, name in enumerate(unique_short(table.layers, 15, shorten_path)):
                places.append((beside / 2 - 2, (row + 0.5) * cell))
                texts.append(name)
                colors.append(NEUTRAL)
        if n_columns <= VALUES_UP_TO:
            letters = max(4, cell // 6)
            for column, name in enumerate(unique_short(table.other_layers, letters, shorten_path)):
                down = n_rows * cell + 8 + column % 2 * BELOW_PX  # in two lines, or they touch
                places.append((beside + (column + 0.5) * cell, down))
                texts.append(name)
                colors.append(NEUTRAL)
            for (row, column), value in np.ndenumerate(table.values):
                places.append((beside + (column + 0.5) * cell, (row + 0.5) * cell))
                texts.append("–" if np.isnan(value) else f"{value:.2f}")
                colors.append("black")
        self._picture.set_words(places, texts, colors)

    def _describe(self, table: LayerSimilarityTable, left_out: tuple[str, ...]) -> str:
        n_samples = self._session.n_samples
        text = f"{table.n_samples:,} of {n_samples:,} samples"
        n_estimated = int(table.estimated.sum())
        if n_estimated:
            text += f"; {n_estimated:,} of {table.values.size:,} values estimated by minibatches"
        if self._other is not None:
            text += "; rows: this model, columns: the other"
        if left_out:
            text += f"; left out for NaN or infinity: {', '.join(left_out)}"
        return text

    def _follows(self, reading: Progress) -> bool:
        return reading.what == "representations"

    def _pair(self, row: int, column: int) -> tuple[int, int] | None:
        """The layers of a cell, or None beside the matrix."""
        column -= self._first_column
        inside = self._table is not None and column >= 0 and row < len(self._table.layers)
        return (row, column) if inside else None

    def _on_user_cell(self, row: int, column: int) -> None:
        with self._guard("could not choose the layer"):
            if self._table is not None and row < len(self._table.layers):
                self._session.select(layer=self._table.layers[row])

    def _readout_of_cell(self, row: int, column: int) -> str:
        pair = self._pair(row, column)
        if pair is None or self._table is None:
            return ""
        table, value = self._table, self._table.values[pair]
        text = "no variance" if np.isnan(value) else f"{value:.3f}"
        if table.estimated[pair]:
            text += " (estimated)"
        return f"{table.layers[pair[0]]} – {table.other_layers[pair[1]]}: {text}"


def _frame(picture: np.ndarray, top: int, left: int, height: int, width: int) -> None:
    """A frame inside a box of the picture."""
    box = picture[top : top + height, left : left + width]
    thick = 2 if height > 8 else 1
    for edge in (box[:thick], box[-thick:], box[:, :thick], box[:, -thick:]):
        edge[...] = FRAME
