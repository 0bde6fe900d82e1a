"""SavedModel folders: the Keras 2 model in one, or the graph as a single layer."""

import importlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe.model_containers import Stored

_METADATA = "keras_metadata.pb"
_VARIABLES = "variables/variables"


def keras_2_config(stored: Stored) -> Mapping[str, Any] | None:
    """What a SavedModel of Keras 2 says of its Sequential or Functional model, or None.

    Raises:
        ModelError: It was written by Keras 2, which is not at hand.
    """
    metadata = stored.path / _METADATA
    if not metadata.is_file():
        return None
    try:
        saved_metadata = importlib.import_module("tf_keras.protobuf.saved_metadata_pb2")
    except ImportError as missing:
        raise ModelError(
            f"{stored.name} is a SavedModel that Keras 2 wrote: pip install tf_keras"
        ) from missing
    nodes = saved_metadata.SavedMetadata.FromString(metadata.read_bytes()).nodes
    root = next((json.loads(node.metadata) for node in nodes if node.node_path == "root"), {})
    config = root.get("model_config") or {}
    return config if config.get("class_name") in ("Sequential", "Functional", "Model") else None


def model_of_keras_2(stored: Stored, config: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    """The Keras 2 model in a SavedModel, from its description and its weights.

    The graph in it, which is a program, is not looked at.
    """
    keras_2 = importlib.import_module("tf_keras")
    with keras_2.utils.custom_object_scope(dict(custom)):
        model = keras_2.models.model_from_json(json.dumps(config))
    status = model.load_weights(str(stored.path / _VARIABLES))
    status.assert_existing_objects_matched()
    status.expect_partial()
    return model


def graph_as_a_layer(stored: Stored, *, safe_mode: bool) -> Any:
    """A model of one layer: the graph of a SavedModel, whose insides cannot be shown.

    Raises:
        ModelError: It is not trusted, or has nothing to call.
    """
    if safe_mode:
        raise ModelError(
            f"{stored.name} is a SavedModel without a Keras model that could be built again. Its "
            "graph is a program, which may read and write files: pass safe_mode=False if you trust "
            "it like one, and it is read as a single layer; or give the .keras or .h5 file"
        )
    signatures = tf.saved_model.load(str(stored.path)).signatures
    name = next((each for each in ("serving_default", "serve") if each in signatures), None)
    name = name or next(iter(signatures), None)
    if name is None:
        raise ModelError(f"{stored.name} is a SavedModel without a signature to call")
    specs = signatures[name].structured_input_signature[1]
    if len(specs) != 1:
        raise ModelError(
            f"the signature {name!r} of {stored.name} takes {len(specs)} inputs; one can be read"
        )
    (title, spec), *_ = specs.items()
    inputs = keras.Input(batch_shape=spec.shape, dtype=spec.dtype.name, name=title)
    layer = keras.layers.TFSMLayer(str(stored.path), call_endpoint=name, name="saved_model")
    outputs = layer(inputs)
    if isinstance(outputs, Mapping) and len(outputs) == 1:
        (outputs,) = outputs.values()
    return keras.Model(inputs, outputs, name="of_saved_model")
