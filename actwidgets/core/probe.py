"""What a session needs of a model, so that it does without Keras."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from actwidgets.core.arrays import Array
from actwidgets.core.layer_info import LayerInfo


@runtime_checkable
class Probe(Protocol):
    """What a session needs of a model; `probe/` has the Keras one."""

    layers: tuple[LayerInfo, ...]
    n_classes: int  # outputs per sample; 0 where the output is not (sample, class)

    def activations(self, layers: Sequence[str], x: Any) -> Mapping[str, Array]:
        """Outputs of layers on one batch, `(sample, …, unit)` float32, by name."""

    def predictions(self, x: Any) -> Array:
        """The model's output on one batch, `(sample, class)` float32."""

    def check(self, x: Any) -> None:
        """Refuse samples that the model cannot take."""
