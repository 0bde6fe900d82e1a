"""What is said of `channels_first` models where TensorFlow does not run them."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_zoo import require_channels_first
from small_models import double_precision

import actwidgets as aw
from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import failure_message

pytestmark = pytest.mark.keras
MEND = "set TF_ENABLE_ONEDNN_OPTS=1 in the environment before TensorFlow is imported"

WITHOUT_ONEDNN = """
import logging, sys, keras, numpy as np, actwidgets as aw
from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import runs_channels_first
if runs_channels_first():
    sys.exit("it runs all the same")
logging.disable()
kinds = {
    "conv": (keras.layers.Conv2D(4, 3, data_format="channels_first"), (2, 6, 9)),
    "transposed": (keras.layers.Conv2DTranspose(4, 3, data_format="channels_first"), (2, 6, 9)),
    "sequence": (keras.layers.Conv1D(4, 3, data_format="channels_first"), (2, 9)),
}
for kind, (layer, shape) in kinds.items():
    flat = [keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input(shape), layer, *flat])
    x = np.zeros((6, *shape), np.float32)
    for call in (aw.activations, aw.predict, aw.attribute):
        for n_samples in (2, 6):
            try:
                call(model, x[:n_samples])
            except ModelError as failure:
                print("said:", kind, call.__name__, failure)
    session = aw.Session(model, x)
    print("said:", kind, "view", aw.FeatureMapGrid(session).error)
    session.close()
"""


def test_without_onednn_every_road_tells_how_to_have_it_run():
    environment = os.environ | {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", WITHOUT_ONEDNN]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "it runs all the same" in done.stderr:
        pytest.skip("TensorFlow's own kernels run channels_first here")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    assert len(said) == 3 * (3 * 2 + 1)
    for line in said:
        assert "only supports" in line
        assert line.count(MEND) == 1
        assert "function_node" not in line
        assert "\x1b" not in line


def test_in_double_precision_another_mend_is_told_since_onednn_would_not_help():
    require_channels_first()
    with double_precision():
        model = keras.Sequential(
            [
                keras.Input((2, 6, 9)),
                keras.layers.Conv2D(4, 3, data_format="channels_first", name="conv"),
            ]
        )
        with pytest.raises(ModelError, match="in float32 and bfloat16 alone") as refused:
            aw.activations(model, np.zeros((2, 2, 6, 9)))
    assert MEND not in str(refused.value)


def test_a_failure_is_one_line_without_places_of_the_source():
    traced = tf.function(lambda x, shape: tf.reshape(x, shape), autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError) as failure:
        traced(tf.zeros((2, 3)), tf.constant((1, 7)))
    words = failure_message(failure.value)
    assert "Input to reshape is a tensor with 6 values" in words
    for noise in ("\n", "File ", "Detected at node", "{{node", "[Op:"):
        assert noise not in words
