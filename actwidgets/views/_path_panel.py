"""The way from nothing to a sample: its score, the size of its gradient, and a slider along it."""

from collections.abc import Callable

import ipywidgets as w
import numpy as np

from actwidgets.session import Session
from actwidgets.views._attribution_panel import AttributionPanel, Subject
from actwidgets.views._attribution_tiles import AttributionTiles, Tile
from actwidgets.views._attribution_words import figure
from actwidgets.views._controls import note
from actwidgets.views._line_figure import LineFigure

STEPS = 20
METHOD = "interior_gradients"


class PathPanel(AttributionPanel):
    """Score and gradient norm at alpha · x against alpha, and the map at one alpha.

    Args:
        session: Whose sample it is.
        repaint: Draws the panel anew.
    """

    def __init__(self, session: Session, repaint: Callable[[], None]) -> None:
        self._attributions = session.attributions
        self.alphas = tuple((np.arange(1, STEPS + 1) / STEPS).tolist())
        self.slider = w.SelectionSlider(
            options=[(f"{alpha:.2f}", alpha) for alpha in self.alphas],
            value=self.alphas[-1],
            description="share of x",
            tooltip="how far on the way from the baseline to the sample",
            continuous_update=True,
            layout={"width": "400px"},
            style={"description_width": "initial"},
        )
        self.slider.observe(lambda _change: repaint(), names="value")
        self.lines = LineFigure("alpha: share of the sample", ("score", "gradient norm"))
        self.tiles = AttributionTiles(lambda _tile: None)
        self._told = w.HTML()
        left = w.VBox([self.lines, self.slider, self._told], layout={"width": "440px"})
        super().__init__(children=(w.HBox([left, self.tiles], layout={"flex_flow": "row wrap"}),))

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        alpha = float(self.slider.value)
        whole, here = (
            self._attributions.get(
                METHOD,
                rows=subject.rows,
                target=subject.target,
                output=subject.output,
                partial=True,
                place=f"{subject.place} {len(alphas)}",
                alphas=alphas,
            )
            for alphas in (self.alphas, (alpha,))
        )
        self.lines.move_mark(alpha)
        if whole is None or here is None or whole.path is None:
            return False
        path = whole.path
        scores, norms = path.scores[0], path.gradient_norms[0]
        self.lines.show(path.alphas, [scores, norms])
        score, end = float(here.path.scores[0, 0] if here.path else np.nan), float(scores[-1])
        at = int(np.argmin(np.abs(path.alphas - alpha)))
        share = (
            f", {score / end:.0%} of that of the sample" if end > 0 and np.isfinite(score) else ""
        )
        self._told.value = note(
            f"From 0 to sample {subject.row}, whatever the method above. "
            f"At {alpha:.2f} · x the score is {figure(score)}{share}; the gradient norm is "
            f"{figure(float(norms[at]))}, at the sample {figure(float(norms[-1]))}."
        )
        values = here.values
        has_own = not isinstance(values, dict) or subject.input in values
        if isinstance(values, dict):  # of several inputs that which is drawn first
            values = values[subject.input] if has_own else next(iter(values.values()))
        self.tiles.draw(
            [Tile(subject.row, METHOD, here, 0, subject.input, values)],
            subject.pictures if has_own else None,
            [subject.picture_shape if has_own else ()],
            [("x · gradient", f"at {alpha:.2f} · x")],
            subject.look,
            framed=None,
        )
        return True
