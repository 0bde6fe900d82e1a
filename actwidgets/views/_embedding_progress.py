"""How far a picture of points is, in its own words."""

from actwidgets.session import Reading
from actwidgets.views._progress import ProgressLine, duration


class EmbeddingProgress(ProgressLine):
    """A bar, what is being done, how long still, and a button that stops it."""

    def show(self, reading: Reading | None, told: str | None = None) -> None:
        """Tell how far a picture is; None, or one that is made, hides the line."""
        super().show(reading, _told(reading) if told is None and reading else told)


def _told(reading: Reading) -> str:
    if reading.cancelled:
        return f"{reading.what}: cancelled"
    if not reading.per_second:
        return reading.what
    return f"{reading.what}, about {duration(reading.seconds_left)} left"
