"""Attributions of a session's visible samples, kept until the weights change."""

import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.ablation import Ablation
from actwidgets.core.attribution.base import (
    Attribution,
    DifferentiableScoreFunction,
    Inputs,
    Method,
    Progress,
    checked_output,
)
from actwidgets.core.attribution.evaluation import (
    Faithfulness,
    RandomizationCheck,
    faithfulness,
    randomization_steps,
)
from actwidgets.core.attribution.registry import attribution_steps, method_named
from actwidgets.core.perturbation import Perturbation
from actwidgets.core.samples import Samples
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError
from actwidgets.probe.base import Probe
from actwidgets.session.jobs import JobsMixin
from actwidgets.session.predictions import SessionPredictions


class SteppedPass:
    """Work that tells how far it is before each piece of it, and comes to one result.

    Args:
        what: What is made, in words.
        layers: The layers it is about.
        begin: Starts the work: a generator of `(done, total)` that returns the result.
    """

    is_slow = False

    def __init__(
        self,
        what: str,
        layers: tuple[str, ...],
        begin: Callable[[], Generator[Progress, None, Any]],
    ) -> None:
        self.what, self.layers = what, layers
        self.cancelled = False
        self.failure = ""
        self._raised: tuple[Exception, TracebackType | None] | None = None
        self._begin = begin
        self._work: Generator[Progress, None, Any] | None = None
        self._progress: Progress = (0, 1)
        self._result: Any = None
        self._stepping = threading.Lock()
        self.complete = False

    @property
    def n_read(self) -> int:
        """How many pieces are done."""
        return self.n_samples if self.complete else self._progress[0]

    @property
    def n_samples(self) -> int:
        """How many pieces there are, as far as is known yet; more than are done."""
        done, total = self._progress
        return max(total, done + 1)

    @property
    def n_bytes(self) -> int:
        """What the result takes in memory, where it says so."""
        return getattr(self._result, "n_bytes", 0)

    @property
    def error(self) -> Exception | None:
        """What was raised, with the traceback to where; raised again it grows no longer."""
        return None if self._raised is None else self._raised[0].with_traceback(self._raised[1])

    def step(self) -> None:
        """Do a piece; nothing where all is done. Any thread may call it."""
        with self._stepping:
            if self.complete:
                return
            if self._work is None:
                self._work = self._begin()
            try:
                self._progress = next(self._work)
            except StopIteration as end:
                self._result, self.complete, self._work = end.value, True, None
            except BaseException as error:  # an interrupt too ends a generator
                self._work = None  # it begins anew, if it is asked to
                if isinstance(error, Exception):
                    traceback.clear_frames(error.__traceback__)  # they hold arrays
                    self._raised = error, error.__traceback__
                    self.failure = str(error) or type(error).__name__
                raise

    def stop(self) -> None:
        """Do no more until `resume`."""
        self.cancelled = True

    def resume(self) -> None:
        """Go on, after `stop`; begin anew after a failure."""
        self.cancelled, self.failure, self._raised = False, "", None

    def result(self) -> Any:
        """What came of it, once complete."""
        assert self.complete
        return self._result


AT_ONCE_S = 0.25  # what takes no longer is worth waiting for
LOOK_EVERY_S = 0.25  # how often weights are compared before a kept map is shown again


class Attributions(JobsMixin):
    """Attributions of a session's samples; `session.attributions` is one.

    They are of the samples as they are shown, perturbed as the selection says, and of the
    model with the ablations of the selection.

    Args:
        session: Whose samples and model it is about.
    """

    def __init__(self, session: SessionPredictions) -> None:
        super().__init__(session)
        self._weights = session._probe.fingerprint()
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

    def randomization(
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
    ) -> RandomizationCheck | None:
        """How a map changes while one layer after the other gets random weights.

        Args: as `get`. The model's own weights are left alone.

        Raises: as `actwidgets.randomization_check`.
        """
        with self._session.lock:
            asked = self._asked(method, rows, target, layer, output, options)
            key = "random weights", *asked.key
            wanted = self._pass(key, lambda: SteppedPass("random weights", (), asked.check))
        self._advance(wanted, key, partial, place, AT_ONCE_S)
        return wanted.result() if wanted.complete else None

    def _forget_all(self) -> None:
        super()._forget_all()
        self._weights = self._session._probe.fingerprint()

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
            session.perturbation,
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
        weights = self._session._probe.fingerprint()
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
    perturbation: Perturbation
    ablations: tuple[Ablation, ...]
    probe: Probe
    samples: Samples
    budget_bytes: int

    @property
    def key(self) -> tuple[Any, ...]:
        """By which it is kept."""
        target = None if self.target is None else _as_tuple(self.target)
        settings = _comparable(self.settings)
        of = self.method.name, settings, target, self.layer, self.output
        return (*of, self.rows, self.perturbation, self.ablations)

    def slice(self) -> DifferentiableScoreFunction:
        """The model."""
        return self.probe.model_slice(
            self.layer, self.output, memory_budget_bytes=self.budget_bytes
        )

    def points(self) -> Inputs:
        """The samples."""
        points = self.slice().points(self.samples.perturbed(self.rows, self.perturbation))
        return points.with_axes(self.samples.given_axes)

    def begin(self) -> Generator[Progress, None, Attribution]:
        """Start the work."""
        return attribution_steps(
            self.slice(), self.points(), self.method, self.target, self.settings, self.rows
        )

    def curve(self, kind: str) -> Generator[Progress, None, Faithfulness]:
        """Start the work, and then that on the curve of the map."""
        found = yield from self.begin()
        maps = found.values
        values = tuple(maps.values()) if isinstance(maps, dict) else (maps,)
        steps = faithfulness(self.slice(), self.points(), found.target, values, kind=kind)
        return (yield from steps)

    def check(self) -> Generator[Progress, None, RandomizationCheck]:
        """Start the work on the check of random weights."""
        randomized = self.probe.randomized_slice(
            self.layer, self.output, memory_budget_bytes=self.budget_bytes
        )
        return randomization_steps(
            self.slice(), randomized, self.points(), self.method, self.target, self.settings
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
