"""What is asked of a traced model: scores, gradients, and gradients at a layer's maps."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.attributions.guided_relu import is_guided, is_like_relu, is_thresholded
from actwidgets.probe.attributions.layer_names import LayerNames
from actwidgets.probe.attributions.pre_softmax import class_scores
from actwidgets.probe.attributions.relevance import relevance as handed_back
from actwidgets.probe.attributions.score_call import Build, Call
from actwidgets.probe.receptive_fields import CALLS
from actwidgets.probe.trace import operations_behind


def scores(head: str, as_probability: bool, kind: OutputKind) -> Build:
    """The score of every class, `(sample, target)`."""
    return lambda call: [_table(call, head, as_probability, kind)]


def score(head: str, as_probability: bool, kind: OutputKind, layer: str = "") -> Build:
    """The score of each sample's target, and what a layer puts out, where one is named."""

    def build(call: Call) -> list[Any]:
        found = [_score(call, head, as_probability, kind)]
        return [*found, _required(call, layer)] if layer else found

    return build


def gradients(head: str, as_probability: bool, kind: OutputKind, guided: bool) -> Build:
    """The score of each sample's target, then its gradient at each of the points.

    Raises:
        ModelError: There is no gradient; there is no ReLU to guide.
    """

    def build(call: Call) -> list[Any]:
        score = _score(call, head, as_probability, kind)
        if guided:
            call.notes["guided", head] = _require_relu(score, call)
        found = _gradients(call, score, call.points)
        if all(each is None for each in found):
            raise ModelError(
                "no gradient of the score reaches the input: the model rounds, compares or picks "
                "on the way, or its score does not depend on the input; occlusion needs none"
            )
        return [
            score,
            *(
                tf.zeros_like(point) if each is None else tf.convert_to_tensor(each)
                for point, each in zip(call.points, found, strict=True)
            ),
        ]

    return build


def maps(layer: str) -> Build:
    """What a layer puts out."""
    return lambda call: [_required(call, layer)]


def map_gradients(head: str, as_probability: bool, kind: OutputKind, layer: str) -> Build:
    """The score of each sample's target, a layer's maps, and the gradient at them.

    Raises:
        LayerError: The score does not depend on the layer.
    """

    def build(call: Call) -> list[Any]:
        score = _score(call, head, as_probability, kind)
        maps = _required(call, layer)
        found = _gradients(call, score, [maps])[0]
        if found is None:
            raise LayerError(
                f"no gradient of the score reaches layer {layer!r}: it lies behind the score, on "
                "the way to another output, or before something that is rounded or picked"
            )
        return [score, maps, tf.convert_to_tensor(found)]

    return build


def relevance(head: str, kind: OutputKind, rules: LrpRules) -> Build:
    """The score of each sample's target, then what of it each of the points is handed back.

    Raises:
        LayerError: A layer through which it cannot be handed.
    """

    def build(call: Call) -> list[Any]:
        table = _table(call, head, False, kind)
        start = table * tf.one_hot(call.target, table.shape[-1], dtype=table.dtype)
        names = LayerNames(call.recorded)
        return [
            tf.reduce_sum(start, axis=1),
            *handed_back(table, start, call.points, rules, names, call.weights),
        ]

    return build


def _table(call: Call, head: str, as_probability: bool, kind: OutputKind) -> Any:
    return class_scores(_required(call, head), as_probability, call.operations, kind)


def _score(call: Call, head: str, as_probability: bool, kind: OutputKind) -> Any:
    return tf.gather(_table(call, head, as_probability, kind), call.target, axis=1, batch_dims=1)


def _required(call: Call, layer: str) -> Any:
    """What a layer puts out; another branch of the model may be taken for other samples."""
    if layer not in call.taps:
        raise LayerError(f"layer {layer!r} is not called for these samples")
    return call.taps[layer]


def _gradients(call: Call, score: Any, at: Sequence[Any]) -> list[Any]:
    try:
        return call.gradients(score, at)
    except LookupError as failure:
        words = " ".join(str(failure).split())
        raise ModelError(f"the score cannot be differentiated: {words}") from failure


def _require_relu(score: Any, call: Call) -> str:
    """Refuse a model without a ReLU on the way, or with one that cannot be guided.

    Returns:
        A sentence on the activations that are not guided; "" where all are.
    """
    behind = operations_behind([score])
    on_the_way = behind & _in_front_of({each.op for each in call.points}, behind)
    if any(_holds_relu(operation) for operation in on_the_way):
        raise ModelError(
            "a ReLU inside a loop or a branch of this model cannot be guided: take another method"
        )
    names = LayerNames(call.recorded)
    plain = [each for each in on_the_way if is_like_relu(each) and not is_guided(each)]
    plain += [each for each in on_the_way if is_thresholded(each)]
    others = {names(each) for each in plain}
    if not any(map(is_guided, on_the_way)):
        others |= {_OTHERS[each.type] for each in on_the_way if each.type in _OTHERS}
        said = f" (but {', '.join(sorted(others))})" if others else ""
        raise ModelError(
            "guided methods change the gradient of ReLUs, and between the input and the score "
            f"there is none{said}: take another method"
        )
    others |= {names(each) for each in on_the_way if each.type in _OTHERS}
    if not others:
        return ""
    named = sorted(others)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return (
        f"Only ReLUs are guided: the gradient is the plain one at {', '.join(named[:NAMED])}{more}."
    )


NAMED = 3  # layers that a note spells out
_OTHERS = {
    **{each: each for each in ("Elu", "Selu", "LeakyRelu", "Softplus", "Softsign", "Tanh")},
    **{"Erf": "GELU", "Erfc": "GELU", "Sigmoid": "sigmoid"},
}


def _in_front_of(sources: set[Any], behind: set[Any]) -> set[Any]:
    """The operations among `behind` that depend on the sources."""
    found = set(sources)
    for operation in sorted(behind, key=lambda each: each._id):
        if any(each.op in found for each in operation.inputs):
            found.add(operation)
    return found


_CALLS = ("While", "StatelessWhile", "If", "StatelessIf", *CALLS)


def _holds_relu(operation: Any) -> bool:
    """Whether an operation calls a function in which there is a ReLU."""
    if operation.type not in _CALLS:
        return False
    graph = operation.graph
    names = [
        operation.get_attr(each).name
        for each in ("body", "f", "then_branch", "else_branch")
        if each in operation.node_def.attr
    ]
    functions = {name: graph._get_function(name) for name in names}
    return any(
        node.op in ("Relu", "Relu6")
        for function in functions.values()
        if function is not None
        for node in function.cached_definition.node_def
    )
