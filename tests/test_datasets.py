"""Data sets: the one that ships, files in a folder, downloads that fail."""

import subprocess
import sys

import numpy as np
import pytest
from real_data import require_data

from actwidgets.datasets import PARTS, load_dataset
from actwidgets.errors import DataError

NAMES = ("digits", "fashion_mnist", "mnist", "cifar10")


def _parts(n_train=5, n_test=3, shape=(28, 28), **replaced):
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(0, 256, (n_train, *shape), np.uint8),
        "y_train": np.arange(n_train, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (n_test, *shape), np.uint8),
        "y_test": np.arange(n_test, dtype=np.uint8),
    }
    return made | replaced


def _without(part):
    return {name: array for name, array in _parts().items() if name != part}


# --- the digits that ship -----------------------------------------------------------------


def test_digits_are_images_in_unit_range_with_their_classes():
    digits = load_dataset("digits")
    assert digits.x_train.shape == (1347, 8, 8, 1)
    assert digits.x_test.shape == (450, 8, 8, 1)
    assert digits.x_train.dtype == np.float32
    assert (digits.x_train.min(), digits.x_train.max()) == digits.pixel_scale == (0, 1)
    assert digits.y_train.dtype == digits.y_test.dtype == np.int64
    assert digits.class_names == tuple("0123456789")


def test_the_split_of_digits_is_always_the_same_and_takes_a_quarter_of_each_class():
    first, second = load_dataset("digits"), load_dataset("digits")
    np.testing.assert_array_equal(first.x_test, second.x_test)
    in_test = np.bincount(first.y_test)
    assert (abs(in_test / (in_test + np.bincount(first.y_train)) - 0.25) < 0.01).all()


def test_the_parts_of_digits_are_all_scans_once():
    from sklearn.datasets import load_digits

    digits = load_dataset("digits", scaled=False)
    together = np.concatenate([digits.x_train, digits.x_test])[..., 0]
    published = load_digits().images
    assert together.dtype == published.dtype
    assert digits.pixel_scale == (0, 16)

    def in_order(images):
        return sorted(map(tuple, images.reshape(len(images), -1)))

    assert in_order(together) == in_order(published)


def test_digits_need_no_folder_even_where_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTWIDGETS_DATA", str(tmp_path))
    assert len(load_dataset("digits", path=tmp_path).y_test) == 450


def test_the_arrays_of_one_load_are_not_those_of_another():
    first = load_dataset("digits")
    first.x_test[:] = 0
    assert load_dataset("digits").x_test.any()


# --- files in a folder --------------------------------------------------------------------


def test_a_file_is_scaled_and_shaped(tmp_path):
    parts = _parts()
    np.savez(tmp_path / "mnist.npz", **parts)
    mnist = load_dataset("mnist", path=tmp_path)
    assert mnist.x_train.shape == (5, 28, 28, 1)
    np.testing.assert_array_equal(
        mnist.x_train[..., 0], parts["x_train"].astype(np.float32) / np.float32(255)
    )
    np.testing.assert_array_equal(mnist.y_test, [0, 1, 2])
    assert mnist.y_test.dtype == np.int64


def test_unscaled_is_as_published(tmp_path):
    parts = _parts(shape=(32, 32, 3), y_test=np.array([[7], [8], [9]], np.uint8))
    np.savez(tmp_path / "cifar10.npz", **parts)
    cifar = load_dataset("cifar10", str(tmp_path), scaled=False)
    np.testing.assert_array_equal(cifar.x_test, parts["x_test"], strict=True)
    assert cifar.pixel_scale == (0, 255)
    np.testing.assert_array_equal(cifar.y_test, np.array([7, 8, 9]), strict=True)


def test_the_variable_names_the_folder_and_path_comes_before_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTWIDGETS_DATA", str(tmp_path))
    np.savez(tmp_path / "mnist.npz", **_parts())
    assert len(load_dataset("mnist").y_train) == 5
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "mnist.npz", **_parts(n_train=7))
    assert len(load_dataset("mnist", path=tmp_path / "other").y_train) == 7


def test_a_repr_is_one_short_line():
    told = repr(load_dataset("digits"))
    assert told == (
        "<Dataset digits: 1,347 to train on, 450 to test on; 8x8x1 float32 in 0..1; 10 classes>"
    )


@pytest.mark.parametrize("name", ["digit", "", None, ["digits"]])
def test_an_unknown_name_is_told_the_known_ones(name):
    with pytest.raises(DataError, match=f"{', '.join(NAMES)}$"):
        load_dataset(name)


