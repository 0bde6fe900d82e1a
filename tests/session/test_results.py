from types import SimpleNamespace

import numpy as np
import pytest
from fakes import look_again

from actwidgets.core.ablation import Ablation
from actwidgets.core.layers import LayerInfo
from actwidgets.core.perturbation import Perturbation
from actwidgets.core.predictions import PredictionTable
from actwidgets.core.samples import Samples
from actwidgets.probe.base import Probe
from actwidgets.session import results
from actwidgets.session.context import Context
from actwidgets.session.profiles import ALL_SAMPLES, Profiles
from actwidgets.session.results import ArrayCache, PredictionPass, Results


def _put(cache, key, n_bytes):
    return cache.keep(key, np.zeros(n_bytes, np.uint8))


def _held(cache):
    return "".join(key for key in "abcd" if cache.get(key) is not None)


def test_what_was_used_longest_ago_is_forgotten_beyond_the_last_byte_of_a_budget():
    cache = ArrayCache(100)
    kept = _put(cache, "a", 60)
    _put(cache, "b", 40)
    assert (cache.n_bytes, _held(cache)) == (100, "ab")
    assert cache.get("a") is kept  # the last that was used
    _put(cache, "c", 10), _put(cache, "d", 10)
    assert (cache.n_bytes, _held(cache)) == (80, "acd")
    assert len(_put(cache, "large", 101)) == 101  # more than there is room for drives nothing out
    assert (cache.n_bytes, _held(cache)) == (80, "acd")
    cache.clear()
    assert (cache.n_bytes, _held(cache)) == (0, "")


def test_what_is_given_is_read_only_and_the_array_of_whoever_made_it_is_not():
    own = np.zeros(3)
    for budget_bytes in (0, 100):
        with pytest.raises(ValueError, match="read-only"):
            ArrayCache(budget_bytes).keep("a", own)[0] = 1
    own[0] = 1


# --- model numbers ------------------------------------------------------------------------


X = np.arange(12.0).reshape(6, 2)


class _Probe(Probe):
    layers = (LayerInfo("conv", "Dense", (None, 2), 2, 0),)
    n_classes = 2

    def __init__(self):
        self.asked = []

    def activations(self, layers, x):
        self.asked.append((*layers, len(x)))
        return {layer: np.asarray(x, np.float32) for layer in layers}

    def check(self, x):
        pass

    def edited(self, edits):
        return self

    def predictions(self, x):
        self.asked.append(("predictions", len(x)))
        return np.asarray(x, np.float32)


@pytest.fixture
def probe():
    return _Probe()


def _numbers(probe, y=(0, 1, 0, 1, 0, 1), budget_bytes=10_000):
    return Results(probe, Samples(X, y, n_classes=2), budget_bytes)


def _profiles(probe, y=(0, 1, 0, 1, 0, 1), budget_bytes=10_000):
    """Those of a session, which a part of it does without."""
    context = Context(Samples(X, y, n_classes=2), budget_bytes, print)
    context.set_model(probe, ("a", "b"), None)
    context.forget()
    return Profiles(context)


def test_maps_are_asked_for_once_and_cannot_be_written_to(probe):
    numbers = _numbers(probe)
    found = numbers.maps("conv", (4, 1))
    assert found.tolist() == [[8, 9], [2, 3]]
    assert numbers.maps("conv", (4, 1)) is found
    assert probe.asked == [("conv", 2)]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_other_rows_or_layers_are_other_maps(probe):
    numbers = _numbers(probe)
    numbers.maps("conv", (0, 1)), numbers.maps("conv", (1, 0)), numbers.maps("dense", (0, 1))
    assert len(probe.asked) == 3


