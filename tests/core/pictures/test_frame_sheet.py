import numpy as np
import pytest

from actwidgets.core.pictures.frame_sheet import captioned, frame_sheet
from actwidgets.errors import DataError


def found(sheet, frame):
    """Where a frame lies in a sheet; None where it does not."""
    height, width = frame.shape[:2]
    for top in range(sheet.shape[0] - height + 1):
        for left in range(sheet.shape[1] - width + 1):
            if np.array_equal(sheet[top : top + height, left : left + width], frame):
                return top, left
    return None


def frames_of_noise(count, shape=(7, 40, 3)):
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, *shape), dtype=np.uint8))


def test_every_frame_is_in_the_sheet_as_it_is_row_by_row():
    frames = frames_of_noise(5)
    sheet = frame_sheet(frames, ["one", "two", "three", "four", "five"], columns=2)
    places = [found(sheet, frame) for frame in frames]
    assert None not in places
    assert places == sorted(places)
    assert len({top for top, _ in places}) == 3
    assert len({left for _, left in places}) == 2


def test_words_lie_below_their_frame():
    frame = frames_of_noise(1)[0]
    with_words, without = captioned(frame, "epoch 1"), captioned(frame, "")
    np.testing.assert_array_equal(with_words[:7], frame)
    assert (without[7:] == 255).all()
    assert (with_words[7:] < 200).any()


def test_words_that_are_too_long_stay_within_the_frame():
    frame = frames_of_noise(1)[0]
    assert captioned(frame, "a very long name of a layer").shape[1] == 40


def test_a_caption_for_each():
    with pytest.raises(DataError, match="got 1 for 2"):
        frame_sheet(frames_of_noise(2), ["one"])
