"""What workers do for class profiles: pure functions of a model and the samples of a partition.

A parcel comes as a dict: a worker without this package can hold that, and tell what it lacks.
Schedulers import this module too, so it loads neither TensorFlow nor Dask.
"""

import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.errors import ActwidgetsError, DataError, ModelError
from actwidgets.probe.model_parcel import Parcel, first_line, missing, open_parcel
from actwidgets.probe.partitions import is_empty, read

log = logging.getLogger("actwidgets")


def itself(thing: Any) -> Any:
    """What is given, as the result of a task that others depend on."""
    return thing


def profile_loader(parcel: Mapping[str, Any], place: str, packed_loader: bytes) -> Any:
    """The profiles of what a loader reads; None where there are no samples."""
    with _named(place):
        open_parcel(Parcel(**parcel))  # before the samples are read, which may take long
        x, y = read(pickle.loads(packed_loader))
        return _profiles(parcel, x, y)


def profile_samples(parcel: Mapping[str, Any], place: str, x: Any, y: Any) -> Any:
    """The profiles of samples `(sample, …)` and their labels; None where there are none."""
    with _named(place):
        return _profiles(parcel, x, y)


def first_sample(place: str, packed_loader: bytes) -> Any:
    """The first sample that a loader reads, `(1, …)`; None where there are none."""
    with _named(place):
        x, _ = read(pickle.loads(packed_loader))
        for batch, _ in batches.iterate(x, batch_size=1):
            if batches.count_samples(batch):
                return batches.like(batches.take(batch, slice(0, 1)), np.asarray)
        return None


def n_samples(profiles: Any) -> int:
    """How many samples profiles are of."""
    return 0 if profiles is None else int(profiles.counts.sum())


def merged(place: str, *states: Any) -> Any:
    """Profiles merged from left to right; None where all are."""
    found = [state for state in states if state is not None]
    with _named(place):
        total = found[0] if found else None
        for state in found[1:]:
            total = total.merge(state)
        return total


def _profiles(parcel: Mapping[str, Any], x: Any, y: Any) -> Any:
    probe = open_parcel(Parcel(**parcel))
    if is_empty(x):
        return None
    from actwidgets.probe.numbers import class_profiles

    return class_profiles(probe, x, y, **parcel["options"])


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Failures as one sentence that begins with the place; the whole is in the worker's log."""
    try:
        yield
    except ActwidgetsError as error:
        raise type(error)(f"{place}: {error}") from None
    except ImportError as error:
        log.exception("%s", place)
        raise ModelError(f"{place}: {missing(error)}") from None
    except Exception as error:  # what a loader leads to is anybody's guess
        log.exception("%s", place)
        raise DataError(f"{place}: {type(error).__name__}: {first_line(error)}") from None
