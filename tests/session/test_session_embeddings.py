import threading

import numpy as np
import psutil
import pytest
from fakes import FakeProbe

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError, LayerError
from actwidgets.session.embedding_process import EmbeddingProcess
from actwidgets.session.session import Session


class _Noisy(FakeProbe):
    """Layers that are what the samples are: `wide` their pixels, `dense` five of them."""

    layers = (
        LayerInfo("maps", "Conv2D", (None, 6, 8, 1), 1, 0),
        LayerInfo("dense", "Dense", (None, 5), 5, 0),
        LayerInfo("empty", "Cropping2D", (None, 0, 0, 20), 20, 0),
    )

    def __init__(self):
        super().__init__()
        self.gate, self.factor = None, 1.0

    def activations(self, layers, x):
        self.calls.append((tuple(layers), len(x)))
        if self.gate is not None:
            assert self.gate.wait(60)
        if set(self.fails_on) & set(layers):
            raise FloatingPointError("nothing finite in <maps>")
        outputs = {"maps": x, "dense": x.reshape(len(x), -1)[:, :5]}
        return {name: outputs[name].astype(np.float32) * self.factor for name in layers}


@pytest.fixture
def images():
    return np.random.default_rng(0).random((200, 6, 8, 1)).astype(np.float32) * 3


@pytest.fixture
def noisy(images):
    session = Session(_Noisy(), images, np.arange(200) % 3)
    yield session
    session.close()


def test_points_of_the_input_and_of_a_layer_come_in_one_call(noisy, images):
    flat = noisy.embeddings()
    assert (flat.of, flat.method, flat.points.shape) == ("input", "pca", (200, 2))
    assert flat.points.dtype == np.float32
    maps = noisy.embeddings("maps")
    np.testing.assert_allclose(maps.points, flat.points, atol=1e-5)  # the layer is the identity
    assert "every position of its maps" in maps.note
    assert noisy.embeddings("dense").points.shape == (200, 2)


def test_at_most_so_many_samples_are_drawn_and_read(noisy):
    found = noisy.embeddings("dense", n_points=50)
    np.testing.assert_array_equal(found.rows, np.arange(50) * 4)
    assert sum(count for _, count in noisy.model.calls) == 50
    with pytest.raises(DataError, match=r"n_points must be in 1\.\.10,000"):
        noisy.embeddings(n_points=20_000)


def test_a_picture_is_made_once_until_weights_change(noisy):
    first = noisy.embeddings("dense")
    n_calls = len(noisy.model.calls)
    assert noisy.embeddings("dense") is first
    assert len(noisy.model.calls) == n_calls
    noisy.model.factor = 2.0
    noisy.refresh()
    np.testing.assert_allclose(noisy.embeddings("dense").points, 2 * first.points, atol=1e-4)


def test_in_the_background_none_comes_first_and_then_the_picture(noisy):
    noisy.model.gate = threading.Event()
    seen = []
    noisy.embeddings.observe(lambda change: seen.append(change.new), names="reading")
    assert noisy.embeddings.request("dense") is None
    noisy.model.gate.set()
    noisy.embeddings.wait()
    assert noisy.embeddings.request("dense").points.shape == (200, 2)
    assert seen[-1].complete
    assert noisy.reading is None  # which is of the passes of the session


def test_another_wish_at_the_same_place_leaves_the_one_before(noisy):
    noisy.model.gate = threading.Event()
    noisy.embeddings.request("maps", client="a")
    noisy.embeddings.request("input", client="b")
    noisy.embeddings.request("dense", client="a")
    noisy.model.gate.set()
    noisy.embeddings.wait()
    kept = {key[1] for key, each in noisy.embeddings._tasks.items() if each.complete}
    assert kept == {"input", "dense"}
    n_maps = sum(count for layers, count in noisy.model.calls if layers == ("maps",))
    assert n_maps <= 128  # the batch under way


@pytest.mark.slow
def test_cancelling_kills_the_process_and_resuming_makes_the_picture(noisy, monkeypatch):
    with monkeypatch.context() as endless:
        endless.setattr(EmbeddingProcess, "ended", lambda _, wait_s: threading.Event().wait(wait_s))
        _cancel_amid_a_layout(noisy)
    assert noisy.embeddings.reading.cancelled
    assert noisy.embeddings.request(method="tsne") is None
    assert noisy.embeddings.reading.cancelled
    noisy.embeddings.resume()
    assert not noisy.embeddings.reading.cancelled
    assert noisy.embeddings.request(method="tsne") is None
    noisy.embeddings.wait()
    assert "KL divergence" in noisy.embeddings.request(method="tsne").note


