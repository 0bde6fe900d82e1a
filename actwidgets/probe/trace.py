"""One trace of a model, and compiled slices of it: heads on the same graph."""

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from actwidgets.core.layer_info import LayerInfo
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.recorder import Tap, record

PREDICTIONS = ""  # the name of the model's own output among the taps
MAX_HEADS = 256  # a head of ResNet50 takes about 0.2 MB


class Trace:
    """A model traced once for batches of any size, and a compiled function per layer asked for.

    A head stops at its layers: what the graph holds behind them is not run. Heads read the
    model's variables when they run, so they stay right while it is trained.
    """

    def __init__(self, model: Any) -> None:
        self._signature = _input_specs(model)
        self._model = model
        self._lock = threading.RLock()
        self._heads: OrderedDict[tuple[str, ...], Callable[..., Any]] = OrderedDict()
        taps: list[Tap] = []

        def call(*tensors: Any) -> Any:
            taps.extend(record(model, _as_model_inputs(tensors)))
            return [tap.output for tap in taps]

        function = tf.function(call, autograph=False)
        try:
            self._whole = function.get_concrete_function(*self._signature)
        except Exception as failure:
            raise ModelError(f"model {model.name!r} cannot be run: {_told(failure)}") from failure
        graph = self._whole.graph
        # What is inside a loop or a branch has a graph of its own and cannot be fetched.
        self.taps = {tap.name: tap for tap in taps if tap.output.graph is graph}

    @property
    def input_specs(self) -> tuple[tf.TensorSpec, ...]:
        """Shape, with `None` for the batch axis, and dtype of each of the model's inputs."""
        return self._signature

    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers, in the order in which their calls begin."""
        return tuple(_info(tap) for name, tap in self.taps.items() if not _is_models_own(name))

    def head(self, names: Sequence[str]) -> Callable[..., Any]:
        """A compiled function from input tensors to the outputs of these layers, as a list.

        Built when first asked for and kept; the least recently used beyond `MAX_HEADS` go.

        Raises:
            LayerError: The model has no such layer.
        """
        key = tuple(names)
        with self._lock:
            if key not in self._heads:
                self._heads[key] = self._build_head(key)
                while len(self._heads) > MAX_HEADS:
                    self._heads.popitem(last=False)
            self._heads.move_to_end(key)
            return self._heads[key]

    def _build_head(self, names: tuple[str, ...]) -> Callable[..., Any]:
        for name in names:
            if name not in self.taps:
                known = ", ".join(repr(tap) for tap in self.taps if not _is_models_own(tap))
                raise LayerError(f"no layer {name!r}; this model has {known}")
        try:
            return _head_on_graph(self._whole, [self.taps[name].output for name in names])
        except (ImportError, AttributeError, TypeError):  # TensorFlow's inside has changed
            return _head_by_tracing(self._model, self._signature, names)


def _head_on_graph(whole: Any, outputs: list[Any]) -> Callable[..., Any]:
    """A head on the graph that is there: no second trace. Uses TensorFlow's private parts."""
    from tensorflow.core.function import trace_type
    from tensorflow.core.function.polymorphism import function_type
    from tensorflow.python.eager.polymorphic_function import concrete_function

    graph = whole.graph
    kept = graph.outputs, graph.structured_outputs, graph.control_outputs
    graph.outputs, graph.structured_outputs = list(outputs), list(outputs)
    graph.control_outputs = []  # or whatever has a state is run, behind the layer too
    try:
        signature = function_type.FunctionType(
            whole.function_type.parameters.values(),
            whole.function_type.captures,
            return_annotation=trace_type.from_value(graph.structured_outputs),
        )
        return concrete_function.ConcreteFunction.from_func_graph(graph, signature, {})
    finally:
        graph.outputs, graph.structured_outputs, graph.control_outputs = kept


def _head_by_tracing(
    model: Any, signature: Sequence[tf.TensorSpec], names: tuple[str, ...]
) -> Callable[..., Any]:
    """The same by the public road: a trace per head, pruned by TensorFlow when it runs."""

    def call(*tensors: Any) -> Any:
        taps = {tap.name: tap.output for tap in record(model, _as_model_inputs(tensors))}
        return [taps[name] for name in names]

    return tf.function(call, autograph=False).get_concrete_function(*signature)


def _told(failure: Exception) -> str:
    """The words of an exception on one line, without Keras' colours and list of arguments."""
    words = re.sub(r"\x1b\[\d+m", "", str(failure)).partition("Arguments received")[0]
    return " ".join(words.split()) or type(failure).__name__


def _input_specs(model: Any) -> tuple[tf.TensorSpec, ...]:
    if not isinstance(model, keras.Model):
        raise ModelError(f"expected a keras.Model; got {type(model).__name__}")
    if not model.built:
        raise ModelError(
            f"model {model.name!r} is not built, so its layers have no shapes yet; "
            "call it once on some data, or give it an Input"
        )
    if not model.layers:
        raise ModelError(f"model {model.name!r} has no layers")
    if not getattr(model, "inputs", None):
        raise ModelError(
            f"model {model.name!r} ({type(model).__name__}) has no static graph; "
            "Sequential and Functional models can be read"
        )
    return tuple(
        tf.TensorSpec((None, *each.shape[1:]), each.dtype, name=each.name) for each in model.inputs
    )


def _is_models_own(name: str) -> bool:
    """Whether a tap is an output of the whole model, such as `""` and `":1"`."""
    return not name.partition(":")[0]


def _as_model_inputs(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _info(tap: Tap) -> LayerInfo:
    shape = (None, *tap.output.shape[1:])
    return LayerInfo(
        name=tap.name,
        kind=type(tap.layer).__name__,
        output_shape=shape,
        n_units=int(shape[-1] or 0) if len(shape) > 1 else 1,
        n_params=tap.layer.count_params(),
    )
