"""What an attribution is: maps of how much each part of the input speaks for a class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.errors import ShapeError


@dataclass(frozen=True)
class Path:
    """The way from a baseline to the sample, as the model sees it.

    Attributes:
        alphas: `(step,)` in 0..1, the shares of the way.
        scores: `(sample, step)` the score of the target there.
        gradient_norms: `(sample, step)` the Euclidean norm of its gradient, over all inputs.
    """

    alphas: Floats
    scores: Floats
    gradient_norms: Floats


@dataclass(frozen=True)
class Found:
    """What a method found; `Attribution` is that for whoever asked.

    Attributes:
        values: One array per input, `(sample, …)`.
        scores: `(sample,)` the score of the target.
        gap: `(sample,)` by how much the values miss the sum they promise; None where they
            promise none.
        note: What is to be said of it, as a sentence; or "".
        path: The way it went, where it went one.
        names: Of the inputs that the values lie over, where these are not all; empty for one
            array that lies over none.
        n_steps: `(sample,)` int64, the steps of the path of each, where it went one.
    """

    values: tuple[Array, ...]
    scores: Floats
    gap: Floats | None = None
    note: str = ""
    path: Path | None = None
    names: tuple[str, ...] | None = None
    n_steps: Integers | None = None


@dataclass(frozen=True, repr=False)
class Attribution:
    """How much each part of the input speaks for a class; signed, not normalised.

    `np.asarray(attribution)` gives `.values`.

    Attributes:
        values: `(sample, …)` float32 in the shape of the input; of class activation maps
            without the channel axis. One by name of input where the model has several, also
            where one alone has values: of class activation maps for each that they lie over.
            NaN where the model's gradient is NaN.
        gap: `(sample,)` float64, by how much the values' sum differs from what the method
            says it is; NaN for methods that say nothing of it.
        target: `(sample,)` int64, the class asked about.
        scores: `(sample,)` float64, its score at the sample.
        method: Name of the method.
        output: What the score is, "logit" or "probability".
        layer: The layer whose maps were used, or "".
        options: Of the method, as given or by default.
        note: What is to be said of it, as a sentence; or "".
        path: Of methods that go along one; or None.
        n_steps: `(sample,)` int64, in how many steps integrated gradients looked at each, the
            two ends not counted; None of other methods.
        left_out: By name of an input that has no values, since no layer makes floating-point
            numbers of it: `(sample,)` float64, by how much the score falls where that input
            holds nothing, zeros or empty text. `gap` is of what has values.
        feature_names: Of the columns of samples that came as a table; () else.
    """

    values: Array | dict[str, Array]
    gap: Floats
    target: Integers
    scores: Floats
    method: str
    output: str = "logit"
    layer: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    path: Path | None = None
    n_steps: Integers | None = None
    left_out: Mapping[str, Floats] = field(default_factory=dict)
    feature_names: tuple[str, ...] = ()

    def by_feature(self, place: int, names: Sequence[str] = ()) -> tuple[tuple[str, float], ...]:
        """The values of a sample's features by name, the largest first, for or against.

        Args:
            place: Of the sample among those that this is of.
            names: Of the features, where `feature_names` has none.

        Returns:
            Names and values, NaN last; none where the values are not one for each name.
        """
        names = self.feature_names or tuple(names)
        if isinstance(self.values, dict) or self.values.shape[1:] != (len(names),):
            return ()
        values = self.values[place]
        order = np.argsort(-np.abs(values), kind="stable")
        return tuple((names[index], float(values[index])) for index in order)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.target)

    @property
    def n_bytes(self) -> int:
        """What its maps take in memory."""
        maps = self.values.values() if isinstance(self.values, dict) else (self.values,)
        return sum(each.nbytes for each in maps)

    def __repr__(self) -> str:
        """One line: arrays by their shapes."""
        values = self.values
        shapes = (
            values.shape
            if not isinstance(values, dict)
            else {name: each.shape for name, each in values.items()}
        )
        said = [f"method={self.method!r}", f"values of shape {shapes}", f"output={self.output!r}"]
        said += [f"layer={str(self.layer)!r}"] if self.layer else []
        said += [f"note={self.note!r}"] if self.note else []
        return f"Attribution({len(self)} samples, {', '.join(said)})"

    @property
    def gap_share(self) -> Array:
        """`(sample,)` float64: the size of the gap as a share of what the values should sum to.

        NaN where nothing is promised, infinite where the sum should be 0.
        """
        maps = self.values.values() if isinstance(self.values, dict) else [self.values]
        n_samples = len(self)
        total = sum(
            each.reshape(n_samples, math.prod(each.shape[1:])).sum(axis=1, dtype=np.float64)
            for each in maps
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.abs(self.gap) / np.abs(total - self.gap))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The values, where there is one input.

        Raises:
            ShapeError: There are several.
        """
        if isinstance(self.values, dict):
            raise ShapeError(
                f"there is one map for each of {', '.join(self.values)}: take one of .values"
            )
        return np.array(self.values, dtype=dtype, copy=copy)
