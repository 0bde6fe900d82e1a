#!/usr/bin/env bash
# A good guess: sparsemax gives probabilities, each row of which sums to one. The projection of
# (2, 1.5, 0) on the simplex is (0.75, 0.25, 0), worked out by hand: the threshold is
# (2 + 1.5 - 1) / 2 = 1.25. Keras 3.15.1 gives zeros for it, and for three equal logits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/env"
uv pip install --quiet --python "$folder/env/bin/python" keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/env/bin/python" - <<'PYTHON'
import keras
import numpy as np


def projected(row):
    ordered = np.sort(row)[::-1]
    sums = np.cumsum(ordered)
    count = np.arange(1, len(row) + 1)
    size = count[1 + count * ordered > sums].max()
    return np.maximum(row - (sums[size - 1] - 1) / size, 0)


rows = np.array([[2, 1.5, 0], [1, 1, 1]], "float32")
given = np.asarray(keras.activations.sparsemax(rows))
right = np.array([projected(row) for row in rows])
print("keras", keras.__version__)
print("keras:     ", given.tolist())
print("projection:", right.round(4).tolist())
assert np.allclose(right.sum(axis=1), 1)
assert np.allclose(given, 0)
PYTHON
