"""Which part of the samples on show speaks for a class, kept until weights or data change."""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core import probes
from actwidgets.core.attributions.attributing import attributing
from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.faithfulness import Faithfulness, faithfulness
from actwidgets.core.attributions.method import Method, Progress
from actwidgets.core.attributions.methods import method_named
from actwidgets.core.attributions.model_slice import DifferentiableSlice, checked_output
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.randomisation import RandomisationCheck, randomising
from actwidgets.core.attributions.stepped_pass import SteppedPass
from actwidgets.core.interventions.ablation import Ablation
from actwidgets.core.interventions.disturbance import Disturbance
from actwidgets.core.samples import Samples
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError
from actwidgets.session_jobs import SessionJobs
from actwidgets.session_predictions import SessionPredictions

AT_ONCE_S = 0.25  # what takes no longer is worth waiting for
LOOK_EVERY_S = 0.25  # how often weights are compared before a kept map is shown again


class Attributions(SessionJobs):
    """Attributions of a session's samples; `session.attributions` is one.

    They are of the samples as they are shown, disturbed as the selection says, and of the
    model with the ablations of the selection.

    Args:
        session: Whose samples and model it is about.
    """

    def __init__(self, session: SessionPredictions) -> None:
        super().__init__(session)
        self._weights = probes.fingerprint(session._probe)
        self._looked_s = time.monotonic()

    def get(
        self,
        method: str = "grad_cam",
        *,
        rows: Sequence[int] | None = None,
        target: ArrayLike | None = None,
        layer: str | None = None,
        output: str = "logit",
        partial: bool = False,
        place: str = "",
        within_s: float | None = None,
        **options: Any,
    ) -> Attribution | None:
        """How much each part of some samples speaks for a class.

        Args:
            method: As in `actwidgets.attribute`.
            rows: Rows of the data, as they are shown; those on show by default.
            target: One class, one for each row, or None for the class each is predicted as.
            layer: Of class activation maps; the last with maps by default.
            output: "logit" or "probability".
            partial: Return after a moment, None where it is not made yet, and make it in the
                background; `reading` tells how far it is.
            place: Who asks: what was asked for before at the same place is then left.
            within_s: How long the moment is; a quarter of a second by default.
            **options: Of the method.

        Returns:
            The attribution, in the order of the rows; None only with `partial`.

        Raises: as `actwidgets.attribute`.
        """
        with self._session.lock:
            asked = self._asked(method, rows, target, layer, output, options)
            wanted = self._pass(asked.key, lambda: SteppedPass(f"{method} maps", (), asked.begin))
        at_once_s = AT_ONCE_S if within_s is None else within_s
        self._advance(wanted, asked.key, partial, place, at_once_s)
        return wanted.result() if wanted.complete else None

    def faithfulness(
        self,
        method: str = "grad_cam",
        *,
        kind: str = "deletion",
        rows: Sequence[int] | None = None,
        target: ArrayLike | None = None,
        layer: str | None = None,
        output: str = "logit",
        partial: bool = False,
        place: str = "",
        **options: Any,
    ) -> Faithfulness | None:
        """How a class's probability falls, or rises, while the map's highest places go, or come.

        Args:
            method: As in `get`, like all that is not told here.
            kind: "deletion" or "insertion".
            rows: As in `get`.
            target: As in `get`.
            layer: As in `get`.
            output: As in `get`.
            partial: As in `get`.
            place: As in `get`.
            **options: Of the method.

        Raises: as `actwidgets.attribute` and `actwidgets.faithfulness`.
        """
        with self._session.lock:
            asked = self._asked(method, rows, target, layer, output, options)
            key = kind, *asked.key
            wanted = self._pass(
                key, lambda: SteppedPass(f"{kind} curve", (), lambda: asked.curve(kind))
            )
        self._advance(wanted, key, partial, place, AT_ONCE_S)
        return wanted.result() if wanted.complete else None

    def randomisation(
        self,
        method: str = "grad_cam",
        *,
        rows: Sequence[int] | None = None,
        target: ArrayLike | None = None,
        layer: str | None = None,
        output: str = "logit",
        partial: bool = False,
        place: str = "",
        **options: Any,
    ) -> RandomisationCheck | None:
        """How a map changes while one layer after the other gets random weights.

        Args: as `get`. The model's own weights are left alone.

        Raises: as `actwidgets.randomisation_check`.
        """
        with self._session.lock:
            asked = self._asked(method, rows, target, layer, output, options)
            key = "random weights", *asked.key
            wanted = self._pass(key, lambda: SteppedPass("random weights", (), asked.check))
        self._advance(wanted, key, partial, place, AT_ONCE_S)
        return wanted.result() if wanted.complete else None

    def _forget_all(self) -> None:
        super()._forget_all()
        self._weights = probes.fingerprint(self._session._probe)

    # --- what it is about ----------------------------------------------------------------

    def _asked(
        self,
        method: str,
        rows: Sequence[int] | None,
        target: ArrayLike | None,
        layer: str | None,
        output: str,
        options: Mapping[str, Any],
    ) -> "_Asked":
        """Everything an attribution depends on, as it is now."""
        session: Any = self._session
        chosen = method_named(method)
        checked_output(output)
        settings = chosen.settings(options)
        shown = known_rows(session.samples if rows is None else rows, session.n_samples)
        if target is None and session.n_outputs > 1:  # other views have asked for it too
            outputs = np.nan_to_num(session.outputs(shown, as_shown=True), nan=-np.inf)
            target = outputs.argmax(axis=1)
        asked = _Asked(
            chosen,
            settings,
            target,
            layer if chosen.needs_layer else None,
            output,
            shown,
            session.disturbance,
            session.ablations,
            session._numbers.probe(session.ablations),
            session._samples,
            session.memory_budget_bytes // 4,
        )
        self._forget_other_weights(asked.key)
        return asked

    def _forget_other_weights(self, key: Any) -> None:
        """A model in training changes unannounced: look before a kept map is shown again."""
        now_s = time.monotonic()
        if key not in self._passes or now_s - self._looked_s < LOOK_EVERY_S:
            return
        weights = probes.fingerprint(self._session._probe)
        self._looked_s = time.monotonic()
        if weights != self._weights:
            self._forget_all()


