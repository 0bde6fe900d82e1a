"""Two-dimensional embeddings of the input and of a layer's output, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w
import numpy as np
import traitlets as t

from actwidgets.core.embedding import MAX_POINTS, METHODS, STAYING, Embedding, procrustes
from actwidgets.core.selection import Selection
from actwidgets.images.encode import fit, rgba_png
from actwidgets.session.context import BackgroundWork
from actwidgets.views.base import View
from actwidgets.views.controls import (
    HINT,
    ProgressLine,
    choice,
    duration,
    hint,
    labeled,
    note,
    share_text,
    title,
)
from actwidgets.views.point_cloud import (
    CHOSEN,
    IN_FOCUS,
    LEGEND_SHEET,
    PLAIN,
    PointCloud,
    PointColors,
    by_class,
    by_outcome,
    by_value,
    class_legend,
    in_one_color,
    outcome_legend,
    plain_legend,
    value_legend,
)


class CloudSide(w.VBox):
    """A cloud of `size_px` by `size_px` with a caption above it and a note below.

    Args are those of a `PointCloud`, of rows of the data; `on_hover` is told this side too.
    """

    def __init__(
        self,
        size_px: int,
        on_choose: Callable[[tuple[int, ...], bool], None],
        on_clear: Callable[[], None],
        on_hover: Callable[["CloudSide", int | None], None],
    ) -> None:
        self.shown: Embedding | None = None
        self._given: Embedding | None = None
        self._motion, self._is_laid = STAYING, False  # upon another picture
        self._caption, self._note = w.HTML(), w.HTML(layout={"min_height": "54px"})
        self.cloud = PointCloud(
            on_choose=lambda points, adds: on_choose(self._rows(points), adds),
            on_clear=on_clear,
            on_hover=lambda point: on_hover(self, self._row(point)),
            width_px=size_px,
            height_px=size_px,
        )
        super().__init__(
            children=(self._caption, self.cloud, self._note),
            layout={"width": f"{size_px}px", "overflow": "visible"},
        )

    def show(self, embedding: Embedding, name: str, to: Embedding | None) -> None:
        """Show points below a name, laid upon those before, or upon `to` where there are none.

        Points of the same plane as those before are moved as those were. Where `to` comes later
        than the first points do, these are laid upon it then: which of the two was ready first
        does not show.
        """
        is_late = to is not None and not self._is_laid
        if embedding is not self._given or is_late:
            before = to if is_late or self.shown is None else self.shown
            self._is_laid |= to is not None
            given, self._given = self._given, embedding
            if is_late or given is None or not embedding.plane or embedding.plane != given.plane:
                self._motion = STAYING if before is None else procrustes(embedding, before)
            self.shown = self._motion.moved(embedding)
            self.cloud.show(self.shown.points)
            self.cloud.fill = embedding.method == "features"
        self._say(name, embedding.note)
        self.cloud.label = f"{len(embedding.rows):,} samples as points: {name}. {embedding.note}"

    def show_waiting(self, name: str) -> None:
        """Say whose points will stand here, where there are none yet."""
        if self.shown is None:
            self._say(name, "not computed yet")

    def show_missing(self, name: str, why: str) -> None:
        """Say why there are no points."""
        self.shown = self._given = None
        self.cloud.show(np.zeros((0, 2), np.float32))
        self._say(name, f"nothing to show for {name}: {why}")
        self.cloud.label = f"nothing to show for {name}"

    def _say(self, name: str, text: str) -> None:
        self._caption.value, self._note.value = title(name), note(text)

    def color(self, colors: PointColors, rows: np.ndarray) -> None:
        """Color the points, by colors of all of `rows`; nothing where they are not among them."""
        if self.shown is not None and np.isin(self.shown.rows, rows).all():
            places = np.searchsorted(rows, self.shown.rows)
            self.cloud.color(colors.codes[places], colors.palette, rising=colors.rising)

    def emphasize(self, samples: Sequence[int], sample: int) -> None:
        """Highlight the selected samples, the current one most."""
        if self.shown is not None:
            rows = self.shown.rows
            mask = np.where(np.isin(rows, samples), CHOSEN, PLAIN)
            self.cloud.emphasize(np.where(rows == sample, IN_FOCUS, mask))

    def mark(self, row: int | None) -> None:
        """Draw a ring around a sample, where it is among the points."""
        places = np.arange(0)
        if row is not None and self.shown is not None:
            places = np.flatnonzero(self.shown.rows == row)
        self.cloud.mark(int(places[0]) if len(places) else -1)

    def _rows(self, points: np.ndarray) -> tuple[int, ...]:
        return () if self.shown is None else tuple(int(row) for row in self.shown.rows[points])

    def _row(self, point: int) -> int | None:
        return None if point < 0 or self.shown is None else int(self.shown.rows[point])


COLORS = {"class": "class", "outcome": "right or wrong", "unit": "unit value"}
NEIGHBORLY = ("tsne", "umap")
CARD_PX = 84
MOUSE_HINT = "drag around points to select them; Shift adds, Escape clears"


class EmbeddingScatter(View):
    """Embedding of the samples: of their input at the left, of the selected layer at the right.

    By PCA, t-SNE, UMAP where it is installed, or by two raw features. A new layer
    keeps the old picture until its own is made, and is turned so that it lies upon it. The
    mouse shows a sample, a lasso or a box chooses samples for all views.
    """

    watched = ("layer", "sample", "samples", "unit")
    method = t.Enum(tuple(METHODS), "pca", help="projection to two dimensions").tag(option=True)
    color = t.Enum(tuple(COLORS), "class", help="what colors mean").tag(option=True)
    gesture = t.Enum(("lasso", "box"), "lasso", help="what a drag draws").tag(option=True)
    n_points = t.Int(2000, min=1, max=MAX_POINTS, help="samples at most").tag(option=True)
    seed = t.Int(0, min=0, help="of what is random").tag(option=True)
    perplexity = t.Float(30.0, min=2.0, help="effective number of neighbors").tag(option=True)
    pixels = t.Tuple(
        t.Int(min=0), t.Int(min=0), default_value=None, allow_none=True, help="of the input"
    ).tag(option=True)
    units = t.Tuple(
        t.Int(min=0), t.Int(min=0), default_value=None, allow_none=True, help="of the layer"
    ).tag(option=True)
    size_px = t.Int(340, min=120, help="height and width of each cloud").tag(option=True)

    def _build(self) -> tuple[w.Widget, ...]:
        self._embeddings = self._session.embeddings
        self._title, self._legend = w.HTML(), w.HTML()
        self._hint = w.HTML(hint(MOUSE_HINT))
        self._progress = ProgressLine(self._embeddings.cancel, self._embeddings.resume)
        centered = {"min_height": "30px", "align_items": "center"}
        status = w.HBox([self._progress, self._hint], layout=centered)
        handlers = self._on_user_choice, self._on_user_clear, self._on_user_point
        self.input, self.layer = (CloudSide(self.size_px, *handlers) for _ in range(2))
        self._waiting = False
        for what in ("input", "layer", "colors"):
            self._cleanup.callback(self._embeddings.leave, self._place(what))
        self._subscribe(self._embeddings, self._on_reading, "reading")
        wrapping = {"flex_flow": "row wrap", "grid_gap": "16px"}
        sides = w.HBox([self.input, self.layer], layout=wrapping)
        css = w.HTML(LEGEND_SHEET, layout={"display": "none"})
        return self._title, self._controls(), status, self._legend, sides, css

    def _controls(self) -> w.Widget:
        methods = [(METHODS[name], name) for name in self._embeddings.methods]
        colors = [(label, name) for name, label in COLORS.items()]
        self._perplexity = labeled(w.BoundedFloatText, "neighbors", "136px", min=2.0, max=1000.0)
        self._pair_boxes = {
            name: labeled(
                w.Text,
                name,
                tooltip=f"the two {name} along the axes, as 3, 8",
                placeholder="two numbers",
                continuous_update=False,
            )
            for name in ("pixels", "units")
        }
        for name, box in self._pair_boxes.items():
            box.observe(lambda change, name=name: self._on_user_pair(name, change), names="value")
        gesture = choice("drag", ("lasso", "box"), "110px")
        gesture.add_class(HINT)
        return w.HBox(
            [
                self._control("method", choice("method", methods, "160px")),
                self._control("color", choice("colors", colors, "196px")),
                self._control("gesture", gesture),
                self._control("perplexity", self._perplexity),
                *self._pair_boxes.values(),
            ],
            layout={"flex_flow": "row wrap", "grid_gap": "2px 10px"},
        )

    # --- painting ------------------------------------------------------------------------

    def _render(self, selection: Selection) -> None:
        self._perplexity.layout.display = None if self.method in NEIGHBORLY else "none"
        for box in self._pair_boxes.values():
            box.layout.display = None if self.method == "features" else "none"
        n_samples, rows = self._session.n_samples, self._embeddings.rows(self.n_points)
        self._waiting = False
        coloring = self._coloring(selection, rows)
        self._show_side(self.input, "input", coloring, selection, rows)
        self._show_side(self.layer, selection.layer, coloring, selection, rows)
        if coloring is not None:
            self._legend.value = coloring[1]
        drawn = f"{len(rows):,} of {n_samples:,}" if len(rows) < n_samples else f"{n_samples:,}"
        self._title.value = title("Embedding of samples", f"{drawn} samples")

    def _show_side(
        self,
        side: CloudSide,
        of: str,
        coloring: tuple[PointColors, str] | None,
        selection: Selection,
        rows: Any,
    ) -> None:
        name = "Input" if of == "input" else of
        missing = self._embeddings.missing(of)
        with side.cloud.hold_sync():
            side.cloud.gesture = self.gesture
            if missing:
                side.show_missing(name, missing)
                return
            embedding = self._points(of)
            self._waiting |= embedding is None or coloring is None
            if embedding is None:
                side.show_waiting(name)
            else:
                side.show(embedding, name, self.input.shown if side is self.layer else None)
            if coloring is not None:
                side.color(coloring[0], rows)
            side.emphasize(selection.samples, selection.sample)
        if embedding is not None and embedding.features:
            box = self._pair_boxes["pixels" if side is self.input else "units"]
            box.value = "{}, {}".format(*embedding.features)

    def _points(self, of: str) -> Embedding | None:
        units: tuple[int, int] | None = self.units
        n_units = self._session.layer_info.n_units
        if units is not None and n_units and max(units) >= n_units:
            units = None  # the layer does not have them
        return self._embeddings.request(
            of,
            method=self.method,
            n_points=self.n_points,
            seed=self.seed,
            perplexity=self.perplexity if self.method in NEIGHBORLY else 30.0,
            features=self.pixels if of == "input" else units,
            client=self._place("input" if of == "input" else "layer"),
        )

    def _coloring(self, selection: Selection, rows: Any) -> tuple[PointColors, str] | None:
        """Colors of all drawn samples with their legend; None while they are read."""
        session, embeddings = self._session, self._embeddings
        names, labels = session.class_names, session.labels
        client = self._place("colors")
        layer, unit = selection.layer, selection.unit
        if self.color == "unit" and embeddings.missing(layer):
            return in_one_color(len(rows)), plain_legend("this layer has no values to color by")
        if self.color == "unit":
            values = embeddings.unit_values(layer, unit, self.n_points, client=client)
            if values is None:
                return None
            colors = by_value(values)
            return colors, value_legend(unit, layer, colors)
        if self.color == "class" and labels is not None and names:
            colors = by_class(labels[rows], len(names))
            return colors, class_legend(labels[rows], names, colors)
        if not session.predicts_classes or (self.color == "outcome" and labels is None):
            needs = "classes" if self.color == "class" else "labels and predicted classes"
            return in_one_color(len(rows)), plain_legend(f"one color: this needs {needs}")
        predicted = embeddings.predicted(self.n_points, client=client)
        if predicted is None:
            return None
        if self.color == "outcome":
            assert labels is not None
            colors = by_outcome(predicted, labels[rows])
            return colors, outcome_legend(colors)
        colors = by_class(predicted, len(names))
        return colors, class_legend(predicted, names, colors)

    def _place(self, what: str) -> str:
        return f"{id(self)} {what}"

    # --- what others say -----------------------------------------------------------------

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._embeddings,)

    def _on_reading(self, _change: Any) -> None:
        if self._waiting:
            self._on_news()

    def _repaint(self) -> None:
        super()._repaint()
        reading, text = self._embeddings.reading, None
        if reading is not None:
            text = reading.what + ": cancelled" * reading.cancelled
            if reading.per_second and not reading.cancelled:
                text += f", about {duration(reading.seconds_left)} left"
        self._progress.show(reading if self._waiting else None, text)
        hidden = self._progress.layout.display == "none"
        self._hint.layout.display = None if hidden else "none"

    def _on_user_choice(self, rows: tuple[int, ...], adds: bool) -> None:
        with self._guard("could not choose samples"):
            before = self._session.samples if adds else ()
            chosen = (*before, *(row for row in rows if row not in set(before)))
            if len(rows) == 1:
                self._session.select(sample=rows[0], samples=chosen)
            elif chosen:
                self._session.select(samples=chosen)

    def _on_user_clear(self) -> None:
        with self._guard("could not clear the selection"):
            self._session.select(samples=(self._session.sample,))

    def _on_user_point(self, side: CloudSide, row: int | None) -> None:
        with self._session.lock, self._guard("could not show the sample"):
            other = self.layer if side is self.input else self.input
            other.mark(row)
            if row is None or side.shown is None:
                side.cloud.show_card(-1, b"", ())
                return
            point = int((side.shown.rows < row).sum())
            picture = fit(self._session.pictures([row])[0], CARD_PX, CARD_PX)
            side.cloud.show_card(point, rgba_png(picture), self._card_lines(row))

    def _card_lines(self, row: int) -> list[str]:
        """What a card says of a sample."""
        session, lines = self._session, [f"sample {row:,}"]
        label = None if session.labels is None else int(session.labels[row])
        if label is not None:
            lines.append(f"is {session.class_names[label]}")
        if session.predicts_classes:
            predicted = int(session.predicted_classes([row])[0])
            highest = float(session.predictions([row]).max())
            sign = "" if label is None else ("✓ " if predicted == label else "✗ ")
            name = session.class_names[predicted]
            lines.append(f"{sign}predicted {name} ({share_text(highest)})")
        return lines

    def _on_user_pair(self, name: str, change: Any) -> None:
        with self._guard(f"could not choose the {name}"):
            text = change.new.strip()
            shown = self.input.shown if name == "pixels" else self.layer.shown
            if shown is not None and shown.features and text == "{}, {}".format(*shown.features):
                return
            numbers = [part.strip() for part in text.split(",") if part.strip()]
            if numbers and (len(numbers) != 2 or not all(part.isdigit() for part in numbers)):
                raise ValueError(f"{name} are two numbers, such as 3, 5; got {text!r}")
            setattr(self, name, tuple(int(part) for part in numbers) or None)

    @t.validate("method")
    def _validate_method(self, proposal: Any) -> str:
        # Before the view is built there is no session to ask.
        embeddings = getattr(self, "_embeddings", None) or self._session.embeddings
        if proposal.value not in embeddings.methods:
            raise t.TraitError("UMAP needs a package of its own: pip install umap-learn")
        return proposal.value
