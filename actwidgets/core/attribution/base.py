"""Attribution methods: inputs, score functions, options and results."""

import math
import operator
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.inputs import Axes, axes_of_input, require_inputs


def whole(name: str, value: Any, *, least: int) -> int:
    """The value as a whole number.

    Raises:
        DataError: It is none, or below the least.
    """
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_whole or operator.index(value) < least:
        raise DataError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return operator.index(value)


def number(name: str, value: Any, *, least: float = -math.inf) -> float:
    """The value as a finite number.

    Raises:
        DataError: It is none, or below the least.
    """
    try:
        result = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        result = math.nan
    if not (math.isfinite(result) and result >= least):
        limit = "" if least == -math.inf else f" of at least {least:g}"
        raise DataError(f"{name} must be a finite number{limit}; got {value!r}")
    return result


def listed_rows(rows: Array) -> str:
    """The first five rows, for a sentence."""
    return ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


RULES = ("composite", "epsilon", "gamma", "alpha_beta")
Ends = float | tuple[float, ...]


@dataclass(frozen=True)
class LrpRules:
    """Rules of layer-wise relevance propagation (Bach 2015; Montavon 2019: gamma, composite).

    Attributes:
        rule: "epsilon", "gamma" or "alpha_beta" throughout; "composite": epsilon for dense
            layers, gamma for convolutions.
        epsilon: What is added to a denominator, away from zero; 0 gives LRP-0.
        gamma: By how much what agrees with the sign of an output counts more.
        alpha: Share of the evidence for the output; `beta = alpha - 1` is that of the evidence
            against it.
        box: The lowest and the highest value of the inputs, each a number or one for every
            channel, for the z^B rule at layers that read an input; None for `rule` there too.
    """

    rule: str = "composite"
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    box: tuple[Ends, Ends] | None = None

    def __post_init__(self) -> None:
        """Refuse rules that are none.

        Raises:
            DataError: Says which setting, what it is and what it may be.
        """
        if self.rule not in RULES:
            raise DataError(f"rule must be one of {', '.join(RULES)}; got {self.rule!r}")
        for name, least in (("epsilon", 0.0), ("gamma", 0.0), ("alpha", 1.0)):
            value = getattr(self, name)
            if not isinstance(value, (int, float, np.number)) or not least <= value < np.inf:
                raise DataError(f"{name} must be a number of at least {least:g}; got {value!r}")
        if self.box is not None:
            object.__setattr__(self, "box", _checked_box(self.box))


def _checked_box(box: Any) -> tuple[Ends, Ends]:
    """The box in numbers, so that rules can be compared and looked up.

    Raises:
        DataError: It is not two numbers, or two rows of them, the first below the second.
    """
    try:
        low, high = (np.asarray(end, np.float64) for end in box)
        right = low.ndim <= 1 and high.ndim <= 1 and bool(np.all(low < high))
        right = right and bool(np.isfinite(low).all() and np.isfinite(high).all())
    except (TypeError, ValueError):
        right = False
    if not right:
        raise DataError(
            f"box must be (lowest, highest), each a number or one for every channel; got {box!r}"
        )
    return _plain(low), _plain(high)


def _plain(end: Any) -> Ends:
    return tuple(float(value) for value in end) if end.ndim else float(end)


