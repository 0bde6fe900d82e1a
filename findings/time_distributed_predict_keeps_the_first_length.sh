#!/usr/bin/env bash
# A good guess: a model with an open axis of time predicts sequences of any length, as calling it
# does. With TimeDistributed, `predict` is right for the length that it meets first. A longer
# batch that comes later loses the steps behind as many as there are samples, without a word:
# traced with open sizes the layer loops over as many steps as the batch has samples.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import keras
import numpy as np

model = keras.Sequential(
    [keras.Input((None, 4)), keras.layers.TimeDistributed(keras.layers.Dense(3))]
)
shorter, longer = np.ones((4, 7, 4), "float32"), np.ones((4, 9, 4), "float32")
first = model.predict(shorter, verbose=0).shape
then = model.predict(longer, verbose=0).shape
called = tuple(model(longer).shape)
print("keras", keras.__version__)
print("predict, 4 samples of 7 steps:", first)
print("predict, 4 samples of 9 steps:", then, "- and the model called on them:", called)
assert (first, then, called) == ((4, 7, 3), (4, 4, 3), (4, 9, 3))
PYTHON
