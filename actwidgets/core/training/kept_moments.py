"""Moments of a training of which histograms are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from actwidgets.core.training.histogram import Histogram

ACTIVATIONS = "activations"  # as what is counted, beside the names of weights
NOW = "now"  # the moment that is not kept


@dataclass(frozen=True)
class Moment:
    """Histograms of all layers at some time, by layer and by name of the weights."""

    label: str
    found: Mapping[str, Mapping[str, Histogram]]
