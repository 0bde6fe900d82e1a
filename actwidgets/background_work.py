"""What goes on in the background for views: how it is watched, awaited and cancelled."""

from abc import abstractmethod

import traitlets as t

from actwidgets.background import BackgroundReader, Reading


class BackgroundWork(t.HasTraits):
    """Something that has a reader finish passes, and tells how far it is."""

    reading = t.Instance(Reading, allow_none=True, read_only=True, help="a pass under way")
    _reader: BackgroundReader

    @abstractmethod
    def cancel(self) -> None:
        """Go no further; what there is stays."""

    def wait(self, within_s: float | None = None) -> None:
        """Return when nothing is under way any more. A kernel interrupt meanwhile cancels it.

        Args:
            within_s: Return after so many seconds in any case.
        """
        self._reader.wait(self.cancel, within_s)

    @property
    def is_reading(self) -> bool:
        """Whether something is under way."""
        return self._reader.is_reading
