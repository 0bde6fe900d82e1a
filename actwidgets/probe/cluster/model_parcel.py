"""A model on its way to the workers of a cluster, and its being rebuilt there, once each.

Keras is imported late: where a worker lacks it, that is told in a sentence.
"""

import pickle
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import FunctionType
from typing import Any
from uuid import uuid4

from actwidgets.errors import ModelError

N_KEPT = 2  # rebuilt models that a worker keeps: two users of one cluster do not disturb each other
_opened: dict[str, Any] = {}
_opening = threading.Lock()


@dataclass(frozen=True)
class Parcel:
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


def pack_model(model: Any, like: Any, head: str | int | None, options: Mapping[str, Any]) -> Parcel:
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
    return Parcel(uuid4().hex, framework, _versions(framework), contents, dict(options))


def open_parcel(parcel: Parcel) -> Any:
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


def _unpacked(parcel: Parcel) -> Any:
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
