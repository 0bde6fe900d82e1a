"""Several views of one session or more as one widget."""

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import ipywidgets as w

from actwidgets.session import Session
from actwidgets.views._answering import answer_at_any_time
from actwidgets.views._closing import close_all
from actwidgets.views.base import Exportable, View

if TYPE_CHECKING:
    from actwidgets.export.figure import ViewFigure

# Beside each other the second takes all that is left; on a narrow page each has the whole
# width, and its views lie side by side.
WRAPPING = {"flex_flow": "row wrap", "align_items": "flex-start", "align_content": "flex-start"}
CHOOSING_FLEX, SHOWING_FLEX = "1 1 362px", "9999 1 600px"


class ViewBox(Exportable, w.VBox):
    """A line above, what chooses to the left, and what shows to the right.

    Attributes:
        views: The views made so far, by name.
    """

    def __init__(self, above: w.Widget, choosing: list[w.Widget], showing: w.Widget) -> None:
        left = w.Box(choosing, layout=WRAPPING | {"flex": CHOOSING_FLEX})
        showing.layout.flex, showing.layout.min_width = SHOWING_FLEX, "0"
        below = w.Box([left, showing], layout=WRAPPING | {"width": "100%"})
        super().__init__(children=(above, below), layout={"width": "100%"})
        answer_at_any_time(self)

    views: dict[str, View]

    def _figure_now(self, theme: str) -> "ViewFigure":
        # One session's pictures are those of one moment.
        locks = {id(view.session.lock): view.session.lock for view in self.views.values()}
        with locks.popitem()[1] if len(locks) == 1 else nullcontext():
            return super()._figure_now(theme)

    def _finish(self, within_s: float) -> None:
        until_s = time.monotonic() + within_s
        for view in list(self.views.values()):
            view._finish(max(0.0, until_s - time.monotonic()))

    @property
    def error(self) -> str:
        """The last failure of each view that has one; empty when all is well."""
        return "; ".join(f"{name}: {view.error}" for name, view in self.views.items() if view.error)

    def _sessions(self) -> list[Session]:
        """The sessions that are closed with the views."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all views and give back every widget. Safe to call twice."""
        views, self.views = getattr(self, "views", {}), {}
        for view in views.values():
            view.close()
        close_all(self.children)
        self.children = ()
        if views:
            for session in self._sessions():
                session.close()
        super().close()
        self.layout.close()
