"""The class-activation notebook remade on real Fashion-MNIST: the same numbers as its loops."""

import numpy as np
import pytest
from fashion_cnn import build, notebook_distance, notebook_firing_share, notebook_ranking, train
from real_data import require_data

import actwidgets as aw

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def fashion():
    return aw.load_dataset("fashion_mnist", path=require_data("fashion_mnist"))


@pytest.fixture(scope="module")
def model(fashion):
    model = build()
    train(model, fashion.x_train[:6000], fashion.y_train[:6000], epochs=1)
    return model


@pytest.fixture(scope="module")
def samples(fashion):
    """A part of the test set in which the classes differ in size, as the notebook's do not."""
    x, y = fashion.x_test[:3000], fashion.y_test[:3000]
    assert len(set(np.bincount(y))) > 1
    return x, y


@pytest.fixture(scope="module")
def shares(model, samples):
    return notebook_firing_share(model, *samples)


@pytest.fixture(scope="module")
def profiles(model, samples):
    return aw.class_profiles(model, *samples, layers=["dense"])


def test_firing_rates_are_the_notebooks_shares(profiles, shares):
    assert 0 < np.mean(shares) < 1
    np.testing.assert_allclose(profiles.firing_rate["dense"], shares, rtol=0, atol=1e-12)


def test_similarity_is_the_notebooks_distance(profiles, shares):
    found = profiles.similarity("dense")
    assert found.max() > 0.1
    np.testing.assert_allclose(found, notebook_distance(shares), rtol=0, atol=1e-12)


def test_the_ranking_is_the_notebooks(profiles, shares):
    np.testing.assert_array_equal(
        profiles.ranking("dense"), notebook_ranking(notebook_distance(shares))
    )


def test_a_session_shows_the_same_numbers(model, samples, shares):
    session = aw.Session(model, *samples, layer="dense")
    np.testing.assert_allclose(session.similarity(), notebook_distance(shares), rtol=0, atol=1e-12)
    session.close()


def test_a_higher_threshold_is_the_same_loop_with_another_number(model, samples):
    rates = aw.class_profiles(model, *samples, layers="dense", threshold=0.5).firing_rate["dense"]
    shares = notebook_firing_share(model, *samples, threshold=0.5)
    np.testing.assert_allclose(rates, shares, rtol=0, atol=1e-12)
