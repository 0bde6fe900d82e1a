#!/usr/bin/env bash
# A good guess: `layer.kernel` is what the layer multiplies its input with. It is so of a plain
# Dense, and of one with LoRA, where Keras adds the low-rank term. Of a Dense quantized to int8
# it is the codes, to be divided by `kernel_scale`. With both, Keras adds the LoRA term, which is
# in the units of the weights, to the codes, which are not: neither `layer.kernel` nor
# `layer.kernel / layer.kernel_scale` is then what the call multiplies with, and no warning is
# given. (The call itself is right.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import keras
import numpy as np

layer = keras.layers.Dense(1, use_bias=False)
layer.build((None, 2))
layer.kernel.assign([[0.5], [0.5]])
layer.quantize("int8")
layer.enable_lora(1)
layer.lora_kernel_a.assign([[1.0], [1.0]])
layer.lora_kernel_b.assign([[0.25]])

called = np.asarray(layer(np.eye(2, dtype="float32")))[:, 0]  # the rows of the effective kernel
kernel = np.asarray(layer.kernel)[:, 0]
divided = kernel / np.asarray(layer.kernel_scale)
print("keras", keras.__version__)
print("rows that the call multiplies with:", called)  # 0.75 = 0.5 + 0.25
print("layer.kernel:                      ", kernel)  # 127.25 = 127 + 0.25
print("layer.kernel / layer.kernel_scale: ", divided)  # 0.501 = 0.5 + 0.25 / 254
assert np.allclose(called, 0.75, atol=1e-2)
assert np.allclose(kernel, 127.25, atol=1e-2)
assert np.allclose(divided, 0.501, atol=1e-3)
PYTHON
