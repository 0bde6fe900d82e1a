"""Class profiles on a Dask cluster: partitions mapped by workers, their states merged in a tree."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any
from uuid import uuid4

import numpy as np

from actwidgets.core import batches
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.labels import class_indices
from actwidgets.errors import ActwidgetsError, DataError, ModelError, ShapeError
from actwidgets.probe.dask import Partitions, do, first_line, missing, run_task, serialize
from actwidgets.probe.frameworks import require_model
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.keras_probe import KerasProbe

FAN_IN = 8  # states that one task merges
# Partitions whose merged state the client fetches. More of them mean fewer bytes to the client
# and more to do again where a worker dies; slices lie in the scheduler until then.
PER_BRANCH, PER_BRANCH_IN_MEMORY = FAN_IN**2, FAN_IN
RETRIES = 2  # of a loader that fails; workers that die are counted by Dask itself
SLICE_BYTES = 8_000_000  # Dask complains about tasks of more than 10 MB
MIN_SLICES = 64  # where there are as many batches: a slow worker then matters little


# --- a data set in parts ------------------------------------------------------------------


class LoaderParts:
    """The loaders of `Partitions`: nothing is known of their samples here."""

    x, in_memory = None, False

    def __init__(self, partitions: Partitions) -> None:
        self.loaders = partitions.loaders

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self.loaders)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        loader = self.loaders[index]
        if callable(loader):
            return f"partition {index}"
        return f"partition {index} ({loader[0] if isinstance(loader, tuple) else loader})"

    def check_labels(self, n_classes: int) -> None:
        """Nothing is known of the labels yet."""

    def tasks(self, client: Any, indices: range) -> list[tuple[Any, ...]]:
        """What workers do for these partitions, and with what."""
        return [("profile_loader", self.pickled(index)) for index in indices]

    def pickled(self, index: int) -> bytes:
        """A loader as bytes, so that the scheduler need not have what it imports.

        Raises:
            DataError: It cannot be pickled.
        """
        import cloudpickle

        try:
            return cloudpickle.dumps(self.loaders[index])
        except Exception as error:  # what a loader leads to is anybody's guess
            raise DataError(
                f"the loader of {self.place(index)} cannot be pickled, and so cannot travel to a "
                f"worker: {type(error).__name__}: {first_line(error)}"
            ) from error


class ArrayParts:
    """Chunks of Dask arrays, or slices of others that are sent along with their tasks.

    Args:
        x: Arrays `(sample, …)`, all of Dask or none.
        y: Labels, an array or a Dask array.
        batch_size: Arrays not of Dask are cut at multiples of it, so that the batches stay the
            same.

    Raises:
        DataError: No samples, or of unknown number; some arrays of Dask, some not.
        ShapeError: Chunks along another axis, or lengths that differ.
    """

    def __init__(self, x: Any, y: Any, batch_size: int) -> None:
        arrays = batches.parts(x)
        self.in_memory = not any(map(_is_dask, arrays))
        self.x, self._y = x, y if _is_dask(y) else np.asarray(y)
        sizes = [] if self.in_memory else _chunk_sizes(arrays)
        n_samples, n_labels = batches.count_samples(x), batches.count_samples(self._y, name="y")
        if n_samples != n_labels:
            raise ShapeError(f"x has {n_samples} samples and y has {n_labels} labels")
        if not n_samples:
            raise DataError("x holds no samples")
        if self.in_memory:
            sizes = _slice_sizes(x, n_samples, batch_size)
        ends = np.cumsum(sizes).tolist()
        self._rows = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._chunks = [] if self.in_memory else [each.to_delayed().ravel() for each in arrays]
        if _is_dask(y):
            rest = [-1] * (y.ndim - 1)
            self._chunks.append(y.rechunk((tuple(sizes), *rest)).to_delayed().ravel())

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._rows)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        rows = self._rows[index]
        return f"partition {index} (samples {rows.start} to {rows.stop - 1})"

    def check_labels(self, n_classes: int) -> None:
        """Refuse labels outside the classes, where they are in memory."""
        if not _is_dask(self._y):
            class_indices(self._y, n_classes=n_classes)

    def tasks(self, client: Any, indices: range) -> list[tuple[Any, ...]]:
        """What workers do for these partitions, and with what: arrays, or chunks being computed."""
        delayed = [chunks[index] for index in indices for chunks in self._chunks]
        futures = iter(client.compute(delayed, priority=-1, retries=RETRIES))
        found = []
        for index in indices:
            rows = self._rows[index]
            if self.in_memory:
                x = batches.like(batches.take(self.x, rows), np.asarray)
            else:
                x = batches.like(self.x, lambda _: next(futures))
            y = next(futures) if _is_dask(self._y) else self._y[rows]
            found.append(("profile", x, y))
        return found


Parts = LoaderParts | ArrayParts


def parts_of(x: Any, y: Any, batch_size: int) -> Parts:
    """The parts of any data set that a cluster can read.

    Raises:
        DataError: `x` of another kind, without samples or without labels.
        ShapeError: As `ArrayParts`.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1; got {batch_size}")
    if isinstance(x, Partitions):
        if y is not None:
            raise DataError("the loaders of Partitions return (x, y): leave y out")
        return LoaderParts(x)
    if not batches.is_arrays(x):
        raise DataError(
            "on a cluster x must be a Dask array, actwidgets.Partitions([loader, …]), an array, "
            f"or a list or dict of arrays; got {type(x).__name__}"
        )
    if y is None:
        raise DataError("class_profiles needs labels: give y")
    return ArrayParts(x, y, batch_size)