@dataclass(frozen=True)
class Inputs:
    """Samples of which scores are differentiated: floating arrays by input, and the rest.

    Attributes:
        arrays: One per input that is differentiated, `(sample, …)` floating: the input, or
            where that holds integers or text what its embedding makes of it.
        names: Of these inputs, in the same order; of an embedding that of its input, or the
            layer's where the model has one input, or that one several embeddings.
        others: `(sample, …)` each: what the model takes besides, and stays as it is.
        n_inputs: How many inputs the model has; as many as there are arrays by default.
        left_out: The inputs of which nothing is differentiated, by name with their place in
            `others`.
        axes: What the axes of arrays are behind that of samples, by name, where it is known.
    """

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    others: tuple[Array, ...] = ()
    n_inputs: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    axes: Mapping[str, Axes] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.arrays[0])

    def moved(self, arrays: Sequence[Array]) -> "Inputs":
        """The same samples elsewhere: `arrays` in the place of those differentiated."""
        return replace(self, arrays=tuple(arrays))

    def with_axes(self, given: Mapping[str, Axes]) -> "Inputs":
        """The same with axes that a caller names, as from `checked_axes`.

        Raises:
            DataError: Of an input that is not there.
            ShapeError: Of another number of axes than it has.
        """
        if not given:
            return self
        require_inputs(given, self.names)
        alone = len(self.names) == 1
        said = {
            name: axes_of_input(given, name, array.shape[1:], alone=alone)
            for name, array in zip(self.names, self.arrays, strict=True)
            if name in given or (alone and "" in given)
        }
        return replace(self, axes={**self.axes, **said})

    @property
    def by_name(self) -> bool:
        """Whether values go by the name of their input: whether there is more than one."""
        return max(len(self.arrays), self.n_inputs) > 1

    def without(self, name: str) -> "Inputs":
        """The same samples with one of the inputs in `left_out` blank."""
        index = self.left_out[name]
        others = list(self.others)
        others[index] = np.broadcast_to(_blank(others[index]), others[index].shape)
        return replace(self, others=tuple(others))

    def take(self, rows: ArrayLike) -> "Inputs":
        """Some of the samples, in that order; the same one may come several times."""
        rows = np.asarray(rows)
        return replace(
            self,
            arrays=tuple(array[rows] for array in self.arrays),
            others=tuple(other[rows] for other in self.others),
        )

    def blank(self) -> "Inputs":
        """One sample of the same kind that holds nothing: zeros, and empty text."""
        return replace(
            self,
            arrays=tuple(map(_blank, self.arrays)),
            others=tuple(map(_blank, self.others)),
        )


def _blank(array: Array) -> Array:
    is_text = array.dtype.kind in "OSU"
    return np.full((1, *array.shape[1:]), "" if is_text else 0, array.dtype)


class ScoreFunction(Protocol):
    """Scores of a model's classes with gradients, maps and relevance; `probe/scores.py` has Keras'.

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

    @property
    def batch_size(self) -> int:
        """See the attributes."""

    @property
    def guided_note(self) -> str:
        """See the attributes."""

    def scores(self, points: Inputs, output: str | None = None) -> Floats:
        """The score of each class, `(sample, target)`; in terms of `output` where it is given."""

    def gradients(
        self, points: Inputs, target: Integers, *, guided: bool = False
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
            By name of input, as in `Inputs.names`: the axes of its array along which the
            layer's position axes run, in their order. None of an input that the layer does
            not see, or that has another number of positions.

        Raises:
            LayerError: The layer has no position axes.
        """

    def maps(self, points: Inputs) -> Array:
        """What the layer puts out, `(sample, *position, unit)`."""

    def map_gradients(self, points: Inputs, target: Integers) -> tuple[Floats, Array, Array]:
        """The score of each sample's target, the layer's maps, and the gradient at them.

        Raises:
            LayerError: The score does not depend on the layer.
        """

    def relevance(
        self, points: Inputs, target: Integers, rules: LrpRules
    ) -> tuple[Floats, tuple[Array, ...]]:
        """The score of each sample's target, handed back through the layers to each array.

        Raises:
            LayerError: A layer through which it cannot be handed; says which.
        """


