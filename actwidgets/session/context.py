"""What the parts of a session share, and the base of those that work in the background."""

import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import traitlets as t

from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.samples import Samples
from actwidgets.core.selection import Selection
from actwidgets.errors import DataError, LayerError
from actwidgets.probe.base import Probe
from actwidgets.session.results import Results
from actwidgets.session.tasks import Progress, Task, TaskQueue, is_outdated, progress_of
from actwidgets.training.step_gate import LockAmidSteps


class Context:
    """The model, the samples and the selection of a session, as its parts see them.

    Args:
        samples: The samples.
        budget_bytes: What cached arrays and kept peaks may take, about.
        report: Told how far the passes over all samples are.

    Attributes:
        lock: Guards all of it; linked sessions share one.
        queue: Finishes what is under way.
        probe: The model.
        infos: Its layers, by name.
        n_units: How many units they have; without end where that varies by sample.
        options: What the probe was asked for: "head", "output_is" and "training".
        class_names: One per class.
        selection: What is looked at.
        revision: Raised when weights or data change.
        results: What the model said so far.
        reading: The last progress of a pass over all samples.
    """

    probe: Probe
    infos: dict[str, LayerInfo]
    n_units: dict[str, int]
    class_names: tuple[str, ...]
    selection: Selection
    results: Results

    def __init__(
        self, samples: Samples, budget_bytes: int, report: Callable[[Progress], None]
    ) -> None:
        self.samples, self.n_samples, self.budget_bytes = samples, len(samples), budget_bytes
        self.lock = LockAmidSteps()
        self.queue = TaskQueue(lambda: self.probe.background_read())
        self.options: dict[str, Any] = {}
        self.revision = 0
        self.reading: Progress | None = None
        self.report = report
        self._output: OutputKind | None = None

    def set_model(
        self, probe: Probe, class_names: tuple[str, ...], output: OutputKind | None
    ) -> None:
        """Take another model, of which nothing is known yet."""
        self.probe, self.class_names, self._output = probe, class_names, output
        self.infos = {info.name: info for info in probe.layers}
        # Where the number of units varies from sample to sample, any may be chosen.
        self.n_units = {info.name: info.n_units or sys.maxsize for info in probe.layers}

    def forget(self) -> None:
        """Drop what the model said, as it may say something else now."""
        self.queue.discard(self.report)
        self.reading = None
        self.results = Results(self.probe, self.samples, self.budget_bytes)

    @property
    def output(self) -> OutputKind:
        """What the model's output means."""
        if self._output is None:  # of a probe that does not tell
            with self.lock:
                self._output = self.results.output_kind()
        return self._output

    def layer_info(self, layer: str | None = None) -> LayerInfo:
        """A layer, the chosen one by default.

        Raises:
            LayerError: There is no such layer.
        """
        name = self.selection.layer if layer is None else layer
        if name not in self.infos:
            raise LayerError(f"no layer {name!r}; this model has {', '.join(self.infos)}")
        return self.infos[name]

    # --- why something cannot be told ----------------------------------------------------

    @property
    def missing_labels(self) -> str:
        """Why there is no one class for each sample: "" where there is."""
        if self.samples.labels is not None:
            return ""
        if self.samples.masks is not None:
            return "this needs one class a sample, and y holds masks"
        if self.samples.label_sets is not None:
            return "this needs one class a sample, and y holds several"
        if self.samples.targets is not None:
            return "this needs class labels, and y holds the targets of a regression"
        return "this needs labels"

    def missing_for_predictions(self) -> str:
        """Why the model predicts no classes: "" where it does."""
        if missing := self.output.missing_for_classes:
            return missing
        return "" if self.probe.n_classes else "the model's output is not one value per class"

    def missing_for_classes(self, *, every_layer: bool = False) -> str:
        """Why classes cannot be compared, in the chosen layer or in any: "" where they can."""
        if self.samples.labels is None and self.samples.label_sets is None:
            return self.missing_labels
        if len(self.class_names) < 2:
            return "this needs two classes or more"
        if every_layer:
            return "" if any(map(has_units, self.infos.values())) else "all outputs are empty"
        return self.missing_for_units()

    def missing_for_units(self) -> str:
        """Why there is nothing to tell of the chosen layer's units: "" where there is."""
        return "its output is empty" if 0 in self.layer_info().output_shape else ""

    # --- passes over all samples ---------------------------------------------------------

    def read_on(self, task: Task) -> None:
        """Have a pass finished in the background, in the place of the one before of its kind."""
        self.queue.submit(task, self.report, instead_of=lambda other: _are_alike(other, task))

    def read_no_more(self, task: Task) -> None:
        """Of a pass that is complete or cancelled: leave others of its kind, and say so.

        Itself it stays, where it waits to be read: the queue tells that it is complete.
        """
        self.queue.discard(self.report, lambda other: other is not task and _are_alike(other, task))
        if task.complete:
            self.tell_complete(task)
        else:
            self.report(progress_of(task, cancelled=True))

    def tell_complete(self, task: Task) -> None:
        """Where the last that was told is of another pass, or of this one cancelled."""
        if is_outdated(self.reading, task):
            self.report(progress_of(task))


