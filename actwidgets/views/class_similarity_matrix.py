"""How alike the classes are to the units of the chosen layer."""

import html
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.class_profiles import METRICS, ClassProfiles
from actwidgets.core.images import ContactSheet, rgba_png
from actwidgets.core.similarity import ranking
from actwidgets.core.unit_statistics import STATISTICS
from actwidgets.session import Selection
from actwidgets.views._controls import choice, decimals, note, set_slider, show, unique_short
from actwidgets.views._picture import Picture, cell_of, plain_figure
from actwidgets.views._style import NEUTRAL
from actwidgets.views.base import View

NEAR, FAR = "#3fa7a0", "#f4f1ea"  # black figures can be read on both
VALUES_UP_TO = 12  # more classes than that leave no room for figures
NAMES_UP_TO = 60
EXEMPLARS = 3  # samples of each class below the matrix
RANKED = 10  # classes below the matrix


class ClassSimilarityMatrix(View):
    """Distances between classes in the chosen layer, and what is nearest to the chosen class.

    Every pair of classes is a cell: the darker, the more alike are the profiles of the two.
    A click chooses the class of the row, `session.class_index`; below the matrix follow real
    samples of all classes, the nearest to it first.

    Profiles are read over all samples in the background; until then the picture is that of
    the samples read so far, and says so.
    """

    watched = ("layer", "class_index", "threshold")
    statistic = t.Enum(STATISTICS, "firing_rate", help="what describes a class").tag(option=True)
    metric = t.Enum(tuple(METRICS), "mean_abs_diff", help="how classes differ").tag(option=True)
    width_px = t.Int(520, min=200, help="width of the matrix").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), w.HTML("&nbsp;")
        self._threshold = w.FloatSlider(
            description="threshold",
            step=None,  # the browser would round a value set from Python, and send it back
            readout_format=".2f",
            layout={"width": "260px"},
            style={"description_width": "62px"},
        )
        self._threshold.observe(self._on_user_threshold, names="value")
        controls = w.HBox(
            [
                self._control("statistic", choice("statistic", _words(STATISTICS), "170px")),
                self._control("metric", choice("metric", _words(METRICS), "190px")),
                self._threshold,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self._figure = self._build_matrix()
        self._ranked_title = w.HTML()
        self._ranked = Picture(with_words=True)
        self._ranked.on_click(self._on_user_ranked)
        self._order: np.ndarray = np.arange(0)
        self._drawn: Any = None
        self._session.observe(self._on_reading, names="reading")
        self._pictures = w.VBox([self._figure, self._readout, self._ranked_title, self._ranked])
        return self._title, controls, self._note, self._pictures

    def _build_matrix(self) -> bq.Figure:
        count = len(self._session.class_names)
        self._names = unique_short(self._session.class_names, 12)
        self._colours = bq.ColorScale(colors=[NEAR, FAR], min=0, max=1)
        rows, columns = bq.OrdinalScale(reverse=True), bq.OrdinalScale()
        self.matrix = bq.GridHeatMap(
            color=np.zeros((max(count, 2), max(count, 2)), np.float32),
            row=self._names if count > 1 else ["", " "],
            column=self._names if count > 1 else ["", " "],
            scales={"row": rows, "column": columns, "color": self._colours},
            stroke="rgba(0,0,0,0)",
            null_color="#9e9e9e",
            font_style={"font-size": "10px", "fill": "black"},
        )
        self.matrix.on_element_click(self._on_user_cell)
        self.matrix.on_hover(self._on_user_hover)
        step = max(1, -(-count // NAMES_UP_TO))
        across = bq.Axis(
            scale=columns,
            side="bottom",
            tick_rotate=-40,
            num_ticks=count // step,
            tick_style={"text-anchor": "end", "font-size": "11px"},
            grid_lines="none",
        )
        down = bq.Axis(
            scale=rows,
            side="left",
            num_ticks=count // step,
            tick_style={"font-size": "11px"},
            grid_lines="none",
        )
        width, height = self.width_px, round(self.width_px * 0.86)
        size = {
            f"{least}{side}": f"{length}px"
            for side, length in (("width", width), ("height", height))
            for least in ("", "min_")
        }
        return plain_figure(
            [self.matrix],
            axes=[across, down],
            margin={"top": 4, "bottom": 64, "left": 92, "right": 8},
            layout=size,
        )

    def _render(self, selection: Selection) -> None:
        session = self._session
        self._title.value = (
            f'<div class="aw-title">Class similarity '
            f"<span>{html.escape(selection.layer)}</span></div>"
        )
        missing = self._missing()
        if missing:
            self._note.value = note(f"nothing to show for {selection.layer}: {missing}")
            show(self._pictures, False)
            return
        profiles = session.profiles(partial=True)
        matrix = profiles.similarity(selection.layer, self.statistic, self.metric)
        self._threshold.disabled = self.statistic != "firing_rate"
        low, high = session.value_range()
        set_slider(self._threshold, min(low, 0.0), high, selection.threshold)
        self._note.value = note(_describe(profiles, matrix, session.n_samples))
        self._paint_matrix(matrix)
        self._paint_ranked(matrix, selection.class_index)
        show(self._pictures, True)

    def _missing(self) -> str:
        """Why there is nothing to show, or nothing."""
        session = self._session
        if session.labels is None:
            return "this needs labels"
        if len(session.class_names) < 2:
            return "this needs two classes or more"
        return "its output is empty" if 0 in session.layer_info.output_shape else ""

    def _paint_matrix(self, matrix: np.ndarray) -> None:
        highest = float(np.nanmax(matrix)) if np.isfinite(matrix).any() else 0.0
        self._colours.max = highest if highest > 0 else 1.0
        self._matrix = matrix
        if len(matrix) <= VALUES_UP_TO:
            self.matrix.display_format = f".{decimals(highest)}f"
        self.matrix.color = matrix.astype(np.float32)

    def _paint_ranked(self, matrix: np.ndarray, class_index: int | None) -> None:
        self._ranked.layout.display = "none" if class_index is None else None
        if class_index is None:
            self._ranked_title.value = note("click a row to see which classes are nearest to it")
            return
        session = self._session
        order = ranking(matrix)[class_index][:RANKED]
        self._order = order
        name = html.escape(session.class_names[class_index])
        self._ranked_title.value = (
            f'<div class="aw-title">Nearest to {name} <span>{len(order)} of '
            f"{len(matrix)} classes</span></div>"
        )
        sheet = ContactSheet(len(order), EXEMPLARS, 46, 52, 50)
        drawn = tuple(order), session.revision
        if drawn != self._drawn:
            rows = [session.exemplars(int(index), EXEMPLARS) for index in order]
            cells = [
                row[place] if place < len(row) else None
                for place in range(EXEMPLARS)
                for row in rows
            ]
            pictures = [None if each is None else session.pictures([each])[0] for each in cells]
            height = sheet.height_px + 30
            self._ranked.set_size(height, sheet.width_px)
            self._ranked.set_cells([0, height], sheet.column_edges)
            below = np.zeros((30, sheet.width_px, 4), np.uint8)
            self._ranked.show(
                rgba_png(np.vstack([sheet.compose(pictures, [0] * len(pictures)), below]))
            )
            self._drawn = drawn
        places, texts = [], []
        for place, index in enumerate(order):
            x = (place + 0.5) * sheet.cell_width_px
            places += [(x, sheet.height_px + 8), (x, sheet.height_px + 21)]
            texts += [
                unique_short(session.class_names, 9)[index],
                f"{matrix[class_index, index]:.3f}",
            ]
        self._ranked.set_words(places, texts, [NEUTRAL] * len(texts))

    def _on_reading(self, _change: Any) -> None:
        reading = self._session.reading
        if reading is None or self._session.layer not in reading.layers:
            return
        if reading.failure:
            self._show_error(f"could not read all samples: {reading.failure}")
        else:
            self._repaint()

    def _on_user_threshold(self, change: Any) -> None:
        with self._guard("could not set the threshold"):
            self._session.select(threshold=change.new)

    def _on_user_cell(self, _mark: Any, event: Any) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=cell_of(event)[0])

    def _on_user_ranked(self, _row: int, column: int) -> None:
        with self._guard("could not choose the class"):
            if column < len(self._order):
                self._session.select(class_index=int(self._order[column]))

    def _on_user_hover(self, _mark: Any, event: Any) -> None:
        with self._session.lock, self._guard("could not read the value"):
            row, column = cell_of(event)
            names, value = self._session.class_names, self._matrix[row, column]
            told = "no activity or no samples" if np.isnan(value) else f"{value:.4f}"
            self._readout.value = note(f"{names[row]} – {names[column]}: {told}")

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._session.unobserve(self._on_reading, names="reading")
        super().close()


def _words(names: Any) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " ").replace("mean abs diff", "mean |difference|"), name)
        for name in names
    ]


def _describe(profiles: ClassProfiles, matrix: np.ndarray, n_samples: int) -> str:
    read = f"{profiles.n_samples:,}"
    if profiles.n_samples < n_samples:
        return f"{read} of {n_samples:,} samples so far"
    text = f"{read} samples"
    if profiles.empty_classes:
        text += f"; no samples of {', '.join(profiles.empty_classes)}"
    if not np.nan_to_num(matrix).any():
        text += "; no class differs from another here: try another threshold or statistic"
    return text
