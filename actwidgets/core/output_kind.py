"""What a model's output means: logits, probabilities or values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from actwidgets.core.arrays import Array, Doubles
from actwidgets.errors import DataError, ModelError

KINDS = ("logit", "probability", "value")
SOFTMAX, SIGMOID, MARGIN, PLAIN = "softmax", "sigmoid", "margin", ""
SUM_TOLERANCE = 5e-3  # what sums in bfloat16 may be off: each value by up to 1 / 512
RECONSTRUCTED_FROM = 16  # values: fewer outputs than that are as many as the inputs by chance
_ASSUMED = ("shape", "values")  # what labels and class names overrule
_WORDS = {
    ("logit", SOFTMAX): "logits, read through a softmax",
    ("logit", SIGMOID): "logits, each read through a sigmoid",
    ("logit", MARGIN): "scores that have no probability",
    ("probability", SOFTMAX): "probabilities that sum to one",
    ("probability", SIGMOID): "probabilities, each its own",
    ("value", PLAIN): "values, no classes",
}


@dataclass(frozen=True)
class OutputKind:
    """Meaning of a model's output: logits, probabilities or values, and their link function.

    Attributes:
        kind: "logit": the classes' scores before a softmax or sigmoid; "probability"; or
            "value": a regression, a reconstruction, a feature: no classes.
        link: "softmax": one class out of all; "sigmoid": each output on its own, as of labels
            that do not exclude each other, or of a single output that tells two classes
            apart; "margin": scores such as of a hinge loss, which have no probability; "" of
            values.
        shape: Of the output of one sample.
        axis: Along which the classes lie, counted from the end.
        reason: Why it is held for that, as a sentence.
        decided_by: "caller", "graph", "loss", "labels", "shape" or "values".
        head: Name of the output, where the model has several.
        heads: Names of all outputs, where there are several.
        ends_in: "sigmoid" of values that lie in 0..1 by it, as those of an autoencoder may:
            beside masks they are probabilities.
    """

    kind: str
    link: str
    shape: tuple[int | None, ...]
    reason: str = ""
    decided_by: str = "caller"
    axis: int = -1
    head: str = ""
    heads: tuple[str, ...] = ()
    ends_in: str = ""

    @property
    def n_outputs(self) -> int:
        """Values along the axis of the classes; 1 of a scalar, 0 where that is not fixed."""
        return int(self.shape[self.axis] or 0) if self.shape else 1

    @property
    def is_vector(self) -> bool:
        """Whether a sample's output is one vector, rather than a map, a sequence or a scalar."""
        return len(self.shape) == 1

    @property
    def n_classes(self) -> int:
        """How many classes it tells apart; two by a single output, none by values."""
        if self.kind == "value":
            return 0
        return 2 if self.n_outputs == 1 else self.n_outputs

    @property
    def threshold(self) -> float:
        """Above which a single output means the second class."""
        return 0.5 if self.kind == "probability" else 0.0

    @property
    def is_multi_label(self) -> bool:
        """Whether several classes may hold of one sample: several outputs, each its own."""
        return self.link == SIGMOID and self.n_outputs > 1

    @property
    def has_probabilities(self) -> bool:
        """Whether the probability of a class can be told."""
        return self.kind != "value" and self.link != MARGIN

    @property
    def words(self) -> str:
        """What the output is, in a few words; which one, where there are several."""
        words = _WORDS[self.kind, self.link]
        if self.n_outputs == 1 and self.shape:
            words = {"logit": "one logit for two classes", "value": "one value, no classes"}.get(
                self.kind, "the probability of the second class"
            )
            if self.link == MARGIN:
                words = "one score for two classes, without a probability"
        if not self.heads:
            return words
        return f"output {self.head!r} of {', '.join(self.heads)}: {words}"

    @property
    def missing_for_classes(self) -> str:
        """Why no classes are predicted, as the rest of a sentence; "" where they are."""
        if not self.is_vector:
            message = "the model's output is not one value per class"
            return f"{message} ({self.reason})" if self.kind == "value" and self.reason else message
        if self.kind == "value":
            return (
                f"the model's output is held for values, not classes ({self.reason}); "
                'output_is="logit" or "probability" says otherwise'
            )
        return ""

    def probabilities(self, outputs: Array) -> Doubles:
        """The probabilities of the classes.

        Args:
            outputs: `(sample, output)` as the model put them out.

        Returns:
            `(sample, class)` float64; both classes of a single output, 1 - p and p.

        Raises:
            ModelError: It has none.
        """
        self.require_probabilities()
        values = np.asarray(outputs, np.float64)
        if self.kind == "logit":
            values = _softmax(values) if self.link == SOFTMAX else _sigmoid(values)
        return np.concatenate([1 - values, values], axis=1) if self.n_outputs == 1 else values

    def require_probabilities(self) -> None:
        """Refuse what needs a probability where there is none.

        Raises:
            ModelError: Says what the output is instead, and why it is held for that.
        """
        if not self.has_probabilities:
            one = "one number without a sigmoid, which is none" if self.n_outputs == 1 else ""
            raise ModelError(
                f"this needs a probability, and the model puts out {one or self.words}: ask for "
                f"the logit, by a method other than Score-CAM. {self.reason}; "
                'output_is="logit" or "probability" says otherwise'
            )

    def with_labels(self, n_names: int | None, labels: Any) -> Self:
        """The same, once class names and labels are known that say what it is for.

        They overrule what was only assumed; not the caller, the graph or a loss that knows.

        Args:
            n_names: How many class names there are; None for none.
            labels: As given; None for none.
        """
        n_outputs, is_assumed = self.n_outputs, self.decided_by in _ASSUMED
        if self._is_sigmoid_of_the_graph and labels is not None and self.is_vector:
            if are_targets(np.asarray(labels), n_outputs):
                because = f"{self.reason}, but y holds targets that are no classes"
                return replace(self, kind="value", link=PLAIN, reason=because, decided_by="labels")
            return self
        if not self.is_vector or not (is_assumed or self.decided_by == "loss"):
            return self
        y = None if labels is None else np.asarray(labels)
        is_named, changed = n_names == n_outputs > 1, None
        if y is not None and are_targets(y, n_outputs):
            changed = (
                ("value", PLAIN, "y holds targets that are no classes") if is_assumed else None
            )
        elif is_assumed and _are_multi_hot(y, n_outputs):
            changed = "logit", SIGMOID, "several outputs without a sigmoid, and several labels each"
        elif self.kind != "value":
            return self
        elif not is_assumed:
            given = f"{self.reason}, but a class name for each of {n_outputs} outputs"
            changed = ("logit", MARGIN, given) if is_named else None
        elif n_outputs == 1 and (n_names == 2 or _is_binary(y)):
            given = "two class names" if n_names == 2 else "labels that are 0 or 1"
            changed = "logit", SIGMOID, f"one number without a sigmoid, and {given}"
        elif is_named:
            changed = "logit", SOFTMAX, f"a class name for each of {n_outputs} outputs"
        if changed is None:
            return self
        kind, link, reason = changed
        if self.ends_in == SIGMOID and kind == "logit":
            kind, link, reason = "probability", SIGMOID, reason.replace("without a", "of a")
        return replace(self, kind=kind, link=link, reason=reason, decided_by="labels")

    @property
    def _is_sigmoid_of_the_graph(self) -> bool:
        """Whether a sigmoid is all that tells of classes: a regression to 0..1 has one too."""
        return (self.kind, self.link, self.decided_by) == ("probability", SIGMOID, "graph")

    def to_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, header: Mapping[str, Any]) -> Self:
        """From a file.

        Raises:
            KeyError, TypeError: It holds something else.
        """
        if (header["kind"], header["link"]) not in _WORDS:
            raise TypeError(f"no kind of output {header['kind']!r} by {header['link']!r}")
        tuples = {name: tuple(header[name]) for name in ("shape", "heads")}
        return cls(**{**header, **tuples})


