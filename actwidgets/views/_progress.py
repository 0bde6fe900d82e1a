"""How far a pass over the samples is, and a button that stops it."""

import math
from collections.abc import Callable

import ipywidgets as w

from actwidgets.session import Reading
from actwidgets.views._controls import note


class ProgressLine(w.HBox):
    """A bar, how far it is, how fast, how long still, and a button; gone when all is read.

    Args:
        cancel: Called when the button is pressed while something is read.
        resume: Called when it is pressed after that was cancelled.
    """

    def __init__(self, cancel: Callable[[], None], resume: Callable[[], None]) -> None:
        self._cancel, self._resume = cancel, resume
        self.bar = w.FloatProgress(
            max=1.0, layout={"width": "110px", "height": "14px"}, style={"bar_color": "#3fa7a0"}
        )
        self.words = w.HTML()
        self.button = w.Button(description="Cancel", layout={"width": "72px", "height": "24px"})
        self.button.on_click(self._on_user_button)
        self._under_way = False
        super().__init__(
            children=(self.bar, self.words, self.button),
            layout={"align_items": "center", "display": "none", "min_height": "28px"},
        )

    def show(self, reading: Reading | None, told: str | None = None) -> None:
        """Tell how far a reading is; None, or one that is done, hides the line.

        Args:
            reading: How far it is.
            told: The same in words, where it does not count samples.
        """
        if reading is None or reading.complete or reading.failure:
            self.layout.display = "none"
            return
        self._under_way = reading.under_way
        self.bar.value = reading.n_read / reading.n_samples
        self.words.value = note(_told(reading) if told is None else told)
        self.button.description = "Cancel" if reading.under_way else "Resume"
        self.layout.display = None

    def _on_user_button(self, _button: w.Button) -> None:
        (self._cancel if self._under_way else self._resume)()


def _told(reading: Reading) -> str:
    text = f"{reading.n_read:,} of {reading.n_samples:,} samples"
    if reading.cancelled:
        return f"{text}, cancelled"
    if not reading.per_second:
        return text
    return f"{text}, {reading.per_second:,.0f} a second, {duration(reading.seconds_left)} left"


def duration(seconds: float) -> str:
    """A length of time in words, as exactly as anybody wants to know it."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
