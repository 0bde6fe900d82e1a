import numpy as np
import pytest

from actwidgets.core.perturbation import Perturbation, perturb
from actwidgets.core.samples import Samples, shape_message
from actwidgets.errors import DataError, ShapeError

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7)


class _Stream:
    """Batches of three that count how many were read."""

    def __init__(self, labeled=True):
        self.labeled, self.n_read = labeled, 0

    def __iter__(self):
        for start in (0, 3, 6):
            self.n_read += 1
            rows = slice(start, start + 3)
            yield (X[rows], Y[rows]) if self.labeled else X[rows]


def test_arrays_are_used_whole_and_uncopied():
    samples = Samples(X, Y, n_classes=7, max_samples=2)
    assert len(samples) == 7
    assert samples.x is X


@pytest.mark.parametrize(("limit", "n_batches"), [(2, 1), (3, 1), (4, 2), (7, 3), (100, 3)])
def test_a_stream_is_read_no_further_than_its_first_samples(limit, n_batches):
    stream = _Stream()
    samples = Samples(stream, None, n_classes=7, max_samples=limit)
    np.testing.assert_array_equal(samples.x, X[:limit])
    np.testing.assert_array_equal(samples.labels, Y[:limit])
    assert stream.n_read == n_batches


def test_a_stream_without_labels_has_none():
    samples = Samples(_Stream(labeled=False), None, n_classes=7)
    assert samples.labels is None
    assert samples.of_class(0, 5) == ()


def test_labels_beside_a_stream_are_cut_where_it_is_cut():
    samples = Samples(_Stream(labeled=False), Y, n_classes=7, max_samples=3)
    assert samples.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("y", [Y[:4], np.arange(9) % 7])
def test_labels_of_another_length_than_the_whole_stream_are_refused(y):
    with pytest.raises(ShapeError, match=f"x has 7 samples and y has {len(y)} labels"):
        Samples(_Stream(labeled=False), y, n_classes=7)


def test_a_list_of_pairs_is_a_stream():
    samples = Samples([(X[:4], Y[:4]), (X[4:], Y[4:])], None, n_classes=7)
    np.testing.assert_array_equal(samples.x, X)
    np.testing.assert_array_equal(samples.labels, Y)


def test_samples_written_as_numbers_are_an_array():
    for rows in ([[1, 2], [3, 4], [5, 6]], [(1, 2), (3, 4), (5, 6)]):
        assert Samples(rows, None, n_classes=2).x.shape == (3, 2)


def test_several_inputs_are_taken_by_the_same_rows():
    for x in ([X, Y], (X, Y), {"a": X, "b": Y}):
        samples = Samples(x, None, n_classes=7)
        assert len(samples) == 7
        found = samples.rows([6, 0])
        first, second = found.values() if isinstance(found, dict) else found
        assert first.tolist() == [[12, 13], [0, 1]]
        assert second.tolist() == [6, 0]


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (None, None, DataError, "give x"),
        (X[:0], None, DataError, "holds no samples"),
        ([], None, DataError, "holds no samples"),
        (iter([X]), None, DataError, "one-shot"),
        (X, Y[:3], ShapeError, "7 samples and y has 3 labels"),
        (X, Y + 1, DataError, "y holds 7, but there are 7 classes"),
    ],
)
def test_what_cannot_be_shown_is_refused(x, y, error, words):
    with pytest.raises(error, match=words):
        Samples(x, y, n_classes=7)


def test_one_scale_serves_all_samples():
    x = np.array([0.0, 2.0, 4.0]).reshape(3, 1, 1, 1)
    samples = Samples(x, None, n_classes=2)
    assert samples.pictures([1])[0, 0, 0].tolist() == [128, 128, 128]
    assert samples.pictures([2, 0])[:, 0, 0, 0].tolist() == [255, 0]


def test_images_come_as_they_were_given():
    x = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)
    found = Samples(x, None, n_classes=2).images([1])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, x[1:])


def test_pixels_that_are_not_finite_are_black_and_move_no_scale():
    x = np.array([0.0, np.nan, np.inf, 1.0]).reshape(1, 2, 2, 1)
    assert Samples(x, None, n_classes=2).pictures([0])[..., 0].ravel().tolist() == [0, 0, 0, 255]


def test_samples_of_text_are_written_out_and_an_image_beside_them_comes_first():
    text = Samples(np.array(["red coat", "bag"]), None, n_classes=2)
    assert text.pictures([0, 1]).shape == (2, 60, 60, 3)
    assert text.pictures([]).shape == (0, 60, 60, 3)
    both = Samples(
        {"text": np.array(["a", "b"]), "image": np.ones((2, 4, 5, 1))}, None, n_classes=2
    )
    assert both.pictures([1]).shape == (1, 4, 5, 3)


# --- vectors that are pictures -----------------------------------------------------------

VECTORS = np.arange(2 * 120, dtype=np.float32).reshape(2, 120)


