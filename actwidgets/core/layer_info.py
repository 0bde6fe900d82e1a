"""What is known of a layer without running it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerInfo:
    """One output of one call of one layer.

    Attributes:
        name: The layer's name in this package: `conv`, `backbone/conv`, `shared#1`, `lstm:1`,
            `stft:phase`.
        kind: Name of the layer's class, e.g. `Conv2D`; `Lambda (magnitude)` and `Lambda (phase)`
            of a layer that puts out complex numbers.
        output_shape: As Keras has it: batch axis first and `None`; other axes are `None`
            where they vary.
        n_units: Length of the axis along which the units lie; 1 for a scalar per sample.
        n_params: Weights of the layer, trainable or not, those of its sub-layers included.
        unit_axis: That axis: -1 for the last, else counted from the samples: 1 for
            `channels_first` and for the heads of attention scores, 2 behind an axis of time.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    n_units: int
    n_params: int
    unit_axis: int = -1

    @property
    def is_spatial(self) -> bool:
        """Whether the units are maps: `(sample, row, column, unit)`."""
        return len(self.output_shape) == 4

    @property
    def shape_text(self) -> str:
        """The shape of one sample's output, e.g. `26×26×32`; `?` for an axis that varies."""
        axes = self.output_shape[1:]
        return "×".join("?" if axis is None else str(axis) for axis in axes) or "scalar"

    @property
    def n_params_text(self) -> str:
        """The number of parameters in five letters or fewer: `864`, `410k`, `2.26M`, `–`."""
        if self.n_params < 10_000:
            return f"{self.n_params:,}" if self.n_params else "–"
        digits = f"{self.n_params:.2e}"
        power = int(digits[5:])
        figure = float(digits[:4]) * 10 ** (power % 3)
        return f"{figure:.{2 - power % 3}f}{'kMGTP'[power // 3 - 1]}"
