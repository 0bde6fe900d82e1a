"""Class matrices: heat map with dendrogram, overview of many classes, exemplars."""

from collections.abc import Callable, Sequence

import bqplot as bq
import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.accumulators import STATISTICS
from actwidgets.core.arrays import finite_range
from actwidgets.core.class_distances import nearest_pairs, tells_apart
from actwidgets.core.class_profiles import METRICS, ClassProfiles
from actwidgets.core.histograms import METRICS as OF_HISTOGRAMS
from actwidgets.errors import DataError
from actwidgets.images.colormap import ValueRange, color_codes, palette
from actwidgets.images.encode import ContactSheet, palette_png, rgba_png
from actwidgets.session.session import Session
from actwidgets.views.base import PassView
from actwidgets.views.charts import SMALL, below_px, class_axis, fixed_size, margins, tick_count
from actwidgets.views.controls import (
    NEUTRAL,
    button,
    choice,
    class_search,
    decimals,
    line_list,
    note,
    option_labels,
    setting,
    shorten,
    unique_short,
    update,
)
from actwidgets.views.picture import CellHover, Picture, cell_of, plain_figure

HISTOGRAMS_UP_TO = 100  # classes whose histograms are compared while somebody waits
# A map fires on a sample where any position does: by that measure all classes of a
# convolution look the same, so that means are what is compared at first.
STATISTIC, METRIC = STATISTICS[STATISTICS.index("mean")], METRICS[METRICS.index("euclidean")]


class DistanceView(PassView):
    """A view of how far classes are from one another in the selected layer."""

    statistic = t.Enum(STATISTICS, STATISTIC, help="what describes a class").tag(option=True)
    metric = t.Enum(METRICS, METRIC, help="how classes differ").tag(option=True)

    def _build_measures(self) -> tuple[w.Widget, w.Widget]:
        self._title, self._note = w.HTML(), w.HTML()
        self._use_mean = button("Use mean activation", self._on_user_mean, "170px")
        self._use_mean.layout.display = "none"
        return (
            self._control("statistic", choice("statistic", option_labels(STATISTICS), "170px")),
            self._control("metric", choice("metric", option_labels(METRICS), "190px")),
        )

    def _missing(self) -> str:
        return self._session.missing_for_classes()

    @property
    def _by_firing(self) -> bool:
        return self.statistic == "firing_rate" and self.metric not in OF_HISTOGRAMS

    def _distances(self, profiles: ClassProfiles, layer: str) -> tuple[np.ndarray, str]:
        """`(class, class)` distances, and why they do not separate classes; "" where they do.

        Where means may separate classes that firing rates do not, they are offered.

        Raises:
            DataError: Histograms of so many classes that it would take minutes.
        """
        if self.metric in OF_HISTOGRAMS and len(profiles.class_names) > HISTOGRAMS_UP_TO:
            raise DataError(
                f"{self.metric} of more than {HISTOGRAMS_UP_TO} classes takes minutes: "
                "call session.profiles().similarity(…) for it"
            )
        matrix = profiles.similarity(layer, self.statistic, self.metric)
        nothing = _why_nothing(profiles, layer, matrix, self.metric, by_firing=self._by_firing)
        self._use_mean.layout.display = None if nothing and self._by_firing else "none"
        return matrix, nothing

    def _choose(self, class_index: int) -> None:
        with self._guard("could not choose the class"):
            self._session.select(class_index=class_index)

    def _on_user_mean(self) -> None:
        with self._guard("could not compare means"):
            self.statistic = "mean"


def classes_with_samples(profiles: ClassProfiles) -> np.ndarray:
    """Indices of the classes that have samples: the others have no distance to any."""
    return np.flatnonzero(profiles.counts)


def _why_nothing(
    profiles: ClassProfiles, layer: str, matrix: np.ndarray, metric: str, *, by_firing: bool
) -> str:
    n_present, n_classes = len(classes_with_samples(profiles)), len(profiles.class_names)
    if n_present < 2:
        return f"nothing to compare: {n_present} of {n_classes:,} classes have samples"
    if tells_apart(matrix):
        return ""
    if np.isnan(matrix[~np.eye(len(matrix), dtype=bool)]).all():
        return f"nothing to compare: no class has a distance by {metric} here"
    differ = bool(np.nan_to_num(matrix).any())
    alike = "are equally far from one another" if differ else "are the same"
    if not by_firing:
        return f"nothing to compare: all classes {alike} by this statistic and metric"
    where = "any position of a map is" if profiles.sums[layer].n_positions > 1 else "a unit is"
    return (
        f"nothing to compare: all classes {alike} by firing rate, which counts the samples on "
        f"which {where} above {profiles.threshold:.3g}"
    )


