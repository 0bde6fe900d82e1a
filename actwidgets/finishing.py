"""Wait for what is made in the background, where waiting for it can end."""

import time
from collections.abc import Sequence

from actwidgets.background_work import BackgroundWork
from actwidgets.errors import DataError
from actwidgets.session import Session

WITHIN_S = 600.0  # longer than t-SNE of the most points takes on two cores
LOOK_AGAIN_S = 0.25  # how soon it is seen that a training has begun meanwhile


def all_work(session: Session) -> tuple[BackgroundWork, ...]:
    """Everything that a session does in the background for its views."""
    return session, session.attributions, session.embeddings, session.importance


def finish(
    session: Session, works: Sequence[BackgroundWork], who: str, within_s: float = WITHIN_S
) -> None:
    """Return when nothing of `works` is under way any more, or never would be.

    It would never be while the model is being trained, as no weights hold still then, and
    where this thread holds the session's lock, as observers of a session do: what is made is
    told with that lock. Both return at once.

    Args:
        session: Whose work it is.
        works: What is waited for.
        who: Who waits, for the message.
        within_s: For how long at most.

    Raises:
        DataError: It took longer.
    """
    until_s = time.monotonic() + within_s
    while (at_work := _under_way(works)) is not None:
        if session.lock.is_held_here or session.training.under_way:
            return
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise DataError(
                f"{who} is not finished after {within_s:g} s{_how_far(at_work)}; wait longer by "
                "a larger within_s, or take png(), which shows what there is"
            )
        at_work.wait(min(left_s, LOOK_AGAIN_S))


def _under_way(works: Sequence[BackgroundWork]) -> BackgroundWork | None:
    return next((work for work in works if work.is_reading), None)


def _how_far(work: BackgroundWork) -> str:
    reading = work.reading
    return f" ({reading.what}: {reading.n_read:,} of {reading.n_samples:,})" if reading else ""
