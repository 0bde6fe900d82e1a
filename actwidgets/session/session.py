"""What the user is looking at, and the model it is looked at through."""

import operator
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import traitlets as t

from actwidgets.core.arrays import Array, Bools, Doubles, Floats, Integers
from actwidgets.core.cka import LayerSimilarityTable
from actwidgets.core.class_profiles import BoxStatistics
from actwidgets.core.confusion import AnyConfusion, ClassificationReport
from actwidgets.core.embedding import Embedding
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layers import LayerInfo, ReceptiveField
from actwidgets.core.output_kind import OutputKind, checked_output_is
from actwidgets.core.perturbation import UNDISTURBED
from actwidgets.core.predictions import ClassScores, ValueScores, predicted_classes
from actwidgets.core.samples import Samples
from actwidgets.core.selection import FIELDS, Selection, known_rows, resolve
from actwidgets.errors import ModelError, NotRecordedError
from actwidgets.images.encode import Pixels
from actwidgets.probe.base import Probe, settled_output_kind
from actwidgets.session.attributions import Attributions
from actwidgets.session.context import BackgroundWork, Context
from actwidgets.session.embeddings import Embeddings
from actwidgets.session.histograms import Histograms
from actwidgets.session.importance import Importance
from actwidgets.session.predictions import Predictions
from actwidgets.session.profiles import Profiles
from actwidgets.session.results import Results
from actwidgets.session.tasks import Progress, progress_of
from actwidgets.training.events import TrainingListener
from actwidgets.training.step_gate import LockAmidSteps


class Index(t.Int[int, int]):
    """An integer, numpy's included."""

    def validate(self, obj: Any, value: Any) -> int:
        """The value as a Python integer."""
        try:
            return operator.index(value)
        except TypeError:
            self.error(obj, value)


