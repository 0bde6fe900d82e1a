"""What views share whose numbers are read in the background."""

from typing import Any

import ipywidgets as w

from actwidgets.session import Reading
from actwidgets.views._progress import ProgressLine
from actwidgets.views.base import View


class PassView(View):
    """A view of what a pass over all samples gathers: partial until it is through.

    It is repainted as the pass goes on, and carries a line that tells how far it is and
    stops it. Subclasses say in `_follows` which passes are theirs.
    """

    def _build(self) -> tuple[w.Widget, ...]:
        self._progress = ProgressLine(self._session.cancel, self._session.resume)
        children = self._build_picture()
        self._session.observe(self._on_reading, names="reading")
        return *children[:1], self._progress, *children[1:]

    def _build_picture(self) -> tuple[w.Widget, ...]:
        """Return the child widgets, the title first; as `_build` of a plain view."""
        raise NotImplementedError

    def _follows(self, reading: Reading) -> bool:
        """Whether this is a pass that the view shows."""
        return reading.layers == (self._session.layer,)

    def _on_reading(self, _change: Any) -> None:
        reading = self._session.reading
        if reading is None or not self._follows(reading):
            return
        if reading.failure:
            self._progress.show(None)
            self._show_error(f"could not read all samples: {reading.failure}")
        else:
            self._repaint()

    def _repaint(self) -> None:
        super()._repaint()
        reading = self._session.reading
        mine = reading is not None and self._follows(reading)
        self._progress.show(reading if mine else None)

    def _read_text(self, n_read: int, *, complete: bool) -> str:
        """How many samples a picture is of, in words."""
        n_samples, reading = self._session.n_samples, self._session.reading
        if not complete:
            return f"{n_read:,} of {n_samples:,} samples so far"
        if reading is not None and reading.cancelled and self._follows(reading):
            return f"{n_read:,} samples, read before; the new pass was cancelled"
        return f"{n_read:,} samples"

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._session.unobserve(self._on_reading, names="reading")
        super().close()
