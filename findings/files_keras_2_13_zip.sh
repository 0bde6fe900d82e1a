#!/usr/bin/env bash
# A `.keras` file of Keras 2.12 or 2.13 is not what its ending says, or cannot be read by its heirs.
#
# Good guesses are that `.keras` is a zip archive, and that Keras 3 and tf_keras, which have code
# for files of 2.13, read one with three Dense layers. What happens:
# - In Keras 2.12 `model.save("x.keras")` writes HDF5 (the zip format wants
#   save_format="keras_v3"). Keras 3 says "File not found" of the file that is there.
# - In Keras 2.13 it writes a zip archive, and numbers layers of a kind 0, 2, 4, for each is counted
#   twice (as a layer, and as a layer with weights). Keras 3 and tf_keras look for 0, 1, 2 and say
#   that they "received 0 variables", though all of them are in the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 2.12.0 2.13.1; do
    uv venv --quiet --python 3.11 "env-$version"
    uv pip install --quiet --python "env-$version/bin/python" "tensorflow==$version"
done
uv venv --quiet --python 3.11 env
uv pip install --quiet --python env/bin/python keras==3.15.1 tensorflow==2.20.0 tf_keras==2.20.1
cat > write.py <<'PYTHON'
import sys

import tensorflow as tf

layers = [tf.keras.layers.Dense(3) for _ in range(3)]
tf.keras.Sequential([tf.keras.Input((3,)), *layers]).save(sys.argv[1])
PYTHON
cat > read.py <<'PYTHON'
import io
import zipfile

import h5py
import keras
import tf_keras

print("keras", keras.__version__, "tf_keras", tf_keras.__version__)
assert h5py.is_hdf5("2.12.0.keras"), "it has changed: 2.12 writes no HDF5"
print("2.12.0.keras is HDF5")
try:
    keras.saving.load_model("2.12.0.keras")
except ValueError as failure:
    print("  keras:", str(failure)[:60])
    assert "File not found" in str(failure), "it has changed"
else:
    raise SystemExit("it has changed: Keras 3 reads it")
with zipfile.ZipFile("2.13.1.keras") as archive:
    weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
names = [name for name in weights["_layer_checkpoint_dependencies"] if "dense" in name]
print("2.13.1.keras holds", names)
assert names == ["dense", "dense_2", "dense_4"], "it has changed"
for framework in (keras, tf_keras):
    try:
        framework.models.load_model("2.13.1.keras")
    except ValueError as failure:
        lines = [line for line in str(failure).splitlines() if "received 0 variables" in line]
        print(f"  {framework.__name__}:", (lines or [str(failure)])[0].strip()[:90])
        assert lines, "it has changed"
    else:
        raise SystemExit(f"it has changed: {framework.__name__} reads it")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
for version in 2.12.0 2.13.1; do
    "env-$version/bin/python" -W ignore write.py "$version.keras" 2> errors || { cat errors; exit 1; }
done
env/bin/python -W ignore read.py 2> errors || { cat errors; exit 1; }
