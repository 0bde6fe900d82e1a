"""What views share whose numbers are read in the background."""

from typing import Any

import ipywidgets as w

from actwidgets.background_work import BackgroundWork
from actwidgets.session import Reading, Selection
from actwidgets.views._controls import note, show
from actwidgets.views._progress import ProgressLine
from actwidgets.views.base import View


class PassView(View):
    """A view of what a pass over all samples gathers: partial until it is through.

    It is repainted as the pass goes on, and carries a line that tells how far it is and
    stops it. Subclasses make `_title`, `_note` and `_picture` in `_build_picture`, and write
    `_heading` and `_draw`; where it is not class profiles that they show, also `_gathered`,
    `_follows` and `_missing`.
    """

    every_layer = False  # whether it tells of all of the model, or of the chosen layer
    of_each_label = True  # whether what it reads counts a sample once for each of its labels
    folds_controls = True  # whether controls do nothing where there is nothing to show
    _title: w.HTML
    _note: w.HTML
    _picture: w.Box

    def _build(self) -> tuple[w.Widget, ...]:
        self._progress = ProgressLine(self._session.cancel, self._session.resume)
        children = self._build_picture()
        self._rows_of_controls = [
            each
            for each in children
            if self.folds_controls and type(each) is w.HBox and each is not self._picture
        ]
        self._session.observe(self._on_reading, names="reading")
        return *children[:1], self._progress, *children[1:]

    def _build_picture(self) -> tuple[w.Widget, ...]:
        """Return the child widgets, the title first; as `_build` of a plain view."""
        raise NotImplementedError

    def _heading(self, selection: Selection) -> str:
        """The title, as HTML: names in it are escaped."""
        raise NotImplementedError

    def _missing(self) -> str:
        """Why there is nothing to show, or ""."""
        return self._session.missing_for_units()

    def _gathered(self) -> Any:
        """What has been read so far; asking for it has the rest read in the background."""
        return self._session.profiles(partial=True, every_layer=self.every_layer)

    def _draw(self, selection: Selection, gathered: Any) -> bool:
        """Make the children show what has been read; say whether there is a picture of it."""
        raise NotImplementedError

    def _render(self, selection: Selection) -> None:
        self._title.value = f'<div class="aw-title">{self._heading(selection)}</div>'
        missing = self._missing()
        for row in self._rows_of_controls:
            row.layout.display = "none" if missing else None  # they would change nothing
        if missing:
            where = "" if self.every_layer else f" for {selection.layer}"
            self._note.value = note(f"nothing to show{where}: {missing}")
            show(self._picture, False)
            if self._readout is not None:
                self._readout.over()  # nothing is under the mouse
            return
        show(self._picture, self._draw(selection, self._gathered()))

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._session,)

    def _follows(self, reading: Reading) -> bool:
        """Whether this is a pass that the view shows."""
        return (reading.what, reading.layers) == ("profiles", (self._session.layer,))

    def _on_reading(self, _change: Any) -> None:
        reading = self._session.reading
        if reading is None or not self._follows(reading):
            return
        if not self.watching:
            self._painted = None  # there is more to show by then
        elif reading.failure:
            self._progress.show(None)
            self._show_error(f"could not read all samples: {reading.failure}")
        else:
            self._repaint()

    def _repaint(self) -> None:
        with self._session.lock:  # the reader may tell more meanwhile, and that comes last
            super()._repaint()
            reading = self._session.reading
            mine = reading is not None and self._follows(reading)
            self._progress.show(reading if mine else None)

    def _read_text(self, n_read: int, *, complete: bool) -> str:
        """How many samples a picture is of, in words.

        Of several labels a sample class profiles count it in each of its classes.
        """
        n_samples, reading = self._session.n_samples, self._session.reading
        read = f"{n_read:,} samples"
        if self.of_each_label and self._session.label_sets is not None:
            read = f"{n_samples:,} samples, {n_read:,} labels"
            if not complete:
                return f"{n_read:,} labels so far, of {n_samples:,} samples"
        if not complete:
            return f"{n_read:,} of {n_samples:,} samples so far"
        if reading is not None and reading.cancelled and self._follows(reading):
            return f"{read}, read before; the new pass was cancelled"
        return read

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if getattr(self, "_subscribed", False):
            self._session.unobserve(self._on_reading, names="reading")
        super().close()
