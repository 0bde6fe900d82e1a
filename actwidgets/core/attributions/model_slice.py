"""What an attribution needs of a model, so that its arithmetic does without Keras."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.core.attributions.points import Points
from actwidgets.errors import DataError, ShapeError


class ModelSlice(Protocol):
    """A model from its inputs to the scores of its classes; `probe/` has the Keras one.

    Any number of samples may be asked for: they are run `batch_size` at a time. Values come
    in the model's own precision.

    Attributes:
        layer: Whose maps are looked at; "" where there is none to look at.
        output: What the score of a class is, "logit" or "probability".
        n_targets: How many classes there are to ask for: two where the model has one sigmoid.
        batch_size: How many samples are run at once, as the budget of memory allows.
        guided_note: Which activations guided gradients left as they are, as a sentence, once
            they have been asked for; or "".
    """

    layer: str
    output: str
    n_targets: int
    batch_size: int

    @property
    def guided_note(self) -> str:
        """See the attributes."""

    def scores(self, points: Points, output: str | None = None) -> Floats:
        """The score of each class, `(sample, target)`; in terms of `output` where it is given."""

    def gradients(
        self, points: Points, target: Integers, *, guided: bool = False
    ) -> tuple[Floats, tuple[Array, ...]]:
        """The score of each sample's target, and its gradient with respect to each array.

        Args:
            points: Where.
            target: `(sample,)`.
            guided: Whether a ReLU lets only positive gradient pass, at positive input.

        Returns:
            `(sample,)`, and one array in the shape of each of `points.arrays`.

        Raises:
            ModelError: There is no gradient; there is no ReLU to guide.
        """

    def position_axes(self) -> Mapping[str, tuple[int, ...]]:
        """Over which inputs a map of the layer lies, and along which axes of each.

        Returns:
            By name of input, as in `Points.names`: the axes of its array along which the
            layer's position axes run, in their order. None of an input that the layer does
            not see, or that has another number of positions.

        Raises:
            LayerError: The layer has no position axes.
        """

    def maps(self, points: Points) -> Array:
        """What the layer puts out, `(sample, *position, unit)`."""

    def map_gradients(self, points: Points, target: Integers) -> tuple[Floats, Array, Array]:
        """The score of each sample's target, the layer's maps, and the gradient at them.

        Raises:
            LayerError: The score does not depend on the layer.
        """

    def relevance(
        self, points: Points, target: Integers, rules: LrpRules
    ) -> tuple[Floats, tuple[Array, ...]]:
        """The score of each sample's target, handed back through the layers to each array.

        Raises:
            LayerError: A layer through which it cannot be handed; says which.
        """


class DifferentiableSlice(ModelSlice, Protocol):
    """A slice that also tells where samples are to be differentiated."""

    def points(self, x: Any) -> Points:
        """Samples as an attribution sees them.

        Raises:
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
        """


def checked_output(output: str) -> None:
    """Refuse what is no kind of score.

    Raises:
        DataError: Neither "logit" nor "probability".
    """
    if output not in ("logit", "probability"):
        raise DataError(f'output must be "logit" or "probability"; got {output!r}')


def checked_target(slice_: ModelSlice, points: Points, target: ArrayLike | None) -> Integers:
    """The class that each sample is asked about.

    Args:
        slice_: The model.
        points: The samples.
        target: One class for all, `(sample,)`, or None for the class each is predicted as.

    Returns:
        `(sample,)` int64.

    Raises:
        DataError: A class that the model does not have, or something that is none.
        ShapeError: Not one class per sample.
    """
    if target is None:
        scores = slice_.scores(points)
        return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)
    found = np.asarray(target)
    if found.dtype.kind not in "iu":
        raise DataError(f"target must be class indices; got values of type {found.dtype}")
    if found.ndim > 1 or (found.ndim == 1 and len(found) != len(points)):
        raise ShapeError(
            f"target must be one class, or one for each of {len(points)} samples; "
            f"got shape {found.shape}"
        )
    outside = found[(found < 0) | (found >= slice_.n_targets)] if found.ndim else found[()]
    if np.any((found < 0) | (found >= slice_.n_targets)):
        raise DataError(
            f"target {int(np.ravel(outside)[0])} is outside the classes 0..{slice_.n_targets - 1}"
        )
    return np.broadcast_to(found, (len(points),)).astype(np.int64)


def score_of(scores: Floats, target: Integers) -> Floats:
    """The score of each sample's target, `(sample,)`, out of those of all classes."""
    picked: Floats = np.take_along_axis(scores, target[:, None], axis=1)[:, 0]
    return picked
