"""Class separation by layer: small distance matrices with Fisher's ratio."""

import weakref
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.accumulators import STATISTICS
from actwidgets.core.class_distances import METRICS, expected_by_chance
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.selection import Selection
from actwidgets.images.colormap import palette
from actwidgets.images.encode import palette_png
from actwidgets.images.tile_grid import MatrixStrip
from actwidgets.session.tasks import Progress
from actwidgets.views.base import PassView
from actwidgets.views.controls import (
    NEUTRAL,
    PageRange,
    Readout,
    choice,
    control_row,
    note,
    option_labels,
    shorten_path,
    unique_short,
)
from actwidgets.views.matrix import classes_with_samples
from actwidgets.views.picture import Picture

ALL = -1
PER_PAGE = 24  # layers
TOO_MUCH_BY_CHANCE = 0.5  # of a Fisher ratio: classes of three samples, about


class ClassSeparation(PassView):
    """The class similarity matrix of every layer as a small picture.

    Below each stands Fisher's ratio, the scatter between the classes over the scatter within
    them: the longer the bar, the better the layer separates the classes, or the two selected.
    The line above gives the ratio expected by chance, which is large where classes have few
    samples. A click chooses the layer. Classes without samples are left out. All layers are read
    in one pass, in the background.
    """

    every_layer = True
    watched = ("layer", "threshold")
    statistic = t.Enum(STATISTICS, "mean", help="what describes a class").tag(option=True)
    metric = t.Enum(tuple(METRICS), "euclidean", help="how classes differ").tag(option=True)
    first = t.Int(ALL, help="one of two classes to compare; -1 for all").tag(option=True)
    second = t.Int(ALL, help="the class it is compared with; -1 for all others").tag(option=True)
    columns = t.Int(8, min=1, help="layers in a row").tag(option=True)
    page = t.Int(0, min=0, help="page of layers").tag(option=True)

    def _build_picture(self) -> tuple[w.Widget, ...]:
        self._title, self._note, self._readout = w.HTML(), w.HTML(), Readout(self._readout_of_cell)
        names = self._session.class_names
        classes = [("all classes", ALL), *((name, index) for index, name in enumerate(names))]
        controls = control_row(
            self._control("first", choice("class", classes, "190px")),
            self._control("second", choice("against", classes, "180px")),
            self._control("statistic", choice("statistic", option_labels(STATISTICS), "170px")),
            self._control("metric", choice("metric", option_labels(tuple(METRICS)), "190px")),
        )
        self._strip = Picture(with_words=True)
        self._strip.on_click(self._on_user_tile)
        self._strip.on_hover(self._on_user_hover)
        self._pager = self._make_pager()
        self._layers: tuple[str, ...] = ()
        self._ratios: dict[str, float] = {}
        self._numbers: Any = None
        self._picture = w.VBox([self._strip, self._pager, self._readout])
        return self._title, controls, self._note, self._picture

    def _heading(self, selection: Selection) -> tuple[str, str]:
        return "Class separation by layer", ""

    def _missing(self) -> str:
        return self._session.missing_for_classes(every_layer=True)

    def _draw(self, selection: Selection, profiles: ClassProfiles) -> bool:
        page = PageRange(self.page, PER_PAGE, len(profiles.layers))
        self._layers = profiles.layers[page.rows]
        matrices = self._work_out(profiles)
        columns = min(self.columns, len(self._layers))
        strip = MatrixStrip(len(self._layers), columns)
        layers, layer = self._layers, selection.layer
        framed = layers.index(layer) if layer in layers else None
        ratios = [self._ratios[name] for name in layers]
        self._strip.set_size(strip.height, strip.width)
        self._strip.set_cells(
            np.arange(strip.rows + 1) * strip.cell_height, np.arange(columns + 1) * strip.cell_width
        )
        self._strip.show(palette_png(strip.draw(matrices, ratios, framed), palette("nearness")))
        self._write(strip, ratios)
        self._pager.show(page, page.text("layers"))
        self._note.value = note(self._describe(profiles))
        return True

    def _work_out(self, profiles: ClassProfiles) -> list[np.ndarray]:
        """The matrices of this page; nothing is worked out again where only the frame moves."""
        layers, of = self._layers, (self.statistic, self.metric)
        key = (layers, of, self._parted())
        known, before, _ = self._numbers or (None, None, None)
        if known is None or known() is not profiles or before != key:
            present = classes_with_samples(profiles)
            pairs = np.ix_(present, present)
            matrices = [profiles.similarity(name, *of)[pairs] for name in layers]
            self._ratios = {name: profiles.fisher_ratio(name, self._parted()) for name in layers}
            # Not kept: of a pass under way a copy of all sums is made for each picture.
            self._numbers = weakref.ref(profiles), key, matrices
        return self._numbers[2]

    def _parted(self) -> tuple[int, ...] | None:
        """The classes whose ratio is shown: two of them, or all."""
        if self.first == ALL or self.second in (ALL, self.first):
            return None
        return self.first, self.second

    def _write(self, strip: MatrixStrip, ratios: list[float]) -> None:
        places, texts = [], []
        names = unique_short(self._layers, 13, shorten_path)
        for tile, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
            top, left = strip.corner(tile)
            middle = left + strip.side / 2
            places += [(middle, top - 9), (middle, top + strip.side + 22)]
            texts += [name, "–" if np.isnan(ratio) else f"{ratio:.3g}"]
        self._strip.set_words(places, texts, [NEUTRAL] * len(texts))

    def _describe(self, profiles: ClassProfiles) -> str:
        names, parted = self._session.class_names, self._parted()
        what = "all classes" if parted is None else " and ".join(names[index] for index in parted)
        read = self._read_text(profiles.n_samples, complete=profiles.complete)
        known = {name: ratio for name, ratio in self._ratios.items() if not np.isnan(ratio)}
        text = f"{read}; Fisher's ratio of {what} below each layer{self._by_chance(profiles)}"
        if len(profiles.layers) == len(self._layers) and known:
            text += f", largest in {max(known, key=known.__getitem__)}"
        if n_empty := len(profiles.empty_classes):
            text += f"; {n_empty:,} of {len(names):,} classes without samples are left out"
        n_left = sum(bool(info.n_units) for info in self._session.layers) - len(profiles.layers)
        if n_left > 0:
            text += f"; {n_left} layers left out: empty, or too large for the memory budget"
        return text + "; each matrix on a scale of its own"

    def _by_chance(self, profiles: ClassProfiles) -> str:
        """What the ratio would be of classes that do not differ, and whether that is too much."""
        parted = self._parted()
        counts = profiles.counts if parted is None else profiles.counts[list(parted)]
        chance = expected_by_chance(counts)
        if np.isnan(chance):
            return ", of which there are not two with samples"
        if np.isinf(chance):
            return ": not known, as no class has two samples"
        text = f", about {chance:.2g} if they did not differ"
        return text if chance < TOO_MUCH_BY_CHANCE else f"{text}: too few samples to tell"

    def _follows(self, reading: Progress) -> bool:
        several = len(reading.layers) > 1 or reading.layers == self._layers
        return reading.what == "profiles" and several

    def _tile(self, row: int, column: int) -> str | None:
        place = row * min(self.columns, len(self._layers)) + column
        return self._layers[place] if place < len(self._layers) else None

    def _on_user_tile(self, row: int, column: int) -> None:
        with self._guard("could not choose the layer"):
            name = self._tile(row, column)
            if name is not None:
                self._session.select(layer=name)

    def _readout_of_cell(self, row: int, column: int) -> str:
        name = self._tile(row, column)
        return "" if name is None else f"{name}: Fisher's ratio {self._ratios[name]:.4g}"
