"""The numbers of one model on one set of samples, kept within a budget of memory.

Thrown away as a whole when weights or data change, so that nothing stale can be left.
"""

from typing import Any

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.cache import ArrayCache
from actwidgets.core.prediction_table import PredictionTable
from actwidgets.core.profile_pass import ProfilePass, ProfilePasses
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError


class ModelNumbers:
    """What a probe says of samples, asked for once and kept.

    Args:
        probe: Has `activations(layers, x)`, `predictions(x)` and `n_classes`.
        samples: The samples.
        class_names: One per class.
        budget_bytes: What cached maps and kept peaks may take together, about.
    """

    def __init__(
        self, probe: Any, samples: Samples, class_names: tuple[str, ...], budget_bytes: int
    ) -> None:
        self._probe = probe
        self._samples = samples
        self._class_names = class_names
        self._maps = ArrayCache(budget_bytes // 2)
        self._passes = ProfilePasses(budget_bytes // 2)
        self._predictions = PredictionTable(len(samples), probe.n_classes)

    def maps(self, layer: str, rows: tuple[int, ...]) -> Array:
        """Activations of a layer on some samples, `(sample, …, unit)`, read-only."""
        return self._maps.get((layer, rows), lambda: self._activations(layer, rows))

    def predictions(self, rows: Any) -> Floats:
        """The model's output on some samples, `(sample, class)`."""
        return self._predictions.of(
            rows, lambda missing: self._probe.predictions(self._samples.rows(missing))
        )

    def profile_pass(self, layer: str, threshold: float) -> ProfilePass:
        """The pass over all samples for a layer, as far as it has come.

        Raises:
            DataError: There are no labels.
        """
        labels = self._samples.labels
        if labels is None:
            raise DataError("class profiles need labels; this session was given no y")

        def make(budget_bytes: int) -> ProfilePass:
            return ProfilePass(
                layer,
                lambda rows: self._activations(layer, rows),
                labels,
                self._class_names,
                threshold=threshold,
                budget_bytes=budget_bytes,
            )

        return self._passes.get(layer, threshold, make)

    def _activations(self, layer: str, rows: Any) -> Array:
        return self._probe.activations((layer,), self._samples.rows(rows))[layer]
