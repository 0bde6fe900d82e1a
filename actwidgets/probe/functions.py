"""Public functions on a model without a widget: activations, predictions, profiles, CKA."""

from collections.abc import Callable, Sequence
from importlib import import_module, resources
from typing import Any, Literal

import keras
import numpy as np

from actwidgets.core import batches
from actwidgets.core.accumulators import Reduce
from actwidgets.core.cka import DEFAULT_BUDGET_BYTES, CkaSums, LayerSimilarityTable, position_means
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError, ShapeError
from actwidgets.probe.dask import profiles_on_cluster
from actwidgets.probe.frameworks import require_model
from actwidgets.probe.keras_probe import KerasProbe


def layers(model: Any, x: Any = None) -> tuple[LayerInfo, ...]:
    """The layers of a model, input layers left out.

    Args:
        model: A built Keras model; nothing about it is changed.
        x: A few samples, for a subclassed model that does not tell what it takes.

    Returns:
        A `LayerInfo` per output of each layer's call: name, kind, output shape (batch axis
        first and None), units and parameters. Layers inside a sub-model or inside another
        layer go by path. Outputs that cannot be shown (text, ragged tensors, what has no
        sample axis, cells inside a loop) are left out; asked for by name they say why.

    Raises:
        ModelError: Not a Keras model, not built, or without layers.

    Cost: none to speak of for a Functional or Sequential model of plain layers, otherwise
    one trace.
    """
    return probe_of(model, x).layers


def activations(
    model: Any,
    x: Any,
    layers: Sequence[str] | str | None = None,
    batch_size: int = 256,
    *,
    training: bool = False,
) -> dict[str, np.ndarray]:
    """Compute the outputs of layers for every sample.

    Args:
        model: A built Keras model.
        x: Samples `(sample, …)`: an array, a list or dict of them, or a re-iterable of batches.
        layers: Names; all layers when omitted. A single name may stand for itself.
        batch_size: Samples per forward pass, where `x` holds arrays.
        training: Whether layers such as dropout act as they do in training. Their random
            state is left as it was, so that the same call gives the same values.

    Returns:
        Name to an array with the axes that Keras gives it, `(sample, …, unit)` unless the
        layer is `channels_first`; float32, in the order of the input. NaN stays NaN. Complex
        numbers come as their magnitude, and as their phase (radians) under `name:phase`. Of
        float64 and int64 it is the nearest float32, infinite beyond its range.

    Raises:
        LayerError: The model has no such layer, or its output cannot be shown.
        ModelError: Not a built Keras model, or a layer raised.
        ShapeError: Samples of another shape than the model takes.
        DataError: Values that are not numbers, a one-shot iterator, or no samples.

    Cost: one forward pass per batch, to the last layer asked for. Everything is kept: for
    statistics over many samples use `class_profiles`.
    """
    probe = probe_of(model, x, training=training)
    names = probe.layer_names(layers)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch, _ in batches.iterate(x, batch_size=batch_size):
        for name, values in probe.outputs(names, batch).items():
            kept[name].append(values)
    if not names or not kept[names[0]]:
        raise DataError("x holds no samples")
    return {name: _joined(name, values) for name, values in kept.items()}


def predict(
    model: Any,
    x: Any,
    batch_size: int = 256,
    *,
    head: str | int | None = None,
    training: bool = False,
) -> np.ndarray:
    """Compute the model's output for every sample.

    Args:
        model: A built Keras model.
        x: Samples, as in `activations`.
        batch_size: Samples per forward pass, where `x` holds arrays.
        head: Which of several outputs, by name or index; the first by default.
        training: As in `activations`.

    Returns:
        `(sample, class)` float32 (of a model with another output, that), equal to
        `model.predict` without its progress bar, its callbacks and its 60 to 110 ms a call.

    Raises:
        ShapeError: Samples of another shape than the model takes.
        DataError: Values that are not numbers, a one-shot iterator, or no samples.
    """
    probe = probe_of(model, x, head=head, training=training)
    found = [probe.predictions(batch) for batch, _ in batches.iterate(x, batch_size=batch_size)]
    if not found:
        raise DataError("x holds no samples")
    return np.concatenate(found)


def kernels(model: Any, layer: str) -> np.ndarray:
    """The weights of a convolutional or dense layer.

    Args:
        model: A built Keras model.
        layer: Name of the layer.

    Returns:
        `(row, column, in_channel, out_channel)` float32, a copy. Kernels over time have one
        row and dense weights one position; over volumes there is a depth axis in front. A
        depthwise kernel sees one input channel: that axis has length 1.

    Raises:
        LayerError: The model has no such layer, or it has no kernels.
        ModelError: Not a built Keras model.
    """
    return probe_of(model, None).kernels(layer)


