import numpy as np
import pytest

from actwidgets.errors import DataError
from actwidgets.recording import store

PIXELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)


@pytest.mark.parametrize(
    ("x", "n_bytes"),
    [
        (PIXELS.astype(np.float32) / 255, 1),
        (PIXELS.astype(np.float32) / 256, 4),
        (PIXELS.astype(np.float32), 4),
        (PIXELS / 255, 8),
        (PIXELS, 1),
        (np.array([[0, -0.0, np.nan, np.inf]], np.float32), 4),
        (np.array([[0, -0.0, 1]], np.float32), 4),
        (np.zeros((3, 0), np.float32), 4),
        (np.array([["a"], ["<b>"]], dtype=object), 12),
    ],
)
def test_samples_come_back_to_the_bit(tmp_path, x, n_bytes):
    store.write_samples(tmp_path, x, None)
    found, labels, targets = store.read_samples(tmp_path)
    assert labels is None
    assert targets is None
    wanted = x.astype(str) if x.dtype == object else x
    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()
    with np.load(tmp_path / store.SAMPLES_NAME) as file:
        assert file["x0"].itemsize == n_bytes


def test_several_inputs_keep_their_names_and_order(tmp_path):
    parts = {"b": np.ones((2, 3)), "a": np.arange(2)}
    for x in (parts, [*parts.values()]):
        store.write_samples(tmp_path, x, np.array([1, 0]))
        found, labels, targets = store.read_samples(tmp_path)
        assert type(found) is type(x)
        assert isinstance(x, list) or list(found) == list(x)
        np.testing.assert_array_equal(labels, [1, 0])
        assert targets is None
    np.testing.assert_array_equal(found[1], [0, 1])


def test_other_samples_have_another_digest():
    x, y = np.zeros((2, 4), np.float32), np.array([0, 1])
    others = [(x.reshape(4, 2), y), (x.astype(np.float64), y), (x + 1, y), (x, y[::-1]), (x, None)]
    others += [(x, None, np.zeros((2, 1), np.float32)), (x, None, np.ones((2, 1), np.float32))]
    found = {store.digest(*each) for each in [(x, y), *others]}
    assert len(found) == 8
    assert store.digest(x.copy(), y) in found


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / store.SAMPLES_NAME).write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read as the samples of a recording"):
        store.read_samples(tmp_path)
