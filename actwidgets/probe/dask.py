"""Class profiles on a Dask cluster: partitions, the model on its way, and what workers do.

Workers import this module, so Keras and Dask are imported late: what a worker lacks is told in a
sentence.
"""

import logging
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import uuid4

import numpy as np

from actwidgets.core import batches
from actwidgets.errors import ActwidgetsError, DataError, ModelError

log = logging.getLogger("actwidgets")
Loader = Callable[[], Any] | str | Path | tuple[str | Path, str | Path]
LOADER_KINDS = (
    "a callable without arguments, the path of an .npz file, or a pair of paths of .npy files"
)
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


# --- the model on its way -----------------------------------------------------------------


def serialize(
    model: Any, like: Any, head: str | int | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """A model as bytes, and what is to be done with it; the model stays as it is.

    Args:
        model: A built Keras model.
        like: A few samples, where the model does not say what it takes.
        head: Which of its outputs is predicted.
        options: Keywords of `class_profiles`.

    Returns:
        A plain dict, which a worker without this package can hold, and tell what it lacks:
        a `key` that tells models apart, the `framework`'s module, the `versions` of the packages
        that must be the same on both sides, the pickled `contents` and the `options`.

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
    return {
        "key": uuid4().hex,
        "framework": framework,
        "versions": _versions(framework),
        "contents": contents,
        "options": dict(options),
    }


def deserialize(serialized: Mapping[str, Any]) -> Any:
    """The model as a `KerasProbe`, rebuilt once in each process.

    Raises:
        ModelError: This process lacks a package, has another version, or cannot rebuild it.
    """
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
    """Call a function of this module, and tell of a failure in one sentence.

    The whole is in the worker's log. The error is raised where no other is being handled: one
    that drags a chain of others behind it may not be pickled, and comes as text then.

    Args:
        task: Its name.
        place: What the sentence begins with.
        arguments: Those of the function.

    Raises:
        ActwidgetsError: It failed.
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
        failure = DataError(f"{place}: {type(error).__name__}: {first_line(error)}")
    raise failure


def itself(thing: Any) -> Any:
    """What is given, as the result of a task that others depend on."""
    return thing


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
    from actwidgets.probe.functions import class_profiles

    return class_profiles(probe, x, y, **serialized["options"])


def first_sample(pickled: bytes) -> Any:
    """The first sample that a loader reads, `(1, …)`; None where there are none."""
    x, _ = read(pickle.loads(pickled))
    for batch, _ in batches.iterate(x, batch_size=1):
        if batches.count_samples(batch):
            return batches.like(batches.take(batch, slice(0, 1)), np.asarray)
    return None


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
        lacking = [name for name in ("x", "y") if name not in archive.files]
        if lacking:
            held = ", ".join(archive.files) or "nothing"
            raise DataError(f"the file lacks {' and '.join(lacking)}; it holds {held}")
        return archive["x"], archive["y"]


def merged(*states: Any) -> Any:
    """Profiles merged from left to right; None where all are."""
    known = [state for state in states if state is not None]
    return reduce(lambda total, state: total.merge(state), known) if known else None


def n_samples(profiles: Any) -> int:
    """How many samples profiles are of."""
    return 0 if profiles is None else int(profiles.counts.sum())
