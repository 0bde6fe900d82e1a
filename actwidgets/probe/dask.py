"""Class profiles on a Dask cluster: partitions mapped by workers, their states merged in a tree.

Workers import this module, so Keras and Dask are imported late, and what they lack can be told.
"""

import logging
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import uuid4

import numpy as np

from actwidgets.core import batches
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.labels import class_indices
from actwidgets.errors import ActwidgetsError, DataError, ModelError, ShapeError

log = logging.getLogger("actwidgets")
Loader = Callable[[], Any] | str | Path | tuple[str | Path, str | Path]
LOADER_KINDS = (
    "a callable without arguments, the path of an .npz file, or a pair of paths of .npy files"
)
FAN_IN = 8  # states that one task merges
# Partitions whose merged state the client fetches. More of them mean fewer bytes to the client
# and more to do again where a worker dies; slices lie in the scheduler until then.
PER_BRANCH, PER_BRANCH_IN_MEMORY = FAN_IN**2, FAN_IN
RETRIES = 2  # of a loader that fails; workers that die are counted by Dask itself
SLICE_BYTES = 8_000_000  # Dask complains about tasks of more than 10 MB
MIN_SLICES = 64  # where there are as many batches: a slow worker then matters little
MAX_MODELS = 2  # that a worker keeps: two users of one cluster do not disturb each other
_models: dict[str, Any] = {}
_models_lock = threading.Lock()


# --- partitions ---------------------------------------------------------------------------


class Partitions:
    """A data set in parts that workers read by themselves, each where it lies.

    Args:
        loaders: One per partition. A callable without arguments that returns `(x, y)`, or
            `x` alone where that yields `(x, y)` batches; `x` is an array `(sample, …)`, a
            list or dict of them, or a re-iterable of batches. Or the path of an `.npz` file
            with the arrays `x` and `y`. Or a pair of paths `(x, y)` of two `.npy` files,
            which are memory mapped. Paths are those that the workers see.

    A partition is read anew where a worker died, so a loader gives the same samples each
    time. A loader that holds arrays sends them along: let it open a file instead.

    Raises:
        DataError: No loaders, or one of another kind; says which.
    """

    def __init__(self, loaders: Sequence[Loader]) -> None:
        if isinstance(loaders, str | Path) or not hasattr(loaders, "__iter__"):
            raise DataError(f"Partitions takes a list of loaders; got {type(loaders).__name__}")
        self.loaders: tuple[Loader, ...] = tuple(loaders)
        if not self.loaders:
            raise DataError("Partitions needs at least one loader; got none")
        for index, loader in enumerate(self.loaders):
            if (wrong := _what_is_wrong(loader)) is not None:
                raise DataError(f"loader {index} of Partitions must be {LOADER_KINDS}; {wrong}")

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self.loaders)

    def __iter__(self) -> Iterator[Any]:
        """Refuse to be read as batches, with a sentence that tells the way."""
        raise DataError("Partitions are read by the workers of a cluster: give client= as well")

    def __repr__(self) -> str:
        """One line without the loaders."""
        return f"<Partitions: {len(self)}>"


def _what_is_wrong(loader: Any) -> str | None:
    def suffix(path: Any) -> str:
        return Path(path).suffix if isinstance(path, str | Path) else ""

    if callable(loader) or suffix(loader) == ".npz":
        return None
    if isinstance(loader, tuple):
        is_pair = len(loader) == 2 and all(suffix(path) == ".npy" for path in loader)
        return None if is_pair else f"got the tuple {loader!r}"
    if suffix(loader) == ".npy":
        return f"give the labels of {str(loader)!r} with it: (x_path, y_path)"
    return f"got {loader!r}"


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

    def tasks(self, client: Any, indices: range) -> list[tuple[Any, ...]]:
        """What workers do for these partitions, and with what."""
        return [("profile_loader", self.pickled(index)) for index in indices]

    def pickled(self, index: int) -> bytes:
        """A loader as bytes, so that the scheduler need not have what it imports."""
        import cloudpickle

        try:
            return cloudpickle.dumps(self.loaders[index])
        except Exception as error:  # what a loader leads to is anybody's guess
            raise DataError(
                f"the loader of {self.place(index)} cannot be pickled, and so cannot travel to a "
                f"worker: {described(error)}"
            ) from error