def test_the_samples_on_show_are_taken_once_for_all_layers(probe, monkeypatch):
    taken, original = [], Samples.perturbed
    monkeypatch.setattr(
        Samples, "perturbed", lambda *args: taken.append(args[1:]) or original(*args)
    )
    numbers, noisy = _numbers(probe), Perturbation(noise=0.1)
    for layer in ("a", "b"):
        numbers.maps(layer, (0, 1))
    numbers.maps("b", (0, 1), noisy), numbers.maps("b", (0, 2)), numbers.maps("c", tuple([5] * 65))
    numbers.maps("d", (0, 2)), numbers.outputs((0, 2), noisy)
    assert [rows[:3] for rows, _ in taken] == [(0, 1), (0, 1), (0, 2), (5, 5, 5), (0, 2)]


def test_maps_of_other_weights_are_not_shown_again_once_they_are_looked_at(probe):
    numbers = _numbers(probe)
    numbers.maps("conv", (0,)), numbers.outputs((0,))
    probe.fingerprint = lambda: 2
    look_again(SimpleNamespace(results=numbers))
    numbers.maps("conv", (0,)), numbers.outputs((0,))
    assert probe.asked == [("conv", 1), ("predictions", 1)] * 2


def test_a_slider_leaves_no_trail_of_ablated_models(probe):
    numbers, ablations = _numbers(probe), [(Ablation("conv", (0,), scale),) for scale in (0, 0.5)]
    plain, first, second = (numbers.model(each) for each in [(), *ablations])
    assert numbers.model(ablations[1]) is second
    assert numbers.model() is plain
    assert numbers.model(ablations[0]) is not first


def test_steps_of_a_fast_model_grow_to_a_limit(monkeypatch):
    monkeypatch.setattr(results, "FAST_S", float("inf"))
    sizes, n_samples = [], 3 * results.LARGEST_STEP
    task = PredictionPass(
        PredictionTable(n_samples, 1), lambda rows: sizes.append(len(rows)) or rows[:, None]
    )
    task.finish()
    assert sizes[:3] == [results.STEP, 2 * results.STEP, 4 * results.STEP]
    assert max(sizes) == results.LARGEST_STEP


def test_predictions_are_made_for_rows_not_known(probe):
    numbers = _numbers(probe)
    numbers.outputs([0, 1])
    assert numbers.outputs([1, 5]).tolist() == [[2, 3], [10, 11]]
    assert probe.asked == [("predictions", 2), ("predictions", 1)]


def test_a_pass_reads_all_samples_and_is_kept(probe):
    profiles = _profiles(probe)
    reading = profiles.task(("conv",), 4.5)
    reading.step()
    assert reading.complete
    profiles = profiles.task(("conv",), 4.5).profiles(4.5)
    assert profiles.firing_rate["conv"].tolist() == [[1 / 3, 2 / 3], [2 / 3, 2 / 3]]
    assert profiles.class_names == ("a", "b")
    assert probe.asked == [("conv", 6)]


def test_passes_that_were_used_last_are_kept_within_half_the_budget(probe):
    profiles = _profiles(probe, budget_bytes=4 * 48)  # whose peaks take 48 bytes each

    def read(layer):
        profiles.task((layer,), 0.0).finish()

    for layer in "abac":
        read(layer)
    probe.asked.clear()
    for layer in "ac":
        read(layer)
    assert probe.asked == []
    read("b")
    assert probe.asked == [("b", 6)]


def test_without_labels_all_samples_are_read_as_of_one_class(probe):
    read = _profiles(probe, y=None).task(("conv",), 0.0)
    while not read.complete:
        read.step()
    profiles = read.profiles(0.0)
    assert profiles.class_names == ALL_SAMPLES
    assert profiles.counts.tolist() == [profiles.n_samples]


def test_without_a_budget_every_number_is_right_and_none_is_kept(probe):
    numbers = _numbers(probe, budget_bytes=0)
    for _ in range(2):
        assert numbers.maps("conv", (0,)).tolist() == [[0, 1]]
    assert len(probe.asked) == 2
    assert not _profiles(probe, budget_bytes=0).task(("conv",), 0.0).n_bytes
