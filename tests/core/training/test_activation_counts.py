import numpy as np
import pytest

from actwidgets.core.histograms import BATCH, FEWEST, MOST, activation_histogram


@pytest.fixture
def runs():
    return []


@pytest.fixture
def read(runs):
    """Layers that put out the number of the row, so many times."""
    sizes = {"wide": (400, 400, 2), "narrow": (3,), "none": (0, 4)}

    def read(layers, rows):
        runs.append((tuple(layers), rows))
        return {
            name: np.broadcast_to(
                rows.reshape(-1, *[1] * len(sizes[name])), (len(rows), *sizes[name])
            )
            for name in layers
        }

    return read


def test_a_layer_is_run_until_a_million_of_its_values_came_together(read):
    rows = np.random.default_rng(0).permutation(5000)
    found = activation_histogram(read, ["wide", "narrow"], rows)
    assert found["wide"].n_samples == FEWEST
    assert found["narrow"].n_samples == MOST
    for name, n_values in (("wide", 320_000), ("narrow", 3)):
        counted = found[name].histogram
        taken = rows[: found[name].n_samples]
        assert counted.n_values == len(taken) * n_values
        assert counted.mean == pytest.approx(taken.mean())
        assert counted.std == pytest.approx(taken.std())


def test_rows_are_read_in_ascending_order_and_no_more_than_a_batch_at_a_time(read, runs):
    activation_histogram(read, ["narrow"], np.random.default_rng(0).permutation(200))
    assert sorted(np.concatenate([rows for _, rows in runs])) == list(range(200))
    for _, rows in runs:
        assert (np.diff(rows) > 0).all()
        assert len(rows) <= BATCH


def test_layers_that_have_enough_are_run_no_more(read, runs):
    activation_histogram(read, ["wide", "narrow"], np.arange(100))
    assert runs[0][0] == ("wide", "narrow")
    assert all(layers == ("narrow",) for layers, _ in runs[1:])


def test_an_empty_output_has_an_empty_histogram(read):
    found = activation_histogram(read, ["none"], np.arange(3))["none"]
    assert (found.histogram.n_values, found.n_samples) == (0, 3)
