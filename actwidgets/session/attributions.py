"""Attributions of a session's visible samples, kept until the weights change."""

import time
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
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
from actwidgets.session.context import Context, KeptTasks
from actwidgets.session.tasks import Task

AT_ONCE_S = 0.25  # what takes no longer is worth waiting for
CURVES = ("deletion", "insertion")
KINDS = ("maps", *CURVES, "random weights")
LOOK_EVERY_S = 0.25  # how often weights are compared before a kept map is shown again


class Attributions(KeptTasks):
    """Attributions of a session's samples; `session.attributions` is one.

    They are of the samples as they are shown, perturbed as the selection says, and of the
    model with the ablations of the selection.

    Args:
        context: Whose samples and model it is about.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._weights: Any = None  # of what is kept, where there is something
        self._looked_s = float("-inf")

    def __call__(
        self,
        method: str = "grad_cam",
        *,
        rows: Sequence[int] | None = None,
        target: ArrayLike | None = None,
        layer: str | None = None,
        output: str = "logit",
        **options: Any,
    ) -> Attribution:
        """How much each part of some samples counts for a class.

        Args:
            method: As in `actwidgets.attribute`.
            rows: Rows of the data, as they are shown; those on show by default.
            target: One class, one for each row, or None for the class each is predicted as.
            layer: Of class activation maps; the last with maps by default.
            output: "logit" or "probability".
            **options: Of the method.

        Returns:
            The attribution, in the order of the rows.

        Raises: as `actwidgets.attribute`.
        """
        given = {"rows": rows, "target": target, "layer": layer, "output": output}
        attribution: Attribution = self._made("maps", method, options | given)
        return attribution

    def faithfulness(
        self, method: str = "grad_cam", *, kind: str = "deletion", **options: Any
    ) -> Faithfulness:
        """How a class's probability falls, or rises, while the map's highest places go, or come.

        Args:
            method: As of an attribution.
            kind: "deletion" or "insertion".
            **options: As of an attribution: `rows`, `target`, …, and those of the method.

        Raises: as `actwidgets.attribute` and `actwidgets.faithfulness`.
        """
        curve: Faithfulness = self._made(_checked_kind(kind, CURVES), method, options)
        return curve

    def randomization(self, method: str = "grad_cam", **options: Any) -> RandomizationCheck:
        """How a map changes while one layer after the other gets random weights.

        Args: as of an attribution. The model's own weights are left alone.

        Raises: as `actwidgets.randomization_check`.
        """
        check: RandomizationCheck = self._made("random weights", method, options)
        return check

    def request(
        self,
        method: str = "grad_cam",
        *,
        client: str = "",
        kind: str = "maps",
        within_s: float | None = None,
        **options: Any,
    ) -> Any:
        """The same for a view: what there is after a moment, and the rest in the background.

        `reading` tells how far it is.

        Args:
            method: As of an attribution.
            client: Who asks: what was asked for before by the same client is then left.
            kind: "maps", "deletion", "insertion" or "random weights".
            within_s: How long the moment is; a quarter of a second by default.
            **options: As of an attribution: `rows`, `target`, …, and those of the method.

        Returns:
            An `Attribution`, `Faithfulness` or `RandomizationCheck`; None where it is not made
            yet.
        """
        at_once_s = AT_ONCE_S if within_s is None else within_s
        return self._made(_checked_kind(kind, KINDS), method, options, client, at_once_s)

    def _made(
        self,
        kind: str,
        method: str,
        options: Mapping[str, Any],
        client: str | None = None,
        at_once_s: float = 0.0,
    ) -> Any:
        """The result; None where a client asks and it is not made yet."""
        with self.context.lock:
            spec = self._spec(method, **options)
            key = kind, *spec.key
            self._forget_other_weights(key)
            task = self._task(key, lambda: spec.task(kind))
        self._advance(task, key, client is not None, client or "", at_once_s)
        return task.result() if task.complete else None

    def _forget_all(self) -> None:
        super()._forget_all()
        self._weights = self.context.probe.fingerprint()

    # --- what it is about ----------------------------------------------------------------

    def _spec(
        self,
        method: str,
        *,
        rows: Sequence[int] | None = None,
        target: ArrayLike | None = None,
        layer: str | None = None,
        output: str = "logit",
        **options: Any,
    ) -> "_Spec":
        """Everything an attribution depends on, as it is now; the lock is held."""
        context, selection, results = self.context, self.context.selection, self.context.results
        chosen = method_named(method)
        checked_output(output)
        settings = chosen.settings(options)
        shown = known_rows(selection.samples if rows is None else rows, context.n_samples)
        if target is None and context.probe.n_classes > 1:  # other views have asked for it too
            outputs = results.outputs(shown, selection.perturbation, selection.ablations)
            target = np.nan_to_num(outputs, nan=-np.inf).argmax(axis=1)
        return _Spec(
            chosen,
            settings,
            target,
            layer if chosen.needs_layer else None,
            output,
            shown,
            selection.perturbation,
            selection.ablations,
            results.probe(selection.ablations),
            context.samples,
            context.budget_bytes // 4,
        )

    def _forget_other_weights(self, key: Hashable) -> None:
        """A model in training changes unannounced: look before a kept map is shown again."""
        if self._tasks and (
            key not in self._tasks or time.monotonic() - self._looked_s < LOOK_EVERY_S
        ):
            return
        weights = self.context.probe.fingerprint()
        self._looked_s = time.monotonic()
        if self._tasks and weights != self._weights:
            self._forget_all()
        self._weights = weights


@dataclass(frozen=True)
class _Spec:
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

    def task(self, kind: str) -> Task:
        """The work, not begun."""
        if kind == "maps":
            return Task(f"{self.method.name} maps", (), self._attribution)
        if kind == "random weights":
            return Task(kind, (), self._randomization)
        return Task(f"{kind} curve", (), lambda: self._curve(kind))

    def _score_function(self) -> DifferentiableScoreFunction:
        return self.probe.score_function(
            self.layer, self.output, memory_budget_bytes=self.budget_bytes
        )

    def _inputs(self) -> Inputs:
        x = self.samples.perturbed(self.rows, self.perturbation)
        return self._score_function().points(x).with_axes(self.samples.given_axes)

    def _attribution(self) -> Generator[Progress, None, Attribution]:
        asked = self._inputs(), self.method, self.target, self.settings
        return attribution_steps(self._score_function(), *asked, self.rows)

    def _curve(self, kind: str) -> Generator[Progress, None, Faithfulness]:
        attribution = yield from self._attribution()
        maps = attribution.values
        values = tuple(maps.values()) if isinstance(maps, dict) else (maps,)
        asked = self._inputs(), attribution.target, values
        return (yield from faithfulness(self._score_function(), *asked, kind=kind))

    def _randomization(self) -> Generator[Progress, None, RandomizationCheck]:
        randomized = self.probe.randomized_score_function(
            self.layer, self.output, memory_budget_bytes=self.budget_bytes
        )
        asked = self._inputs(), self.method, self.target, self.settings
        return randomization_steps(self._score_function(), randomized, *asked)


def _checked_kind(kind: str, kinds: Sequence[str]) -> str:
    if kind not in kinds:
        raise DataError(f"no kind {kind!r}; there are {', '.join(kinds)}")
    return kind


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
    indices = np.asarray(target)
    if indices.dtype.kind not in "iu":
        raise DataError(f"target must be class indices; got values of type {indices.dtype}")
    return indices.ndim, *indices.ravel().tolist()
