"""One pass over partitions on a Dask cluster: what is submitted when, merged and told."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.errors import ActwidgetsError, DataError, ModelError
from actwidgets.probe.cluster import tasks
from actwidgets.probe.cluster.model_parcel import Parcel, first_line, missing
from actwidgets.probe.cluster.sample_parts import ChunkParts, Parts

FAN_IN = 8  # states that one task merges
# Partitions whose merged state the client fetches. More of them mean fewer bytes to the client
# and more to do again where a worker dies; slices lie in the scheduler until then.
PER_BRANCH, PER_BRANCH_IN_MEMORY = FAN_IN**2, FAN_IN
RETRIES = 2  # of a loader that fails; workers that die are counted by Dask itself


class Run:
    """One pass: partitions are submitted in a window that slides as branches are merged.

    Args:
        client: A `dask.distributed.Client`.
        parts: What the partitions are.
        parcel: The model, and what is to be done with it.
        progress: Called after each partition with the number of samples read so far.
    """

    def __init__(
        self,
        client: Any,
        parts: Parts,
        parcel: Parcel,
        progress: Callable[[int], None] | None,
    ) -> None:
        import dask
        from distributed import as_completed

        self._client, self._parts, self._progress = client, parts, progress
        self._name = f"actwidgets-{{}}-{uuid4().hex}"
        # One task rather than scattered data: the scheduler can make it anew when its holder
        # dies. It is large once, so Dask's advice about large tasks does not apply.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            self._parcel = self._submit("model", 0, "itself", vars(parcel))
        self._submitted = self._merged = self._n_samples = 0
        self._total: ClassProfiles | None = None
        self._counts: dict[Any, Any] = {}
        self._branches: deque[tuple[int, Any]] = deque()
        self._finished = as_completed(loop=client.loop)

    def finish(self) -> ClassProfiles:
        """The profiles of all partitions.

        A failure, or an interrupt, holds those of the first `n_partitions` in its attribute
        `partial`, marked `complete=False`, where so many were merged.
        """
        try:
            self._submit_more()
            for future in self._finished:
                if self._counts.pop(future.key, None) is not None:
                    self._n_samples += self._result(future)
                    if self._progress is not None:
                        self._progress(self._n_samples)
                while self._is_next_ready():
                    end, branch = self._branches.popleft()
                    state = self._result(branch)
                    self._total = tasks.merged("all partitions", self._total, state)
                    self._merged = end
                self._submit_more()
        except BaseException as failure:
            if self._total is not None:
                failure.partial = replace(self._total, complete=False)  # type: ignore[attr-defined]
                failure.n_partitions = self._merged  # type: ignore[attr-defined]
            raise
        if self._total is None:
            raise DataError("x holds no samples")
        return self._total

    def _is_next_ready(self) -> bool:
        """Whether to merge a branch: a failure is told by the partition that it came of."""
        if not self._branches or not self._branches[0][1].done():
            return False
        return not any(index < self._branches[0][0] for _, index in self._counts)

    def cancel(self) -> None:
        """Have the cluster forget all tasks; those that run go on to their end.

        Nobody wants them any more, which is enough. `Client.cancel` would break the connection:
        the scheduler (2026.8) takes it ill when it meets a merge of which no future is held.
        """
        branches = [future for _, future in self._branches]
        for future in (self._parcel, *self._counts.values(), *branches):
            future.release()
        self._finished.clear()

    def _submit_more(self) -> None:
        if self._submitted == len(self._parts):
            return
        try:
            self._fill_window()
        except ActwidgetsError:
            raise
        except Exception as error:  # of Dask itself, which has many
            raise DataError(
                f"the cluster takes no more work: {type(error).__name__}: {first_line(error)}"
            ) from error

    def _fill_window(self) -> None:
        n_threads = sum(self._client.nthreads().values())
        in_memory = self._parts.in_memory
        window = 2 * n_threads + 16 if in_memory else 4 * n_threads + 1000
        per_branch = PER_BRANCH_IN_MEMORY if in_memory else PER_BRANCH
        while self._submitted < min(len(self._parts), self._merged + window):
            end = min(self._submitted + per_branch, len(self._parts))
            self._submit_branch(range(self._submitted, end))
            self._submitted = end

    def _submit_branch(self, indices: range) -> None:
        states = self._states(indices)
        for index, state in zip(indices, states, strict=True):
            count = self._submit("count", index, "n_samples", state, priority=10)
            self._counts[count.key] = count
        self._finished.update(list(self._counts.values())[-len(states) :])
        level = 0
        while len(states) > 1:
            level += 1
            name, place = f"merge{level}", f"partitions {indices[0]} to {indices[-1]}"
            states = [
                self._submit(
                    name,
                    indices[start],
                    "merged",
                    place,
                    *states[start : start + FAN_IN],
                    priority=10,
                )
                for start in range(0, len(states), FAN_IN)
            ]
        self._branches.append((indices[-1] + 1, states[0]))
        self._finished.add(states[0])

    def _states(self, indices: range) -> list[Any]:
        place = self._parts.place
        if isinstance(self._parts, ChunkParts):
            chunks = self._parts.compute(self._client, indices, priority=-1, retries=RETRIES)
            return [
                self._submit(
                    "profile", index, "profile_samples", place(index), self._parcel, *chunk
                )
                for index, chunk in zip(indices, chunks, strict=True)
            ]
        return [
            self._submit(
                "profile",
                index,
                "profile_loader",
                place(index),
                self._parcel,
                packed_loader(self._parts, index),
            )
            for index in indices
        ]

    def _submit(self, name: str, index: int, task: str, *arguments: Any, **options: Any) -> Any:
        key = (self._name.format(name), index)
        return self._client.submit(do, task, *arguments, key=key, retries=RETRIES, **options)

    def _result(self, future: Any) -> Any:
        return result_of(future, self._parts)


def do(task: str, *arguments: Any) -> Any:
    """Do a task of `tasks.py` on a worker."""
    from importlib import import_module

    return getattr(import_module("actwidgets.probe.cluster.tasks"), task)(*arguments)


# Goes along whole, as functions of a notebook do. A scheduler fails, and a worker dies, that
# reads a task of a package which it lacks; inside of the task it can be told.
do.__module__ = "__main__"


def result_of(future: Any, parts: Parts) -> Any:
    """The result of a task.

    Raises:
        ActwidgetsError: What it failed of, in a sentence.
    """
    from distributed import CancelledError, KilledWorker

    name, index = future.key
    place = parts.place(index) if "merge" not in name else "a merge of partitions"
    try:
        return future.result()
    except ActwidgetsError:
        raise
    except KilledWorker as error:
        place = parts.place(error.task[1]) if "profile" in error.task[0] else place
        raise DataError(
            f"{place}: {error.allowed_failures + 1} workers died of it, one after the other; "
            "most often they need more memory, or smaller partitions"
        ) from error
    except ImportError as error:
        raise ModelError(f"{place}: {missing(error)}") from error
    except CancelledError as error:
        raise DataError("the cluster went away, or somebody cancelled the work") from error
    except Exception as error:  # of Dask itself, or of what a chunk is computed from
        raise DataError(f"{place}: {type(error).__name__}: {first_line(error)}") from error


def packed_loader(parts: Parts, index: int) -> bytes:
    """A loader as bytes, so that the scheduler need not have what it imports.

    Raises:
        DataError: It cannot be pickled.
    """
    import cloudpickle

    try:
        return cloudpickle.dumps(parts.loader(index))
    except Exception as error:  # as in pack_model
        raise DataError(
            f"the loader of {parts.place(index)} cannot be pickled, and so cannot travel to a "
            f"worker: {type(error).__name__}: {first_line(error)}"
        ) from error
