"""Forward passes for a session, kept within a budget of memory.

Thrown away as a whole when weights or data are said to have changed, so that nothing stale
can be left; outputs also where the weights are found to differ.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import traitlets as t

from actwidgets.core.ablation import Ablation
from actwidgets.core.arrays import Array, Bools, Floats, Integers
from actwidgets.core.confusion import Confusion, MultilabelConfusion
from actwidgets.core.layers import LayerInfo, ReceptiveField
from actwidgets.core.output_kind import OutputKind, kind_by_values
from actwidgets.core.perturbation import UNDISTURBED, Perturbation
from actwidgets.core.predictions import ClassScores, predicted_classes
from actwidgets.core.samples import Samples
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError, NotRecordedError
from actwidgets.images.encode import Pixels
from actwidgets.probe.base import Probe
from actwidgets.session.passes import (
    AblatedModel,
    PixelPass,
    PredictionPass,
    ProfilePass,
    ProfilePasses,
    spread,
)
from actwidgets.session.tasks import BackgroundWork, Progress, Task, TaskQueue, progress_of
from actwidgets.training.step_gate import LockAmidSteps


class ArrayCache:
    """Arrays by key, at most `budget_bytes` of them; an array larger than that is not kept."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[Hashable, np.ndarray[Any, Any]] = OrderedDict()

    def get(
        self, key: Hashable, compute: Callable[[], np.ndarray[Any, Any]]
    ) -> np.ndarray[Any, Any]:
        """The array of that key, computed where it is not there. It is read-only."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = np.asarray(compute()).view()  # whoever made it may go on writing to it
        array.flags.writeable = False
        if array.nbytes <= self.budget_bytes:
            self._arrays[key] = array
            self.n_bytes += array.nbytes
            while self.n_bytes > self.budget_bytes:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def __contains__(self, key: Hashable) -> bool:
        """Whether the array of that key is there."""
        return key in self._arrays

    def clear(self) -> None:
        """Forget everything."""
        self._arrays.clear()
        self.n_bytes = 0


TOLD_BY = 16  # samples by which outputs are judged that nobody tells of
ALL_SAMPLES = ("all samples",)  # the one class of samples without labels
LOOK_EVERY_S = 0.25  # how often weights are compared; it takes 20 ms for a large model
Ablations = tuple[Ablation, ...]


class ModelNumbers:
    """What a probe says of samples, asked for once and kept.

    Args:
        probe: Of the model.
        samples: The samples.
        class_names: One per class.
        budget_bytes: What cached maps and kept peaks may take together, about.
        output: What the model's output means; None to have it told once by some values.
    """

    def __init__(
        self,
        probe: Probe,
        samples: Samples,
        class_names: tuple[str, ...],
        budget_bytes: int,
        output: OutputKind | None = None,
    ) -> None:
        self._probe = probe
        self._samples = samples
        self._class_names = class_names
        self._outputs = ArrayCache(budget_bytes // 2)
        self._passes = ProfilePasses(budget_bytes // 2)
        self._models: dict[Ablations, AblatedModel] = {}
        self._output = output
        self._weights = probe.fingerprint()
        self._looked_s = time.monotonic()

    def maps(
        self,
        layer: str,
        rows: tuple[int, ...],
        perturbation: Perturbation = UNDISTURBED,
        ablations: Ablations = (),
    ) -> Array:
        """Activations of a layer on some samples, `(sample, …, unit)`, read-only."""
        key = layer, rows, perturbation, ablations
        if key in self._outputs:
            self._forget_outputs_of_other_weights()
        return self._outputs.get(
            key,
            lambda: self._model(ablations).probe.activations(
                (layer,), self._samples.perturbed(rows, perturbation)
            )[layer],
        )

    def predictions_on_show(
        self, rows: tuple[int, ...], perturbation: Perturbation, ablations: Ablations
    ) -> Array:
        """The model's output on some samples as they are shown, `(sample, class)`, read-only."""
        if perturbation.is_identity:
            return self.predictions(rows, ablations)
        key = "", rows, perturbation, ablations
        if key in self._outputs:
            self._forget_outputs_of_other_weights()
        return self._outputs.get(
            key,
            lambda: self._model(ablations).probe.predictions(
                self._samples.perturbed(rows, perturbation)
            ),
        )

    def predictions(self, rows: Any, ablations: Ablations = ()) -> Floats:
        """The model's output on some samples, `(sample, class)`."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).prediction_pass.predictions(rows)

    def pixel_pass(self, ablations: Ablations = ()) -> PixelPass:
        """The pass that compares masks with what the model says of their positions."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).pixel_pass(self._class_names, self.output_kind())

    def confusion(
        self, rows: Integers, ablations: Ablations = ()
    ) -> Confusion | MultilabelConfusion:
        """True and predicted classes of some samples; there are labels."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).confusion(rows, self._class_names, self.output_kind())

    def output_kind(self) -> OutputKind:
        """What the model's output means.

        Cost: nothing, but for a probe that does not tell: a forward pass for 16 samples, once.
        """
        if self._output is None and not self._probe.n_classes:
            told = "nothing tells what the model's output is"
            self._output = OutputKind("value", "", (None, None), told, "shape")
        if self._output is None:
            rows = spread(len(self._samples), TOLD_BY)
            of = f"{len(rows)} samples, evenly over all of them"
            self._output = kind_by_values(self._probe.predictions(self._samples.rows(rows)), of)
        return self._output

    def scores(self, rows: Integers, ablations: Ablations = ()) -> ClassScores:
        """What the model says of some samples, and how sure it is."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).scores(rows, self.output_kind())

    def prediction_pass(self, ablations: Ablations = ()) -> PredictionPass:
        """The pass that predicts all samples, as far as it has come."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations).prediction_pass

    def probe(self, ablations: Ablations = ()) -> Probe:
        """The probe of the model as it is, or as it is with ablations."""
        return self._model(ablations).probe

    def profile_pass(self, layers: tuple[str, ...], threshold: float) -> ProfilePass:
        """The pass over all samples for some layers, as far as it has come.

        Without labels they are taken together, as of one class.
        """
        samples, names = self._samples, self._class_names
        labels = samples.labels if samples.label_sets is None else samples.label_sets
        if labels is None:
            labels, names = np.zeros(len(samples), np.int64), ALL_SAMPLES

        def make(budget_bytes: int) -> ProfilePass:
            return ProfilePass(
                layers,
                lambda rows: self._probe.summaries(layers, self._samples.rows(rows)),
                labels,
                names,
                threshold=threshold,
                budget_bytes=budget_bytes,
            )

        return self._passes.get(layers, threshold, make)

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        self._passes.resume()
        for each in self._models.values():
            each.resume()

    def _model(self, ablations: Ablations) -> AblatedModel:
        """The model as it is, or as it is with ablations; the last ones are kept."""
        if ablations not in self._models:
            for other in [each for each in self._models if each and ablations]:
                del self._models[other]  # a slider leaves a trail of them
            before = self._models.get(())
            self._models[ablations] = AblatedModel(
                self._probe, self._samples, ablations, before.unit_means if before else {}
            )
        return self._models[ablations]

    def _forget_outputs_of_other_weights(self) -> None:
        """A model in training changes unannounced: look now and then before showing old values."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        weights = self._probe.fingerprint()
        self._looked_s = time.monotonic()
        if weights != self._weights:
            self._weights = weights
            self._outputs.clear()
            self._models.clear()


