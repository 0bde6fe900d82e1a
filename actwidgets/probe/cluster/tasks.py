"""What workers do for class profiles: pure functions of a model and the samples of a partition.

A parcel comes as a dict: a worker without this package can hold that, and tell what it lacks.
"""

import functools
import logging
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.errors import ActwidgetsError, DataError, ModelError
from actwidgets.probe.cluster.model_parcel import Parcel, first_line, missing, open_parcel
from actwidgets.probe.cluster.partitions import is_empty, read

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
    open_parcel(Parcel(**parcel))  # before the samples are read, which may take long
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
    probe = open_parcel(Parcel(**parcel))
    if is_empty(x):
        return None
    from actwidgets.probe.numbers import class_profiles

    return class_profiles(probe, x, y, **parcel["options"])
