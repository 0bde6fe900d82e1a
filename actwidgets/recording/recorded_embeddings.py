"""Samples as points over a training: from one moment to the next nothing jumps by chance."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from actwidgets.background import Job
from actwidgets.core.embeddings.alignment import Plane, principal_plane
from actwidgets.core.embeddings.embedding import Embedding
from actwidgets.core.embeddings.embedding_pass import EmbeddingPass
from actwidgets.core.embeddings.layout import Layout
from actwidgets.session_embeddings import INPUT, Embeddings
from actwidgets.session_jobs import AnyPass

AT_ONCE_S = 0.25  # what takes longer comes from the background

if TYPE_CHECKING:
    from actwidgets.recording.recorded_session import RecordedSession


class RecordedEmbeddings(Embeddings):
    """Pictures of recorded samples as points, kept for every moment that was looked at.

    Principal components are those of the last snapshot, for all moments: a point moves only
    where what the model makes of its sample does. t-SNE begins at the points of the nearest
    moment that has been laid out.

    Args:
        session: The session over the recording.
    """

    _session: "RecordedSession"

    def __init__(self, session: "RecordedSession") -> None:
        self._planes: dict[tuple[str, int, int], Plane] = {}
        super().__init__(session)

    def _moment(self, of: str | None = None) -> int | None:
        return None if of == INPUT else self._session.snapshot.index

    def _pass(self, key: Hashable, make: Callable[[], AnyPass]) -> AnyPass:
        self._revision = self._session.revision  # nothing kept is old: keys tell the moment
        return super()._pass(key, make)

    def _advance(
        self, wanted: Job, key: Hashable, partial: bool, place: str, at_once_s: float = 0.0
    ) -> None:
        """What comes of stored values alone is made at once, so that a scrub paints once."""
        is_quick = wanted.layers != (INPUT,) and not getattr(wanted, "is_slow", False)
        super()._advance(wanted, key, partial, place, AT_ONCE_S if is_quick else at_once_s)

    def _reference(self, of: str, n_points: int, layout: Layout) -> "_OverTime | None":
        if of == INPUT:
            return None
        moment = self._session.snapshot.index
        return _OverTime(
            lambda: self._plane(of, n_points), lambda: self._nearest(moment, of, n_points, layout)
        )

    def _plane(self, of: str, n_points: int) -> Plane:
        """The plane of a layer at the last snapshot, found once."""
        recording, rows = self._session.recording, self.rows(n_points)
        last = recording.snapshots[-1]
        key = of, n_points, last.index
        if key not in self._planes:
            features = np.asarray(recording.summaries(of, -1).mean, np.float64)[rows]
            told = f"the plane of the two largest components at epoch {last.epoch:g}, the last"
            name = f"{of} at {last.index} of {n_points} points"
            self._planes[key] = principal_plane(features, name, told)
        return self._planes[key]

    def _nearest(
        self, moment: int, of: str, n_points: int, layout: Layout
    ) -> tuple[Embedding, str] | None:
        """The picture of the nearest other moment, and its epoch in words."""
        made: dict[int, Any] = {}
        for key, each in list(self._passes.items()):
            if isinstance(each, EmbeddingPass) and each.complete and isinstance(key, tuple):
                _, *rest, other = key
                if rest == [of, n_points, layout] and other not in (None, moment):
                    made[other] = each
        epochs = {each.index: each.epoch for each in self._session.recording.snapshots}
        known = [each for each in made if each in epochs]
        if not known:
            return None
        nearest = min(known, key=lambda each: abs(each - moment))
        return made[nearest].embedding(), f"epoch {epochs[nearest]:g}"


@dataclass(frozen=True)
class _OverTime:
    """Satisfies `Reference`."""

    plane: Callable[[], Plane]
    begin: Callable[[], tuple[Embedding, str] | None]
