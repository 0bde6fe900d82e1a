"""Whether a map is faithful: the class's probability as what it points at goes, or comes."""

import ipywidgets as w

from actwidgets.session import Session
from actwidgets.views._attribution_panel import AttributionPanel, Subject
from actwidgets.views._controls import note
from actwidgets.views._line_figure import LineFigure


class CurvePanel(AttributionPanel):
    """Deletion and insertion curves of the shown map of the sample in focus.

    Args:
        session: Whose sample it is.
    """

    def __init__(self, session: Session) -> None:
        self._attributions = session.attributions
        self.lines = LineFigure(
            "share of the places, those that speak most for the class first",
            ("deletion", "insertion"),
            one_scale=True,
            width_px=520,
        )
        self._told = w.HTML()
        super().__init__(children=(self.lines, self._told))

    def show(self, subject: Subject) -> bool:
        """Draw what is there of it; say whether that is all."""
        found = [
            self._attributions.faithfulness(
                subject.method,
                rows=subject.rows,
                kind=kind,
                target=subject.target,
                layer=subject.layer,
                output=subject.output,
                partial=True,
                place=f"{subject.place} {kind}",
                **subject.settings,
            )
            for kind in ("deletion", "insertion")
        ]
        deletion, insertion = found
        if deletion is None or insertion is None:
            return False
        self.lines.show(deletion.shares, [deletion.scores[0], insertion.scores[0]])
        self._told.value = note(
            f"Sample {subject.row}: area below the deletion curve {float(deletion.auc[0]):.3f} "
            "(a faithful map has it low), below the insertion curve "
            f"{float(insertion.auc[0]):.3f} (high). Deleted places get the mean of the picture, "
            "insertion begins with it blurred, features get 0: nothing of that is what the model "
            f"was trained on. {deletion.note}"
        )
        return True