NEAR, FAR = "#3fa7a0", "#f4f1ea"  # black figures can be read on both
VALUES_UP_TO = 12  # more classes than that leave no room for figures
TREE_PX = 84
SIDES_PX = 100  # names and margin beside the cells
DIGIT_PX, BETWEEN_PX = 6.0, 4  # of figures, and between those of two cells


class ClassCells(w.HBox):
    """Up to 60 classes at a time by the same: the nearer two are, the darker their cell.

    Args:
        class_names: Of all classes.
        width_px: Of the matrix with its names and its tree.
        on_click: Called with the classes of row and column.
        on_hover: Likewise; with nothing for no cell.
        n_shown: How many are shown at a time; None for always all, in whatever order.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        on_click: Callable[[int, int], None],
        on_hover: Callable[..., None],
        *,
        n_shown: int | None = None,
    ) -> None:
        self._names, self._width_px = unique_short(class_names, 12), width_px
        self._order: tuple[int, ...] = ()
        self._all = n_shown is None
        first = self._names if self._all and len(self._names) > 1 else ["", " "]
        # Reversed, or told its order, never both: bqplot turns an order round that it gets with
        # the scale, after a page is loaded again, but not one that it is told later.
        self._rows, self._columns = bq.OrdinalScale(reverse=not self._all), bq.OrdinalScale()
        self.color_scale = bq.ColorScale(colors=[NEAR, FAR], min=0, max=1)
        self.matrix = bq.GridHeatMap(
            color=np.zeros((len(first), len(first)), np.float32),
            row=first,
            column=first,
            scales={"row": self._rows, "column": self._columns, "color": self.color_scale},
            stroke="rgba(0,0,0,0)",
            null_color="#9e9e9e",
            font_style={"font-size": "10px", "fill": "black"},
        )
        self.matrix.on_element_click(lambda _mark, event: on_click(*self._classes(*cell_of(event))))
        self._hover = CellHover(self.matrix, lambda *cell: on_hover(*self._classes(*cell)))
        room_px = (width_px - SIDES_PX) / max(n_shown or len(self._names), 1)
        below = below_px(self._names, room_px)
        self._across = class_axis(self._columns, self._names, room_px)
        self._down = bq.Axis(scale=self._rows, side="left", tick_style=SMALL, grid_lines="none")
        height_px = round(width_px * 0.86)
        self._height_px = height_px - below - 4  # of the cells
        self._figure = plain_figure(
            [self.matrix],
            axes=[self._across, self._down],
            margin=margins(4, below, 92, SIDES_PX - 92),
            layout=fixed_size(width_px, height_px),
        )
        self._heights = bq.LinearScale(min=0, max=1)
        self._places = bq.LinearScale(min=0, max=1, reverse=True)
        scales, nowhere = {"x": self._heights, "y": self._places}, np.zeros((2, 4))
        self.tree = bq.Lines(x=nowhere, y=nowhere, scales=scales, colors=[NEUTRAL], stroke_width=1)
        tree_figure = plain_figure(
            [self.tree],
            scale_x=self._heights,
            scale_y=self._places,
            margin=margins(4, below, 2, 4),
            layout=fixed_size(TREE_PX, height_px),
        )
        self._beside = w.Box([tree_figure], layout={"width": "0px", "overflow": "hidden"})
        super().__init__(children=(self._figure, self._beside))

    def show(
        self, matrix: np.ndarray, order: np.ndarray, joins: np.ndarray | None, highest: float = 0.0
    ) -> None:
        """Show some classes.

        Args:
            matrix: `(class, class)` distances of all classes.
            order: Indices of the classes to show, two or more, in the order to show them in.
            joins: `(join, 4, 2)` place and height of the tree's lines, or None for no tree.
            highest: How far the colors reach at least.
        """
        shown = matrix[np.ix_(order, order)].astype(np.float32)
        highest = max(finite_range(shown)[1], highest)
        self.color_scale.max = highest if highest > 0 else 1.0
        same = tuple(order) == self._order
        names = [self._names[index] for index in order]
        if not same:
            self._order = tuple(int(index) for index in order)
            if self._all:
                # bqplot keeps the order of names that stay the same, unless it is told one;
                # told one, it has no place for a name that is not in it yet.
                self._rows.domain, self._columns.domain = names[::-1], names
            self._down.num_ticks = tick_count(len(order), self._height_px / len(order))
        beside_px = 0 if joins is None else TREE_PX
        room_px = (self._width_px - SIDES_PX - beside_px) / len(order)
        figures = _figures(highest, room_px) if len(order) <= VALUES_UP_TO else None
        other = {} if same else {"row": names, "column": names}
        update(self.matrix, display_format=figures, color=shown, **other)
        if not same:
            self._hover.again()
        self._across.num_ticks = tick_count(len(order), room_px, self._names)
        self._show_tree(joins, beside_px)

    def _show_tree(self, joins: np.ndarray | None, beside_px: int) -> None:
        self._beside.layout.width = f"{beside_px}px"
        width = f"{self._width_px - beside_px}px"  # the tree takes its room from the matrix
        update(self._figure.layout, width=width, min_width=width)
        if joins is None or not len(joins):
            return
        lines = joins if len(joins) > 1 else np.repeat(joins, 2, axis=0)  # bqplot drops axes of 1
        self._places.min, self._places.max = -0.5, len(self._order) - 0.5
        self._heights.max = max(float(joins[:, :, 1].max()) * 1.04, 1e-12)
        update(self.tree, x=lines[:, :, 1], y=lines[:, :, 0])

    def _classes(self, *cell: int) -> tuple[int, ...]:
        """The classes of a row and a column; none where there is no cell."""
        is_shown = max(cell, default=0) < len(self._order)
        return tuple(self._order[place] for place in cell) if is_shown else ()


def _figures(highest: float, room_px: float) -> str | None:
    """How the figures are written that have room in a cell; None where none has."""
    room, whole = int((room_px - BETWEEN_PX) // DIGIT_PX), len(f"{highest:.0f}")
    n_decimals = min(decimals(highest), max(room - whole - 1, 0))
    tells = whole <= room and (highest <= 0 or float(f"{highest:.{n_decimals}f}") > 0)
    return f".{n_decimals}f" if tells else None


def matrix_codes(matrix: np.ndarray, reach: float) -> np.ndarray:
    """Palette codes of a matrix, whose colors go from 0 to `reach`."""
    return color_codes(matrix[None, :, :, None], ValueRange(0.0, reach))[0, :, :, 0]


WINDOW = 24  # classes in the part that is shown as cells
BLOCKS = 40  # along a side: what a click or the mouse tells apart
SIDE_PX = 400
PAIRS = 100


class ClassOverview(w.VBox):
    """A picture of the whole matrix, a pixel or more to a class; where it is clicked is enlarged.

    Above it the classes can be searched by name, and the nearest pairs chosen from a list:
    a thousand classes are one picture and 24 x 24 cells, not a million. `on_class` is called with
    the class that was chosen; the rest is as of `ClassCells`.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        width_px: int,
        on_class: Callable[[int], None],
        on_click: Callable[[int, int], None],
        on_hover: Callable[..., None],
    ) -> None:
        self._class_names, self._on_class = list(class_names), on_class
        self._order = np.arange(len(class_names))
        self._first, self._width_px = 0, width_px
        self._turned_to: int | None = None  # the class that was chosen last
        self._matrix: np.ndarray | None = None
        self._highest = 0.0
        self._codes: bytes | None = None
        self.search = class_search(class_names, on_class)
        self.pairs = line_list(self._on_user_pair, f"{width_px}px", rows=6)
        self.whole = Picture()
        self.whole.on_click(self._on_user_block)
        self._caption = w.HTML()
        self.cells = ClassCells(class_names, width_px, on_click, on_hover, n_shown=WINDOW)
        found = w.HBox([self.search, self._caption], layout={"align_items": "center"})
        nearest = w.HTML(note("nearest pairs"))
        super().__init__(children=(found, self.whole, self.cells, nearest, self.pairs))

    def show(
        self, matrix: np.ndarray, order: np.ndarray, class_index: int | None, highest: float = 0.0
    ) -> None:
        """Show a matrix in an order, as `ClassCells`; enlarge where the chosen class is."""
        n_classes = len(order)
        self._matrix, self._order, self._highest = matrix, order, highest
        reach = max(finite_range(matrix)[1], highest) or 1.0
        codes = matrix_codes(matrix[np.ix_(order, order)], reach)
        scale = max(1, SIDE_PX // n_classes)
        if codes.tobytes() != self._codes:
            self._codes = codes.tobytes()
            shown_px = min(n_classes * scale, self._width_px)
            self.whole.set_size(shown_px, shown_px)
            edges = np.linspace(0, n_classes, min(BLOCKS, n_classes) + 1)
            self.whole.set_cells(edges, edges)
            large = codes.repeat(scale, axis=0).repeat(scale, axis=1)
            self.whole.show(palette_png(large, palette("nearness")))
            self._show_pairs(matrix)
        if class_index is not None and class_index != self._turned_to and class_index in order:
            place = int(np.flatnonzero(order == class_index)[0])
            if not self._first <= place < self._first + WINDOW:
                self._first = place - WINDOW // 2
        self._turned_to = class_index
        self._show_window()

    def _show_window(self) -> None:
        assert self._matrix is not None
        self._first = min(max(self._first, 0), max(len(self._order) - WINDOW, 0))
        window = self._order[self._first : self._first + WINDOW]
        self.cells.show(self._matrix, window, None, self._highest)
        self._caption.value = note(
            f"{len(self._order):,} classes; enlarged below: {self._first + 1:,}–"
            f"{self._first + len(window):,} in this order"
        )

    def _show_pairs(self, matrix: np.ndarray) -> None:
        self._nearest = nearest_pairs(matrix, PAIRS)
        names = [shorten(name, 28) for name in self._class_names]
        pairs = [f"{matrix[a, b]:8.4f}  {names[a]} – {names[b]}" for a, b in self._nearest]
        with setting(self.pairs):
            self.pairs.options, self.pairs.index = pairs, None

    def _on_user_pair(self, _change: object) -> None:
        if self.pairs.index is not None:
            self._on_class(int(self._nearest[self.pairs.index][0]))

    def _on_user_block(self, row: int, _column: int) -> None:
        n_classes = len(self._order)  # of which several share a block: none of them is chosen
        self._first = int((row + 0.5) * n_classes / min(BLOCKS, n_classes)) - WINDOW // 2
        self._show_window()


CELL_PX = 52  # width of a class


class ExemplarSheet(Picture):
    """Classes in a grid: one or more samples of each, its name and a figure below them.

    Exemplars stand above one another; `on_class` is called with the class that was clicked.
    """

    def __init__(
        self, session: Session, on_class: Callable[[int], None], *, exemplars: int = 1
    ) -> None:
        super().__init__(with_words=True)
        self._session, self._exemplars = session, exemplars
        self._order = np.zeros((0, 0), int)
        self._drawn: object = None

        def clicked(row: int, column: int) -> None:
            if row < self._order.shape[0] and column < self._order.shape[1]:
                on_class(int(self._order[row, column]))

        self.on_click(clicked)

    @property
    def order(self) -> np.ndarray:
        """`(row, place)`: the visible classes."""
        return self._order

    def show_classes(self, order: np.ndarray, figures: np.ndarray) -> None:
        """Show `(row, place)` class indices, with figures of the same shape below them."""
        session, self._order = self._session, order
        n_rows, n_places = order.shape
        sheet = ContactSheet(n_places, self._exemplars, 46, CELL_PX, 50)
        height = sheet.height_px + 30
        drawn = order.tobytes(), order.shape, session.revision
        if drawn != self._drawn:
            self.set_size(n_rows * height, sheet.width_px)
            self.set_cells(np.arange(n_rows + 1) * height, sheet.column_edges)
            below = np.zeros((30, sheet.width_px, 4), np.uint8)
            parts = [part for row in order for part in (self._row(sheet, row), below)]
            self.show(rgba_png(np.vstack(parts)))
            self._drawn = drawn
        names = unique_short(session.class_names, 8)
        places, texts = [], []
        for row in range(n_rows):
            top = row * height + sheet.height_px
            for place, index in enumerate(order[row]):
                x = (place + 0.5) * sheet.cell_width_px
                places += [(x, top + 8), (x, top + 21)]
                figure = figures[row, place]
                texts += [names[index], "–" if np.isnan(figure) else f"{figure:.3f}"]
        self.set_words(places, texts, [NEUTRAL] * len(texts))

    def _row(self, sheet: ContactSheet, classes: Sequence[int]) -> np.ndarray:
        samples = self._session.context.samples
        rows = [samples.of_class(int(index), self._exemplars) for index in classes]
        pictures = [
            self._session.pictures([row[place]])[0] if place < len(row) else None
            for place in range(self._exemplars)
            for row in rows
        ]
        return sheet.compose(pictures, [0] * len(pictures))