class Training:
    """What there is to a session while its model is trained; `session.training` is one.

    Args:
        context: That of the session.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def under_way(self) -> bool:
        """Whether the model is being trained with a callback of this package."""
        return self._context.probe.is_training

    @property
    def is_leaving(self) -> bool:
        """Whether `fit` is at its end: other callbacks may still put weights back."""
        gate = self._context.probe.step_gate
        return gate is not None and gate.is_leaving

    def weights(self) -> Any:
        """Something that changes when the weights do; None where nobody knows."""
        return self._context.probe.fingerprint()

    def callback(self, listener: TrainingListener) -> Any:
        """A Keras callback that tells a listener of the training.

        With it in `fit`, forward passes of this session wait for the training step under way,
        and never see half of one.

        Raises:
            ModelError: This session's model cannot be trained.
        """
        return self._context.probe.training_callback(listener)


class Session(BackgroundWork):
    """Shared state of all views of one model.

    Set a field, or several at once with `select()`. Observe `selection` and `revision`; the
    single fields are for writing and for `traitlets.link`.

    Args:
        model: A Keras model, or anything that satisfies `Probe`. It is on loan: unchanged.
        x: Samples: an array, a list or dict of arrays, or a re-iterable of batches, of which
            the first `max_samples` are kept. A table of pandas or Polars, a sparse matrix, and
            what is read row by row from a store (h5py, zarr, Dask, xarray) are arrays too.
        y: `(sample,)` class indices or names, or one-hot, or the targets of a regression;
            optional.
        class_names: One per class of the model's output; optional. By default the categories
            of a categorical `y`, the columns of a one-hot table, or other names in `y` in
            alphabetical order: `class_order` says so.
        head: Which of several outputs is predicted, by name or index; the first by default.
        output_is: What that output is: "logit", "probability" or "value". None has it read
            off the model: its last function, the loss it was compiled with, what `y` and
            `class_names` are. `output` tells what was found, and why.
        training: Whether layers such as dropout act as they do in training.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
        max_samples: How many samples of a stream are kept. Arrays are used whole, uncopied.
        image_shape: `(rows, columns)` or `(rows, columns, channels)` of samples given as
            vectors, for their pictures only. None takes a length that is the square of 8 or
            more for a square gray picture, () takes none.
        axes: What the axes of samples are, such as `("time", "feature")` or `("row", "column",
            "channel")`; of several inputs a dict of these by name. By default what the layers
            that take them say, and where none does, what their number says.
        **choice: The first selection: `layer`, `sample`, …

    Raises:
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: No samples, labels outside the classes, class names that do not fit, an
            `image_shape` that is none.
        SelectionError: A first selection that does not exist.
    """

    layer = t.Unicode(help="name of the layer in view")
    sample = Index(0, help="row of the data in focus; always one of `samples`")
    samples = t.Tuple((0,), help="rows of the data on show")
    unit = Index(0, help="channel of the layer in focus")
    class_index = Index(None, allow_none=True, help="class in focus, or None")
    threshold = t.Float(0.0, help="a unit fires when its value is above it")
    perturbation = t.Any(UNDISTURBED, help="what is done to the pictures of `samples`")
    ablations = t.Any((), help="what is done to units of the model before it predicts")
    confusion_cell = t.Any(None, help="cell (true, predicted) that `samples` are of, or None")
    selection = t.Instance(Selection, read_only=True, help="all fields as one value")
    revision = t.Int(0, read_only=True, help="raised when weights or data change")

    def __init__(
        self,
        model: Any,
        x: Any = None,
        y: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        head: str | int | None = None,
        output_is: str | None = None,
        training: bool = False,
        memory_budget_bytes: int = 512 * 2**20,
        max_samples: int = 2000,
        image_shape: Sequence[int] | None = None,
        axes: Any = None,
        **choice: Any,
    ) -> None:
        checked_output_is(output_is)
        samples = Samples(x, y, max_samples=max_samples, image_shape=image_shape, axes=axes)
        context = Context(samples, memory_budget_bytes, self._report)
        context.options |= {"head": head, "output_is": output_is, "training": training}
        self._given_names = class_names
        self._cancelled: dict[tuple[str, tuple[str, ...]], Progress] = {}
        super().__init__(context)
        self._read(model)
        self._make_parts()
        self._forget()
        context.selection = Selection(next(iter(context.infos)))
        self._apply(self._resolved(choice))

    def _make_parts(self) -> None:
        """Make what tells of the model; each part is given the context, and never the session."""
        context = self.context
        self.profiles, self.predictions = Profiles(context), Predictions(context)
        self.attributions, self.embeddings = Attributions(context), Embeddings(context)
        self.importance, self.histograms = Importance(context), Histograms(context)
        self.training = Training(context)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a field of the selection as `select` does."""
        if name in FIELDS:
            self.select(**{name: value})
        else:
            super().__setattr__(name, value)

    def set_trait(self, name: str, value: Any) -> None:
        """Set a trait that may be read-only; a field of the selection as `select` does."""
        # What is held back is set once more when it is let go, as it is.
        if name in FIELDS and getattr(self, name) != value:
            self.select(**{name: value})
        else:
            super().set_trait(name, value)

    # --- what is looked at ---------------------------------------------------------------

    @property
    def lock(self) -> LockAmidSteps:
        """Guards the session; may be set, so that several share one."""
        return self.context.lock

    @lock.setter
    def lock(self, lock: LockAmidSteps) -> None:
        self.context.lock = lock

    @property
    def memory_budget_bytes(self) -> int:
        """What cached arrays and kept peaks may take, about; may be set."""
        return self.context.budget_bytes

    @memory_budget_bytes.setter
    def memory_budget_bytes(self, budget_bytes: int) -> None:
        self.context.budget_bytes = budget_bytes

    @property
    def results(self) -> Results:
        """What the model said so far, by its arguments."""
        return self.context.results

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class of the model's output."""
        return self.context.class_names

    @property
    def model(self) -> Any:
        """The model. Assign another one and layers, units and selection follow."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        self._take(model)

    def _take(self, model: Any) -> None:
        with self.lock:
            before = self.context.probe
            self._read(model)
            before.close()
            self._forget(everything=True)
            infos = self.context.infos
            layer = self.layer if self.layer in infos else next(iter(infos))
            has_class = (self.class_index or 0) < len(self.class_names)
            class_index = self.class_index if has_class else None
            fields = {"layer": layer, "class_index": class_index, "confusion_cell": None}
            self._apply(self._resolved(fields))
            self._raise_revision()

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers, in the model's order."""
        return self.context.probe.layers

    @property
    def layer_info(self) -> LayerInfo:
        """The layer in view."""
        return self.context.infos[self.layer]

    def select(self, **choice: Any) -> None:
        """Change several fields as one step: all or nothing.

        Raises:
            SelectionError: A layer, sample, unit or class that does not exist.
            TypeError: No field of that name.
        """
        with self.context.lock:
            self._apply(self._resolved(choice))

    def refresh(self) -> None:
        """Say that weights, layers or data changed: forget arrays, have the views repaint."""
        with self.lock:
            if self.context.probe.is_stale():
                self._take(self._model)
                return
            self._forget()
            self._raise_revision()

    # --- what is done in the background --------------------------------------------------

    def cancel(self) -> None:
        """Read no further. What was read stays, marked as partial; `resume` goes on."""
        with self.lock:
            for task in self.context.queue.cancel(self._report):  # each has views of its own
                self._report(progress_of(task, cancelled=True))

    def resume(self) -> None:
        """Go on with the passes that were cancelled, as soon as a view asks for them."""
        with self.lock:
            self.profiles.resume()
            self.results.resume()
            for reading in list(self._cancelled.values()):
                self._report(replace(reading, cancelled=False))

    def wait(self, within_s: float | None = None) -> None:
        """Return when the passes under way, if there are any, are finished.

        A kernel interrupt while this waits cancels them. While the model is being trained they
        go on only where the training waits for them: where this is called by one of its
        callbacks.

        Args:
            within_s: Return after so many seconds in any case.
        """
        gate = self.context.probe.step_gate
        with gate.pause_between_steps() if gate and gate.trains_here else nullcontext():
            super().wait(within_s)

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        for part in (self.attributions, self.embeddings):
            part.close()
        self.context.queue.stop()
        self.context.probe.close()

    def _report(self, reading: Progress) -> None:
        with self.lock:
            if reading.cancelled:
                self._cancelled[reading.what, reading.layers] = reading
            else:
                self._cancelled.pop((reading.what, reading.layers), None)
            self.context.reading = reading
            self.set_trait("reading", reading)

    # --- samples -------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return self.context.n_samples

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None where no labels were given."""
        return self.context.samples.labels

    @property
    def label_sets(self) -> Bools | None:
        """`(sample, class)`: which labels samples have that may have several; None else."""
        return self.context.samples.label_sets

    @property
    def masks(self) -> Any:
        """The class of each position, by sample, where `y` held masks; None else."""
        return self.context.samples.masks

    @property
    def missing_labels(self) -> str:
        """Why there is no one class for each sample: "" where there is."""
        return self.context.missing_labels

    def label_words(self, row: int) -> str | None:
        """What the labels say of a sample, in words; None where there are none.

        The name of its class; of several those of all, "none" of none.
        """
        if self.label_sets is not None:
            return self._words_of(self.label_sets[row])
        return None if self.labels is None else self.class_names[self.labels[row]]

    def _words_of(self, is_label: Bools) -> str:
        return ", ".join(np.array(self.class_names)[is_label].tolist()) or "none"

    @property
    def class_order(self) -> str:
        """By what the classes are in their order, where the labels decided it; else ""."""
        return self.context.samples.class_order if self._named_by_labels else ""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of samples that were given as a table; () else."""
        return self.context.samples.feature_names

    def pictures(
        self,
        rows: Sequence[int] | None = None,
        *,
        as_shown: bool | None = None,
        name: str | Sequence[str] | None = None,
    ) -> Pixels:
        """The image input of `rows`, or of `samples`: `(sample, row, column, 3)` uint8.

        Of several image inputs all, side by side. What runs in time is a picture in which it
        runs to the right, with a row for each feature.

        Args:
            rows: Rows of the data; `samples` by default.
            as_shown: Whether perturbed as the selection has it; by default where they are
                `samples`, which are on show.
            name: One of `picture_inputs`, or some; all of them by default.
        """
        is_shown = rows is None if as_shown is None else as_shown
        perturbation = self.perturbation if is_shown else None
        shown = self.samples if rows is None else known_rows(rows, self.n_samples)
        return self.context.samples.pictures(shown, perturbation, name)

    @property
    def picture_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that are drawn of a sample; `("",)` where it has no name."""
        return self.context.samples.picture_inputs

    def picture_inputs_of(self, layer: str | None = None) -> tuple[str, ...]:
        """Those of them that a layer sees; all where it sees none, or that is not known.

        Args:
            layer: The chosen one by default.
        """
        names = self.picture_inputs
        if len(names) < 2:
            return names
        with self.lock:
            seen = self.context.probe.inputs_of(self.layer if layer is None else layer) or ()
        return tuple(name for name in names if name in seen) or names

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Rows and columns of the image input, of a vector that is one too; () where none is."""
        return self.context.samples.picture_shape

    # --- forward passes ------------------------------------------------------------------

    def maps(self, rows: Sequence[int] | None = None, *, limit: int | None = None) -> Array:
        """Activations of the chosen layer on `rows`, or on `samples`.

        Args:
            rows: Rows of the data, as they were given. `samples` by default, which are on
                show: with the perturbation and the ablations of the selection.
            limit: How many samples at most.

        Returns:
            `(sample, …, unit)` float32, read-only, in the order of the rows.

        Cost: one forward pass to that layer, unless it was asked for before.
        """
        context, selection = self.context, self.context.selection
        with context.lock:
            context.queue.touched_s = time.monotonic()
            if rows is not None:
                return context.results.maps(self.layer, known_rows(rows, self.n_samples)[:limit])
            visible = selection.samples[:limit]
            edits = selection.perturbation, selection.ablations
            return context.results.maps(selection.layer, visible, *edits)

    def kernels(self) -> Array:
        """The weights of the chosen layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels.
        """
        with self.lock:
            return self.context.probe.kernels(self.layer)

    @property
    def n_outputs(self) -> int:
        """How many values the model puts out per sample; 0 where that is no vector."""
        return self.context.probe.n_classes

    @property
    def output(self) -> OutputKind:
        """What the model's output means: logits, probabilities or values, and why.

        Decided once, when the model is read; `output_is` of a session overrules it.
        """
        return self.context.output

    @property
    def targets(self) -> Floats | None:
        """`(sample, output)` what a regression is to put out; None where `y` held none."""
        return self.context.samples.targets

    @property
    def predicts_classes(self) -> bool:
        """Whether the model tells classes apart: a value for each, or one for two of them."""
        return not self.missing_for_predictions()

    def missing_for_predictions(self) -> str:
        """Why the model predicts no classes: "" where it does."""
        return self.context.missing_for_predictions()

    def require_changes(self) -> None:
        """Refuse what alters units or perturbs samples, where there is no model to ask then.

        Raises:
            NotRecordedError: This is a session over a recording.
        """
        with self.lock:
            if missing := self.context.probe.missing_for_changes:
                raise NotRecordedError(missing)

    def receptive_field(self) -> ReceptiveField | None:
        """The part of the input that a position of the chosen layer's map sees.

        None where it sees everything, or where that cannot be told.
        """
        with self.lock:
            return self.context.probe.receptive_field(self.layer)

    def peak_values(self, rows: Sequence[int]) -> Floats:
        """The largest value of the chosen unit on each of `rows`, `(sample,)` float32.

        On a map at any position; NaN where there is a value that is not a number and no other.

        Cost: a forward pass over the rows.
        """
        if not len(rows):
            return np.zeros(0, np.float32)
        values = self._of_unit(self.maps(rows)).reshape(len(rows), -1)
        peaks: Floats = np.fmax.reduce(values, axis=1)
        return peaks

    def peak_positions(self, rows: Sequence[int]) -> Integers:
        """Where on its map the chosen unit has its largest value.

        Returns:
            `(sample, axis)` int64: an index for each axis of positions, in the order of
            `rows`; no axes for a layer without maps.

        Cost: a forward pass over the rows.
        """
        if not len(rows):
            # Not asked of the model: a convolution of TensorFlow gives no rows another shape.
            return np.zeros((0, max(len(self.layer_info.output_shape) - 2, 0)), np.int64)
        values = np.nan_to_num(self._of_unit(self.maps(rows)), nan=-np.inf)
        flat = values.reshape(len(values), -1).argmax(axis=1)
        return np.stack(np.unravel_index(flat, values.shape[1:] or (1,)), axis=1)[
            :, : values.ndim - 1
        ]

    def _of_unit(self, maps: Array) -> Array:
        """The values of the chosen unit, `(sample, …)`, of a layer that may put out scalars."""
        values: Array = maps[..., self.unit] if maps.ndim > 1 else maps
        return values

    # --- what follows of all samples: asked of the parts -----------------------------------

    def missing_for_classes(self, *, every_layer: bool = False) -> str:
        """Why classes cannot be compared, in the chosen layer or in any: "" where they can."""
        return self.context.missing_for_classes(every_layer=every_layer)

    def similarity(self, statistic: str = "firing_rate", metric: str = "mean_abs_diff") -> Doubles:
        """How far the classes are apart in the chosen layer; see `ClassProfiles.similarity`."""
        return self.profiles.similarity(statistic, metric)

    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value that has been read of the chosen layer."""
        return self.profiles.value_range()

    def unit_boxes(self) -> BoxStatistics:
        """The chosen unit's values by class; see `Profiles.unit_boxes`."""
        return self.profiles.unit_boxes()

    def top_samples(self, limit: int = 24) -> tuple[Integers, Floats]:
        """The samples that drive the chosen unit most; see `Profiles.top_samples`."""
        return self.profiles.top_samples(limit)

    def layer_similarity(
        self, *, other: "Session | None" = None, positions: Literal["mean", "flat"] = "mean"
    ) -> tuple[LayerSimilarityTable | None, tuple[str, ...]]:
        """Debiased CKA of every layer with every other; see `Profiles.layer_similarity`."""
        return self.profiles.layer_similarity(
            other=None if other is None else other.profiles, positions=positions
        )

    def embedding(self, of: str = "input", **options: Any) -> Embedding:
        """Samples as points, by their input or a layer's output; see `Embeddings`."""
        return self.embeddings(of, **options)

    def outputs(
        self, rows: Sequence[int], *, as_shown: bool = False, ablated: bool = True
    ) -> Array:
        """What the model puts out, classes or not; see `Predictions.outputs`."""
        return self.predictions.outputs(rows, as_shown=as_shown, ablated=ablated)

    def predicted_classes(self, rows: Sequence[int] | None = None) -> Integers:
        """The predicted class of `rows`, or of all samples: `(sample,)` int64."""
        return predicted_classes(self.predictions(rows), output=self.output)

    def predicted_words(self, row: int) -> str | None:
        """The predicted class of a sample, by name; of several labels those of all.

        None where the model predicts none.
        """
        if not self.predicts_classes:
            return None
        if self.label_sets is not None:
            return self._words_of(self.predictions.labels([row])[0])
        return self.class_names[int(self.predicted_classes([row])[0])]

    def confusion(
        self, rows: Sequence[int] | Integers | None = None, *, ablated: bool = True
    ) -> AnyConfusion:
        """True and predicted classes of `rows`, or of all samples; see `Predictions.confusion`."""
        return self.predictions.confusion(rows, ablated=ablated)

    def classification_report(self) -> ClassificationReport:
        """Precision, recall, F1 and support by class, over all samples."""
        return self.confusion().report

    def scores(
        self,
        rows: Sequence[int] | Integers | None = None,
        *,
        limit: int | None = None,
        ablated: bool = True,
    ) -> ClassScores:
        """What the model says of `rows`, or of `samples`; see `Predictions.scores`."""
        return self.predictions.scores(rows, limit=limit, ablated=ablated)

    def value_scores(
        self, rows: Sequence[int] | Integers | None = None, *, limit: int | None = None
    ) -> ValueScores:
        """What a regression says of `rows`, or of `samples`; see `Predictions.value_scores`."""
        return self.predictions.value_scores(rows, limit=limit)

    # --- how it is kept consistent -------------------------------------------------------

    def _read(self, model: Any) -> None:
        """Take a model, if it goes with the samples; otherwise all stays as it is."""
        one = self.context.samples.rows([0])
        probe: Probe
        if isinstance(model, Probe):
            probe = model
        else:
            from actwidgets.probe.keras_probe import KerasProbe

            probe = KerasProbe(model, one, warm=True, **self.context.options)
        if not probe.layers:
            raise ModelError("this model has no layer with an output to show")
        probe.check(one)
        options, samples = self.context.options, self.context.samples
        given = self._given_names
        if given is None:  # those that came with the file of the model, if any
            given = probe.class_names
        with samples.unchanged_by_failure():
            samples.choose_y(probe.output_kind)
            output, names = settled_output_kind(probe, samples, given, options["output_is"])
            output = samples.settled(output)
            has_masks = output is not None and samples.holds_masks(output)
            n_outputs = output.n_outputs if output and has_masks else probe.n_classes
            n_classes = count_classes(n_outputs, names, output, samples.y)
            class_names = checked_class_names(names, n_classes)
            samples.read_inputs(probe.input_names(samples.x), probe.input_axes())
            samples.read_y(output, n_classes, class_names, head=options["head"])
        if output is not None and probe.output_kind not in (None, output):
            probe.output_kind = output
        self._model = model
        self._named_by_labels = given is None and names is not None
        self.context.set_model(probe, class_names, output)

    def _forget(self, *, everything: bool = False) -> None:
        """Drop what the model said, as it may say something else now.

        Args:
            everything: Also what is shown where a pass is cancelled.
        """
        self.profiles.forget(everything=everything)
        self.context.forget()
        self._cancelled = {}
        self.set_trait("reading", None)  # it was of a pass that is forgotten

    def _raise_revision(self) -> None:
        self.context.revision += 1
        self.importance.drop_stale()
        self.set_trait("revision", self.context.revision)

    def _resolved(self, choice: Mapping[str, Any]) -> Selection:
        context = self.context
        return resolve(
            context.selection,
            choice,
            n_units=context.n_units,
            n_samples=context.n_samples,
            n_classes=len(context.class_names),
        )

    def _apply(self, target: Selection) -> None:
        """Set the fields that differ, as one change; the lock is held."""
        self.context.selection, self.context.queue.touched_s = target, time.monotonic()
        with self.hold_trait_notifications():
            for name in FIELDS:
                value = getattr(target, name)
                if getattr(self, name) != value:
                    super().__setattr__(name, value)
            super().set_trait("selection", target)


def all_work(session: Session) -> tuple[BackgroundWork, ...]:
    """Everything that a session does in the background for its views."""
    return session, session.attributions, session.embeddings, session.importance