@dataclass(frozen=True)
class _Asked:
    """What an attribution was asked of, and how it is made."""

    method: Method
    settings: Mapping[str, Any]
    target: ArrayLike | None
    layer: str | None
    output: str
    rows: tuple[int, ...]
    disturbance: Disturbance
    ablations: tuple[Ablation, ...]
    probe: Any
    samples: Samples
    budget_bytes: int

    @property
    def key(self) -> tuple[Any, ...]:
        """By which it is kept."""
        target = None if self.target is None else _as_tuple(self.target)
        settings = _comparable(self.settings)
        of = self.method.name, settings, target, self.layer, self.output
        return (*of, self.rows, self.disturbance, self.ablations)

    def slice(self) -> DifferentiableSlice:
        """The model."""
        return probes.model_slice(self.probe, self.layer, self.output, self.budget_bytes)

    def points(self) -> Points:
        """The samples."""
        points = self.slice().points(self.samples.disturbed(self.rows, self.disturbance))
        return points.with_axes(self.samples.given_axes)

    def begin(self) -> Generator[Progress, None, Attribution]:
        """Start the work."""
        return attributing(
            self.slice(), self.points(), self.method, self.target, self.settings, self.rows
        )

    def curve(self, kind: str) -> Generator[Progress, None, Faithfulness]:
        """Start the work, and then that on the curve of the map."""
        found = yield from self.begin()
        maps = found.values
        values = tuple(maps.values()) if isinstance(maps, dict) else (maps,)
        steps = faithfulness(self.slice(), self.points(), found.target, values, kind=kind)
        return (yield from steps)

    def check(self) -> Generator[Progress, None, RandomisationCheck]:
        """Start the work on the check of random weights."""
        randomised = probes.randomised_slice(self.probe, self.layer, self.output, self.budget_bytes)
        return randomising(
            self.slice(), randomised, self.points(), self.method, self.target, self.settings
        )


def _comparable(value: Any) -> Any:
    """Settings as something that equals only its like; arrays by all of their values."""
    if isinstance(value, Mapping):
        return tuple((name, _comparable(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    if hasattr(value, "shape"):
        array = np.asarray(value)
        return array.shape, array.dtype.str, array.tobytes()
    return value


def _as_tuple(target: ArrayLike) -> tuple[Any, ...]:
    found = np.asarray(target)
    if found.dtype.kind not in "iu":
        raise DataError(f"target must be class indices; got values of type {found.dtype}")
    return found.ndim, *found.ravel().tolist()
