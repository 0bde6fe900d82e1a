"""What is kept of a model at one moment of its training."""

from collections.abc import Mapping
from dataclasses import dataclass

from actwidgets.core.arrays import Floats, Integers
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.training.histogram import Histogram
from actwidgets.core.training.quantised import Quantised


@dataclass(frozen=True)
class LayerNumbers:
    """A few numbers of a layer; NaN where there is none.

    Attributes:
        norm: Of all its weights together, as one vector.
        update_ratio: The norm of what the last measured step added to them, over `norm`.
        gradient_norm: Of the loss by its trainable weights.
        n_dead: Units that are above 0 on none of the recorded samples.
    """

    norm: float
    update_ratio: float
    gradient_norm: float
    n_dead: int


@dataclass(frozen=True, eq=False)
class LayerSnapshot:
    """One layer at one moment.

    Attributes:
        high: The largest value at any position, `(sample, unit)`, of all recorded samples.
        mean: The mean over positions, the same.
        low: The smallest value, the same.
        n_nan: `(sample, unit)` positions that are NaN, or None where there are none.
        n_positions: Positions of the map.
        maps: Whole outputs of the first samples, `(sample, …, unit)`.
        histogram: Of all values of all recorded samples.
        weight_histograms: By name of the weight.
        kernels: `(row, column, in_channel, out_channel)`; None where there are none, or many.
        numbers: See there.
    """

    high: Quantised
    mean: Quantised
    low: Quantised
    n_nan: Integers | None
    n_positions: int
    maps: Quantised
    histogram: Histogram
    weight_histograms: Mapping[str, Histogram]
    kernels: Quantised | None
    numbers: LayerNumbers

    @property
    def summary(self) -> SampleSummary:
        """What the layer puts out for each sample."""
        return SampleSummary(
            high=self.high.values,
            mean=self.mean.values,
            low=self.low.values,
            n_nan=self.n_nan,
            n_positions=self.n_positions,
        )


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model at one moment.

    Attributes:
        predictions: `(sample, class)` float32; None where the output is no vector.
        profiles: Of the recorded samples by class, exact; None without labels.
        layers: By name.
    """

    predictions: Floats | None
    profiles: ClassProfiles | None
    layers: Mapping[str, LayerSnapshot]