def _begin_a_layout(noisy):
    """The process that makes it."""
    noisy.embeddings.request(method="tsne")
    (one,) = noisy.embeddings._tasks.values()
    while one._process is None:
        threading.Event().wait(0.02)
    return one._process.pid


def _cancel_amid_a_layout(noisy):
    pid = _begin_a_layout(noisy)
    noisy.embeddings.cancel()
    assert not psutil.pid_exists(pid)
    noisy.embeddings.wait()


@pytest.mark.slow
def test_closing_the_session_leaves_no_process(noisy):
    pid = _begin_a_layout(noisy)
    noisy.close()
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_unchanged_weights_cost_no_second_layout(noisy):
    first = noisy.embeddings("dense", method="tsne")
    noisy.refresh()
    again = noisy.embeddings("dense", method="tsne")
    np.testing.assert_array_equal(again.points, first.points)
    assert all(each._process is None for each in noisy.embeddings._tasks.values())


def test_maps_beyond_the_budget_give_way_to_their_means(images):
    session = Session(_Noisy(), images, memory_budget_bytes=4 * 4 * 200 * 40)
    found = session.embeddings("maps")
    assert "means of its maps" in found.note
    centered = images.mean(axis=(1, 2, 3)) - images.mean()
    np.testing.assert_allclose(np.abs(found.points[:, 0]), np.abs(centered), atol=1e-5)
    assert "means of 2×2 pixels" in session.embeddings().note


def test_two_raw_features_are_pixels_or_units(noisy, images):
    found = noisy.embeddings(method="features", features=(9, 3))
    np.testing.assert_array_equal(found.points, images.reshape(200, -1)[:, [9, 3]])
    assert found.note == "across: pixel 9 (row 1, column 1), up: pixel 3 (row 0, column 3)"
    layer = noisy.embeddings("dense", method="features", features=(4, 0))
    np.testing.assert_array_equal(layer.points, images.reshape(200, -1)[:, [4, 0]])
    assert layer.note == "across: unit 4, up: unit 0"
    picked = noisy.embeddings(method="features").features
    assert len(set(picked)) == 2


def test_colors_have_their_numbers(noisy, images):
    predicted = noisy.embeddings.predicted(n_points=50)
    np.testing.assert_array_equal(predicted, noisy.predicted_classes(range(0, 200, 4)))
    values = noisy.embeddings.unit_values("maps", 0)
    np.testing.assert_allclose(values, images.max(axis=(1, 2, 3)))
    few = Session(_Noisy(), images, memory_budget_bytes=4096)
    np.testing.assert_allclose(few.embeddings.unit_values("dense", 3), images[:, 0, 3, 0])
    with pytest.raises(DataError, match=r"unit 5 is outside 0\.\.4 of layer 'dense'"):
        noisy.embeddings.unit_values("dense", 5)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"of": "empty"}, DataError, "no points of empty: its output is empty"),
        ({"of": "conv9"}, LayerError, "no layer 'conv9'; this model has maps, dense, empty"),
        ({"method": "mds"}, DataError, "no method 'mds'; there are pca, tsne"),
        ({"method": "features", "features": (0, 48)}, DataError, r"not both in 0\.\.47"),
        (
            {"of": "dense", "method": "features", "features": (5, 0)},
            DataError,
            r"not both in 0\.\.4, the units of dense",
        ),
    ],
)
def test_what_cannot_be_laid_out_says_why(noisy, asked, kind, words):
    with pytest.raises(kind, match=words):
        noisy.embeddings(**asked)


def test_umap_that_is_not_installed_says_how_to_get_it(noisy):
    if "umap" in noisy.embeddings.methods:
        pytest.skip("UMAP is installed here")
    with pytest.raises(DataError, match="pip install umap-learn"):
        noisy.embeddings(method="umap")


def test_a_failure_in_the_background_comes_with_the_next_question(noisy):
    noisy.model.fails_on = ("dense",)
    noisy.embeddings.request("dense")
    noisy.embeddings.wait()
    assert "nothing finite" in noisy.embeddings.reading.failure
    with pytest.raises(DataError, match="nothing finite"):
        noisy.embeddings.request("dense")
    noisy.model.fails_on = ()
    assert noisy.embeddings("dense").points.shape == (200, 2)
    assert noisy.embeddings.request("dense").points.shape == (200, 2)


def test_no_more_than_a_few_pictures_are_kept(noisy):
    for seed in range(30):
        noisy.embeddings("dense", seed=seed)
    assert len(noisy.embeddings._tasks) <= 24
