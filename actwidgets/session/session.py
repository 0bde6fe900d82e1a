"""What the user is looking at, and the model it is looked at through."""

import operator
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t

from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import checked_output_is
from actwidgets.core.perturbation import UNDISTURBED
from actwidgets.core.samples import Samples
from actwidgets.core.selection import FIELDS, Selection, resolve
from actwidgets.errors import DataError, ModelError, SelectionError
from actwidgets.probe.base import Probe, settled_output_kind
from actwidgets.session.attributions import Attributions
from actwidgets.session.embeddings import Embeddings
from actwidgets.session.histograms import Histograms
from actwidgets.session.importance import Importance
from actwidgets.session.predictions import SessionPredictions
from actwidgets.session.tasks import BackgroundWork
from actwidgets.training.events import TrainingListener


class Index(t.Int[int, int]):
    """An integer, numpy's included."""

    def validate(self, obj: Any, value: Any) -> int:
        """The value as a Python integer."""
        try:
            return operator.index(value)
        except TypeError:
            self.error(obj, value)


class Indices(t.TraitType[tuple[int, ...], Any]):
    """Several integers, as a tuple."""

    info_text = "a sequence of integers"

    def validate(self, obj: Any, value: Any) -> tuple[int, ...]:
        """The values as Python integers."""
        try:
            return tuple(operator.index(each) for each in value)
        except TypeError:
            self.error(obj, value)


class Training:
    """What there is to a session while its model is trained; `session.training` is one.

    Args:
        session: The session.
    """

    def __init__(self, session: SessionPredictions) -> None:
        self._session = session

    @property
    def under_way(self) -> bool:
        """Whether the model is being trained with a callback of this package."""
        return self._session._probe.is_training

    @property
    def is_leaving(self) -> bool:
        """Whether `fit` is at its end: other callbacks may still put weights back."""
        gate = self._session._probe.step_gate
        return gate is not None and gate.is_leaving

    def weights(self) -> Any:
        """Something that changes when the weights do; None where nobody knows."""
        return self._session._probe.fingerprint()

    def callback(self, listener: TrainingListener) -> Any:
        """A Keras callback that tells a listener of the training.

        With it in `fit`, forward passes of this session wait for the training step under way,
        and never see half of one.

        Raises:
            ModelError: This session's model cannot be trained.
        """
        return self._session._probe.training_callback(listener)


