"""The panels below an attribution: each is made when it is first unfolded."""

from collections.abc import Callable

import ipywidgets as w

from actwidgets.errors import LayerError, ModelError, ShapeError
from actwidgets.session import Session
from actwidgets.views._attribution_panel import AttributionPanel, Subject
from actwidgets.views._controls import fade, note, show
from actwidgets.views._curve_panel import CurvePanel
from actwidgets.views._path_panel import PathPanel
from actwidgets.views._randomisation_panel import RandomisationPanel

TITLES = {
    "path": "along the path",
    "curves": "deletion and insertion",
    "randomisation": "random weights",
}
REFUSALS = (LayerError, ModelError)  # a method that does not apply here is nothing unusual


class AttributionPanels(w.VBox):
    """A place for one panel at a time.

    Args:
        session: Whose samples they are about.
        repaint: Draws what is unfolded anew.
    """

    def __init__(self, session: Session, repaint: Callable[[], None]) -> None:
        self._makers: dict[str, Callable[[], AttributionPanel]] = {
            "path": lambda: PathPanel(session, repaint),
            "curves": lambda: CurvePanel(session),
            "randomisation": lambda: RandomisationPanel(session),
        }
        self.made: dict[str, AttributionPanel] = {}
        self._note = w.HTML()
        super().__init__()

    def fold(self) -> None:
        """Show none."""
        self.children = ()

    def unfold(self, name: str, subject: Subject) -> bool:
        """Show a panel about a sample; say whether all of it is there."""
        if name not in self.made:
            self.made[name] = self._makers[name]()
        panel = self.made[name]
        if self.children[:1] != (panel,):
            self.children = (panel, self._note)
        complete, told = True, ""
        try:
            complete = panel.show(subject)
        except (*REFUSALS, ShapeError) as refusal:  # also maps coarser than the samples
            told = note(f"nothing to show here: {refusal}")
        self._note.value = told
        show(panel, not told)
        fade(panel, not complete)
        return complete

    def gather(self) -> None:
        """Hold all that was made, also what is folded, so that it is closed with this."""
        self.children = (*self.made.values(), self._note)
