import pytest

from actwidgets.views._controls import compact, shorten_middle


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (18_496, "18.5k"),
        (999_499, "999k"),
        (999_999, "1M"),
        (2_360_000, "2.36M"),
        (999_999_999, "1G"),
    ],
)
def test_counts_take_at_most_five_letters(count, text):
    assert compact(count) == text
    assert len(text) <= 5


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert shorten_middle("block_1_expand_BN", 17) == "block_1_expand_BN"
    assert shorten_middle("block_1_expand_BN", 11) == "block…nd_BN"
