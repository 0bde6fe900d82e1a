"""Which units of the chosen layer carry the class: measured when somebody asks for it."""

from collections import OrderedDict
from typing import Any

from actwidgets.background import BackgroundReader, Reading, reading_of
from actwidgets.background_work import BackgroundWork
from actwidgets.core import probes
from actwidgets.core.arrays import Array, Integers
from actwidgets.core.importance.importance_pass import ImportancePass
from actwidgets.core.importance.unit_importance import ImportanceTable
from actwidgets.core.interventions.edits import Edit
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.errors import DataError
from actwidgets.session_predictions import SessionPredictions

KEPT = 8  # measurements: of a layer and a class each

Key = tuple[str, int | None]


class Importance(BackgroundWork):
    """Random forest, mutual information and ablation of the units a session looks at.

    For the session's `layer` and `class_index`: None tells all classes apart, a class is told
    from the rest. Of the model as it is: the session's ablations are not in force. What was
    measured is kept until the weights or the data change.

    Args:
        session: The session.
    """

    def __init__(self, session: SessionPredictions) -> None:
        self._session = session
        self._passes: OrderedDict[Key, ImportancePass] = OrderedDict()
        self._reader = BackgroundReader(self._report, lambda: probes.reading(session._probe))
        self._asked_last: Key | None = None
        self._measured_with: Any = None
        super().__init__()
        session.observe(self._on_revision, names="revision")

    @property
    def of(self) -> Key | None:
        """The layer and the class that `reading` is about; None where there was none."""
        return self._asked_last

    def missing(self) -> str:
        """Why units of the chosen layer cannot be measured: "" where they can."""
        session = self._session
        if missing := session.missing_labels or session.missing_for_classes():
            return missing
        if not session._infos[session.layer].n_units:
            return "its units vary from sample to sample"
        return ""

    def get(self, *, partial: bool = False) -> ImportanceTable:
        """Measure the units of the chosen layer.

        Args:
            partial: Return at once with what is known so far, and go on in the background;
                `reading` tells how far it is. After `cancel` it does not go on.

        Raises:
            DataError: The session has no labels or a single class, or the layer no units.

        Cost: seconds for a small model, minutes for a large one; see `ImportancePass`.
        """
        session = self._session
        with session.lock:
            if missing := self.missing():
                raise DataError(f"no importance of units: {missing}")
            key = self._key()
            self._drop_what_is_old()
            wanted = self._passes.get(key)
            if wanted is None:
                for other in [other for other, each in self._passes.items() if not each.complete]:
                    del self._passes[other]  # it holds all its values
                wanted = self._passes[key] = self._new_pass(*key)
            self._passes.move_to_end(key)
            while len(self._passes) > KEPT:
                self._passes.popitem(last=False)
        if partial:
            self._read_on(key, wanted)
            return wanted.table()
        try:
            while not wanted.complete:
                wanted.step()
        except Exception:
            self._forget_pass(wanted)  # it cannot go on from where it failed
            raise
        return wanted.table()

    def known(self) -> ImportanceTable | None:
        """What has been measured so far of the chosen layer; None where nothing has.

        Measures nothing itself.
        """
        with self._session.lock:
            self._drop_what_is_old()
            found = self._passes.get(self._key())
        return None if found is None else found.table()

    def cancel(self) -> None:
        """Measure no further. What is known stays; `resume` goes on."""
        left = self._reader.cancel()
        for each in left:
            each.cancelled = True
        if left:
            self._report(reading_of(left[-1], cancelled=True))

    def resume(self) -> None:
        """Go on with what was cancelled for the chosen layer and class."""
        with self._session.lock:
            self._drop_what_is_old()
            key = self._key()
            wanted = self._passes.get(key)
            if wanted is None or not wanted.cancelled:
                return
            wanted.cancelled = False
        self._read_on(key, wanted)

    def close(self) -> None:
        """Stop measuring, and wait for the piece under way. What is known stays known."""
        self._reader.stop()

    # --- how it is kept ------------------------------------------------------------------

    def _key(self) -> Key:
        return self._session.layer, self._session.class_index  # type: ignore[attr-defined]

    def _new_pass(self, layer: str, class_index: int | None) -> ImportancePass:
        session, probe, samples = self._session, self._session._probe, self._session._samples
        assert session.labels is not None
        edited: dict[Edit, Any] = {}

        def read(rows: Integers) -> SampleSummary:
            return probes.summaries(probe, (layer,), samples.rows(rows), low=False)[layer]

        def predict(edit: Edit, rows: Integers) -> Array:
            if edit not in edited:
                edited.clear()
                edited[edit] = probes.edited(probe, {layer: edit})
            return edited[edit].predictions(samples.rows(rows))

        missing = session.missing_for_predictions() or probes.missing_for_changes(probe)
        return ImportancePass(
            layer,
            session._infos[layer].n_units or 0,
            read,
            session.labels,
            None if missing else predict,
            output=None if missing else session.output,
            class_index=class_index,
            class_name=None if class_index is None else session.class_names[class_index],
            without_ablation=f"No ablation effect: {missing}." if missing else "",
            budget_bytes=session.memory_budget_bytes // 4,
        )

    def _read_on(self, key: Key, wanted: ImportancePass) -> None:
        """Have a measurement finished, in the place of any other; say at once that it is begun."""
        if wanted.complete:
            return
        self._asked_last = key
        if not wanted.cancelled:
            self._reader.read(wanted, instead_of=lambda _: True)
        self._report(reading_of(wanted, cancelled=wanted.cancelled))

    def _drop_what_is_old(self) -> None:
        """Forget what was measured with other weights, samples or labels."""
        session = self._session
        now = session.revision, probes.fingerprint(session._probe)  # type: ignore[attr-defined]
        if now != self._measured_with:
            self._reader.cancel()
            self._passes.clear()
            self._measured_with = now
            if self.reading is not None:
                self.set_trait("reading", None)

    def _forget_pass(self, lost: ImportancePass) -> None:
        with self._session.lock:
            for key in [key for key, each in self._passes.items() if each is lost]:
                del self._passes[key]

    def _on_revision(self, _change: Any) -> None:
        with self._session.lock:
            self._drop_what_is_old()

    def _report(self, reading: Reading) -> None:
        with self._session.lock:
            if reading.failure:
                for each in [each for each in self._passes.values() if not each.complete]:
                    if each.layers == reading.layers:
                        self._forget_pass(each)
            self.set_trait("reading", reading)
