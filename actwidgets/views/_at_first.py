"""The weights as they are before anything becomes of them, kept to compare with."""

from contextlib import suppress

from actwidgets.errors import LayerError
from actwidgets.session import Session

WEIGHTS_UP_TO = 2**20  # that are counted, of one kind: a picture costs milliseconds
AT_FIRST = "at first"


def keep_first(session: Session) -> None:
    """Keep histograms of all weights as they are now, where no moment is kept yet."""
    histograms = session.histograms
    if histograms.recorded or histograms.labels:
        return
    with suppress(LayerError):  # of a probe that does not tell weights
        histograms.remember(AT_FIRST, activations=False, limit=WEIGHTS_UP_TO)