class SessionNumbers(t.HasTraits):
    """What a model says of the samples, for the selection that `Session` keeps.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    class_names: tuple[str, ...]
    layer: Any
    samples: Any
    unit: Any
    threshold: Any
    perturbation: Any
    ablations: Any
    _probe: Probe
    _output: OutputKind | None = None
    _infos: dict[str, LayerInfo]
    _named_by_labels = False

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self.lock = LockAmidSteps()
        self.memory_budget_bytes = memory_budget_bytes
        self._samples = samples
        super().__init__()

    # --- samples -------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None where no labels were given."""
        return self._samples.labels

    @property
    def label_sets(self) -> Bools | None:
        """`(sample, class)`: which labels samples have that may have several; None else."""
        return self._samples.label_sets

    @property
    def masks(self) -> Any:
        """The class of each position, by sample, where `y` held masks; None else."""
        return self._samples.masks

    @property
    def missing_labels(self) -> str:
        """Why there is no one class for each sample: "" where there is."""
        if self.labels is not None:
            return ""
        if self.masks is not None:
            return "this needs one class a sample, and y holds masks"
        if self.label_sets is not None:
            return "this needs one class a sample, and y holds several"
        if self.targets is not None:
            return "this needs class labels, and y holds the targets of a regression"
        return "this needs labels"

    def label_words(self, row: int) -> str | None:
        """What the labels say of a sample, in words; None where there are none.

        The name of its class; of several those of all, "none" of none.
        """
        if self.label_sets is not None:
            return self._words_of(self.label_sets[row])
        return None if self.labels is None else self.class_names[self.labels[row]]

    def _words_of(self, has: Bools) -> str:
        """Names of the classes that a sample has, `(class,)` bool."""
        names = [name for name, each in zip(self.class_names, has, strict=True) if each]
        return ", ".join(names) or "none"

    @property
    def class_order(self) -> str:
        """By what the classes are in their order, where the labels decided it; else ""."""
        return self._samples.class_order if self._named_by_labels else ""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of samples that were given as a table; () else."""
        return self._samples.feature_names

    def exemplars(self, class_index: int, limit: int = 1) -> tuple[int, ...]:
        """The first `limit` samples of a class; none where it has none."""
        return self._samples.of_class(class_index, limit)

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
        perturbation = self.perturbation if self._as_shown(rows, as_shown) else None
        shown = self.samples if rows is None else known_rows(rows, self.n_samples)
        return self._samples.pictures(shown, perturbation, name)

    @property
    def picture_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that are drawn of a sample; `("",)` where it has no name."""
        return self._samples.picture_inputs

    def picture_inputs_of(self, layer: str | None = None) -> tuple[str, ...]:
        """Those of them that a layer sees; all where it sees none, or that is not known.

        Args:
            layer: The chosen one by default.
        """
        with self.lock:
            seen = self._probe.inputs_of(self.layer if layer is None else layer)
        mine = tuple(each for each in self.picture_inputs if seen is not None and each in seen)
        return mine or self.picture_inputs

    def places_first(self, name: str, values: Array) -> Array:
        """A map in the shape of an input with its places before its channels, as it is drawn.

        Args:
            name: Of the input.
            values: `(sample, …)`.
        """
        return self._samples.places_first(name, values)

    def picture_shape_of(self, name: str) -> tuple[int, ...]:
        """Rows and columns of one of `picture_inputs`; () where it is no picture."""
        return self._samples.picture_shape_of(name)

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """Rows and columns of the image input, of a vector that is one too; () where none is."""
        return self._samples.picture_shape

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
        with self.lock:
            self._give_way()
            if rows is None:
                shown = self.samples[:limit]
                return self._numbers.maps(self.layer, shown, self.perturbation, self.ablations)
            return self._numbers.maps(self.layer, known_rows(rows, self.n_samples)[:limit])

    def kernels(self) -> Array:
        """The weights of the chosen layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels.
        """
        with self.lock:
            return self._probe.kernels(self.layer)

    @property
    def n_outputs(self) -> int:
        """How many values the model puts out per sample; 0 where that is no vector."""
        return self._probe.n_classes

    @property
    def output(self) -> OutputKind:
        """What the model's output means: logits, probabilities or values, and why.

        Decided once, when the model is read; `output_is` of a session overrules it.
        """
        if self._output is None:  # of a probe that does not tell
            with self.lock:
                self._output = self._numbers.output_kind()
        return self._output

    @property
    def targets(self) -> Floats | None:
        """`(sample, output)` what a regression is to put out; None where `y` held none."""
        return self._samples.targets

    @property
    def predicts_classes(self) -> bool:
        """Whether the model tells classes apart: a value for each, or one for two of them."""
        return not self.missing_for_predictions()

    def missing_for_predictions(self) -> str:
        """Why the model predicts no classes: "" where it does."""
        if missing := self.output.missing_for_classes:
            return missing
        return "" if self._probe.n_classes else "the model's output is not one value per class"

    def predictions(self, rows: Sequence[int] | None = None, *, ablated: bool = True) -> Floats:
        """The model's output on `rows`, or on all samples: `(sample, class)` float32.

        Args:
            rows: Rows of the data, as they were given; all of them by default.
            ablated: Whether the ablations of the selection are in force.

        Raises:
            DataError: The model's output is not `(sample, class)`.

        Cost: a forward pass for the rows that were not asked for before.
        """
        self._require_classes()
        with self.lock:
            rows = range(self.n_samples) if rows is None else known_rows(rows, self.n_samples)
            return self._numbers.predictions(rows, self.ablations if ablated else ())

    def predictions_on_show(self, *, limit: int | None = None) -> Array:
        """The same of `samples`, with the perturbation and the ablations of the selection.

        Args:
            limit: How many samples at most.

        Returns:
            `(sample, class)` float32, read-only, in the order of `samples`.

        Raises:
            DataError: The model's output is not `(sample, class)`.
        """
        self._require_classes()
        return self.outputs(self.samples[:limit], as_shown=True)

    def outputs(
        self, rows: Sequence[int], *, as_shown: bool = False, ablated: bool = True
    ) -> Array:
        """What the model puts out, whether or not it tells classes apart.

        Args:
            rows: Rows of the data.
            as_shown: Whether with the perturbation of the selection.
            ablated: Whether with its ablations.

        Returns:
            `(sample, output)` float32, read-only where as shown.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        if not self._probe.n_classes:
            raise DataError("the model's output is not one vector per sample")
        with self.lock:
            self._give_way()
            known = known_rows(rows, self.n_samples)
            ablations = self.ablations if ablated else ()
            if not as_shown:
                return self._numbers.predictions(known, ablations)
            return self._numbers.predictions_on_show(known, self.perturbation, ablations)

    def predicted_classes(self, rows: Sequence[int] | None = None) -> Integers:
        """The predicted class of `rows`, or of all samples: `(sample,)` int64."""
        return predicted_classes(self.predictions(rows), output=self.output)

    def require_changes(self) -> None:
        """Refuse what alters units or perturbs samples, where there is no model to ask then.

        Raises:
            NotRecordedError: This is a session over a recording.
        """
        with self.lock:
            if missing := self._probe.missing_for_changes:
                raise NotRecordedError(missing)

    def _as_shown(self, rows: Sequence[int] | None, as_shown: bool | None) -> bool:
        return rows is None if as_shown is None else as_shown

    def _require_classes(self) -> None:
        if missing := self.missing_for_predictions():
            raise DataError(f"no predictions: {missing}")

    def receptive_field(self) -> ReceptiveField | None:
        """The part of the input that a position of the chosen layer's map sees.

        None where it sees everything, or where that cannot be told.
        """
        with self.lock:
            return self._probe.receptive_field(self.layer)

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
        values = np.nan_to_num(self._of_unit(self.maps(rows)), nan=-np.inf)
        flat = values.reshape(len(values), -1).argmax(axis=1)
        return np.stack(np.unravel_index(flat, values.shape[1:] or (1,)), axis=1)[
            :, : values.ndim - 1
        ]

    def _of_unit(self, maps: Array) -> Array:
        """The values of the chosen unit, `(sample, …)`, of a layer that may put out scalars."""
        values: Array = maps[..., self.unit] if maps.ndim > 1 else maps
        return values

    def _forget(self) -> None:
        """Drop what the model said, as it may say something else now."""
        self._numbers = ModelNumbers(
            self._probe, self._samples, self.class_names, self.memory_budget_bytes, self._output
        )

    def _give_way(self) -> None:
        """Somebody is moving something: what is done in the background can wait."""


class SessionReadings(SessionNumbers, BackgroundWork):
    """Tells how far a pass is, and has it stopped or go on.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self._reader = TaskQueue(self._report, lambda: self._probe.background_read())
        self._cancelled: dict[tuple[str, tuple[str, ...]], Progress] = {}
        super().__init__(samples, memory_budget_bytes)

    def cancel(self) -> None:
        """Read no further. What was read stays, marked as partial; `resume` goes on."""
        with self.lock:
            left = self._reader.cancel()
            for each in left:
                each.cancelled = True
            for each in left:  # each has views of its own
                self._report(progress_of(each, cancelled=True))

    def resume(self) -> None:
        """Go on with the passes that were cancelled, as soon as a view asks for them."""
        with self.lock:
            self._numbers.resume()
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
        gate = self._probe.step_gate
        with gate.window() if gate and gate.trains_here else nullcontext():
            super().wait(within_s)

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        self._reader.stop()
        self._probe.close()

    # --- how they are kept ---------------------------------------------------------------

    def _forget(self) -> None:
        """Drop what the model said, as it may say something else now."""
        self._reader.cancel()
        self._cancelled = {}
        self.set_trait("reading", None)  # it was of a pass that is forgotten
        super()._forget()

    def _read_on(self, wanted: Task) -> None:
        """Have a pass finished, in the place of the one before of its kind."""
        self._reader.read(wanted, instead_of=lambda other: _are_alike(other, wanted))

    def _read_no_more(self, wanted: Task) -> None:
        """Of a pass that is complete or cancelled: leave others of its kind, and say so.

        Itself it stays, where it waits to be read: the reader tells that it is complete.
        """
        self._reader.leave(lambda other: other is not wanted and _are_alike(other, wanted))
        if wanted.complete:
            self._tell_complete(wanted)
        else:
            self._report(progress_of(wanted, cancelled=True))

    def _tell_complete(self, wanted: Task) -> None:
        """Where the last that was told is of another pass, or of this one cancelled."""
        told = self.reading
        if told is None or (told.what, told.layers) != (wanted.what, wanted.layers):
            return
        if told.cancelled or told.failure or not told.complete:
            self._report(progress_of(wanted))

    def _give_way(self) -> None:
        self._reader.touch()

    def _report(self, reading: Progress) -> None:
        with self.lock:
            if reading.cancelled:
                self._cancelled[reading.what, reading.layers] = reading
            else:
                self._cancelled.pop((reading.what, reading.layers), None)
            self.set_trait("reading", reading)


def _are_alike(one: Task, other: Task) -> bool:
    return (one.what, len(one.layers)) == (other.what, len(other.layers))
