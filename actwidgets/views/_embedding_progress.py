"""How far a picture of points is, in its own words."""

from actwidgets.session import Reading
from actwidgets.views._controls import note
from actwidgets.views._progress import ProgressLine, _duration


class EmbeddingProgress(ProgressLine):
    """A bar, what is being done, how long still, and a button that stops it."""

    def show(self, reading: Reading | None) -> None:
        """Tell how far a picture is; None, or one that is made, hides the line."""
        with self.words.hold_sync():
            super().show(reading)
            if reading is not None:
                self.words.value = note(_told(reading))


def _told(reading: Reading) -> str:
    if reading.cancelled:
        return f"{reading.what}: cancelled"
    if not reading.per_second:
        return reading.what
    return f"{reading.what}, about {_duration(reading.seconds_left)} left"
