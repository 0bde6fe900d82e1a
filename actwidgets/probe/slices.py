"""Outputs of a model's layers, by the fastest road that is open."""

import copy
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import tensorflow as tf

from actwidgets.core.receptive_field import ReceptiveField
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.catalogue import Catalogue, describe, is_models_own
from actwidgets.probe.fold import Fold
from actwidgets.probe.frameworks import failure_message, require_model, same_structure, structure
from actwidgets.probe.inputs import Inputs, inputs_of
from actwidgets.probe.outline import outline
from actwidgets.probe.recorder import Recording, RecordingError, record
from actwidgets.probe.trace import Head, Trace, flow_of
from actwidgets.probe.training.model_turns import turns_of
from actwidgets.probe.warmer import Warmer

FEW_SAMPLES = 4  # so many are sooner run eagerly than compiled, whatever the size of the model
MAX_HEADS = 256  # a head of ResNet50 takes about 0.2 MB
Key = tuple[str, ...]
log = logging.getLogger("actwidgets")


class Slices:
    """The layers of one model, and what they put out.

    The first time, a few samples are answered by an eager call that stops at the layer. The
    model is traced behind the scenes, or when many samples come, and a compiled slice takes
    over. A model that cannot be traced (it branches in Python on the values it gets) goes on
    being called eagerly.

    Args:
        model: A built Keras model; nothing about it is changed.
        like: A few samples, for a model that does not say what it takes.
        training: Whether layers act as they do in training.
        warm: Whether to make slices in the background: of the layers asked for, then of
            those beside them.

    Raises:
        ModelError: Not a model that can be read; says why.
    """

    def __init__(
        self, model: Any, like: Any = None, *, training: bool = False, warm: bool = False
    ) -> None:
        require_model(model)
        self._structure = structure(model)
        self._model, self._training, self._turns = model, training, turns_of(model)
        self.inputs = inputs_of(model, like)
        self._untraceable: Exception | None = None
        self._begin(warm)
        self.catalogue = outline(model) or self._catalogue_of_a_call(like)

    def _begin(self, warm: bool) -> None:
        self._trace: Trace | None = None
        self._tracing = threading.Lock()
        self._keeping = threading.Lock()
        self._heads: OrderedDict[tuple[Key, Fold | None], Head] = OrderedDict()
        self._looked_at: set[Key] = set()
        self._warmer = Warmer(self._make_ahead) if warm else None

    def taking(self, inputs: Inputs) -> "Slices":
        """The same model and layers with other inputs, and a trace and slices of their own."""
        other = copy.copy(self)
        other.inputs = inputs
        other._begin(warm=self._warmer is not None)
        return other

    def outputs(self, names: Sequence[str], x: Any) -> list[tf.Tensor]:
        """Outputs of layers on one batch, in one forward pass that ends at the last of them.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
            ModelError: A layer raised.
        """
        key = tuple(names)
        for name in key:
            self.catalogue.require(name)
        tensors = self.inputs.tensors(x)
        few, warmer = len(tensors[0]) <= FEW_SAMPLES, self._warmer
        with warmer.give_way() if warmer and few else nullcontext():
            head = self._kept(key)
            if head is not None:
                return self._run(key, head, tensors)
            if self._untraceable or (few and (warmer or key not in self._looked_at)):
                self._looked_at.add(key)
                found = self._look(key, tensors)
                if warmer and not self._untraceable:
                    warmer.want(key, self._neighbours(key), self.inputs.one_of(tensors))
                return found
        head = self._head(key)
        return self._look(key, tensors) if head is None else self._run(key, head, tensors)

    def folded(self, names: Sequence[str], x: Any, fold: Fold) -> list[tf.Tensor]:
        """What `fold` makes of the outputs of layers on one batch, in the same forward pass.

        Raises: as `outputs`.
        """
        key = tuple(names)
        for name in key:
            self.catalogue.require(name)
        tensors = self.inputs.tensors(x)
        head = self._head(key, fold)
        return fold(self._look(key, tensors)) if head is None else self._run(key, head, tensors)

    def receptive_field(self, name: str) -> ReceptiveField | None:
        """What a position of a layer's map sees of the input; None for everything.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
        """
        self.catalogue.require(name)
        trace = self._traced()
        return None if trace is None else trace.receptive_field(name)

    def close(self) -> None:
        """Make no further slices."""
        if self._warmer:
            self._warmer.stop()
        self._warmer = None

    def is_stale(self) -> bool:
        """Whether layers were exchanged or set otherwise since the model was read."""
        return not same_structure(self._structure, structure(self._model))

    def wait(self) -> None:
        """Return when the slices wanted are made."""
        if self._warmer:
            self._warmer.wait()

    # --- the two roads -------------------------------------------------------------------

    def _look(self, key: Key, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The values of one eager call that stops at the last of the layers."""
        found = {tap.name: tap.output for tap in self._call(tensors, only=key).taps}
        missing = [name for name in key if name not in found]
        if missing:
            raise LayerError(f"layer {missing[0]!r} is not called for these samples")
        return [found[name] for name in key]

    def _run(self, key: Key, head: Head, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        try:
            with self._turns.looking():
                return list(head(*tensors))
        except tf.errors.OpError as failure:
            self._look(key, tensors)  # fails too, and says in which layer
            words = failure_message(failure)
            raise ModelError(f"model {self._model.name!r} cannot be run: {words}") from failure

    def _head(self, key: Key, fold: Fold | None = None) -> Head | None:
        """A compiled slice, made if need be; None where the model cannot be traced."""
        trace = self._traced()
        if trace is None:
            return None
        return self._kept(key, fold) or self._keep(key, trace.head(key, fold), fold)

    def _make_ahead(self, key: Key, tensors: Sequence[tf.Tensor]) -> None:
        if self._kept(key) is None and (trace := self._traced()) is not None:
            head = trace.head(key)
            self._run(key, head, tensors)  # TensorFlow optimises a graph when it is first run
            self._keep(key, head)

    def _kept(self, key: Key, fold: Fold | None = None) -> Head | None:
        with self._keeping:
            if (key, fold) in self._heads:
                self._heads.move_to_end((key, fold))
            return self._heads.get((key, fold))

    def _keep(self, key: Key, head: Head, fold: Fold | None = None) -> Head:
        with self._keeping:
            self._heads[key, fold] = head
            self._heads.move_to_end((key, fold))
            while len(self._heads) > MAX_HEADS:
                self._heads.popitem(last=False)
        return head

    def _neighbours(self, key: Key) -> list[Key]:
        """The layers that an arrow key goes to from here."""
        names = [info.name for info in self.catalogue.layers]
        if len(key) != 1 or is_models_own(key[0]):
            return []
        place = names.index(key[0])
        return [
            (name,) for name in (*names[place + 1 : place + 2], *names[max(place - 1, 0) : place])
        ]

    # --- the model itself ----------------------------------------------------------------

    def _traced(self) -> Trace | None:
        with self._tracing:
            if self._trace is None and self._untraceable is None:
                pause = self._warmer.pause if self._warmer else None
                try:
                    self._trace = Trace(
                        self._model, self.inputs, training=self._training, at_each_call=pause
                    )
                except RecordingError as failure:  # eager calls are left
                    log.info("%s is called eagerly: %s", self._model.name, failure)
                    self._untraceable = failure
            return self._trace

    def _call(self, tensors: Sequence[tf.Tensor], only: Sequence[str] | None = None) -> Recording:
        try:
            with self._turns.looking():
                return record(
                    self._model,
                    self.inputs.arguments(tensors),
                    training=self._training,
                    only=only,
                    change=self.inputs.change(tensors),
                )
        except RecordingError as failure:
            raise ModelError(f"model {self._model.name!r} cannot be run: {failure}") from failure

    def _catalogue_of_a_call(self, like: Any) -> Catalogue:
        trace = self._traced()
        if trace is not None:
            return trace.catalogue
        tensors = self.inputs.blank(1) if like is None else self.inputs.tensors(like)
        n_samples = self.inputs.batch_size or 3  # enough not to be taken for an axis of length 1
        tensors = [tf.repeat(each[:1], n_samples, axis=0) for each in tensors]
        try:
            recording = self._call(tensors)
        except ModelError as failure:
            if like is None and not getattr(self._model, "inputs", None):
                raise ModelError(f"{failure}; give it a few samples with x=") from failure
            raise
        return Catalogue(
            [
                describe(tap.name, tap.layer, tap.output, tap.unit_axis, sample_axis=(n_samples,))
                for tap in recording.taps
                if tf.is_tensor(tap.output) and hasattr(tap.output, "numpy")
            ],
            recording.structure,
            flow=flow_of(recording, tensors),
        )
