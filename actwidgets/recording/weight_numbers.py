"""How the weights of a layer went while it was trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.recording.snapshot_files import SnapshotInfo


@dataclass(frozen=True, eq=False)
class WeightNumbers:
    """How the weights of a layer went: arrays with a value per snapshot, NaN where none is.

    Attributes:
        epoch: Of the snapshots, float64.
        norm: Of all weights of the layer as one vector.
        update_ratio: The norm of what one step added to them, over `norm`.
        gradient_norm: Of the loss by its trainable weights.
        n_dead: int64, units above 0 on none of the recorded samples.
    """

    epoch: Doubles
    norm: Doubles
    update_ratio: Doubles
    gradient_norm: Doubles
    n_dead: Integers

    @classmethod
    def of(cls, layer: str, snapshots: Sequence[SnapshotInfo]) -> "WeightNumbers":
        """Those of a layer that all these snapshots are of."""
        each = [info.numbers[layer] for info in snapshots]
        return cls(
            epoch=np.array([info.epoch for info in snapshots]),
            norm=np.array([one.norm for one in each]),
            update_ratio=np.array([one.update_ratio for one in each]),
            gradient_norm=np.array([one.gradient_norm for one in each]),
            n_dead=np.array([one.n_dead for one in each], np.int64),
        )