def checked_output_is(output_is: str | None) -> None:
    """Refuse what is no kind of output.

    Raises:
        DataError: Neither None nor one of the three.
    """
    if output_is is not None and output_is not in KINDS:
        raise DataError(
            f'output_is must be "logit", "probability" or "value", or None to have it read off '
            f"the model; got {output_is!r}"
        )


def said_kind(output_is: str, shape: Sequence[int | None], link: str | None = None) -> OutputKind:
    """The kind that the caller says an output is.

    Args:
        output_is: "logit", "probability" or "value".
        link: As far as it is known; a softmax of several outputs by default.

    Raises:
        DataError: No such kind.
    """
    checked_output_is(output_is)
    size = (shape[-1] if len(shape) else 1) or 0
    if output_is == "value":
        link = PLAIN
    elif size == 1:
        link = SIGMOID
    elif link not in (SOFTMAX, SIGMOID):
        link = SOFTMAX
    return OutputKind(output_is, link, tuple(shape), f"output_is={output_is!r} was given")


def kind_by_values(outputs: Array, of: str, *, assume: str = "logit") -> OutputKind:
    """The kind of an output of which nothing but some values is known.

    The last resort: to be asked once for a model, on samples that are named, and kept.

    Args:
        outputs: `(sample, …, output)`; what is not finite is left out.
        of: Which samples, for the reason.
        assume: What several outputs are held for that are no probabilities.
    """
    shape = tuple(outputs.shape[1:])
    size = shape[-1] if shape else 1
    table = np.asarray(outputs, np.float64).reshape(-1, size)
    table = table[np.isfinite(table).all(axis=1)]
    if table.size and table.min() >= -1e-6 and table.max() <= 1 + SUM_TOLERANCE:
        if size > 1 and np.allclose(table.sum(axis=1), 1, atol=SUM_TOLERANCE):
            reason = f"its values are in 0..1 and sum to one on {of}"
            return OutputKind("probability", SOFTMAX, shape, reason, "values")
        reason = f"its values are in 0..1 on {of}"
        return OutputKind("probability", SIGMOID, shape, reason, "values")
    if size == 1 or assume == "value":
        numbers = "one number" if size == 1 else f"{size} numbers"
        reason = f"{numbers} outside 0..1 on {of}, and no loss that tells of classes"
        return OutputKind("value", PLAIN, shape, reason, "values")
    reason = (
        f"several outputs that are no probabilities on {of}, and no loss that tells what they are"
    )
    return OutputKind("logit", SOFTMAX, shape, reason, "values")


