#!/usr/bin/env bash
# A good guess: a Functional model runs the calls of a shared layer in the order in which they
# were made, so that the first time a layer is seen running is its first call. Keras sorts calls
# by depth, from the outputs, and within one depth they come in the reverse order: of a layer
# called on `left` and then on `right`, the call on `right` runs first, in Keras 3 and in Keras 2.
# The number of a call is its place in the layer's inbound nodes, not its turn.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" keras==3.15.1 tensorflow==2.21.0 tf_keras==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import keras
import tensorflow as tf
import tf_keras

for library in (keras, tf_keras):
    seen = []

    class Watched(library.layers.Layer):
        def call(self, x):
            if tf.executing_eagerly():
                seen.append(float(tf.reduce_sum(x)))
            return x * 1.0

    left, right = library.Input((1,)), library.Input((1,))
    shared = Watched()
    outputs = [library.layers.Dense(1)(shared(each)) for each in (left, right)]
    model = library.Model([left, right], outputs)
    seen.clear()
    model([tf.constant([[1.0]]), tf.constant([[2.0]])])
    print(library.__name__, library.__version__, "made: [1.0, 2.0] (left, right); run:", seen)
    assert seen == [2.0, 1.0]
PYTHON
