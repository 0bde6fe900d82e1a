#!/usr/bin/env bash
# A Keras model on TensorFlow takes scalars a sample as (n,) or as (n, 1) - but not both in its life.
#
# A good guess: `predict` and `fit` bring either form to the rank of `Input((1,))`, since each of them
# alone works and gives the same numbers, so that the form of a call does not depend on earlier calls.
# What happens: the second form has the compiled function traced anew with both shapes relaxed to one of
# unknown rank, in which the layers look for a length, and a valid call raises ValueError, in either
# order, of Sequential and Functional models, in predict and in fit. A new `compile()` or a reset
# `predict_function` helps; a pandas Series counts as (n, 1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 env
uv pip install -q --python env/bin/python keras==3.15.1 tensorflow==2.21.0
cat > show.py <<'P'
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # which else counts the traces aloud
print("keras", keras.__version__, "tensorflow", tf.__version__)
x, y = np.arange(6, dtype="float32"), np.zeros((6, 2))


def sequential():
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])


def functional():
    inputs = keras.Input((1,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))


def fails(call):
    try:
        call()
    except ValueError as failure:
        told = next(line for line in str(failure).splitlines() if "unknown" in line)
        print("    ValueError:", told.strip("\x1b[01m "))
        return True
    return False


for make in (sequential, functional):
    model = make()
    assert np.allclose(make().predict(x, verbose=0).shape, (6, 2))
    assert np.allclose(make().predict(x[:, None], verbose=0).shape, (6, 2))
    for first, second in ((x, x[:, None]), (x[:, None], x)):
        model = make()
        before = model.predict(first, verbose=0)
        print(make.__name__, "predict", first.shape, "then", second.shape)
        assert fails(lambda: model.predict(second, verbose=0)), "it works: the behavior changed"
        model.predict_function = None
        assert np.allclose(model.predict(second, verbose=0), before)
        model = make()
        model.compile("sgd", "mse")
        model.fit(first, y, verbose=0)
        print(make.__name__, "fit", first.shape, "then", second.shape)
        assert fails(lambda: model.fit(second, y, verbose=0)), "it works: the behavior changed"
print("each form works alone; the second one raises, until the compiled function is dropped")
P
env/bin/python show.py 2> /dev/null || { echo changed; env/bin/python show.py; }