def reconstructs(shape: Sequence[int | None], inputs: Sequence[Sequence[int | None]]) -> bool:
    """Whether an output has as many values as an input, as that of an autoencoder has."""
    size = _size(shape)
    return size >= RECONSTRUCTED_FROM and size in map(_size, inputs)


def _size(shape: Sequence[int | None]) -> int:
    return 0 if None in shape else math.prod(axis or 0 for axis in shape)


def are_targets(y: Array, n_outputs: int) -> bool:
    """Whether `y` holds numbers to come close to, rather than classes: some are not whole."""
    if y.dtype.kind != "f" or y.size == 0 or y.shape[1:] not in ((), (1,), (n_outputs,)):
        return False
    known = y[np.isfinite(y)]
    return bool((known != np.round(known)).any())


def _is_binary(y: Array | None) -> bool:
    if y is None or y.shape[1:] not in ((), (1,)) or y.dtype.kind not in "biuf":
        return False
    return y.size > 0 and bool(np.isin(y, (0, 1)).all())


def _are_multi_hot(y: Array | None, n_outputs: int) -> bool:
    """Whether each sample may have several labels, or none, out of several."""
    if y is None or n_outputs < 2 or y.ndim != 2 or y.shape[1] != n_outputs:
        return False
    if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        return False
    return bool((y.sum(axis=1) != 1).any())


def _softmax(values: Doubles) -> Doubles:
    with np.errstate(invalid="ignore"):
        shifted = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
        shares: Doubles = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def _sigmoid(values: Doubles) -> Doubles:
    with np.errstate(over="ignore"):
        shares: Doubles = 1 / (1 + np.exp(-values))
    return shares