def test_a_vector_with_a_shape_is_shown_as_a_picture_and_stays_a_vector():
    samples = Samples(VECTORS, None, image_shape=(10, 12))
    assert samples.picture_shape == (10, 12)
    np.testing.assert_array_equal(samples.images([1]), VECTORS[1:].reshape(1, 10, 12))
    assert samples.pictures([0, 1]).shape == (2, 10, 12, 3)
    assert samples.pictures([1])[0, 9, 11].tolist() == [255, 255, 255]
    assert samples.x is VECTORS
    assert samples.rows([1]).shape == (1, 120)


def test_the_last_axis_of_an_image_shape_is_colors():
    samples = Samples(VECTORS, None, image_shape=[np.int64(5), 8, 3])
    assert samples.picture_shape == (5, 8)
    np.testing.assert_array_equal(samples.images([0])[0, 0], VECTORS[0, :24].reshape(8, 3))
    bright = (VECTORS[1, -3:] / VECTORS.max() * 255 + 0.5).astype(int)
    assert samples.pictures([1])[0, 4, 7].tolist() == bright.tolist()


@pytest.mark.parametrize(
    ("length", "shape"), [(784, (28, 28)), (64, (8, 8)), (49, ()), (65, ()), (2, ()), (0, ())]
)
def test_a_vector_of_square_length_is_taken_for_a_square_picture(length, shape):
    samples = Samples(np.ones((3, length)), None)
    assert samples.picture_shape == shape
    if shape:
        assert samples.pictures([2]).shape == (1, *shape, 3)


def test_an_empty_image_shape_takes_no_vector_for_a_picture():
    samples = Samples(np.ones((3, 784)), None, image_shape=())
    assert samples.picture_shape == ()
    assert samples.images([0]).shape == (1, 784)


def test_what_is_no_vector_is_not_folded():
    assert Samples(np.ones((3, 64, 5)), None).images([0]).shape == (1, 64, 5)
    assert Samples(np.array([["a"] * 64]), None).picture_shape == ()
    assert Samples(np.ones(64), None).images([0]).shape == (1,)


def test_of_several_inputs_an_image_comes_before_a_guess_but_not_before_a_shape():
    x = {"image": np.zeros((2, 6, 7)), "code": np.zeros((2, 64)), "pixels": VECTORS}
    assert Samples(x, None).picture_shape == (6, 7)
    assert Samples(x, None, image_shape=(12, 10)).picture_shape == (12, 10)
    assert Samples([VECTORS[:, :5], VECTORS[:, :64]], None).picture_shape == ()


@pytest.mark.parametrize(
    ("x", "shape", "error", "words"),
    [
        (
            VECTORS,
            (10, 10),
            ShapeError,
            r"\(10, 10\) holds 100 values, but the vectors .* have 120",
        ),
        (VECTORS, (10, 12, 3), ShapeError, "holds 360 values"),
        (np.ones((2, 4, 5)), (4, 5), DataError, r"vectors; x has \(2, 4, 5\)"),
        (np.array(["a", "b"]), (4, 5), DataError, "x has text"),
        (VECTORS, (120,), DataError, r"\(rows, columns\), .*; got \(120,\)"),
        (VECTORS, (10.0, 12), DataError, "got"),
        (VECTORS, (-10, -12), DataError, "got"),
        (VECTORS, 28, DataError, "got 28"),
        (VECTORS, (1, 10, 12, 1), DataError, "got"),
    ],
)
def test_an_image_shape_that_does_not_fit_is_refused_before_labels_are_read(x, shape, error, words):
    with pytest.raises(error, match=words):
        Samples(x, [99, 99], n_classes=2, image_shape=shape)


# --- perturbed ---------------------------------------------------------------------------

DARKER = Perturbation(brightness=-0.25)
IMAGES = np.linspace(0, 1, 3 * 4 * 5).reshape(3, 4, 5)
DARK = np.maximum(IMAGES - 0.25, 0)


def test_images_with_and_without_a_channel_axis_are_perturbed():
    for x, wanted in ((IMAGES, DARK), (IMAGES[..., None], DARK[..., None])):
        samples = Samples(x, None, n_classes=2)
        found = samples.perturbed((2, 0), DARKER)
        np.testing.assert_allclose(found, wanted[[2, 0]])
        np.testing.assert_array_equal(samples.x, x)
        pixels = samples.pictures([2, 0], DARKER)[..., 0]
        np.testing.assert_array_equal(pixels, (DARK[[2, 0]] * 255 + 0.5).astype(np.uint8))


@pytest.mark.parametrize("as_what", [list, tuple, dict])
def test_of_several_inputs_the_image_is_perturbed_and_no_other(as_what):
    words, numbers = np.array(["a", "b", "c"]), np.arange(6.0).reshape(3, 2)
    parts = {"text": words, "image": IMAGES[..., None], "more": numbers}
    x = parts if as_what is dict else as_what(parts.values())
    found = Samples(x, None, n_classes=2).perturbed((2, 0), DARKER)
    text, image, more = found.values() if as_what is dict else found
    assert text.tolist() == ["c", "a"]
    np.testing.assert_allclose(image, DARK[[2, 0]][..., None])
    np.testing.assert_array_equal(more, numbers[[2, 0]])


