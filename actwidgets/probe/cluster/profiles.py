"""Class profiles on a Dask cluster: what is checked before anything is sent."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np

from actwidgets.core import batches
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.errors import DataError, ModelError
from actwidgets.probe.cluster.model_parcel import pack_model
from actwidgets.probe.cluster.run import Run, do, packed_loader, result_of
from actwidgets.probe.cluster.sample_parts import ChunkParts, Parts, SliceParts, parts_of
from actwidgets.probe.frameworks import require_model
from actwidgets.probe.inputs import inputs_of
from actwidgets.probe.keras_probe import KerasProbe


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
    from actwidgets.probe.numbers import class_profiles  # which imports this module

    require_model(model)
    parts = parts_of(x, y, batch_size)
    example = _example(client, model, parts)
    probe = KerasProbe(model, None if getattr(model, "inputs", None) else example, head=head)
    if parts.x is not None:
        probe.check(parts.x)
    # One sample through the model here finds whatever the options have wrong.
    options |= {"batch_size": batch_size}
    n_samples = batches.count_samples(example)
    rehearsal = class_profiles(probe, example, [0] * n_samples, **options)
    parts.check_labels(len(rehearsal.class_names))
    options |= {"layers": rehearsal.layers, "class_names": rehearsal.class_names}
    like = None if getattr(model, "inputs", None) else example
    run = Run(client, parts, pack_model(model, like, head, options), progress)
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
    declared = inputs_of(model) if getattr(model, "inputs", None) else None
    n_samples = declared.batch_size or 1 if declared else 1
    if isinstance(parts, SliceParts):
        return batches.like(batches.take(parts.x, slice(0, n_samples)), np.asarray)
    if isinstance(parts, ChunkParts):
        return batches.like(
            parts.x,
            lambda part: (
                np.zeros((n_samples, *part.shape[1:]), part.dtype)
                if part.dtype.kind not in "OSU"  # nobody knows what text a model stands
                else client.compute(part[:n_samples]).result()
            ),
        )
    if declared and not any(
        None in spec.shape[1:] or not spec.dtype.is_numeric for spec in declared.specs
    ):
        blank = [tensor.numpy() for tensor in declared.blank(n_samples)]
        return blank if len(blank) > 1 else blank[0]
    for index in range(len(parts)):  # ask a worker
        key = (f"actwidgets-first-{uuid4().hex}", index)
        arguments = "first_sample", parts.place(index), packed_loader(parts, index)
        found = result_of(client.submit(do, *arguments, key=key), parts)
        if found is not None:
            return found
    raise DataError("x holds no samples")
