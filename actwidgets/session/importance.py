"""Importance of the selected layer's units for the class."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from actwidgets.core.ablation import Ablation, Edit, edit_of
from actwidgets.core.accumulators import SampleSummary
from actwidgets.core.arrays import Array, Integers
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.predictions import predicted_classes
from actwidgets.core.unit_importance import (
    MEASURES,
    SAMPLES_UP_TO,
    TREES,
    UNITS_UP_TO,
    GrowingForest,
    ImportanceTable,
    UnitValues,
    mutual_information,
)
from actwidgets.errors import DataError, LayerError, ModelError
from actwidgets.session.context import BackgroundWork, Context
from actwidgets.session.results import spread
from actwidgets.session.tasks import Progress, Steps, Task, progress_of

BATCH_SIZE = 64  # samples in a piece: a slider waits no longer than for these
VALUE_BYTES = 4
GUESS_S = 0.015  # what a piece costs while none of its kind has been measured

Read = Callable[[Integers], SampleSummary]
Predict = Callable[[Edit, Integers], Array]


class ImportancePass(Task):
    """Three measures of the units of one layer.

    The samples are read once; then follow the forest tree by tree, the mutual information
    unit by unit and the ablation by unit and batch. `n_read` and `n_samples` count these
    pieces of work.

    `read` gives the layer's summary of rows; `predict` the model's output on rows with the layer
    edited, or None, and `without_ablation` says why. Of a `class_index` it is told from the rest.
    Of a very wide layer fewer samples are read, so that values take `budget_bytes`.

    Cost: one forward pass to the layer over at most 2,000 samples, some 15 ms for each of a
    hundred trees and for each unit at ten classes, and one whole forward pass over the
    samples for each unit that is not zero throughout.
    """

    is_slow = True

    def __init__(
        self,
        layer: str,
        n_units: int,
        read: Read,
        labels: Integers,
        predict: Predict | None,
        *,
        output: OutputKind | None = None,
        class_index: int | None = None,
        class_name: str | None = None,
        without_ablation: str = "",
        budget_bytes: int = 128 * 2**20,
        n_trees: int = TREES,
    ) -> None:
        super().__init__("importance", (layer,), self._steps, self._count)
        self._layer, self._n_units, self._class_name = layer, n_units, class_name
        self._read, self._predict, self._class_index = read, predict, class_index
        self._output = output
        self._n_total = len(labels)
        fitting = budget_bytes // (VALUE_BYTES * max(n_units, 1))
        limit = min(SAMPLES_UP_TO, max(fitting, 2))
        self._values = UnitValues(n_units, spread(len(labels), limit))
        rows = self._values.rows
        classes = labels[rows]
        self._labels = classes if class_index is None else (classes == class_index).astype(np.int64)
        self._true = classes if class_index is None else classes[classes == class_index]
        self._ablated = rows if class_index is None else rows[classes == class_index]
        n_measured = min(n_units, UNITS_UP_TO)
        n_batches = math.ceil(len(self._ablated) / BATCH_SIZE)
        self._pieces = {
            "reading": math.ceil(len(rows) / BATCH_SIZE),
            "forest": n_trees,
            "mutual_information": n_measured,
            "ablation": (n_measured + 1) * n_batches if predict else 0,
        }
        self._done = dict.fromkeys(self._pieces, 0)
        self._seconds = dict.fromkeys(self._pieces, 0.0)
        self._notes = [without_ablation] if without_ablation else []
        self._scores = {measure: np.full(n_units, np.nan) for measure in MEASURES}
        self._measured: Integers = np.arange(n_measured)
        self._accuracy = self._baseline = self._majority = float("nan")
        self._piece_s: dict[str, float] = {}
        self._stage = "reading"

    def _count(self) -> tuple[int, int]:
        """Pieces of work, and one for the end."""
        total = sum(self._pieces.values()) + 1
        return total if self._has_ended else sum(self._done.values()), total

    def _steps(self) -> Steps:
        """The measuring, and how long it takes; it cannot go on where the model raised."""
        work = self._measure()
        while True:
            begun_s = time.perf_counter()
            stage = next(work, None)
            if stage is None:
                self._values.forget()
                return
            seconds = time.perf_counter() - begun_s
            if self._seconds[stage]:  # the first of a kind has something to load or to compile
                before_s = self._piece_s.get(stage, seconds)
                self._piece_s[stage] = 0.8 * before_s + 0.2 * seconds
            self._stage = stage
            self._seconds[stage] += seconds
            yield self.n_read, self.n_samples

    def table(self) -> ImportanceTable:
        """What is known so far; copies. Does not wait for the piece under way."""
        return ImportanceTable(
            layer=self._layer,
            class_name=self._class_name,
            **{measure: scores.copy() for measure, scores in self._scores.items()},
            measured=self._measured,
            seconds=dict(self._seconds),
            n_samples=len(self._values.rows),
            n_total=self._n_total,
            n_finite=self._values.n_finite,
            n_ablated=len(self._ablated),
            n_trees=self._done["forest"],
            out_of_bag_accuracy=self._accuracy,
            majority_share=self._majority,
            baseline=self._baseline,
            stage=self._stage,
            complete=self.complete,
            seconds_left=sum(
                (pieces - self._done[stage]) * self._piece_s.get(stage, GUESS_S)
                for stage, pieces in self._pieces.items()
            ),
            notes=tuple(self._notes),
        )

    # --- the work, a piece at a time: each yields the stage that it belongs to ----------------

    def _measure(self) -> Iterator[str]:
        yield from self._read_samples()
        yield from self._find_baseline()  # early, so that the time it takes is known
        yield from self._grow_forest()
        yield from self._inform()
        yield from self._ablate()
        self._done = dict(self._pieces)  # also what there was nothing to do for

    def _piece(self, stage: str, count: int = 1) -> str:
        self._done[stage] += count
        return stage

    def _read_samples(self) -> Iterator[str]:
        for batch in _batches(self._values.rows):
            self._values.add(self._read(batch))
            if self._values.complete:
                self._measured = self._values.most_varying(UNITS_UP_TO)
                self._notes = [*self._values.notes(UNITS_UP_TO), *self._notes]
                labels = self._labels[self._values.finite]
                if len(labels):
                    self._majority = float(np.unique(labels, return_counts=True)[1].max())
                    self._majority /= len(labels)
                if len(np.unique(labels)) == 1:
                    self._notes.append("All samples are of one class: no unit can tell it.")
            yield self._piece("reading")

    def _find_baseline(self) -> Iterator[str]:
        if self._predict is None:
            return
        if not len(self._ablated):
            self._notes.append(
                "None of the samples is of this class: what recall is lost is not known."
            )
            return
        try:
            self._baseline = yield from self._share_right(())
        except (LayerError, ModelError) as refusal:
            self._notes.append(f"No ablation effect: {refusal}.")
            self._predict = None
            self._pieces["ablation"] = self._done["ablation"] = 0

    def _grow_forest(self) -> Iterator[str]:
        values, labels = self._values.of(self._measured), self._labels[self._values.finite]
        if not len(labels):
            return
        forest = GrowingForest(values, labels, self._pieces["forest"])
        while forest.n_grown < forest.n_trees:
            forest.grow()
            scores = self._scores["forest"].copy()
            scores[self._measured] = forest.importance
            self._scores["forest"] = scores
            self._accuracy = forest.out_of_bag_accuracy
            yield self._piece("forest", forest.n_grown - self._done["forest"])

    def _inform(self) -> Iterator[str]:
        labels = self._labels[self._values.finite]
        for unit in self._measured:
            values = self._values.of([unit])[:, 0]
            self._scores["mutual_information"][unit] = mutual_information(values, labels)
            yield self._piece("mutual_information")
        if len(labels) and np.isnan(self._scores["mutual_information"][self._measured]).any():
            self._notes.append("No mutual information: it needs two samples of two classes.")

    def _ablate(self) -> Iterator[str]:
        if self._predict is None or not len(self._ablated):
            return
        for unit in self._measured:
            if self._values.is_zero[unit]:  # to switch it off changes nothing
                self._scores["ablation"][unit] = 0.0
                yield self._piece("ablation", math.ceil(len(self._ablated) / BATCH_SIZE))
            else:
                share = yield from self._share_right((int(unit),))
                self._scores["ablation"][unit] = self._baseline - share

    def _share_right(self, without: tuple[int, ...]) -> Generator[str, None, float]:
        """The share of the samples that is predicted right with some units switched off."""
        assert self._predict is not None
        edit = edit_of(Ablation(self._layer, without), self._n_units)
        n_right = start = 0
        for batch in _batches(self._ablated):
            predicted = predicted_classes(self._predict(edit, batch), output=self._output)
            n_right += int((predicted == self._true[start : start + len(batch)]).sum())
            start += len(batch)
            yield self._piece("ablation")
        return n_right / start


def _batches(rows: Integers) -> Iterator[Integers]:
    for start in range(0, len(rows), BATCH_SIZE):
        yield rows[start : start + BATCH_SIZE]


KEPT = 8  # measurements: of a layer and a class each

Key = tuple[str, int | None]


class Importance(BackgroundWork):
    """Random forest, mutual information and ablation of the units a session looks at.

    For the session's `layer` and `class_index`: None tells all classes apart, a class is told
    from the rest. Of the model as it is: the session's ablations are not in force. What was
    measured is kept until the weights or the data change.

    Args:
        context: Whose layer and class are looked at.
    """

    def __init__(self, context: Context) -> None:
        self._tasks: OrderedDict[Key, ImportancePass] = OrderedDict()
        self._asked_last: Key | None = None
        self._measured_with: Any = None
        super().__init__(context)

    @property
    def of(self) -> Key | None:
        """The layer and the class that `reading` is about; None where there was none."""
        return self._asked_last

    def missing(self) -> str:
        """Why units of the chosen layer cannot be measured: "" where they can."""
        context = self.context
        if missing := context.missing_labels or context.missing_for_classes():
            return missing
        if not context.layer_info().n_units:
            return "its units vary from sample to sample"
        return ""

    def __call__(self) -> ImportanceTable:
        """Measure the units of the chosen layer.

        Raises:
            DataError: The session has no labels or a single class, or the layer no units.

        Cost: seconds for a small model, minutes for a large one; see `ImportancePass`.
        """
        key, task = self._task()
        if not task.complete:
            begun_s = time.monotonic()
            try:
                task.finish()
            except Exception:
                self._drop(task)  # it cannot go on from where it failed
                raise
            self._asked_last = key
            self._report(progress_of(task, seconds=time.monotonic() - begun_s))
        return task.table()

    def request(self) -> ImportanceTable:
        """What is known so far of the chosen layer; the rest is measured in the background.

        `reading` tells how far it is. After `cancel` it does not go on.

        Raises: as when called.
        """
        key, task = self._task()
        self._read_on(key, task)
        return task.table()

    def known(self) -> ImportanceTable | None:
        """What has been measured so far of the chosen layer; None where nothing has.

        Measures nothing itself.
        """
        with self.context.lock:
            self.drop_stale()
            task = self._tasks.get(self._key())
        return None if task is None else task.table()

    def resume(self) -> None:
        """Go on with what was cancelled for the chosen layer and class."""
        with self.context.lock:
            self.drop_stale()
            key = self._key()
            task = self._tasks.get(key)
            if task is None or not task.cancelled:
                return
            task.resume()
        self._read_on(key, task)

    # --- how it is kept ------------------------------------------------------------------

    def _key(self) -> Key:
        selection = self.context.selection
        return selection.layer, selection.class_index

    def _task(self) -> tuple[Key, ImportancePass]:
        """The measurement of the chosen layer and class, kept or new."""
        with self.context.lock:
            if missing := self.missing():
                raise DataError(f"no importance of units: {missing}")
            key = self._key()
            self.drop_stale()
            task = self._tasks.get(key)
            if task is None:
                self.context.queue.discard(self._report)
                for other in [other for other, each in self._tasks.items() if not each.complete]:
                    del self._tasks[other]  # it holds all its values
                task = self._tasks[key] = self._new_task(*key)
            self._tasks.move_to_end(key)
            while len(self._tasks) > KEPT:
                self._tasks.popitem(last=False)
            return key, task

    def _new_task(self, layer: str, class_index: int | None) -> ImportancePass:
        context, probe, samples = self.context, self.context.probe, self.context.samples
        assert samples.labels is not None
        edited: dict[Edit, Any] = {}

        def read(rows: Integers) -> SampleSummary:
            return probe.summaries((layer,), samples.rows(rows), low=False)[layer]

        def predict(edit: Edit, rows: Integers) -> Array:
            if edit not in edited:
                edited.clear()
                edited[edit] = probe.edited({layer: edit})
            return edited[edit].predictions(samples.rows(rows))

        missing = context.missing_for_predictions() or probe.missing_for_changes
        return ImportancePass(
            layer,
            context.infos[layer].n_units or 0,
            read,
            samples.labels,
            None if missing else predict,
            output=None if missing else context.output,
            class_index=class_index,
            class_name=None if class_index is None else context.class_names[class_index],
            without_ablation=f"No ablation effect: {missing}." if missing else "",
            budget_bytes=context.budget_bytes // 4,
        )

    def _read_on(self, key: Key, task: ImportancePass) -> None:
        """Have a measurement finished; say at once that it is begun."""
        if task.complete:  # perhaps in a step that was cancelled
            self._tell_complete(task)
            return
        self._asked_last = key
        if not task.cancelled:
            self.context.queue.submit(task, self._report)
        self._report(progress_of(task, cancelled=task.cancelled))

    def drop_stale(self) -> None:
        """Forget what was measured with other weights, samples or labels."""
        with self.context.lock:
            now = self.context.revision, self.context.probe.fingerprint()
            if now != self._measured_with:
                self.context.queue.discard(self._report)
                self._tasks.clear()
                self._measured_with = now
                if self.reading is not None:
                    self.set_trait("reading", None)

    def _drop(self, lost: ImportancePass) -> None:
        with self.context.lock:
            for key in [key for key, each in self._tasks.items() if each is lost]:
                del self._tasks[key]

    def _report(self, reading: Progress) -> None:
        with self.context.lock:
            if reading.failure:
                for each in [each for each in self._tasks.values() if not each.complete]:
                    if each.layers == reading.layers:
                        self._drop(each)
            self.set_trait("reading", reading)