class Session(SessionPredictions):
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
    samples = Indices((0,), help="rows of the data on show")
    unit = Index(0, help="channel of the layer in focus")
    class_index = Index(None, allow_none=True, help="class in focus, or None")
    threshold = t.Float(0.0, help="a unit fires when its value is above it")
    perturbation = t.Any(UNDISTURBED, help="what is done to the pictures of `samples`")
    ablations = t.Any((), help="what is done to units of the model before it predicts")
    confusion_cell = t.Any(None, help="cell (true, predicted) that `samples` are of, or None")
    selection = t.Instance(Selection, read_only=True, help="all fields as one value")
    revision = t.Int(0, read_only=True, help="raised when weights or data change")

    _model: Any
    _attributions: Attributions | None = None
    _embeddings: Embeddings | None = None
    _importance: Importance | None = None
    _histograms: Histograms | None = None

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
        self._applying = True  # no validation before there is something to validate against
        checked_output_is(output_is)
        self._options: dict[str, Any] = {"head": head, "output_is": output_is, "training": training}
        self._given_names = class_names
        kept = Samples(x, y, max_samples=max_samples, image_shape=image_shape, axes=axes)
        super().__init__(kept, memory_budget_bytes)
        self._read(model)
        self._forget()
        self.layer = next(iter(self._infos))
        self._apply(self._resolved(choice))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; fields one at a time, whichever thread asks."""
        if name in FIELDS:
            with self.lock:
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    # --- what is looked at ---------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The model. Assign another one and layers, units and selection follow."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        with self.lock:
            before = self._probe
            self._read(model)
            before.close()
            self._forget(everything=True)
            layer = self.layer if self.layer in self._infos else next(iter(self._infos))
            has_class = (self.class_index or 0) < len(self.class_names)
            class_index = self.class_index if has_class else None
            fields = {"layer": layer, "class_index": class_index, "confusion_cell": None}
            self._apply(self._resolved(fields))
            self.set_trait("revision", self.revision + 1)

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers, in the model's order."""
        return self._probe.layers

    @property
    def layer_info(self) -> LayerInfo:
        """The layer in view."""
        return self._infos[self.layer]

    @property
    def embeddings(self) -> Embeddings:
        """Samples as points in the plane: by their input, or by what a layer makes of them."""
        with self.lock:
            if self._embeddings is None:
                self._embeddings = Embeddings(self)
            return self._embeddings

    @property
    def attributions(self) -> Attributions:
        """Which part of a sample speaks for a class, by many methods."""
        with self.lock:
            if self._attributions is None:
                self._attributions = Attributions(self)
            return self._attributions

    @property
    def importance(self) -> Importance:
        """Which units of the chosen layer carry the class; measured when asked for."""
        with self.lock:
            if self._importance is None:
                self._importance = Importance(self)
            return self._importance

    @property
    def training(self) -> Training:
        """Whether the model is being trained, and a callback that tells of it."""
        return Training(self)

    @property
    def histograms(self) -> Histograms:
        """How weights and activations are spread, now and at moments that were kept."""
        with self.lock:
            if self._histograms is None:
                self._histograms = Histograms(self)
            return self._histograms

    def select(self, **choice: Any) -> None:
        """Change several fields as one step: all or nothing.

        Raises:
            SelectionError: A layer, sample, unit or class that does not exist.
            TypeError: No field of that name.
        """
        with self.lock:
            self._apply(self._resolved(choice))

    def refresh(self) -> None:
        """Say that weights, layers or data changed: forget arrays, have the views repaint."""
        with self.lock:
            if self._probe.is_stale():
                self.model = self._model
                return
            self._forget()
            self.set_trait("revision", self.revision + 1)

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        for part in (self._attributions, self._embeddings, self._importance):
            if part is not None:
                part.close()
        super().close()

    # --- how it is kept consistent -------------------------------------------------------

    def _read(self, model: Any) -> None:
        """Take a model, if it goes with the samples; otherwise all stays as it is."""
        one = self._samples.rows([0])
        probe: Probe
        if isinstance(model, Probe):
            probe = model
        else:
            from actwidgets.probe.keras_probe import KerasProbe

            probe = KerasProbe(model, one, warm=True, **self._options)
        if not probe.layers:
            raise ModelError("this model has no layer with an output to show")
        probe.check(one)
        said, samples = self._options["output_is"], self._samples
        given = self._given_names
        if given is None:  # those that came with the file of the model, if any
            given = probe.class_names
        with samples.unchanged_by_failure():
            samples.choose_y(probe.output_kind)
            output, names = settled_output_kind(probe, samples, given, said)
            output = samples.settled(output)
            has_masks = output is not None and samples.holds_masks(output)
            n_outputs = output.n_outputs if output and has_masks else probe.n_classes
            n_classes = count_classes(n_outputs, names, output, samples.y)
            class_names = checked_class_names(names, n_classes)
            samples.read_inputs(probe.input_names(samples.x), probe.input_axes())
            samples.read_y(output, n_classes, class_names, head=self._options["head"])
        if output is not None and probe.output_kind not in (None, output):
            probe.output_kind = output
        self._model, self._probe, self.class_names = model, probe, class_names
        self._named_by_labels = given is None and names is not None
        self._output = output
        self._infos = {info.name: info for info in probe.layers}

    def _resolved(self, choice: Mapping[str, Any]) -> Selection:
        now = Selection(**{name: getattr(self, name) for name in FIELDS})
        # Where the number of units varies from sample to sample, any may be chosen.
        n_units = {name: info.n_units or sys.maxsize for name, info in self._infos.items()}
        sizes = {"n_samples": self.n_samples, "n_classes": len(self.class_names)}
        return resolve(now, choice, n_units=n_units, **sizes)

    def _apply(self, target: Selection) -> None:
        self._applying = True
        try:
            with self.hold_trait_notifications():
                for name in FIELDS:
                    setattr(self, name, getattr(target, name))
                self.set_trait("selection", target)
        finally:
            self._applying = False

    @t.validate(*FIELDS)
    def _validate_field(self, proposal: Any) -> Any:
        if self._applying:
            return proposal.value
        return getattr(self._resolved({proposal.trait.name: proposal.value}), proposal.trait.name)

    @t.observe(*FIELDS)
    def _fold(self, change: Any) -> None:
        if not self._applying:
            self._apply(self._resolved({change.name: change.new}))