class ArrayParts:
    """Chunks of Dask arrays, or slices of others that are sent along with their tasks.

    Slices are cut at multiples of `batch_size`, so that the batches stay the same.
    """

    def __init__(self, x: Any, y: Any, batch_size: int) -> None:
        arrays = batches.parts(x)
        self.in_memory = not any(map(_is_dask, arrays))
        self.x, self.y = x, y if _is_dask(y) else np.asarray(y)
        sizes = [] if self.in_memory else _chunk_sizes(arrays)
        n_samples, n_labels = batches.count_samples(x), batches.count_samples(self.y, name="y")
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
            alike = y.rechunk((tuple(sizes), *[-1] * (y.ndim - 1)))
            self._chunks.append(alike.to_delayed().ravel())

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self._rows)

    def place(self, index: int) -> str:
        """What messages call a partition."""
        rows = self._rows[index]
        return f"partition {index} (samples {rows.start} to {rows.stop - 1})"

    def tasks(self, client: Any, indices: range) -> list[tuple[Any, ...]]:
        """What workers do, and with what: arrays, or chunks being computed."""
        delayed = [chunks[index] for index in indices for chunks in self._chunks]
        futures = iter(client.compute(delayed, priority=-1, retries=RETRIES))
        found = []
        for index in indices:
            rows = self._rows[index]
            if self.in_memory:
                x = batches.like(batches.take(self.x, rows), np.asarray)
            else:
                x = batches.like(self.x, lambda _: next(futures))
            y = next(futures) if _is_dask(self.y) else self.y[rows]
            found.append(("profile", x, y))
        return found


Parts = LoaderParts | ArrayParts


def parts_of(x: Any, y: Any, batch_size: int) -> Parts:
    """The parts of any data set that a cluster can read."""
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


# --- the model on its way -----------------------------------------------------------------


