#!/usr/bin/env bash
# A good guess: the gradient of a cast to a smaller float and back is one, as it is for float16
# and bfloat16. For float8_e4m3fn and float8_e5m2, which `DType.is_floating` says are floats,
# TensorFlow returns None: whatever follows gradients through a layer that rounds to float8
# without a gradient of its own ends there, and tf.gradients with ZERO says 0 without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import tensorflow as tf

print("tensorflow", tf.__version__)
found = {}
for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.cast(tf.cast(x, name), "float32"))
    gradient = tape.gradient(y, x)
    found[name] = None if gradient is None else gradient.numpy().tolist()
    print(f"{name:14} is_floating={tf.as_dtype(name).is_floating}  gradient {found[name]}")
assert found["float16"] == found["bfloat16"] == [1.0, 1.0]
assert found["float8_e4m3fn"] is None and found["float8_e5m2"] is None
assert tf.as_dtype("float8_e4m3fn").is_floating
PYTHON
