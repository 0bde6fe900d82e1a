import pytest

from actwidgets.core.layer_info import LayerInfo


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
