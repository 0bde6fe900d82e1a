"""A session over a recording: everything as it was at one moment of a training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import traitlets as t

from actwidgets.core.arrays import Floats
from actwidgets.core.profiles.profile_pass import Layers, ProfilePass
from actwidgets.core.profiles.value_bins import METRICS as OF_HISTOGRAMS
from actwidgets.core.representations.layer_similarity import LayerSimilarityTable
from actwidgets.core.selection import Selection, known_rows
from actwidgets.errors import DataError, SelectionError
from actwidgets.recording.common_scales import CommonScales
from actwidgets.recording.recorded_embeddings import RecordedEmbeddings
from actwidgets.recording.recorded_probe import RecordedProbe
from actwidgets.recording.stored_pass import StoredPass
from actwidgets.session import Session
from actwidgets.session_passes import REPRESENTED, SessionPasses

if TYPE_CHECKING:
    from actwidgets.recording.recording import Recording
    from actwidgets.recording.snapshot_files import SnapshotInfo


class RecordedSession(Session):
    """What is looked at, and when: any view of a session works on it, from stored values.

    Set `at`, or link it, and all views show another moment. What only the model could tell
    (attributions, ablations, disturbed samples) is refused with a sentence.

    Args:
        recording: An open recording with a snapshot or more.
        at: Which snapshot: its position in `recording.snapshots`, negative from the end.
        **options: As of `Session`: `image_shape`, the first selection, …

    Raises:
        DataError: The recording holds no snapshot yet.
        SelectionError: No such snapshot, or a first selection that does not exist.
    """

    at = t.Int(0, help="which snapshot is shown: its position in `recording.snapshots`")

    _is_ready = False

    def __init__(self, recording: "Recording", at: int = -1, **options: Any) -> None:
        self.recording = recording
        if not recording.snapshots:
            raise DataError(f"the recording {recording.path} holds no snapshot yet")
        place = self._position(at)
        self._stored: dict[Layers, StoredPass] = {}
        self._similarities: dict[Any, tuple[LayerSimilarityTable | None, tuple[str, ...]]] = {}
        options.setdefault("class_names", recording.class_names or None)
        options.setdefault("image_shape", recording.manifest.image_shape)
        options.setdefault("head", recording.manifest.head)  # which of them y is of
        self._scales = CommonScales(recording)
        y = recording.labels if recording.targets is None else recording.targets
        super().__init__(RecordedProbe(recording, place), recording.x, y, **options)
        self.at = place
        self._is_ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the moment only while nobody else changes something."""
        if name == "at":
            with self.lock:
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    @property
    def snapshot(self) -> "SnapshotInfo":
        """The snapshot that is shown: its epoch, step and metrics."""
        return self.recording.snapshots[self._place]

    @property
    def epoch(self) -> float:
        """Epochs that were trained when it was taken: 1.5 is amid the second."""
        return float(self.snapshot.epoch)

    @property
    def embeddings(self) -> RecordedEmbeddings:
        """Samples as points, which stay in their places from one moment to the next."""
        with self.lock:
            if not isinstance(self._embeddings, RecordedEmbeddings):
                self._embeddings = RecordedEmbeddings(self)
            return self._embeddings

    def peak_values(self, rows: Sequence[int]) -> Floats:
        """The largest value of the chosen unit on each of `rows`, `(sample,)` float32."""
        known = list(known_rows(rows, self.n_samples))
        high = self.recording.summaries(self.layer, self._place).high
        return np.asarray(high, np.float32)[known, self.unit]

    def distance_scale(
        self, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> float | None:
        """How far two classes are apart in the chosen layer at most, at any snapshot.

        Colours that reach so far can be compared from one epoch to the next.

        Args:
            statistic: As in `similarity`.
            metric: As in `similarity`.

        Returns:
            Of metrics that end at 1, as those of histograms do, 1. None where it is not known at
            once: of firing rates at a threshold other than 0, and of very many classes.

        Cost: a read of each snapshot, at most 64 evenly spread, when it is asked for first.
        """
        with self.lock:
            if statistic == "firing_rate" and metric not in OF_HISTOGRAMS and self.threshold:
                return None
            if self.labels is None:
                return None
            return self._scales.distance(self.layer, statistic, metric)

    def confusion_scale(self, normalised: str = "counts") -> tuple[float, float] | None:
        """The largest cell of `confusion` that is right and that is wrong, at any snapshot.

        Args:
            normalised: As in `Confusion.normalised`.

        Cost: as of `distance_scale`.
        """
        with self.lock:
            return self._scales.confused(normalised, self.class_names)

    def layer_similarity(
        self,
        *,
        other: SessionPasses | None = None,
        positions: Literal["mean", "flat"] = "mean",
        partial: bool = False,
    ) -> tuple[LayerSimilarityTable | None, tuple[str, ...]]:
        """As of `Session`; kept for each snapshot that was looked at."""
        with self.lock:
            moment = None if other is None else (id(other), getattr(other, "revision", 0))
            if isinstance(other, RecordedSession):
                moment = id(other), other.snapshot.index
            key = self.snapshot.index, moment, positions
            known = self._similarities.get(key)
        if known is not None:
            return known
        found = super().layer_similarity(other=other, positions=positions, partial=partial)
        if found[0] is not None and found[0].n_samples == min(self.n_samples, REPRESENTED):
            self._similarities[key] = found
        return found

    @property
    def _place(self) -> int:
        """Where the snapshot is now; `at` is where it was when the recording was looked at."""
        return int(self._probe.at)  # type: ignore[attr-defined]

    def refresh(self) -> None:
        """Look at the recording again: a live one may have more snapshots, or fewer.

        The snapshot that was shown still is; where it was thinned out, the one nearest to it.
        """
        with self.lock:
            self.recording.refresh()
            place = self._place
            if place == self.at:
                self._move()
            else:
                self.at = place

    # --- how it is kept ------------------------------------------------------------------

    @t.validate("at")
    def _known_position(self, proposal: Any) -> int:
        return self._position(proposal.value)

    @t.observe("at")
    def _on_at(self, _change: Any) -> None:
        if self._is_ready:
            self._move()

    def _move(self) -> None:
        with self.lock:
            self._probe.at = self.at  # type: ignore[attr-defined]
            self._forget()
            self.set_trait("revision", self.revision + 1)

    def _position(self, at: int) -> int:
        count = len(self.recording.snapshots)
        place = at + count if at < 0 else at
        if not 0 <= place < count:
            raise SelectionError(
                f"snapshot {at} is outside 0..{count - 1} of the recording {self.recording.path}"
            )
        return place

    def _forget(self, *, everything: bool = False) -> None:
        self._stored = {}
        super()._forget(everything=everything)

    def _pass(self, every_layer: bool = False) -> ProfilePass:
        if self.labels is None:
            raise DataError("class profiles need labels; this recording has none")
        layers = self._layers_that_fit() if every_layer else (self.layer,)
        if layers not in self._stored:
            self._stored[layers] = StoredPass(
                self._probe.pinned(),  # type: ignore[attr-defined]
                layers,
                self.labels,
            )
        return self._stored[layers]

    @property
    def _has_none(self) -> str:
        return "this recording has none"

    def missing_for_units(self) -> str:
        """Why there is nothing to tell of the chosen layer's units: "" where there is."""
        if self.labels is None:
            return "this recording was made without labels, and holds no profiles"
        return super().missing_for_units()

    def _resolved(self, choice: Any) -> Selection:
        resolved = super()._resolved(choice)
        if resolved.ablations or not resolved.disturbance.changes_nothing:
            raise SelectionError(RecordedProbe.missing_for_changes)
        return resolved