def class_profiles(
    model: Any,
    x: Any,
    y: Any = None,
    layers: Sequence[str] | str | None = None,
    threshold: float = 0.0,
    reduce: Reduce = "any",
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
    class_names: Sequence[str] | None = None,
    *,
    statistics: Sequence[str] | str | None = None,
    head: str | int | None = None,
    client: Any = None,
) -> ClassProfiles:
    """Firing rate and mean activation of each unit for each class, in one pass.

    Args:
        model: A built Keras model.
        x: Samples, as in `activations`; read once, batch by batch.
        y: `(sample,)` class indices or names, or one-hot; `None` where `x` yields `(x, y)`
            pairs. Of several labels a sample `(sample, class)` zeros and ones: a sample then
            counts in every class that it has, and one without in none.
        layers: Names; when omitted all layers whose number of units is fixed and whose
            output is not empty.
        threshold: A unit fires when its value is above it.
        reduce: For maps, `"any"`: some position fires; `"mean"`: the share that does.
        batch_size: Samples per forward pass, where `x` holds arrays.
        progress: Called after each batch with the number of samples read so far.
        class_names: One per class, for messages and pictures.
        statistics: What to gather out of "firing_rate", "mean", "std", "min", "max" and
            "histogram"; firing rates always are. All when omitted, but histograms only of
            layers with up to 2^16 pairs of a class and a unit.
        head: Which of several outputs tells the number of classes; the first by default.
        client: A `dask.distributed.Client`, whose workers then do it; `x` may be a Dask array
            or `Partitions` too. docs/cluster.md tells how.

    Returns:
        `ClassProfiles`; its state is O(classes x units), whatever the number of samples.

    Raises:
        LayerError: The model has no such layer.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: Labels outside the classes, a one-shot iterator, no samples, or no such
            statistic.

    An error in mid-stream names the batch. It, or an interrupt, holds the profiles of the
    samples before it in its attribute `partial`, marked `complete=False`.

    Cost: one forward pass per batch, positions folded in the same compiled function, and
    float64 sums over samples and units: for a small CNN 1.3 times the bare forward pass over
    all layers with everything, 1.05 for one dense layer (`benchmarks/profile_pass.py`).
    """
    options: dict[str, Any] = {
        "layers": layers,
        "threshold": threshold,
        "reduce": reduce,
        "batch_size": batch_size,
        "progress": progress,
        "class_names": class_names,
        "statistics": statistics,
    }
    if client is not None:
        return profiles_on_cluster(client, model, x, y, head=head, **options)
    return probe_of(model, x, head=head).class_profiles(x, y, **options)


def probe_of(model: Any, x: Any, **options: Any) -> KerasProbe:
    """Make a probe of a model; a sample is shown to one that does not say what it takes."""
    if x is None or getattr(model, "inputs", None):
        return KerasProbe(model, **options)
    require_model(model)  # before anything is said of x
    like = next((batch for batch, _ in batches.iterate(x, batch_size=1)), None)
    return KerasProbe(model, like, **options)


def _joined(name: str, batches_of_values: list[np.ndarray]) -> np.ndarray:
    shapes = {values.shape[1:] for values in batches_of_values}
    if len(shapes) > 1:
        told = ", ".join(map(str, sorted(shapes)))
        raise ShapeError(
            f"layer {name!r} puts out samples of different shapes ({told}), which do not go "
            "into one array: give batches of one length, or ask for fewer samples at a time"
        )
    return np.concatenate(batches_of_values)


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
    names = probe.layer_names(layers, lambda info: info.n_units)
    other_probe, other_names = probe, None  # the rows again
    if other is not None:
        other_probe = probe_of(other, x)
    if other is not None or other_layers is not None:
        other_names = other_probe.layer_names(other_layers, lambda info: info.n_units)
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


def _outputs(
    probe: KerasProbe, names: tuple[str, ...], batch: Any, positions: Positions
) -> dict[str, np.ndarray]:
    found = probe.activations(names, batch)
    if positions == "mean":
        return {name: position_means(values) for name, values in found.items()}
    return found


def demo_model() -> keras.Model:
    """A CNN for 8x8 digits, trained by `scripts/train_demo_model.py`.

    Returns:
        A new, uncompiled `keras.Sequential` that takes `(sample, 8, 8, 1)` in 0..1, as
        `load_dataset("digits")` gives it. About 99 % of that test part are recognized.
    """
    packed = resources.files("actwidgets") / "data" / "demo_model.keras"
    with resources.as_file(packed) as file:
        return keras.saving.load_model(file, compile=False, safe_mode=True)


def download(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fetch a data set through `keras.datasets`, or take it from Keras' cache.

    Args:
        name: A module of `keras.datasets`, such as `"fashion_mnist"`.

    Returns:
        `x_train, y_train, x_test, y_test` as published.

    Raises:
        DataError: It could not be fetched; the message says how to go without the network.
    """
    published: Any = import_module(f"keras.datasets.{name}")
    try:
        (x_train, y_train), (x_test, y_test) = published.load_data()
    except Exception as error:
        raise DataError(
            f"could not download {name!r} ({error}); without a network, give "
            f"load_dataset({name!r}, path=folder), or set ACTWIDGETS_DATA, the folder being one "
            f"that holds {name}.npz with x_train, y_train, x_test, y_test"
        ) from error
    return x_train, y_train, x_test, y_test