class DifferentiableScoreFunction(ScoreFunction, Protocol):
    """A score function that also makes the `Inputs` of samples."""

    def points(self, x: Any) -> Inputs:
        """The `Inputs` of samples.

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


def checked_target(model: ScoreFunction, points: Inputs, target: ArrayLike | None) -> Integers:
    """The class that each sample is asked about.

    Args:
        model: Asked for the predicted classes where there is no target.
        target: One class for all, `(sample,)`, or None for the class each is predicted as.

    Returns:
        `(sample,)` int64.

    Raises:
        DataError: A class that the model does not have, or something that is none.
        ShapeError: Not one class per sample.
    """
    if target is None:
        scores = model.scores(points)
        return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)
    classes = np.asarray(target)
    if classes.dtype.kind not in "iu":
        raise DataError(f"target must be class indices; got values of type {classes.dtype}")
    if classes.ndim > 1 or (classes.ndim == 1 and len(classes) != len(points)):
        raise ShapeError(
            f"target must be one class, or one for each of {len(points)} samples; "
            f"got shape {classes.shape}"
        )
    outside = np.atleast_1d(classes)
    outside = outside[(outside < 0) | (outside >= model.n_targets)]
    if outside.size:
        raise DataError(f"target {int(outside[0])} is outside the classes 0..{model.n_targets - 1}")
    return np.broadcast_to(classes, (len(points),)).astype(np.int64)


def score_of(scores: Floats, target: Integers) -> Floats:
    """The score of each sample's target, `(sample,)`, out of those of all classes."""
    picked: Floats = np.take_along_axis(scores, target[:, None], axis=1)[:, 0]
    return picked


@dataclass(frozen=True)
class Path:
    """Scores and gradient norms along the path from a baseline to the sample.

    Attributes:
        alphas: `(step,)` in 0..1, the shares of the way.
        scores: `(sample, step)` the score of the target there.
        gradient_norms: `(sample, step)` the Euclidean norm of its gradient, over all inputs.
    """

    alphas: Floats
    scores: Floats
    gradient_norms: Floats


@dataclass(frozen=True)
class MethodResult:
    """Values of a method before they are labeled; see `Attribution`.

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
    """Attribution of a class's score to the input; signed, not normalized.

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

    def by_feature(self, sample: int, names: Sequence[str] = ()) -> tuple[tuple[str, float], ...]:
        """The values of a sample's features by name, the largest first, for or against.

        Args:
            sample: Its index among those that this is of.
            names: Of the features, where `feature_names` has none.

        Returns:
            Names and values, NaN last; none where the values are not one for each name.
        """
        names = self.feature_names or tuple(names)
        if isinstance(self.values, dict) or self.values.shape[1:] != (len(names),):
            return ()
        values = self.values[sample]
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
            else {name: value.shape for name, value in values.items()}
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


Progress = tuple[int, int]  # how many of how many pieces are done
Steps = Generator[Progress, None, MethodResult]


@dataclass(frozen=True)
class Option:
    """A setting of a method, and what a view offers for it.

    Attributes:
        name: As a keyword of `attribute`.
        default: Its value where it is not given.
        choices: What it may be, in the order of a list or a slider; empty where a view offers
            nothing.
        help: What it is, in a few words.
        none: What None is called, where that is a choice.
    """

    name: str
    default: Any
    choices: tuple[Any, ...] = ()
    help: str = ""
    none: str = "by default"


@dataclass(frozen=True)
class Method:
    """An attribution method with its options, as `attribute` and its views list them.

    `run(model, points, target, **options)` is a generator over a `ScoreFunction`, samples and
    one class each, `(sample,)`. It yields `(done, total)` before every piece of work, so that
    whoever drives it may show progress or stop, and returns a `MethodResult`.

    Attributes:
        name: As in `attribute(method=…)`.
        title: As people write it.
        run: The method.
        tells: What its map means, as a sentence.
        source: The paper.
        options: Its settings.
        needs_layer: Whether it looks at the maps of a layer.
        signed: Whether a negative value is evidence against the class.
        channels: Whether its map has the channels of the input, rather than its places alone.
        promise: What its values sum to, in words; "" where they need not sum to anything.
    """

    name: str
    title: str
    run: Callable[..., Steps]
    tells: str
    source: str
    options: tuple[Option, ...] = field(default=())
    needs_layer: bool = False
    signed: bool = True
    channels: bool = True
    promise: str = ""

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options: those given, and the rest by default.

        Raises:
            DataError: The method has no such option.
        """
        names = [option.name for option in self.options]
        unknown = sorted(set(given) - set(names))
        if unknown:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise DataError(f"method {self.name!r} has no option {', '.join(unknown)}; {has}")
        return {option.name: option.default for option in self.options} | dict(given)
