"""A callback that puts what layers put out into TensorBoard while a model is trained."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from actwidgets.core import batches
from actwidgets.core.files import require_writable
from actwidgets.core.samples import Samples
from actwidgets.errors import (
    DataError,
    require_choice,
    require_integer,
    require_names,
    require_path,
)
from actwidgets.export.tensorboard import EventListener, EventWriter, require_tensorboard
from actwidgets.images.colormap import NORMALIZATIONS
from actwidgets.probe.callbacks import ListeningCallback
from actwidgets.probe.functions import probe_of
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.training.events import interval

N_SPREAD = 64  # samples that histograms are made of


class TensorBoardActivations(ListeningCallback):
    """Goes into `model.fit(…, callbacks=[…])`, where tf-explain's `ActivationsVisualization` went.

    Before the training and at each interval it writes, for each layer, a picture of its maps
    (a block for each sample, in it a tile for each unit) and histograms of its activations and
    weights; after each epoch the metrics, and at intervals of batches or seconds `batch_metrics`,
    which are means over the epoch so far, as Keras tells them. Nothing about the model is
    changed, and no model is built for it. A failure while writing, as on a full disk, never
    ends a training: `error` then says what is missing, and the next interval is tried.

    Args:
        validation_data: `(x, y)`, or x alone; y is not looked at. x as the model takes it.
        layers_name: Names of layers, or one name.
        output_dir: Folder that TensorBoard is started on; a folder named by the time is made in
            it when the training begins, so that runs are kept apart.
        max_samples: How many samples, the first of x, are in the pictures.
        every: "epoch", `("epochs", n)`, `("batches", n)` or `("seconds", s)`. The axis is that
            of epochs for the first two, and of training steps for the others.
        model: Where it is given, what cannot be done with it is refused here; otherwise when
            it is known, before its training begins.
        normalize: What one color scale covers: "per layer", "per map" or "symmetric".

    Raises:
        ActwidgetsError: TensorBoard is not installed.
        LayerError: The model has no such layer, or it cannot be shown.
        ShapeError: Samples of another shape than the model takes.
        DataError: No samples, values of the wrong kind, or no folder that can be written to.

    Cost: one forward pass over at most 64 samples, and some milliseconds a picture.
    """

    def __init__(
        self,
        validation_data: Any,
        layers_name: Sequence[str] | str,
        output_dir: str | os.PathLike[str] = "logs/activations_visualizations",
        *,
        max_samples: int = 8,
        every: Any = "epoch",
        model: Any = None,
        normalize: str = "per layer",
    ) -> None:
        require_tensorboard()
        self._names = require_names("layers_name", layers_name)
        if not self._names:
            raise DataError("layers_name is empty: name at least one layer")
        max_samples = require_integer("max_samples", max_samples, 1)
        require_choice("normalization", normalize, NORMALIZATIONS)
        self._output_dir = require_path(output_dir, "output_dir")
        require_writable(self._output_dir)
        self._x = _first_samples(validation_data, max(max_samples, N_SPREAD))
        self._events = EventListener(
            self._open_writer,
            self._names,
            self._x,
            n_pictures=max_samples,
            every=interval(every),
            normalize=normalize,
        )
        self._watched: Any = None
        self.log_dir: Path | None = None  # of this run, once there is something in it
        super().__init__(self._events)
        if model is not None:
            self._watch(model)

    @property
    def error(self) -> str:
        """Why the last thing was not written; empty when all is well."""
        return self._events.error

    def set_model(self, model: Any) -> None:
        """Refuse a model that the layers or the samples are not of, before it is trained."""
        # Not in on_train_begin: the other callbacks would have been told of a training by then.
        self._watch(model)
        super().set_model(model)

    def _watch(self, model: Any) -> None:
        probe = self._events.probe
        if model is self._watched and isinstance(probe, KerasProbe) and not probe.is_stale():
            return
        probe = probe_of(model, self._x)
        probe.require(self._names)
        probe.check(self._x)
        self._watched, self._events.probe = model, probe

    def _open_writer(self) -> EventWriter:
        if self.log_dir is None:
            self.log_dir = self._output_dir / datetime.now().strftime("%Y%m%d-%H%M%S.%f")
        return EventWriter(self.log_dir)


def _first_samples(validation_data: Any, n_samples: int) -> batches.Inputs:
    """The first rows of x, whether labels came with them or not."""
    is_pair = isinstance(validation_data, tuple) and len(validation_data) in (2, 3)
    x = validation_data[0] if is_pair else validation_data  # Keras may add weights
    kept = Samples(x, None, max_samples=n_samples).x
    return batches.take(kept, slice(0, n_samples))
