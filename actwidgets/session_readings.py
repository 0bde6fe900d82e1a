"""Passes over all samples of a session, in the background: how they are watched and stopped."""

from contextlib import nullcontext
from dataclasses import replace

from actwidgets.background import BackgroundReader, Pass, Reading, reading_of
from actwidgets.background_work import BackgroundWork
from actwidgets.core import probes
from actwidgets.core.samples import Samples
from actwidgets.session_numbers import SessionNumbers


class SessionReadings(SessionNumbers, BackgroundWork):
    """Tells how far a pass is, and has it stopped or go on.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self._reader = BackgroundReader(self._report, lambda: probes.reading(self._probe))
        self._cancelled: dict[tuple[str, tuple[str, ...]], Reading] = {}
        super().__init__(samples, memory_budget_bytes)

    def cancel(self) -> None:
        """Read no further. What was read stays, marked as partial; `resume` goes on."""
        with self.lock:
            left = self._reader.cancel()
            for each in left:
                each.cancelled = True
            for each in left:  # each has views of its own
                self._report(reading_of(each, cancelled=True))

    def resume(self) -> None:
        """Go on with the passes that were cancelled, as soon as a view asks for them."""
        with self.lock:
            self._numbers.resume()
            for reading in list(self._cancelled.values()):
                self._report(replace(reading, cancelled=False))

    def wait(self, within_s: float | None = None) -> None:
        """Return when the passes under way, if there are any, are finished.

        A kernel interrupt while this waits cancels them. While the model is being trained they
        go on only where the training waits for them: where this is called by one of its
        callbacks.

        Args:
            within_s: Return after so many seconds in any case.
        """
        turns = probes.turns(self._probe)
        with turns.window() if turns and turns.trains_here else nullcontext():
            super().wait(within_s)

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        self._reader.stop()
        probes.stop(self._probe)

    # --- how they are kept ---------------------------------------------------------------

    def _forget(self) -> None:
        """Drop what the model said, as it may say something else now."""
        self._reader.cancel()
        self._cancelled = {}
        self.set_trait("reading", None)  # it was of a pass that is forgotten
        super()._forget()

    def _read_on(self, wanted: Pass) -> None:
        """Have a pass finished, in the place of the one before of its kind."""
        self._reader.read(wanted, instead_of=lambda other: _are_alike(other, wanted))

    def _read_no_more(self, wanted: Pass) -> None:
        """Of a pass that is complete or cancelled: leave others of its kind, and say so.

        Itself it stays, where it waits to be read: the reader tells that it is complete.
        """
        self._reader.leave(lambda other: other is not wanted and _are_alike(other, wanted))
        if wanted.complete:
            self._tell_complete(wanted)
        else:
            self._report(reading_of(wanted, cancelled=True))

    def _tell_complete(self, wanted: Pass) -> None:
        """Where the last that was told is of another pass, or of this one cancelled."""
        told = self.reading
        if told is None or (told.what, told.layers) != (wanted.what, wanted.layers):
            return
        if told.cancelled or told.failure or not told.complete:
            self._report(reading_of(wanted))

    def _give_way(self) -> None:
        self._reader.touch()

    def _report(self, reading: Reading) -> None:
        with self.lock:
            if reading.cancelled:
                self._cancelled[reading.what, reading.layers] = reading
            else:
                self._cancelled.pop((reading.what, reading.layers), None)
            self.set_trait("reading", reading)


def _are_alike(one: Pass, other: Pass) -> bool:
    return (one.what, len(one.layers)) == (other.what, len(other.layers))
