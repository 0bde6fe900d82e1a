"""CKA between all layers of a model, or of two models."""

from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.cka import LayerSimilarityTable
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import FRAME, GAP, palette
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
from actwidgets.views.matrix import matrix_codes
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
        codes = matrix_codes(1 - np.clip(table.values, 0, 1), 1.0)
        beside = BESIDE_PX if n_rows <= NAMES_UP_TO else 0
        below = BELOW_PX * 2 if n_columns <= VALUES_UP_TO else 0
        height, width = n_rows * cell + below, beside + n_columns * cell
        picture = np.full((height, width), GAP, np.uint8)
        picture[: n_rows * cell, beside:] = codes.repeat(cell, axis=0).repeat(cell, axis=1)
        if layer in table.layers:
            top, thick = table.layers.index(layer) * cell, 2 if cell > 8 else 1
            row = picture[top : top + cell, beside:]
            for edge in (row[:thick], row[-thick:], row[:, :thick], row[:, -thick:]):
                edge[...] = FRAME
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
        places: list[tuple[float, float]] = []
        texts: list[str] = []
        middles = (beside + (np.arange(n_columns) + 0.5) * cell).tolist()
        if beside:
            texts += unique_short(table.layers, 15, shorten_path)
            places += [(beside / 2 - 2, (row + 0.5) * cell) for row in range(n_rows)]
        n_values = 0
        if n_columns <= VALUES_UP_TO:
            texts += unique_short(table.other_layers, max(4, cell // 6), shorten_path)
            for column, x in enumerate(middles):  # in two lines, or they touch
                places.append((x, n_rows * cell + 8 + column % 2 * BELOW_PX))
            n_values = table.values.size
            for (row, column), value in np.ndenumerate(table.values):
                places.append((middles[column], (row + 0.5) * cell))
                texts.append("–" if np.isnan(value) else f"{value:.2f}")
        colors = [NEUTRAL] * (len(texts) - n_values) + ["black"] * n_values
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

    def _on_user_cell(self, row: int, column: int) -> None:
        with self._guard("could not choose the layer"):
            if self._table is not None and row < len(self._table.layers):
                self._session.select(layer=self._table.layers[row])

    def _readout_of_cell(self, row: int, column: int) -> str:
        table, pair = self._table, (row, column - self._first_column)
        if table is None or pair[1] < 0 or row >= len(table.layers):
            return ""  # beside the matrix
        value = table.values[pair]
        text = "no variance" if np.isnan(value) else f"{value:.3f}"
        if table.estimated[pair]:
            text += " (estimated)"
        return f"{table.layers[pair[0]]} – {table.other_layers[pair[1]]}: {text}"