def has_units(info: LayerInfo) -> bool:
    """Whether a layer has a fixed number of units, and some."""
    return bool(info.n_units) and 0 not in info.output_shape


def _are_alike(one: Task, other: Task) -> bool:
    return (one.what, len(one.layers)) == (other.what, len(other.layers))


class BackgroundWork(t.HasTraits):
    """Something that has tasks finished in the background, and tells how far they are."""

    reading = t.Instance(Progress, allow_none=True, read_only=True, help="a pass under way")

    def __init__(self, context: Context) -> None:
        self.context = context
        super().__init__()

    def cancel(self) -> None:
        """Go no further; what there is stays, and `resume` goes on."""
        left = self.context.queue.cancel(self._report)
        if left:
            self._report(progress_of(left[-1], cancelled=True))

    def close(self) -> None:
        """Stop working in the background, and wait for the step under way."""
        self.context.queue.cancel(self._report)
        self.wait()

    def wait(self, within_s: float | None = None) -> None:
        """Return when nothing is under way any more. A kernel interrupt meanwhile cancels it.

        Args:
            within_s: Return after so many seconds in any case.
        """
        self.context.queue.wait(self._report, on_interrupt=self.cancel, within_s=within_s)

    @property
    def is_reading(self) -> bool:
        """Whether something is under way."""
        return self.context.queue.is_busy(self._report)

    def _report(self, reading: Progress) -> None:
        with self.context.lock:
            self.set_trait("reading", reading)

    def _tell_complete(self, task: Task) -> None:
        """Where the last that was told is that it is under way, or cancelled."""
        if is_outdated(self.reading, task):
            self._report(progress_of(task))


KEPT = 24  # results, besides those that are on show
KEPT_SHARE = 8  # of the memory budget: that part may be results
AnyTask = TypeVar("AnyTask", bound=Task)


