"""Class profiles on a Dask cluster: partitions, the model on its way, what workers do.

Keras is imported late: where a worker lacks it, that is told in a sentence.

A parcel comes as a dict: a worker without this package can hold that, and tell what it lacks.
"""

import functools
import logging
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import uuid4

import numpy as np

from actwidgets.core import batches
from actwidgets.errors import ActwidgetsError, DataError, ModelError

Loader = Callable[[], Any] | str | Path | tuple[str | Path, str | Path]


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
                raise DataError(f"loader {index} of Partitions must be {_KINDS}; {wrong}")

    def __len__(self) -> int:
        """The number of partitions."""
        return len(self.loaders)

    def __iter__(self) -> Iterator[Any]:
        """Refuse to be read as batches, with a sentence that tells the way."""
        raise DataError("Partitions are read by the workers of a cluster: give client= as well")

    def __repr__(self) -> str:
        """One line without the loaders."""
        return f"<Partitions: {len(self)}>"


_KINDS = "a callable without arguments, the path of an .npz file, or a pair of paths of .npy files"


def _what_is_wrong(loader: Any) -> str | None:
    if callable(loader):
        return None
    if isinstance(loader, tuple):
        if len(loader) == 2 and all(_suffix(part) == ".npy" for part in loader):
            return None
        return f"got the tuple {loader!r}"
    suffix = _suffix(loader)
    if suffix == ".npy":
        return f"give the labels of {str(loader)!r} with it: (x_path, y_path)"
    return None if suffix == ".npz" else f"got {loader!r}"


def _suffix(path: Any) -> str:
    return Path(path).suffix if isinstance(path, str | Path) else ""


def read(loader: Loader) -> tuple[Any, Any]:
    """The `(x, y)` that a loader tells of; `y` is None where `x` yields pairs.

    Raises:
        DataError: A file that lacks an array, or a tuple of another length than 2.
    """
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
        missing = [name for name in ("x", "y") if name not in archive.files]
        if missing:
            held = ", ".join(archive.files) or "nothing"
            raise DataError(f"the file lacks {' and '.join(missing)}; it holds {held}")
        return archive["x"], archive["y"]


def is_empty(x: Any) -> bool:
    """Whether there is no sample in `x`; of a re-iterable, the first batches are read.

    Raises:
        DataError: Not samples, or a one-shot iterator.
    """
    if batches.is_arrays(x):
        return batches.count_samples(x) == 0
    return not any(batches.count_samples(batch) for batch, _ in batches.iterate(x))


N_KEPT = 2  # rebuilt models that a worker keeps: two users of one cluster do not perturb each other
_opened: dict[str, Any] = {}
_opening = threading.Lock()


@dataclass(frozen=True)
class SerializedModel:
    """A model as bytes, and what is to be done with it.

    Attributes:
        key: Tells parcels apart.
        framework: The module it is of: `"keras"`, or `"tf_keras"`.
        versions: Of the packages that must be the same on both sides.
        contents: The pickled model and what it takes to rebuild it.
        options: Keywords of `class_profiles`.
    """

    key: str
    framework: str
    versions: Mapping[str, str]
    contents: bytes = field(repr=False)
    options: Mapping[str, Any]


