#!/usr/bin/env bash
# A good guess: a convolution of a batch of no samples has the shape of any other batch, but for
# its first axis, as an empty class or an empty selection needs it. With oneDNN, which TensorFlow
# has on by default on most processors, convolutions put out the shape of their input instead,
# channels and all, eagerly and in a `tf.function`; without it they are right. Pooling always is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" tensorflow==2.21.0
cat >"$folder/shapes.py" <<'PYTHON'
import tensorflow as tf

x, kernel = tf.zeros((0, 8, 8, 3)), tf.zeros((3, 3, 3, 4))
apart = tf.zeros((3, 3, 3, 1))
traced = tf.function(lambda samples: tf.nn.conv2d(samples, kernel, 1, "VALID"))
print(
    *(tuple(each.shape) for each in (
        tf.nn.conv2d(x, kernel, 1, "VALID"),
        traced(x),
        tf.nn.depthwise_conv2d(x, apart, [1, 1, 1, 1], "VALID"),
        tf.nn.max_pool2d(x, 2, 2, "VALID"),
    )),
    sep="; ",
)
PYTHON
shapes() { TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=$1 "$folder/env/bin/python" "$folder/shapes.py" 2>/dev/null; }
with=$(shapes 1) without=$(shapes 0)
echo "tensorflow 2.21.0, no samples of 8x8x3: convolution, the same traced, depthwise; pooling"
echo "with oneDNN:    $with"
echo "without oneDNN: $without"
[ "$with" = "(0, 8, 8, 3); (0, 8, 8, 3); (0, 8, 8, 3); (0, 4, 4, 3)" ]
[ "$without" = "(0, 6, 6, 4); (0, 6, 6, 4); (0, 6, 6, 3); (0, 4, 4, 3)" ]