def test_an_array_that_is_given_twice_is_perturbed_once():
    found = Samples([IMAGES, IMAGES], None, n_classes=2).perturbed((1,), DARKER)
    np.testing.assert_allclose(found[0], DARK[[1]])
    np.testing.assert_array_equal(found[1], IMAGES[[1]])


@pytest.mark.parametrize(
    "x", [X, np.zeros((3, 4, 5, 6)), np.zeros((3, 2, 4, 5, 1)), np.array(["red coat", "bag", "c"])]
)
def test_what_is_no_image_is_left_alone(x):
    samples = Samples(x, None, n_classes=2)
    assert samples.picture_shape == ()
    np.testing.assert_array_equal(samples.perturbed((1, 2), DARKER), x[[1, 2]])
    np.testing.assert_array_equal(samples.pictures([1], DARKER), samples.pictures([1]))


def test_the_range_of_light_is_that_of_all_samples_and_whole_numbers_stay_whole():
    x = np.array([[10, 20], [30, 110]], np.uint8).reshape(2, 1, 2, 1)
    found = Samples(x, None, n_classes=2).perturbed((0,), Perturbation(brightness=0.5))
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [60, 70]


def test_no_rows_are_no_images():
    assert Samples(IMAGES, None, n_classes=2).perturbed((), DARKER).shape == (0, 4, 5)


def test_what_maps_predictions_and_pictures_ask_for_is_worked_out_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "actwidgets.core.samples.perturb", lambda *args: calls.append(args) or perturb(*args)
    )
    x = IMAGES.copy()
    samples = Samples(x, None, n_classes=2)
    first = samples.perturbed((2, 0), DARKER)
    samples.perturbed((2, 0), DARKER)
    samples.pictures([2, 0], DARKER)
    assert len(calls) == 1
    with pytest.raises(ValueError, match="read-only"):
        first[:] = 0
    samples.perturbed((0, 2), DARKER)
    samples.perturbed((0, 2), Perturbation(brightness=0.25))
    assert len(calls) == 3
    x[0] = 1  # somebody writes to the data
    assert samples.perturbed((0, 2), Perturbation(brightness=0.25))[0].min() == 1


def test_vectors_that_are_pictures_are_perturbed_as_such_and_stay_vectors():
    images = np.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8)
    down = Perturbation(shift_down=1)
    samples = Samples(images.reshape(2, 64), None, n_classes=2)
    found = samples.perturbed((1, 0), down)
    assert found.shape == (2, 64)
    wanted = images[[1, 0]][:, [0, 0, 1, 2, 3, 4, 5, 6]]
    np.testing.assert_allclose(found, wanted.reshape(2, 64))
    pixels = samples.pictures([1, 0], down)[..., 0]
    np.testing.assert_array_equal(pixels, (wanted * 255 + 0.5).astype(np.uint8))


# --- sample shapes ------------------------------------------------------------------------


SHAPE = (32, 24, 3)


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        (SHAPE, (24, 32, 3), "rows and columns are swapped, which np.swapaxes(x, 1, 2) mends"),
        (SHAPE, (3, 32, 24), "the channels come first, which np.moveaxis(x, 1, -1) mends"),
        ((28, 28, 1), (28, 28), "the last axis is missing, which x[..., None] adds"),
        ((28, 28), (28, 28, 1), "there is an axis too many, which x[..., 0] takes away"),
        (SHAPE, (24, 3), "if this is one sample alone, give x[None]"),
        ((12,), (), "if this is one sample alone, give x[None]"),
        (SHAPE, (32 * 24 * 3,), "these are as many numbers, which x.reshape(-1, 32, 24, 3) puts"),
        ((12,), (3, 4), "these are as many numbers, which x.reshape(-1, 12) puts in shape"),
        ((None, None, 3), (5, 3), "if this is one sample alone, give x[None]"),
    ],
)
def test_what_would_be_right_is_guessed(wanted, given, told):
    assert told in shape_message("x", wanted, given)


@pytest.mark.parametrize(
    ("mend", "given"),
    [
        (lambda x: np.swapaxes(x, 1, 2), (24, 32, 3)),
        (lambda x: np.moveaxis(x, 1, -1), (3, 32, 24)),
        (lambda x: x.reshape(-1, 32, 24, 3), (32 * 24 * 3,)),
    ],
)
def test_what_is_said_to_mend_it_does(mend, given):
    assert mend(np.zeros((2, *given))).shape == (2, *SHAPE)


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        (
            SHAPE,
            (5, 7, 3),
            "x must hold samples of shape (32, 24, 3); got samples of shape (5, 7, 3)",
        ),
        ((12,), (11,), "x must hold samples of shape (12,); got samples of shape (11,)"),
        ((None, 7), (7,), "of shape (any, 7); got samples of shape (7,): if this is one"),
        ((None, 7), (3, 8), "x must hold samples of shape (any, 7); got samples of shape (3, 8)"),
    ],
)
def test_otherwise_both_shapes_are_told(wanted, given, told):
    found = shape_message("x", wanted, given)
    assert told in found
    if "if this" not in told:
        assert found == told
