import pytest

from actwidgets.core.layers import LayerInfo


@pytest.mark.parametrize(
    ("shape", "text", "spatial"),
    [
        ((None, 26, 24, 32), "26×24×32", True),
        ((None, None, None, 8), "?×?×8", True),
        ((None, 10), "10", False),
        ((None, 7, 4), "7×4", False),
        ((None, 2, 3, 4, 5), "2×3×4×5", False),
        ((None,), "scalar", False),
    ],
)
def test_the_shape_of_one_sample_is_said_in_words(shape, text, spatial):
    info = LayerInfo("layer", "Kind", shape, 1, 0)
    assert info.shape_text == text
    assert info.is_spatial is spatial


@pytest.mark.parametrize(
    ("n_params", "text"),
    [
        (0, "–"),
        (864, "864"),
        (9999, "9,999"),
        (10_000, "10.0k"),
        (12_810, "12.8k"),
        (409_600, "410k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (2_257_984, "2.26M"),
        (23_587_712, "23.6M"),
        (138_357_544, "138M"),
        (7_000_000_000, "7.00G"),
    ],
)
def test_a_number_of_parameters_is_said_in_five_letters(n_params, text):
    assert LayerInfo("layer", "Kind", (None, 1), 1, n_params).n_params_text == text