def serialize(
    model: Any, like: Any, head: str | int | None, options: Mapping[str, Any]
) -> SerializedModel:
    """Make a parcel of a model, which stays as it is.

    Args:
        model: A built Keras model.
        like: A few samples, where the model does not say what it takes.
        head: Which of its outputs is predicted.
        options: Keywords of `class_profiles`.

    Raises:
        ModelError: It cannot be pickled.

    Cost: the bytes of the weights, of those of the optimizer too where it is compiled.
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
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    return SerializedModel(uuid4().hex, framework, _versions(framework), contents, dict(options))


def deserialize(parcel: SerializedModel) -> Any:
    """The model of a parcel as a `KerasProbe`, rebuilt once in each process.

    Raises:
        ModelError: This process lacks a package, has another version, or cannot rebuild it.
    """
    with _opening:
        if parcel.key not in _opened:
            while len(_opened) >= N_KEPT:
                del _opened[next(iter(_opened))]
            _opened[parcel.key] = _unpacked(parcel)
        return _opened[parcel.key]


def _unpacked(parcel: SerializedModel) -> Any:
    try:
        framework = import_module(parcel.framework)
        here = _versions(parcel.framework)
    except ImportError as error:
        raise ModelError(missing(error)) from error
    if here != parcel.versions:
        told = ", ".join(f"{name} {here[name]} ({its})" for name, its in parcel.versions.items())
        raise ModelError(f"a worker has {told}: install the versions in brackets, the client's")
    try:
        from actwidgets.probe.keras_probe import KerasProbe

        own_objects, packed, names, like, head = pickle.loads(parcel.contents)
        with framework.saving.custom_object_scope(own_objects):
            model = pickle.loads(packed)
        # Layers that a subclassed model makes without a name get the next free one here.
        for layer, name in zip(model._flatten_layers(), names, strict=True):
            if layer.name != name:
                setattr(layer, "name" if parcel.framework == "keras" else "_name", name)
        return KerasProbe(model, like, head=head)
    except ImportError as error:
        raise ModelError(missing(error)) from error
    except Exception as error:  # as in pack_model
        raise ModelError(
            f"a worker cannot rebuild the model: {type(error).__name__}: {first_line(error)}"
        ) from error


def missing(error: ImportError) -> str:
    """What is said of a package that a worker lacks."""
    return (
        f"a worker cannot import {error.name or 'a package'}: {first_line(error)}; "
        "install actwidgets[dask], and what your layers and loaders import, in the workers' "
        "environment"
    )


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
    name_of = import_module(framework).saving.get_registered_name
    found = {}
    for thing in _settings(model):
        if isinstance(thing, FunctionType):
            own: Any = thing
        elif hasattr(thing, "get_config") and not isinstance(thing, type):
            own = type(thing)
        else:
            continue
        if own.__module__.partition(".")[0] not in ("keras", "tf_keras", "tensorflow"):
            found[own.__name__] = found[name_of(own)] = own
    return found


def _settings(model: Any) -> Iterator[Any]:
    for layer in model._flatten_layers():
        yield layer
        yield from vars(layer).values()
    compiled_with = getattr(model, "_compile_config", None)
    if compiled_with is not None:
        yield from compiled_with.config.values()


log = logging.getLogger("actwidgets")


def named(task: Callable[..., Any]) -> Callable[..., Any]:
    """Have a task tell of failures in one sentence that begins with its place.

    The whole is in the worker's log. The error is raised where no other is being handled: one
    that drags a chain of others behind it may not be pickled, and comes as text then.
    """

    @functools.wraps(task)
    def told(place: str, *arguments: Any) -> Any:
        failure: ActwidgetsError
        try:
            return task(*arguments)
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
            failure = DataError(f"{place}: {type(error).__name__}: {first_line(error)}")
        raise failure

    return told


def itself(thing: Any) -> Any:
    """What is given, as the result of a task that others depend on."""
    return thing


@named
def profile_loader(parcel: Mapping[str, Any], packed_loader: bytes) -> Any:
    """The profiles of what a loader reads; None where there are no samples."""
    deserialize(SerializedModel(**parcel))  # before the samples are read, which may take long
    return _profiles(parcel, *read(pickle.loads(packed_loader)))


@named
def profile_samples(parcel: Mapping[str, Any], x: Any, y: Any) -> Any:
    """The profiles of samples `(sample, …)` and their labels; None where there are none."""
    return _profiles(parcel, x, y)


@named
def first_sample(packed_loader: bytes) -> Any:
    """The first sample that a loader reads, `(1, …)`; None where there are none."""
    x, _ = read(pickle.loads(packed_loader))
    for batch, _ in batches.iterate(x, batch_size=1):
        if batches.count_samples(batch):
            return batches.like(batches.take(batch, slice(0, 1)), np.asarray)
    return None


@named
def merged(*states: Any) -> Any:
    """Profiles merged from left to right; None where all are."""
    found = [state for state in states if state is not None]
    total = found[0] if found else None
    for state in found[1:]:
        total = total.merge(state)
    return total


def n_samples(profiles: Any) -> int:
    """How many samples profiles are of."""
    return 0 if profiles is None else int(profiles.counts.sum())


def _profiles(parcel: Mapping[str, Any], x: Any, y: Any) -> Any:
    probe = deserialize(SerializedModel(**parcel))
    if is_empty(x):
        return None
    from actwidgets.probe.functions import class_profiles

    return class_profiles(probe, x, y, **parcel["options"])