def serialize(
    model: Any, like: Any, head: str | int | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """A model as bytes, and what is to be done with it; the model stays as it is.

    Returns:
        A plain dict, which a worker without this package can hold, and tell what it lacks:
        a `key` that tells models apart, the `framework`'s module, the `versions` of the packages
        that must be the same on both sides, the pickled `contents` and the `options` of
        `class_profiles`. As large as the weights, the optimizer's too where it is compiled.
    """
    import cloudpickle

    from actwidgets.probe.frameworks import frameworks

    framework = next(each for each in frameworks() if isinstance(model, each.Model)).__name__
    names = [layer.name for layer in model._flatten_layers()]
    try:
        # Keras writes down the names of classes, not the classes, so these go by themselves.
        packed = cloudpickle.dumps(model)
        contents = cloudpickle.dumps((_own_objects(model, framework), packed, names, like, head))
    except Exception as error:  # what a layer of one's own leads to is anybody's guess
        raise ModelError(
            f"model {model.name!r} cannot be pickled, and so cannot travel to the workers: "
            f"{described(error)}"
        ) from error
    return {
        "key": uuid4().hex,
        "framework": framework,
        "versions": _versions(framework),
        "contents": contents,
        "options": dict(options),
    }


def deserialize(serialized: Mapping[str, Any]) -> Any:
    """The model as a `KerasProbe`, rebuilt once in each process."""
    key = serialized["key"]
    with _models_lock:
        if key not in _models:
            while len(_models) >= MAX_MODELS:
                del _models[next(iter(_models))]
            _models[key] = _rebuilt(serialized)
        return _models[key]


def _rebuilt(serialized: Mapping[str, Any]) -> Any:
    module, versions = serialized["framework"], serialized["versions"]
    try:
        framework, here = import_module(module), _versions(module)
    except ImportError as error:
        raise ModelError(missing(error)) from error
    if here != versions:
        told = ", ".join(f"{name} {here[name]} ({its})" for name, its in versions.items())
        raise ModelError(f"a worker has {told}: install the versions in brackets, the client's")
    try:
        from actwidgets.probe.keras_probe import KerasProbe

        own_objects, packed, names, like, head = pickle.loads(serialized["contents"])
        with framework.saving.custom_object_scope(own_objects):
            model = pickle.loads(packed)
        # Layers that a subclassed model makes without a name get the next free one here.
        for layer, name in zip(model._flatten_layers(), names, strict=True):
            if layer.name != name:
                setattr(layer, "name" if module == "keras" else "_name", name)
        return KerasProbe(model, like, head=head)
    except ImportError as error:
        raise ModelError(missing(error)) from error
    except Exception as error:  # as in `serialize`
        raise ModelError(f"a worker cannot rebuild the model: {described(error)}") from error


def missing(error: ImportError) -> str:
    """What is said of a package that a worker lacks."""
    return (
        f"a worker cannot import {error.name or 'a package'}: {first_line(error)}; install "
        "actwidgets[dask], and what your layers and loaders import, in the workers' environment"
    )


def described(error: BaseException) -> str:
    """What kind of error it is, and its first line."""
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """The first line of a message: Keras goes on with advice and whole configurations."""
    return (str(error).strip().splitlines() or ["no message"])[0]


def _versions(framework: str) -> dict[str, str]:
    return {name: import_module(name).__version__ for name in ("actwidgets", framework)}


def _own_objects(model: Any, framework: str) -> dict[str, Any]:
    """Classes and functions that do not come with Keras, by the names it looks them up under.

    Those of a notebook go along as they are; those of a module are imported by the worker,
    which also registers what the module registers.
    """
    settings = [
        each for layer in model._flatten_layers() for each in (layer, *vars(layer).values())
    ]
    compiled_with = getattr(model, "_compile_config", None)
    settings += compiled_with.config.values() if compiled_with is not None else ()
    name_of = import_module(framework).saving.get_registered_name
    found = {}
    for thing in settings:
        if isinstance(thing, FunctionType):
            own: Any = thing
        elif hasattr(thing, "get_config") and not isinstance(thing, type):
            own = type(thing)
        else:
            continue
        if own.__module__.partition(".")[0] not in ("keras", "tf_keras", "tensorflow"):
            found[own.__name__] = found[name_of(own)] = own
    return found


# --- what workers do ----------------------------------------------------------------------


def do(task: str, place: str, *arguments: Any) -> Any:
    """Do a task of this module on a worker."""
    from importlib import import_module

    return import_module("actwidgets.probe.dask").run_task(task, place, *arguments)


# Goes along whole, as functions of a notebook do. A scheduler fails, and a worker dies, that
# reads a task of a package which it lacks; inside of the task it can be told.
do.__module__ = "__main__"


def run_task(task: str, place: str, *arguments: Any) -> Any:
    """Call the function `task` of this module, and tell of a failure in a sentence of `place`.

    The whole is in the worker's log. The error is raised where no other is being handled: one
    that drags a chain of others behind it may not be pickled, and comes as text then.
    """
    failure: ActwidgetsError
    try:
        return globals()[task](*arguments)
    except ActwidgetsError as error:
        partial, cause = error.partial, error.__cause__
        if partial is not None and isinstance(cause, ActwidgetsError):
            # What was gathered stays here, so its message would promise too much.
            failure = type(cause)(f"{place}, after {partial.n_samples:,} samples: {cause}")
        else:
            failure = type(error)(f"{place}: {error}")
    except ImportError as error:
        log.exception("%s", place)
        failure = ModelError(f"{place}: {missing(error)}")
    except Exception as error:  # what a loader leads to is anybody's guess
        log.exception("%s", place)
        failure = DataError(f"{place}: {described(error)}")
    raise failure


def profile_loader(serialized: Mapping[str, Any], pickled: bytes) -> Any:
    """The profiles of what a loader reads; None where there are no samples."""
    deserialize(serialized)  # before the samples are read, which may take long
    return profile(serialized, *read(pickle.loads(pickled)))


def profile(serialized: Mapping[str, Any], x: Any, y: Any) -> Any:
    """The profiles of samples `(sample, …)` and their labels; None where there are none."""
    probe = deserialize(serialized)
    if batches.is_arrays(x):
        is_empty = batches.count_samples(x) == 0
    else:
        is_empty = not any(batches.count_samples(batch) for batch, _ in batches.iterate(x))
    if is_empty:
        return None
    profiles: ClassProfiles = probe.class_profiles(x, y, **serialized["options"])
    return profiles


def first_sample(pickled: bytes) -> Any:
    """The first sample that a loader reads, `(1, …)`; None where there are none."""
    x, _ = read(pickle.loads(pickled))
    for batch, _ in batches.iterate(x, batch_size=1):
        if batches.count_samples(batch):
            return batches.like(batches.take(batch, slice(0, 1)), np.asarray)
    return None


def read(loader: Loader) -> tuple[Any, Any]:
    """The `(x, y)` that a loader tells of; `y` is None where `x` yields pairs."""
    if callable(loader):
        found = loader()
        if not isinstance(found, tuple):
            return found, None
        if len(found) != 2:
            raise DataError(f"a loader returns x or (x, y); got a tuple of {len(found)}")
        return found
    if isinstance(loader, tuple):
        x, y = (np.load(path, mmap_mode="r", allow_pickle=False) for path in loader)
        return x, y
    with np.load(loader, allow_pickle=False) as archive:
        lacking = [name for name in ("x", "y") if name not in archive.files]
        if lacking:
            held = ", ".join(archive.files) or "nothing"
            raise DataError(f"the file lacks {' and '.join(lacking)}; it holds {held}")
        return archive["x"], archive["y"]


def merged(*states: Any) -> Any:
    """Profiles merged from left to right; None where all are."""
    known = [state for state in states if state is not None]
    return reduce(lambda total, state: total.merge(state), known) if known else None


def itself(thing: Any) -> Any:
    """What is given, as the result of a task that others depend on."""
    return thing


def n_samples(profiles: ClassProfiles | None) -> int:
    """How many samples profiles are of."""
    return 0 if profiles is None else profiles.n_samples


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
    """What `class_profiles(…, client=client)` does; the model travels to each worker once.

    Args:
        x: `Partitions`; a Dask array chunked along the sample axis, or a list or dict of
            them; or arrays `(sample, …)`, which are sent in slices.
        y: `(sample,)` class indices or one-hot, an array or a Dask array; None for `Partitions`.
        client, model, batch_size, progress, head, options: As in `class_profiles`.

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
    from actwidgets.probe.frameworks import require_model
    from actwidgets.probe.keras_probe import KerasProbe

    require_model(model)
    parts = parts_of(x, y, batch_size)
    example = _example(client, model, parts)
    like = None if getattr(model, "inputs", None) else example
    probe = KerasProbe(model, like, head=head)
    if parts.x is not None:
        probe.check(parts.x)
    # One sample through the model here finds whatever the options have wrong.
    options |= {"batch_size": batch_size}
    rehearsal = probe.class_profiles(example, [0] * batches.count_samples(example), **options)
    if isinstance(parts, ArrayParts) and not _is_dask(parts.y):
        class_indices(parts.y, n_classes=len(rehearsal.class_names))
    options |= {"layers": rehearsal.layers, "class_names": rehearsal.class_names}
    return _Run(client, parts, serialize(model, like, head, options), progress).finish()


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
    from actwidgets.probe.inputs import input_spec_of

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
    """One pass: partitions are submitted in a window that slides as branches are merged."""

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
            if self._total is None:
                raise DataError("x holds no samples")
            return self._total
        except BaseException as failure:
            # The cluster forgets tasks that nobody wants; those that run go on to their end.
            # `Client.cancel` would break the connection: the scheduler (2026.8) takes it ill
            # when it meets a merge of which no future is held.
            branches = [future for _, future in self._branches]
            for future in (self._model, *self._counts.values(), *branches):
                future.release()
            self._finished.clear()
            if self._total is not None:
                failure.partial = replace(self._total, complete=False)  # type: ignore[attr-defined]
                failure.n_partitions = self._n_merged  # type: ignore[attr-defined]
            raise

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
            raise DataError(f"the cluster takes no more work: {described(error)}") from error

    def _submit_branch(self, indices: range) -> None:
        """Map partitions to states, and reduce these in a tree."""
        states = []
        for index, (task, *arguments) in zip(
            indices, self._parts.tasks(self._client, indices), strict=True
        ):
            place = self._parts.place(index)
            state = self._submit("profile", index, task, place, self._model, *arguments)
            count = self._submit("count", index, "n_samples", place, state, priority=10)
            states.append(state)
            self._counts[count.key] = count
            self._finished.add(count)
        place = f"partitions {indices[0]} to {indices[-1]}"
        while len(states) > 1:
            name, groups = f"merge{len(states)}", range(0, len(states), FAN_IN)
            states = [
                self._submit(
                    name,
                    indices[start],
                    "merged",
                    place,
                    *states[start : start + FAN_IN],
                    priority=10,
                )
                for start in groups
            ]
        self._branches.append((indices[-1] + 1, states[0]))
        self._finished.add(states[0])

    def _submit(self, name: str, index: int, task: str, *arguments: Any, **options: Any) -> Any:
        key = (self._name.format(name), index)
        return self._client.submit(do, task, *arguments, key=key, retries=RETRIES, **options)


def _result(future: Any, parts: Parts) -> Any:
    """The result of a task, or an ActwidgetsError that says in a sentence why it failed."""
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
        raise DataError(f"{place}: {described(error)}") from error
