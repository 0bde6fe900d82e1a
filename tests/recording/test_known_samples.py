import numpy as np
import pytest

from actwidgets.errors import DataError, NotRecordedError, ShapeError
from actwidgets.recording.store import KnownSamples


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 1, (30, 9, 9, 1)).astype(np.float32)


def test_samples_are_found_in_any_order(images):
    rows = [4, 0, 29, 4]
    assert KnownSamples(images).rows_of(images[rows]).tolist() == rows


def test_samples_that_differ_in_one_value_are_told_apart(images):
    images[1] = images[0]
    images[1, 3, 5] += 0.25  # beside the values that are looked at first
    images[2] = images[0]
    known = KnownSamples(images)
    assert known.rows_of(images[[1, 0]]).tolist() == [1, 0]
    assert known.rows_of(images[[2]]).tolist() == [0]  # holds the same as the first


def test_another_sample_is_refused(images):
    with pytest.raises(NotRecordedError, match="only the samples that were recorded"):
        KnownSamples(images).rows_of(images[:1] + 0.01)


def test_what_is_equal_is_the_same_sample(images):
    images[3, 0], images[3, 1] = 0.0, np.nan
    known = KnownSamples(images)
    negative = images[3:4].copy()
    negative[0, 0] = -0.0
    assert known.rows_of(negative).tolist() == [3]
    assert known.rows_of(images[:2].astype(np.float64)).tolist() == [0, 1]


def test_all_inputs_have_to_be_those_of_one_sample(images):
    vectors = np.arange(30)[:, None]
    known = KnownSamples({"image": images, "number": vectors})
    found = known.rows_of({"image": images[5:7], "number": vectors[5:7]})
    assert found.tolist() == [5, 6]
    with pytest.raises(NotRecordedError):
        known.rows_of({"image": images[5:7], "number": vectors[6:8]})


def test_text_is_found_in_batches_of_shorter_texts():
    texts = np.array([["one"], ["a longer text"], ["two"]])
    assert KnownSamples(texts).rows_of(np.array([["two"], ["one"]], object)).tolist() == [2, 0]
    with pytest.raises(DataError, match="recorded samples are text; these are numbers"):
        KnownSamples(texts).check(np.zeros((1, 1)))


def test_other_shapes_and_inputs_are_refused(images):
    with pytest.raises(ShapeError, match=r"shape \(9, 9, 1\); these \(8, 9, 1\)"):
        KnownSamples(images).check(images[:, :8])
    with pytest.raises(ShapeError, match="1 inputs; the samples have 2"):
        KnownSamples(images).check([images, images])
