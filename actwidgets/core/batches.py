"""Walk over samples in batches, whatever holds them: arrays, data sets, re-iterables."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from actwidgets.core.arrays import as_arrays
from actwidgets.core.labels import label_array
from actwidgets.errors import DataError, ShapeError

Inputs = Any  # an array, or a list or dict of arrays that share the sample axis


def is_array(x: Any) -> bool:
    """Whether `x` holds samples along a first axis that can be sliced."""
    return hasattr(x, "shape") and hasattr(x, "dtype") and hasattr(x, "__getitem__")


def is_arrays(x: Any) -> bool:
    """Whether `x` is an array, or a list, tuple or dict of arrays (several inputs)."""
    if isinstance(x, Mapping):
        return bool(x) and all(is_array(part) for part in x.values())
    if isinstance(x, list | tuple):
        return bool(x) and all(is_array(part) for part in x)
    return is_array(x)


def parts(x: Inputs) -> list[Any]:
    """The arrays in `x`, in order."""
    if isinstance(x, Mapping):
        return list(x.values())
    return list(x) if isinstance(x, list | tuple) else [x]


def count_samples(x: Inputs, *, name: str = "x") -> int:
    """The length of the sample axis that all arrays in `x` share.

    Raises:
        ShapeError: An array without axes, or arrays of different lengths.
    """
    lengths = set()
    for part in parts(x):
        if not part.shape:
            raise ShapeError(f"{name} needs a sample axis; got a single value")
        lengths.add(int(part.shape[0]))
    if len(lengths) != 1:
        listed = ", ".join(map(str, sorted(lengths)))
        raise ShapeError(f"the inputs in {name} must have equally many samples; got {listed}")
    return lengths.pop()


def take(x: Inputs, rows: Any) -> Inputs:
    """The samples `rows` (a slice, or indices) of every array in `x`."""
    return like(x, lambda part: part[rows])


def like(x: Inputs, change: Callable[[Any], Any]) -> Inputs:
    """The same structure with every array changed."""
    if isinstance(x, Mapping):
        return {name: change(part) for name, part in x.items()}
    return [change(part) for part in x] if isinstance(x, list | tuple) else change(x)


def with_part(x: Inputs, index: int, part: Any) -> Inputs:
    """The same inputs with another one in the place that it has in `parts`."""
    if isinstance(x, Mapping):
        return {name: part if at == index else each for at, (name, each) in enumerate(x.items())}
    if isinstance(x, list | tuple):
        return [part if at == index else each for at, each in enumerate(x)]
    return part


def join(batches: list[Inputs]) -> Inputs:
    """Concatenate batches of the same structure."""
    first = batches[0]
    if isinstance(first, Mapping):
        return {name: np.concatenate([b[name] for b in batches]) for name in first}
    if isinstance(first, list | tuple):
        return [np.concatenate(column) for column in zip(*batches, strict=True)]
    return np.concatenate([np.asarray(batch) for batch in batches])


def iterate(x: Any, y: Any = None, *, batch_size: int = 256) -> Iterator[tuple[Inputs, Any]]:
    """Yield `(inputs, labels)` batch by batch, in order.

    Args:
        x: Arrays, or what `as_arrays` reads as such; or a `tf.data.Dataset`, a `PyDataset`,
            or any re-iterable of batches, which may be `(inputs, labels)` pairs.
        y: Labels along the same sample axis; `None` takes them from pairs where there are any.
        batch_size: Samples per batch where `x` holds arrays; otherwise `x` decides.

    Raises:
        DataError: A one-shot iterator, or something that holds no samples.
        ShapeError: Arrays of different lengths.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1; got {batch_size}")
    x = as_arrays(x)
    y = y if y is None or isinstance(y, list | tuple) else label_array(y)
    if is_arrays(x):
        n_samples = count_samples(x)
        if y is not None and len(y) != n_samples:
            raise ShapeError(f"x has {n_samples} samples and y has {len(y)} labels")
        for start in range(0, n_samples, batch_size):
            rows = slice(start, min(start + batch_size, n_samples))
            yield take(x, rows), None if y is None else np.asarray(y[rows])
        return
    yield from _with_labels(_batches_of(x), y)


def _batches_of(x: Any) -> Iterator[Any]:
    if isinstance(x, Mapping):
        kinds = {name: type(part).__name__ for name, part in x.items()}
        raise DataError(f"x must be a dict of arrays by input; got {kinds}")
    if _is_endless(x):
        raise DataError(
            "x never ends: say how much of it is meant, for instance with "
            "dataset.take(number of batches)"
        )
    n_batches = _count_batches(x)
    if n_batches is not None:
        return (x[index] for index in range(n_batches))
    if not hasattr(x, "__iter__"):
        raise DataError(
            f"x must be an array, a list or dict of arrays, or a re-iterable of batches; "
            f"got {type(x).__name__}"
        )
    if iter(x) is x:
        raise DataError(
            "x is a one-shot iterator: it would be empty the second time it is read; "
            "give a list of (inputs, labels) batches, a tf.data.Dataset, or an object whose "
            "__iter__ starts anew"
        )
    return iter(x)


def _is_endless(x: Any) -> bool:
    """Whether a `tf.data.Dataset` or a `PyDataset` says that it has no end."""
    cardinality = getattr(x, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        return True
    try:
        return x.num_batches is None
    except (AttributeError, NotImplementedError, TypeError):
        return False


def _count_batches(x: Any) -> int | None:
    """How many batches are had from `x` by index, or None where it is walked through."""
    if isinstance(x, list | tuple) or not hasattr(x, "__getitem__"):
        return None
    if hasattr(x, "__len__"):
        return len(x)
    try:
        return int(x.num_batches)  # as a PyDataset tells it
    except (AttributeError, NotImplementedError, TypeError):
        return None


def _with_labels(batches: Iterator[Any], y: Any) -> Iterator[tuple[Inputs, Any]]:
    start = 0
    for batch in batches:
        labels = None
        if isinstance(batch, tuple):
            batch, labels = batch[0], batch[1] if len(batch) > 1 else None
        batch = as_arrays(batch)
        if not is_arrays(batch):
            batch = np.asarray(batch)
        if labels is not None and not isinstance(labels, list | tuple):
            labels = label_array(labels)
            if not labels.ndim:
                raise DataError(
                    "x gives one sample with its label at a time, and batches are needed: give "
                    "x.batch(32) of a tf.data.Dataset"
                )
        length = count_samples(batch, name="a batch")
        if y is not None:
            labels = y[start : start + length]
            if len(labels) != length:
                raise ShapeError(f"y has {len(y)} labels, and x goes on after them")
        start += length
        yield batch, None if labels is None else np.asarray(labels)
    if y is not None and start != len(y):
        raise ShapeError(f"x has {start} samples and y has {len(y)} labels")