class KeptTasks(BackgroundWork):
    """Tasks that clients request, kept until weights or data change.

    At the same client the next request takes the place of the last, and what nobody requests
    any more is stopped.

    Args:
        context: Whose samples are read.
    """

    def __init__(self, context: Context) -> None:
        self._tasks: OrderedDict[Hashable, Task] = OrderedDict()
        self._requests: dict[str, Hashable] = {}
        self._revision = context.revision
        super().__init__(context)

    def resume(self) -> None:
        """Go on with what was cancelled or failed, as soon as a view asks for it."""
        with self.context.lock:
            for task in self._tasks.values():
                task.resume()
            if self.reading is not None:
                self.set_trait("reading", replace(self.reading, cancelled=False, failure=""))

    def leave(self, client: str, *, but: Collection[str] = ()) -> None:
        """Say that a client, or any within it, requests nothing any more.

        Args:
            client: "a" and what begins with "a ".
            but: Clients within it, of which this is not said.
        """
        with self.context.lock:
            for each in [each for each in self._requests if _is_within(each, client)]:
                if not any(_is_within(each, kept) for kept in but):
                    del self._requests[each]
            self._leave_unwanted()

    # --- how they are kept ---------------------------------------------------------------

    def _task(self, key: Hashable, make: Callable[[], AnyTask]) -> AnyTask:
        """The task that answers a request, kept or new."""
        if self.context.revision != self._revision:
            self._forget_all()
            self._revision = self.context.revision
        task: Any = self._tasks.get(key)
        if task is None:
            self._make_room()
            task = self._tasks[key] = make()
        self._tasks.move_to_end(key)
        return task

    def _make_room(self) -> None:
        """Drop what was asked for longest ago, but not what somebody still requests.

        A view that shows more than is kept would else make it all anew at each glance.
        """
        requested = set(self._requests.values())
        spare = [key for key in self._tasks if key not in requested]
        n_bytes = sum(task.n_bytes for task in self._tasks.values())
        while spare and (len(spare) >= KEPT or n_bytes > self.context.budget_bytes // KEPT_SHARE):
            dropped = self._tasks.pop(spare.pop(0))
            n_bytes -= dropped.n_bytes
            dropped.stop()

    def _forget_all(self) -> None:
        """Drop what was made, and leave what is under way: it is of other weights or data."""
        self.context.queue.cancel(self._report)
        self._tasks.clear()

    def _leave_unwanted(self) -> None:
        """Stop and drop what is under way and nobody asks for any more."""
        requested = self._requests.values()
        for key, task in list(self._tasks.items()):
            if not task.complete and key not in requested:
                self._tasks.pop(key).stop()
        self.context.queue.discard(self._report, lambda task: task.cancelled)

    def _advance(
        self, task: Task, key: Hashable, partial: bool, client: str, at_once_s: float = 0.0
    ) -> None:
        """Have a task finished: here and now, or in the background.

        What takes no longer than `at_once_s` is made now in any case.
        """
        if partial and self._requests.get(client) != key:
            with self.context.lock:
                self._requests[client] = key
                self._leave_unwanted()
        if task.complete:  # perhaps in a step that was cancelled
            self._tell_complete(task)
            return
        if not partial:
            task.resume()
            try:
                task.finish()
            except BaseException:
                task.stop()
                raise
            return
        if task.failure:
            raise task.error or DataError(task.failure)
        if task.cancelled:
            if self.reading is None or not self.reading.cancelled:
                self._report(progress_of(task, cancelled=True))
            return
        if at_once_s:
            until_s = time.monotonic() + at_once_s
            while not task.complete and time.monotonic() < until_s:
                if task.n_read and not self.context.probe.may_read_on:
                    break
                task.step()
        if not task.complete:
            self.context.queue.submit(task, self._report)


def _is_within(client: str, other: str) -> bool:
    return client == other or client.startswith(f"{other} ")


WITHIN_S = 600.0  # longer than t-SNE of the most points takes on two cores
POLL_S = 0.25  # how soon it is seen that a training has begun meanwhile


def finish(
    context: Context, works: Sequence[BackgroundWork], who: str, within_s: float = WITHIN_S
) -> None:
    """Return when nothing of `works` is under way any more, or never would be.

    It would never be while the model is being trained, as no weights hold still then, and
    where this thread holds the session's lock, as observers of a session do: what is made is
    told with that lock. Both return at once.

    Args:
        context: Of the session whose work it is.
        works: What is waited for.
        who: Who waits, for the message.
        within_s: For how long at most.

    Raises:
        DataError: It took longer.
    """
    until_s = time.monotonic() + within_s
    while (at_work := next((work for work in works if work.is_reading), None)) is not None:
        if context.lock.is_held_here or context.probe.is_training:
            return
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            progress, how_far = at_work.reading, ""
            if progress is not None:
                done = f"{progress.n_read:,} of {progress.n_samples:,}"
                how_far = f" ({progress.what}: {done})"
            raise DataError(
                f"{who} is not finished after {within_s:g} s{how_far}; wait longer by "
                "a larger within_s, or take png(), which shows what there is"
            )
        at_work.wait(min(left_s, POLL_S))
