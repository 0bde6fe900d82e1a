"""Which part of the samples on show speaks for a class, kept until weights or data change."""

import time
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core import probes
from actwidgets.core.attributions.attributing import attributing
from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.method import Progress
from actwidgets.core.attributions.methods import method_named
from actwidgets.core.attributions.model_slice import DifferentiableSlice
from actwidgets.core.attributions.stepped_pass import SteppedPass
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
            **options: Of the method.

        Returns:
            The attribution, in the order of the rows; None only with `partial`.

        Raises: as `actwidgets.attribute`.
        """
        chosen = method_named(method)
        settings = chosen.settings(options)
        session: Any = self._session
        with session.lock:
            shown = known_rows(session.samples if rows is None else rows, session.n_samples)
            if not chosen.needs_layer:
                layer = None
            if target is None and session.n_outputs > 1:  # other views have asked for it too
                outputs = np.nan_to_num(session.outputs(shown, as_shown=True), nan=-np.inf)
                target = outputs.argmax(axis=1)
            classes = None if target is None else _as_tuple(target)
            of = method, layer, output, classes, repr(sorted(settings.items()))
            key = of, *self._what_is_shown(shown)
            self._forget_other_weights(key)
            slice_ = self._slice_maker(layer, output)
            x = self._samples_as_shown(shown)

            def begin() -> Generator[Progress, None, Attribution]:
                made = slice_()
                return attributing(made, made.points(x()), chosen, target, settings)

            wanted = self._pass(key, lambda: SteppedPass(f"attributions {method}", (), begin))
        self._advance(wanted, key, partial, place, AT_ONCE_S)
        return wanted.result() if wanted.complete else None

    def layer_of(self, method: str, layer: str | None = None, output: str = "logit") -> str:
        """The layer whose maps a method is made of where none is named; "" where there is none."""
        if not method_named(method).needs_layer:
            return ""
        with self._session.lock:
            return self._slice_maker(layer, output)().layer

    # --- what it is about ----------------------------------------------------------------

    def _what_is_shown(self, rows: Any) -> tuple[Any, ...]:
        session: Any = self._session
        return tuple(int(row) for row in rows), session.disturbance, session.ablations

    def _slice_maker(self, layer: str | None, output: str) -> Any:
        session: Any = self._session
        probe = session._numbers.probe(session.ablations)

        def make() -> DifferentiableSlice:
            return probes.model_slice(probe, layer, output, session.memory_budget_bytes // 4)

        return make

    def _samples_as_shown(self, rows: Any) -> Any:
        session: Any = self._session
        samples, disturbance = session._samples, session.disturbance
        return lambda: samples.disturbed(rows, disturbance)

    def _forget_other_weights(self, key: Any) -> None:
        """A model in training changes unannounced: look before a kept map is shown again."""
        now_s = time.monotonic()
        if key not in self._passes or now_s - self._looked_s < LOOK_EVERY_S:
            return
        weights = probes.fingerprint(self._session._probe)
        self._looked_s = time.monotonic()
        if weights != self._weights:
            self._weights = weights
            self._forget_all()


def _as_tuple(target: ArrayLike) -> tuple[Any, ...]:
    found = np.asarray(target)
    if found.dtype.kind not in "iu":
        raise DataError(f"target must be class indices; got values of type {found.dtype}")
    return found.ndim, *found.ravel().tolist()
