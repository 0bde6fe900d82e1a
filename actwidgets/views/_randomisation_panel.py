"""Whether a map depends on what the model has learnt: it, beside maps of random weights."""

import ipywidgets as w
import numpy as np

from actwidgets.session import Session
from actwidgets.views._attribution_panel import AttributionPanel, Subject
from actwidgets.views._controls import note
from actwidgets.views._line_figure import LineFigure


class RandomisationPanel(AttributionPanel):
    """How alike the map stays while the weights are made random, layer by layer from the top.

    Args:
        session: Whose sample it is.
    """

    def __init__(self, session: Session) -> None:
        self._attributions = session.attributions
        self.lines = LineFigure(
            "share of the layers with random weights, from the top",
            ("similarity to the map as it is",),
            one_scale=True,
            width_px=520,
        )
        self._told = w.HTML()
        super().__init__(children=(self.lines, self._told))

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        check = self._attributions.randomisation(
            subject.method,
            rows=subject.rows,
            target=subject.target,
            layer=subject.layer,
            output=subject.output,
            partial=True,
            place=f"{subject.place} random",
            **subject.settings,
        )
        if check is None:
            return False
        similarity = check.similarity[:, 0]
        self.lines.show(np.linspace(0, 1, len(similarity)), [similarity])
        told = f"Sample {subject.row} alone; some twenty tell more: actwidgets.randomisation_check."
        self._told.value = note(f"{check.sentence} {told}")
        return True