@pytest.mark.parametrize("as_path", [True, False])
def test_a_named_folder_without_the_file_is_a_failure_not_a_download(
    monkeypatch, tmp_path, as_path
):
    np.savez(tmp_path / "mnist.npz", **_parts())
    if not as_path:
        monkeypatch.setenv("ACTWIDGETS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"no cifar10\.npz in .*; it holds mnist\.npz") as caught:
        load_dataset("cifar10", path=tmp_path if as_path else None)
    assert ("path names" if as_path else "$ACTWIDGETS_DATA names") in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.*not a folder; name the folder .*mnist\.npz"):
        load_dataset("mnist", path=tmp_path / "nowhere")


def test_an_empty_path_is_not_taken_for_no_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no mnist\.npz in .*it holds no \.npz file"):
        load_dataset("mnist", path="")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (_without("y_test"), r"lacks y_test and holds x_train, y_train, x_test"),
        ({}, "lacks x_train, y_train, x_test, y_test and holds nothing"),
        (_parts(shape=(32, 32, 3)), r"x_train .*shape \(5, 32, 32, 3\).*\(sample, 28, 28, 1\)"),
        (_parts(x_test=np.uint8(3)), r"x_test .*shape \(\)"),
        (_parts(x_test=np.zeros((3, 28, 28))), "x_test .* is float64; .*uint8"),
        (_parts(y_train=np.arange(4)), r"y_train .*shape \(4,\) for 5 samples"),
        (_parts(y_test=np.eye(3)), r"y_test .*shape \(3, 3\) for 3 samples"),
        (_parts(n_train=0), r"y_train .*at least one sample"),
        (_parts(y_test=np.array([0, 1, 10])), r"y_test .*holds 10 \(int64\); class indices 0\.\.9"),
        (_parts(y_test=np.array([0, -1, 2])), r"y_test .*holds -1 \(int64\)"),
        (_parts(y_test=np.array([0.0, 1.0, 2.0])), r"y_test .*holds 0.0 \(float64\)"),
        (_parts(y_test=np.array(["0", "1", "2"])), r"y_test .*holds 0 \(<U1\)"),
        (_parts(y_test=np.array([0, 1, None])), r"cannot read .*allow_pickle=False"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, parts, words):
    np.savez(tmp_path / "mnist.npz", **parts)
    with pytest.raises(DataError, match=words):
        load_dataset("mnist", path=tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz file, or not all of one.*x_train, y_train"):
        load_dataset("mnist", path=tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_is_refused_or_read_but_never_a_crash(tmp_path, save):
    file = tmp_path / "mnist.npz"
    save(file, **_parts(n_train=2, n_test=1))
    whole = file.read_bytes()
    n_refused = 0
    for place in range(0, len(whole), 23):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        for content in (bytes(damaged), whole[:place]):
            file.write_bytes(content)
            try:
                load_dataset("mnist", path=tmp_path)
            except DataError:
                n_refused += 1
    assert n_refused > len(range(0, len(whole), 23)) * 1.5  # all cut ones, most changed ones


# --- downloads ----------------------------------------------------------------------------


@pytest.mark.slow
def test_loading_from_scikit_learn_or_a_folder_needs_no_keras(tmp_path):
    np.savez(tmp_path / "mnist.npz", **_parts())
    code = (
        "import sys, actwidgets as aw; aw.load_dataset('digits');"
        f"aw.load_dataset('mnist', path={str(tmp_path)!r});"
        "sys.exit(str({'keras', 'tensorflow'} & set(sys.modules) or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "0"


@pytest.mark.keras
def test_without_a_folder_keras_downloads(monkeypatch):
    import keras

    monkeypatch.delenv("ACTWIDGETS_DATA", raising=False)
    parts = _parts(shape=(32, 32, 3))
    for array in parts.values():
        array.flags.writeable = False
    x_train, y_train, x_test, y_test = (parts[part] for part in PARTS)
    monkeypatch.setattr(
        keras.datasets.cifar10, "load_data", lambda: ((x_train, y_train), (x_test, y_test))
    )
    cifar = load_dataset("cifar10", scaled=False)
    np.testing.assert_array_equal(cifar.x_train, x_train, strict=True)
    cifar.x_train[:] = 0  # belongs to the caller, whatever Keras handed out
    assert x_train.any()


@pytest.mark.keras
def test_a_failed_download_says_how_to_do_without(monkeypatch):
    import keras

    def offline():
        raise Exception("URL fetch failure on https://storage: None -- unreachable")

    monkeypatch.delenv("ACTWIDGETS_DATA", raising=False)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", offline)
    with pytest.raises(
        DataError, match=r"'mnist'.*unreachable.*path=.*ACTWIDGETS_DATA.*mnist\.npz"
    ):
        load_dataset("mnist")


# --- the real files -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_train", "shape", "per_class"),
    [
        ("fashion_mnist", 60_000, (28, 28, 1), [1000] * 10),
        ("mnist", 60_000, (28, 28, 1), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        ("cifar10", None, (32, 32, 3), [1000] * 10),  # some folders hold a part of train only
    ],
)
def test_real_data_are_what_was_published(name, n_train, shape, per_class):
    data = load_dataset(name, path=require_data(name), scaled=False)
    assert len(data.x_train) == n_train or n_train is None
    assert data.x_test.shape == (10_000, *shape)
    assert data.x_train.dtype == np.uint8
    assert np.bincount(data.y_test).tolist() == per_class
    assert len(data.class_names) == 10


@pytest.mark.slow
def test_real_data_are_scaled_without_a_float64_in_between():
    data = load_dataset("fashion_mnist", path=require_data("fashion_mnist"))
    assert data.x_test.dtype == np.float32
    assert (data.x_test.min(), data.x_test.max()) == (0, 1)
