#!/usr/bin/env bash
# A good guess: the shape that a layer declares is the shape that it puts out. The activation
# "glu" halves the last axis; a Dense or an Activation with it declares the width before that,
# so that a layer behind it in a Functional model is built for twice as many inputs as come.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import keras
import numpy as np

dense = keras.layers.Dense(6, activation="glu")
inputs = keras.Input((4,))
declared = dense(inputs).shape
given = tuple(dense(np.zeros((2, 4), "float32")).shape)
model = keras.Model(inputs, keras.layers.Dense(1)(dense(inputs)))
try:
    model(np.zeros((2, 4), "float32"))
    behind = "works"
except Exception as failure:
    behind = type(failure).__name__
print("keras", keras.__version__)
print("Dense(6, activation='glu') declares", declared, "and puts out", given)
print("a Dense behind it:", behind)
assert (declared, given) == ((None, 6), (2, 3))
assert behind != "works"
PYTHON
