"""How alike the layers of one model, or of two, represent the same samples."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from actwidgets.core import batches
from actwidgets.core.representations.cka import position_means
from actwidgets.core.representations.cka_sums import DEFAULT_BUDGET_BYTES, CkaSums
from actwidgets.core.representations.layer_similarity import LayerSimilarityTable
from actwidgets.errors import DataError
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.numbers import probe_of

Positions = Literal["flat", "mean"]


def layer_similarity(
    model: Any,
    x: Any,
    other: Any = None,
    layers: Sequence[str] | str | None = None,
    other_layers: Sequence[str] | str | None = None,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
    memory_budget_bytes: int = DEFAULT_BUDGET_BYTES,
    positions: Positions = "flat",
) -> LayerSimilarityTable:
    """Debiased linear CKA of every layer with every other, over one pass of the samples.

    Args:
        model: A built Keras model; nothing about it is changed.
        x: Samples, as in `activations`; read once, batch by batch.
        other: A second model that takes the same samples; its layers become the columns. To
            compare a model before and after training, keep it as it was: `before =
            keras.models.clone_model(model)`, then `before.set_weights(model.get_weights())`.
            The model itself is live, and after `fit` there is no earlier one left to read.
        layers: Names; when omitted all layers whose number of units is fixed.
        other_layers: Names of the second model's layers, likewise. Without a second model
            they are layers of the first, for a table of some layers by others.
        batch_size: Samples per forward pass, where `x` holds arrays.
        progress: Called after each batch with the number of samples read so far.
        memory_budget_bytes: The most that exact sums may take; see `CkaSums`.
        positions: `"flat"`: each unit at each position of a map is a feature (Kornblith et
            al. 2019); `"mean"`: each unit's mean over positions is: much cheaper, within the
            budget for all but the largest models, and blind to where on a map something is.

    Returns:
        `LayerSimilarityTable`: `.values` is `(layer, other layer)` float64 in the order of
        `.layers` and `.other_layers`; of one model it is symmetric with a diagonal of 1. NaN
        in the row and column of a layer without variance. `.estimated` tells the pairs whose
        exact sums do not fit into the budget: for these the unbiased HSIC is averaged over
        minibatches (Nguyen et al. 2021), of `batch_size` or so; larger ones vary less. A map
        of 26×26×32 is 21,632 features, whose sums would take 3.7 GB. `cka` of `activations`
        is exact for any width, where these fit into memory.

    Raises:
        LayerError: A model has no such layer, or its output cannot be shown.
        ModelError: Not a built Keras model, or a layer raised.
        ShapeError: Samples of another shape than a model takes; a layer whose number of
            features varies from batch to batch.
        DataError: Fewer than 4 samples; a layer with NaN or infinity; a one-shot iterator.

    Cost: one forward pass per batch and model. For each exact pair `samples · features ·
    other features`, for each layer of an estimated pair `samples · batch_size · features`.
    In memory the budget, and the activations of one batch of all the layers.
    """
    if positions not in ("flat", "mean"):
        raise DataError(f"positions must be 'flat' or 'mean'; got {positions!r}")
    probe = probe_of(model, x)
    names = _names(probe, layers)
    other_probe, other_names = _other(probe, x, other, other_layers)
    sums = CkaSums(names, other_names, memory_budget_bytes=memory_budget_bytes)
    for batch, _ in batches.iterate(x, batch_size=batch_size):
        if other_names is None:
            sums.add(_outputs(probe, names, batch, positions))
        elif other_probe is probe:
            found = _outputs(probe, tuple(dict.fromkeys(names + other_names)), batch, positions)
            sums.add(found, found)
        else:
            found = _outputs(probe, names, batch, positions)
            sums.add(found, _outputs(other_probe, other_names, batch, positions))
        if progress is not None:
            progress(sums.n_samples)
    return sums.table()


def _other(
    probe: KerasProbe, x: Any, other: Any, layers: Sequence[str] | str | None
) -> tuple[KerasProbe, tuple[str, ...] | None]:
    """The probe that the columns are read from, and their names; none for the rows again."""
    if other is None:
        return probe, None if layers is None else _names(probe, layers)
    other_probe = probe_of(other, x)
    return other_probe, _names(other_probe, layers)


def _names(probe: KerasProbe, layers: Sequence[str] | str | None) -> tuple[str, ...]:
    if layers is None:
        return tuple(info.name for info in probe.layers if info.n_units)
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    probe.require(names)
    return names


def _outputs(
    probe: KerasProbe, names: tuple[str, ...], batch: Any, positions: Positions
) -> dict[str, np.ndarray]:
    found = probe.activations(names, batch)
    if positions == "mean":
        return {name: position_means(values) for name, values in found.items()}
    return found