class LinkedSessions(t.HasTraits):
    """Keeps the selections of several sessions the same, as far as their models allow.

    What is chosen in one is chosen in the others; of a layer, unit, class or ablation that a
    model does not have, its session keeps its own, and `unmatched` says which layer it lacks.
    They share one lock, so that no two threads choose in two of them at a time.

    Args:
        sessions: By name, two or more, with as many samples each.

    Raises:
        DataError: Fewer than two sessions, or other numbers of samples.
    """

    unmatched = t.Dict(read_only=True, help="by name of a session: the layer that it lacks")

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        if len(sessions) < 2:
            raise DataError(f"a comparison needs two models or more; got {len(sessions)}")
        counts = {name: session.n_samples for name, session in sessions.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"all sessions must hold the same samples; they hold {counts}")
        super().__init__()
        self.sessions = dict(sessions)
        self._following, self._watching = False, True
        first = next(iter(self.sessions.values()))
        for session in self.sessions.values():
            session.lock = first.lock
            session.observe(self._on_selection, names="selection")
        self._follow(first, first.selection, FIELDS)

    def _on_selection(self, change: Any) -> None:
        if not self._following:
            fields = [n for n in FIELDS if getattr(change.old, n) != getattr(change.new, n)]
            self._follow(change.owner, change.new, fields)

    def _follow(self, leader: Session, selection: Selection, fields: Sequence[str]) -> None:
        self._following = True
        unmatched = {}
        try:
            for name, session in self.sessions.items():
                if session is leader:
                    continue
                if selection.layer not in {info.name for info in session.layers}:
                    unmatched[name] = selection.layer
                _take_over(session, selection, fields)
        finally:
            self._following = False
        if "layer" in fields:
            self.set_trait("unmatched", unmatched)

    def close(self) -> None:
        """Let each session go its own way. Safe to call twice."""
        if self._watching:
            self._watching = False
            for session in self.sessions.values():
                session.unobserve(self._on_selection, names="selection")


def _take_over(session: Session, selection: Selection, changed: Sequence[str]) -> None:
    """Choose what has changed and a session's model has, field by field where not all goes."""
    wanted = {name: getattr(selection, name) for name in changed}
    try:
        session.select(**wanted)
        return
    except SelectionError:
        pass
    with session.hold_trait_notifications():
        for fields in (
            ("layer",),
            ("sample", "samples", "confusion_cell"),
            *((name,) for name in FIELDS[3:]),
        ):
            if "layer" in wanted and fields == ("unit",) and session.layer != wanted["layer"]:
                continue  # it is a unit of a layer that this model does not have
            try:
                session.select(**{name: wanted[name] for name in fields if name in wanted})
            except SelectionError:  # this model has no such layer, unit, class
                continue


WITHIN_S = 600.0  # longer than t-SNE of the most points takes on two cores
POLL_S = 0.25  # how soon it is seen that a training has begun meanwhile


def all_work(session: Session) -> tuple[BackgroundWork, ...]:
    """Everything that a session does in the background for its views."""
    return session, session.attributions, session.embeddings, session.importance


def finish(
    session: Session, works: Sequence[BackgroundWork], who: str, within_s: float = WITHIN_S
) -> None:
    """Return when nothing of `works` is under way any more, or never would be.

    It would never be while the model is being trained, as no weights hold still then, and
    where this thread holds the session's lock, as observers of a session do: what is made is
    told with that lock. Both return at once.

    Args:
        session: Whose work it is.
        works: What is waited for.
        who: Who waits, for the message.
        within_s: For how long at most.

    Raises:
        DataError: It took longer.
    """
    until_s = time.monotonic() + within_s
    while (at_work := _under_way(works)) is not None:
        if session.lock.is_held_here or session.training.under_way:
            return
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise DataError(
                f"{who} is not finished after {within_s:g} s{_how_far(at_work)}; wait longer by "
                "a larger within_s, or take png(), which shows what there is"
            )
        at_work.wait(min(left_s, POLL_S))


def _under_way(works: Sequence[BackgroundWork]) -> BackgroundWork | None:
    return next((work for work in works if work.is_reading), None)


def _how_far(work: BackgroundWork) -> str:
    reading = work.reading
    return f" ({reading.what}: {reading.n_read:,} of {reading.n_samples:,})" if reading else ""
