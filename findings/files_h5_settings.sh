#!/usr/bin/env bash
# Keras 3 reads its own .h5 file back as another model, without a word.
#
# A good guess is that a model without weights comes back from `.h5` as it was saved, or that
# loading fails. What happens: the reader of `.h5` files takes `axis` out of every layer's
# configuration and puts it back only where it is one number, or a list with one number in it.
# Softmax, UnitNormalization and LayerNormalization(center=False, scale=False) over several axes
# come back with their default, the last axis. With weights the shapes do not fit, and it raises.
# The same reader takes any setting that is the name of a function of `keras.layers` for that
# function: Attention(score_mode="dot"), which is the default, cannot be read back at all.
# The `.keras` format keeps all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv --quiet --python 3.11 env
uv pip install --quiet --python env/bin/python keras==3.15.1 tensorflow==2.20.0
cat > show.py <<'PYTHON'
import keras
import numpy as np

print("keras", keras.__version__)
x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32")
layers = {
    "Softmax": keras.layers.Softmax(axis=[1, 2]),
    "LayerNormalization": keras.layers.LayerNormalization(axis=[1, 2], center=False, scale=False),
    "UnitNormalization": keras.layers.UnitNormalization(axis=[1, 2]),
}
for name, layer in layers.items():
    model = keras.Sequential([keras.Input((3, 4, 2)), layer])
    for suffix in (".keras", ".h5"):
        model.save(f"{name}{suffix}")
        loaded = keras.saving.load_model(f"{name}{suffix}")
        error = float(np.abs(np.asarray(loaded(x)) - np.asarray(model(x))).max())
        print(f"{name}{suffix}: axis {loaded.layers[0].axis}, error {error:.2f}")
        assert (error > 0.1) == (suffix == ".h5"), "it has changed"
one = keras.Input((5, 3))
model = keras.Model(one, keras.layers.Attention()([one, one]))
model.save("attention.h5")
try:
    keras.saving.load_model("attention.h5")
except TypeError as failure:
    print("attention.h5:", str(failure).splitlines()[-1][:120])
else:
    raise SystemExit("it has changed: Attention is read back from .h5")
PYTHON
TF_CPP_MIN_LOG_LEVEL=3 env/bin/python -W ignore show.py 2> errors || { cat errors; exit 1; }
