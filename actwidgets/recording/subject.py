"""What is recorded: a model, samples, and which of its layers."""

from collections.abc import Sequence
from typing import Any

from actwidgets.core import probes
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.predictions.output_kind import checked_output_is
from actwidgets.core.probes import Probe
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError, LayerError, ModelError
from actwidgets.recording import samples_file
from actwidgets.recording.manifest import Manifest
from actwidgets.recording.taking import Wish
from actwidgets.session import Session

MANY_UNITS = 4096  # layers with more (flattened maps, most often) are recorded where named


class Subject:
    """A model and the samples that it is shown; see `Recorder` for the arguments."""

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Any,
        *,
        layers: Sequence[str] | None,
        class_names: Sequence[str] | None,
        n_maps: int,
        max_samples: int,
        batch_size: int,
        image_shape: Sequence[int] | None,
        head: str | int | None,
        output_is: str | None = None,
    ) -> None:
        self._session = model if isinstance(model, Session) else None
        self._model = model.model if isinstance(model, Session) else model
        if self._session is not None and x is None:
            samples = self._session._samples
        else:
            samples = Samples(x, y, max_samples=max_samples, image_shape=image_shape)
        if self._session is not None:
            class_names = self._session.class_names if class_names is None else class_names
            head = self._session._options["head"] if head is None else head
            output_is = output_is or self._session._options["output_is"]
        checked_output_is(output_is)
        self._head, self._output_is = head, output_is
        n_samples = min(len(samples), max_samples)
        self._one = samples.rows([0])
        self._probe: Probe = self._read() if self._session is None else self._session._probe
        self._probe.check(self._one)
        output, named = probes.settled_output_kind(self._probe, samples, class_names, output_is)
        n_classes = count_classes(self._probe.n_classes, named, output, samples.y)
        names = checked_class_names(named, n_classes)
        if self._session is None or x is not None:
            names_of_inputs = probes.input_names(self._probe, samples.x)
            samples.read_inputs(names_of_inputs, probes.input_axes(self._probe))
        samples.read_y(output, n_classes, names, head=head)
        if samples.label_sets is not None or samples.masks is not None:
            held = "masks" if samples.label_sets is None else "several labels a sample"
            raise DataError(
                f"a recording keeps one class a sample, and y holds {held}: give x, and no y"
            )
        labels = None if samples.labels is None else samples.labels[:n_samples]
        self.targets = None if samples.targets is None else samples.targets[:n_samples]
        chosen = _chosen(self._probe.layers, layers)
        kept = samples.rows(range(n_samples))
        self.wish = Wish(kept, labels, names, chosen, min(n_maps, n_samples), batch_size)
        self.manifest = Manifest(
            model_name=str(getattr(self._model, "name", "")),
            layers=self._probe.layers,
            recorded=tuple(info.name for info in chosen),
            class_names=names,
            n_classes=self._probe.n_classes,
            head=head,
            image_shape=tuple(samples._image_shape),
            n_samples=n_samples,
            n_maps=self.wish.n_maps,
            samples=samples_file.digest(kept, labels, self.targets),
            output=output,
            input_names=tuple(samples.axes),
            input_axes=dict(samples.axes),
        )

    @property
    def probe(self) -> Probe:
        """As it was last read."""
        return self._probe

    def current_probe(self) -> Probe:
        """The same, read anew where layers of the model were exchanged.

        Raises:
            ModelError: It has other layers now.
        """
        if self._session is not None:
            self._probe = self._session._probe
        if probes.is_stale(self._probe):
            self._probe = self._read()
        if self._probe.layers != self.manifest.layers:
            raise ModelError(
                "the model has other layers than when its recording began: begin another one"
            )
        return self._probe

    def close(self) -> None:
        """Read nothing more."""
        if self._session is None and self._probe is not self._model:
            probes.stop(self._probe)

    def _read(self) -> Probe:
        if isinstance(self._model, Probe):
            return self._model
        from actwidgets.probe.keras_probe import KerasProbe

        return KerasProbe(self._model, self._one, head=self._head, output_is=self._output_is)


def _chosen(layers: Sequence[LayerInfo], names: Sequence[str] | None) -> tuple[LayerInfo, ...]:
    """The layers to record, in the model's order."""
    if names is None:
        chosen = [info for info in layers if not _refusal(info) and info.n_units <= MANY_UNITS]
        if not chosen:
            raise LayerError("this model has no layer that can be recorded")
        return tuple(chosen)
    known = {info.name: info for info in layers}
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in known:
            raise LayerError(f"no layer {name!r}; this model has {', '.join(known)}")
        if refusal := _refusal(known[name]):
            raise LayerError(f"layer {name!r} cannot be recorded: {refusal}")
    if not wanted:
        raise LayerError("layers must name at least one layer; got none")
    return tuple(info for info in layers if info.name in wanted)


def _refusal(info: LayerInfo) -> str:
    if not info.n_units:
        return "its number of units varies"
    return "its maps are empty" if 0 in info.output_shape[1:] else ""
