"""Samples as points, by their input and by what a layer makes of them, side by side."""

from typing import Any

import ipywidgets as w
import traitlets as t

from actwidgets.background_work import BackgroundWork
from actwidgets.core.embeddings.embedding import MAX_POINTS, METHODS, Embedding
from actwidgets.core.embeddings.point_colours import (
    PointColours,
    by_class,
    by_outcome,
    by_value,
    in_one_colour,
)
from actwidgets.core.pictures.images import fit, rgba_png
from actwidgets.session import Selection
from actwidgets.views._cloud_side import CloudSide
from actwidgets.views._controls import choice, hint, share_text
from actwidgets.views._embedding_progress import EmbeddingProgress
from actwidgets.views._point_legend import (
    LEGEND_SHEET,
    class_legend,
    outcome_legend,
    plain_legend,
    value_legend,
)
from actwidgets.views._style import HINT
from actwidgets.views.base import View

COLOURS = {"class": "class", "outcome": "right or wrong", "unit": "the unit's value"}
NEIGHBOURLY = ("tsne", "umap")
CARD_PX = 84
MOUSE_HINT = "drag around points to choose them, shift adds, Escape takes the choice back"


class EmbeddingScatter(View):
    """Samples as points: their input at the left, the chosen layer's output at the right.

    Laid out by PCA, t-SNE, UMAP where it is installed, or by two raw features. A new layer
    keeps the old picture until its own is made, and is turned so that it lies upon it. The
    mouse shows a sample, a lasso or a box chooses samples for all views.
    """

    watched = ("layer", "sample", "samples", "unit")
    method = t.Enum(tuple(METHODS), "pca", help="how they are laid out").tag(option=True)
    colour = t.Enum(tuple(COLOURS), "class", help="what colours mean").tag(option=True)
    gesture = t.Enum(("lasso", "box"), "lasso", help="what a drag draws").tag(option=True)
    n_points = t.Int(2000, min=1, max=MAX_POINTS, help="samples at most").tag(option=True)
    seed = t.Int(0, min=0, help="of what is random").tag(option=True)
    perplexity = t.Float(30.0, min=2.0, help="neighbours that count").tag(option=True)
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
        self._progress = EmbeddingProgress(self._embeddings.cancel, self._embeddings.resume)
        status = w.HBox([self._progress, self._hint], layout={"min_height": "30px"})
        status.layout.align_items = "center"
        callbacks = {
            "on_choose": self._on_user_choice,
            "on_clear": self._on_user_clear,
            "on_hover": self._on_user_point,
        }
        self.input, self.layer = (CloudSide(self.size_px, **callbacks) for _ in range(2))
        self._waiting = False
        self._embeddings.observe(self._on_reading, names="reading")
        wrapping = {"flex_flow": "row wrap", "grid_gap": "16px"}
        sides = w.HBox([self.input, self.layer], layout=wrapping)
        sheet = w.HTML(LEGEND_SHEET, layout={"display": "none"})
        return self._title, self._controls(), status, self._legend, sides, sheet

    def _controls(self) -> w.Widget:
        methods = [(METHODS[name], name) for name in self._embeddings.methods]
        colours = [(words, name) for name, words in COLOURS.items()]
        self._perplexity = w.BoundedFloatText(
            min=2.0,
            max=1000.0,
            description="neighbours",
            tooltip="",
            layout={"width": "136px"},
            style={"description_width": "initial"},
        )
        self._pair_boxes = {
            name: w.Text(
                description=name,
                tooltip=f"the two {name} along the axes, as 3, 8",
                placeholder="two numbers",
                continuous_update=False,
                layout={"width": "150px"},
                style={"description_width": "initial"},
            )
            for name in ("pixels", "units")
        }
        for name, box in self._pair_boxes.items():
            box.observe(lambda change, name=name: self._on_user_pair(name, change), names="value")
        gesture = choice("drag", ("lasso", "box"), "110px")
        gesture.add_class(HINT)
        return w.HBox(
            [
                self._control("method", choice("layout", methods, "160px")),
                self._control("colour", choice("colours", colours, "196px")),
                self._control("gesture", gesture),
                self._control("perplexity", self._perplexity),
                *self._pair_boxes.values(),
            ],
            layout={"flex_flow": "row wrap", "grid_gap": "2px 10px"},
        )

    # --- painting ------------------------------------------------------------------------

    def _render(self, selection: Selection) -> None:
        self._show_controls()
        n_samples, rows = self._session.n_samples, self._embeddings.rows(self.n_points)
        self._waiting = False
        colouring = self._colouring(selection, rows)
        self._show_side(self.input, "input", colouring, selection, rows)
        self._show_side(self.layer, selection.layer, colouring, selection, rows)
        if colouring is not None:
            self._legend.value = colouring[1]
        drawn = f"{len(rows):,} of {n_samples:,}" if len(rows) < n_samples else f"{n_samples:,}"
        told = f"Samples as points <span>{drawn} samples</span>"
        self._title.value = f'<div class="aw-title">{told}</div>'

    def _show_side(
        self,
        side: CloudSide,
        of: str,
        colouring: tuple[PointColours, str] | None,
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
            found = self._points(of)
            self._waiting |= found is None or colouring is None
            if found is None:
                side.show_waiting(name)
            else:
                side.show(found, name, self.input.shown if side is self.layer else None)
            if colouring is not None:
                side.colour(colouring[0], rows)
            side.emphasise(selection.samples, selection.sample)
        if found is not None and found.features:
            box = self._pair_boxes["pixels" if side is self.input else "units"]
            box.value = "{}, {}".format(*found.features)

    def _points(self, of: str) -> Embedding | None:
        return self._embeddings.get(
            of,
            method=self.method,
            n_points=self.n_points,
            seed=self.seed,
            perplexity=self.perplexity if self.method in NEIGHBOURLY else 30.0,
            features=self.pixels if of == "input" else self._units(),
            partial=True,
            place=self._place("input" if of == "input" else "layer"),
        )

    def _units(self) -> tuple[int, int] | None:
        """The chosen two units, where the layer has them."""
        n_units = self._session.layer_info.n_units
        fits = self.units is not None and (not n_units or max(self.units) < n_units)
        return self.units if fits else None

    def _colouring(self, selection: Selection, rows: Any) -> tuple[PointColours, str] | None:
        """Colours of all drawn samples with their legend; None while they are read."""
        session, embeddings = self._session, self._embeddings
        names, labels = session.class_names, session.labels
        asked: dict[str, Any] = {"partial": True, "place": self._place("colours")}
        if self.colour == "unit" and not embeddings.missing(selection.layer):
            values = embeddings.unit_values(selection.layer, selection.unit, self.n_points, **asked)
            if values is None:
                return None
            colours = by_value(values)
            return colours, value_legend(selection.unit, selection.layer, colours)
        if self.colour == "unit":
            return in_one_colour(len(rows)), plain_legend("this layer has no values to colour by")
        if self.colour == "class" and labels is not None and names:
            colours = by_class(labels[rows], len(names))
            return colours, class_legend(labels[rows], names, colours)
        if not session.predicts_classes or (self.colour == "outcome" and labels is None):
            needs = "classes" if self.colour == "class" else "labels and predicted classes"
            return in_one_colour(len(rows)), plain_legend(f"one colour: this needs {needs}")
        predicted = embeddings.predicted(self.n_points, **asked)
        if predicted is None:
            return None
        if self.colour == "outcome":
            assert labels is not None
            colours = by_outcome(predicted, labels[rows])
            return colours, outcome_legend(colours)
        colours = by_class(predicted, len(names))
        return colours, class_legend(predicted, names, colours)

    def _show_controls(self) -> None:
        self._perplexity.layout.display = None if self.method in NEIGHBOURLY else "none"
        for box in self._pair_boxes.values():
            box.layout.display = None if self.method == "features" else "none"

    def _place(self, what: str) -> str:
        return f"{id(self)} {what}"

    # --- what others say -----------------------------------------------------------------

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._embeddings,)

    def _on_reading(self, _change: Any) -> None:
        if self._waiting:
            self._repaint()

    def _repaint(self) -> None:
        super()._repaint()
        self._show_progress()

    def _show_progress(self) -> None:
        reading = self._embeddings.reading
        self._progress.show(reading if self._waiting else None)
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
        with self._guard("could not take the choice back"):
            self._session.select(samples=(self._session.sample,))

    def _on_user_point(self, side: CloudSide, row: int | None) -> None:
        with self._session.lock, self._guard("could not show the sample"):
            other = self.layer if side is self.input else self.input
            other.mark(row)
            if row is None or side.shown is None:
                side.cloud.show_card(-1, b"", ())
                return
            point = int((side.shown.rows < row).sum())
            side.cloud.show_card(point, self._picture(row), self._told(row))

    def _picture(self, row: int) -> bytes:
        return rgba_png(fit(self._session.pictures([row])[0], CARD_PX, CARD_PX))

    def _told(self, row: int) -> list[str]:
        """What a card says of a sample."""
        session, lines = self._session, [f"sample {row:,}"]
        label = None if session.labels is None else int(session.labels[row])
        if label is not None:
            lines.append(f"is {session.class_names[label]}")
        if session.predicts_classes:
            predicted = int(session.predicted_classes([row])[0])
            highest = float(session.predictions([row]).max())
            sign = "" if label is None else ("✓ " if predicted == label else "✗ ")
            lines.append(
                f"{sign}predicted {session.class_names[predicted]} ({share_text(highest)})"
            )
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

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._embeddings.unobserve(self._on_reading, names="reading")
            for what in ("input", "layer", "colours"):
                self._embeddings.leave(self._place(what))
        super().close()
