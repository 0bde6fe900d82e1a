import numpy as np
import pytest

from actwidgets.errors import LayerError
from actwidgets.images.kernels import as_kernels


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("Dense", (7, 5), (1, 1, 7, 5)),
        ("Conv1D", (3, 2, 8), (1, 3, 2, 8)),
        ("Conv2D", (3, 4, 2, 8), (3, 4, 2, 8)),
        ("Conv3D", (2, 3, 4, 2, 8), (2, 3, 4, 2, 8)),
        ("Conv2DTranspose", (3, 4, 8, 2), (3, 4, 2, 8)),
        ("DepthwiseConv2D", (3, 4, 5, 2), (3, 4, 1, 10)),
        ("SeparableConv1D", (3, 5, 2), (1, 3, 1, 10)),
    ],
)
def test_every_kind_has_rows_columns_input_and_output_channels(kind, given, wanted):
    weights = np.arange(np.prod(given)).reshape(given)
    assert as_kernels(weights, kind).shape == wanted


def test_a_depthwise_unit_is_its_channel_times_the_multiplier():
    weights = np.arange(2 * 3).reshape(1, 1, 2, 3)  # channel 1, second of three: 1 * 3 + 1
    assert as_kernels(weights, "DepthwiseConv2D")[0, 0, 0, 4] == weights[0, 0, 1, 1]


def test_a_layer_without_kernels_is_refused():
    with pytest.raises(LayerError, match="layers of type LSTM have no kernels"):
        as_kernels(np.ones((3, 4)), "LSTM")