def _is_dask(array: Any) -> bool:
    return hasattr(array, "to_delayed")


def _chunk_sizes(arrays: Sequence[Any]) -> Sequence[int]:
    if not all(map(_is_dask, arrays)):
        raise DataError("either all of the inputs in x are Dask arrays, or none")
    sizes = arrays[0].chunks[0]
    for array in arrays:
        if np.isnan(array.shape).any():
            raise DataError("x is of unknown length: call x.compute_chunk_sizes() first")
        if array.chunks[0] != sizes or any(len(axis) > 1 for axis in array.chunks[1:]):
            raise ShapeError(
                "x must be chunked along the sample axis only, all inputs alike; got chunks "
                f"{array.chunks}: rechunk with -1 for every axis but the first"
            )
    return sizes


def _slice_sizes(x: Any, n_samples: int, batch_size: int) -> Sequence[int]:
    sample = batches.parts(batches.take(x, slice(0, 1)))
    batch_bytes = sum(np.asarray(part).nbytes for part in sample) * batch_size
    n_batches = n_samples // batch_size  # a last short batch goes with the one before it
    per_slice = max(1, min(SLICE_BYTES // max(batch_bytes, 1), n_batches // MIN_SLICES))
    starts = range(0, max(n_batches, 1) * batch_size, per_slice * batch_size)
    return np.diff([*starts, n_samples]).tolist()


# --- the pass -----------------------------------------------------------------------------


def profiles_on_cluster(
    client: Any,
    model: Any,
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
    head: str | int | None = None,
    **options: Any,
) -> ClassProfiles:
    """What `class_profiles(…, client=client)` does.

    Args:
        client: A `dask.distributed.Client`.
        model: A built Keras model; it travels to each worker once.
        x: `Partitions`; a Dask array chunked along the sample axis, or a list or dict of
            them; or arrays `(sample, …)`, which are sent in slices.
        y: `(sample,)` class indices or one-hot, an array or a Dask array; None for `Partitions`.
        batch_size: Samples per forward pass.
        progress: Called here after each partition with the number of samples read so far.
        head: As in `class_profiles`.
        options: Further keywords of `class_profiles`.

    Returns:
        `ClassProfiles`. Partitions are merged in an order that depends on their number alone,
        so that the same partitions give the same bits, whatever worker read them, and when.

    Raises:
        LayerError, ShapeError, DataError, ModelError: As `class_profiles`; or a worker that
            failed, with the partition it was at. What can be known beforehand is told before
            anything is sent. On any failure, ctrl-C too, all tasks are cancelled; what was
            merged by then, of the first `n_partitions`, is in the error's `partial`.
    """
    _require_client(client)
    from actwidgets.probe.functions import class_profiles  # which imports this module

    require_model(model)
    parts = parts_of(x, y, batch_size)
    example = _example(client, model, parts)
    like = None if getattr(model, "inputs", None) else example
    probe = KerasProbe(model, like, head=head)
    if parts.x is not None:
        probe.check(parts.x)
    # One sample through the model here finds whatever the options have wrong.
    options |= {"batch_size": batch_size}
    rehearsal = class_profiles(probe, example, [0] * batches.count_samples(example), **options)
    parts.check_labels(len(rehearsal.class_names))
    options |= {"layers": rehearsal.layers, "class_names": rehearsal.class_names}
    run = _Run(client, parts, serialize(model, like, head, options), progress)
    try:
        return run.finish()
    except BaseException:
        run.cancel()
        raise


def _require_client(client: Any) -> None:
    try:
        from distributed import Client
    except ImportError as error:
        raise ModelError(
            "a cluster needs dask.distributed, which is not installed: "
            'pip install "actwidgets[dask]"'
        ) from error
    if not isinstance(client, Client):
        raise DataError(f"client must be a dask.distributed.Client; got {type(client).__name__}")
    if client.asynchronous:
        raise DataError("client is asynchronous: make one without asynchronous=True")
    if client.status in ("closing", "closed"):
        raise DataError(f"client is {client.status}: make a new Client")


def _example(client: Any, model: Any, parts: Parts) -> Any:
    """A sample of the right shape: a real one where it is at hand, else one of zeros."""
    declared = input_spec_of(model) if getattr(model, "inputs", None) else None
    n_rows = declared.batch_size or 1 if declared else 1
    if isinstance(parts, ArrayParts):
        if parts.in_memory:
            return batches.like(batches.take(parts.x, slice(0, n_rows)), np.asarray)
        return batches.like(
            parts.x,
            lambda part: (
                np.zeros((n_rows, *part.shape[1:]), part.dtype)
                if part.dtype.kind not in "OSU"  # nobody knows what text a model stands
                else client.compute(part[:n_rows]).result()
            ),
        )
    if declared and not any(
        None in spec.shape[1:] or not spec.dtype.is_numeric for spec in declared.specs
    ):
        blank = [tensor.numpy() for tensor in declared.blank(n_rows)]
        return blank if len(blank) > 1 else blank[0]
    for index in range(len(parts)):  # ask a worker
        key = (f"actwidgets-first-{uuid4().hex}", index)
        arguments = "first_sample", parts.place(index), parts.pickled(index)
        sample = _result(client.submit(do, *arguments, key=key), parts)
        if sample is not None:
            return sample
    raise DataError("x holds no samples")


class _Run:
    """One pass: partitions are submitted in a window that slides as branches are merged.

    Args:
        client: A `dask.distributed.Client`.
        parts: What the partitions are.
        serialized: The model, and what is to be done with it.
        progress: Called after each partition with the number of samples read so far.
    """

    def __init__(
        self,
        client: Any,
        parts: Parts,
        serialized: Mapping[str, Any],
        progress: Callable[[int], None] | None,
    ) -> None:
        import dask

        self._client, self._parts, self._progress = client, parts, progress
        self._name = f"actwidgets-{{}}-{uuid4().hex}"
        # One task rather than scattered data: the scheduler can make it anew when its holder
        # dies. It is large once, so Dask's advice about large tasks does not apply.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            self._model = self._submit("model", 0, "itself", "the model", dict(serialized))
        self._n_submitted = self._n_merged = self._n_samples = 0
        self._total: ClassProfiles | None = None
        self._counts: dict[Any, Any] = {}  # futures of the partitions' numbers of samples
        self._branches: deque[tuple[int, Any]] = deque()  # the partition behind each, its future
        self._finished: Any = import_module("distributed").as_completed(loop=client.loop)

    def finish(self) -> ClassProfiles:
        """The profiles of all partitions.

        A failure, or an interrupt, holds those of the first `n_partitions` in its attribute
        `partial`, marked `complete=False`, where so many were merged.
        """
        try:
            self._submit_more()
            for future in self._finished:
                if self._counts.pop(future.key, None) is not None:
                    self._n_samples += _result(future, self._parts)
                    if self._progress is not None:
                        self._progress(self._n_samples)
                self._merge_branches()
                self._submit_more()
        except BaseException as failure:
            if self._total is not None:
                failure.partial = replace(self._total, complete=False)  # type: ignore[attr-defined]
                failure.n_partitions = self._n_merged  # type: ignore[attr-defined]
            raise
        if self._total is None:
            raise DataError("x holds no samples")
        return self._total

    def cancel(self) -> None:
        """Have the cluster forget all tasks; those that run go on to their end.

        Nobody wants them any more, which is enough. `Client.cancel` would break the connection:
        the scheduler (2026.8) takes it ill when it meets a merge of which no future is held.
        """
        branches = [future for _, future in self._branches]
        for future in (self._model, *self._counts.values(), *branches):
            future.release()
        self._finished.clear()

    def _merge_branches(self) -> None:
        """Merge what is done, in order: a failure is told by the partition that it came of."""
        while self._branches and self._branches[0][1].done():
            end, branch = self._branches[0]
            if any(index < end for _, index in self._counts):
                return
            self._branches.popleft()
            state = _result(branch, self._parts)
            self._total = run_task("merged", "all partitions", self._total, state)
            self._n_merged = end

    def _submit_more(self) -> None:
        """Fill the window."""
        if self._n_submitted == len(self._parts):
            return
        in_memory = self._parts.in_memory
        per_branch = PER_BRANCH_IN_MEMORY if in_memory else PER_BRANCH
        try:
            n_threads = sum(self._client.nthreads().values())
            window = 2 * n_threads + 16 if in_memory else 4 * n_threads + 1000
            while self._n_submitted < min(len(self._parts), self._n_merged + window):
                end = min(self._n_submitted + per_branch, len(self._parts))
                self._submit_branch(range(self._n_submitted, end))
                self._n_submitted = end
        except ActwidgetsError:
            raise
        except Exception as error:  # of Dask itself, which has many
            raise DataError(
                f"the cluster takes no more work: {type(error).__name__}: {first_line(error)}"
            ) from error

    def _submit_branch(self, indices: range) -> None:
        """Map partitions to states, and reduce these in a tree."""
        states = [
            self._submit("profile", index, task, self._parts.place(index), self._model, *arguments)
            for index, (task, *arguments) in zip(
                indices, self._parts.tasks(self._client, indices), strict=True
            )
        ]
        for index, state in zip(indices, states, strict=True):
            place = self._parts.place(index)
            count = self._submit("count", index, "n_samples", place, state, priority=10)
            self._counts[count.key] = count
            self._finished.add(count)
        place, level = f"partitions {indices[0]} to {indices[-1]}", 0
        while len(states) > 1:
            level += 1
            states = [
                self._submit(
                    f"merge{level}",
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

    def _submit(self, name: str, index: int, task: str, *arguments: Any, **options: Any) -> Any:
        key = (self._name.format(name), index)
        return self._client.submit(do, task, *arguments, key=key, retries=RETRIES, **options)


def _result(future: Any, parts: Parts) -> Any:
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
        killing: Any = error.task
        place = parts.place(killing[1]) if "profile" in killing[0] else place
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
