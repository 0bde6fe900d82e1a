import numpy as np
import pytest
from fakes import FakeProbe, LinearSlice

from actwidgets.core.ablation import Ablation
from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import DataError, ModelError, SelectionError
from actwidgets.session.session import Session

WEIGHTS = FakeProbe().slice.weights


def test_the_samples_on_show_are_attributed_in_their_order(session):
    session.samples = (4, 1)
    found = session.attributions("gradient", target=[0, 2])
    np.testing.assert_array_equal(found.values, [WEIGHTS, 3 * WEIGHTS])
    np.testing.assert_array_equal(found.target, [0, 2])


def test_other_rows_can_be_asked_for(data, session):
    x = data[0]
    found = session.attributions("gradient_x_input", rows=[2], target=1)
    np.testing.assert_allclose(found.values, 2 * WEIGHTS * x[[2]], rtol=1e-6)


def test_what_was_asked_is_not_made_again(session, probe):
    first = session.attributions("gradient")
    n_calls = len(probe.slice.calls)
    assert session.attributions("gradient") is first
    assert session.attributions.request("gradient") is first
    assert len(probe.slice.calls) == n_calls
    session.attributions("gradient", target=1)
    assert len(probe.slice.calls) == n_calls + 1


def test_one_class_for_all_is_not_that_class_for_one(session):
    session.samples = (0,)
    one = session.attributions("gradient", target=1)
    session.samples = (0, 1)
    with pytest.raises(ValueError, match="one for each of 2"):
        session.attributions("gradient", target=[1])
    assert len(session.attributions("gradient", target=1)) == 2
    assert len(one) == 1


def test_settings_that_are_large_arrays_are_told_apart(data, session):
    x = data[0][:1]
    baselines = [np.zeros((6, 8, 1), np.float32), np.ones((6, 8, 1), np.float32)]
    baselines.append(np.where(np.arange(48).reshape(6, 8, 1) == 20, 1, 0).astype(np.float32))
    for baseline in baselines:
        asked = {"rows": [0], "target": 1, "baseline": baseline}
        found = session.attributions("integrated_gradients", **asked)
        np.testing.assert_allclose(found.values, (x - baseline) * 2 * WEIGHTS, rtol=1e-5, atol=1e-6)


def test_curves_are_those_of_the_map(data, session):
    found = session.attributions.faithfulness("gradient_x_input", rows=[5], target=1)
    assert found.kind == "deletion"
    assert (found.shares[0], found.shares[-1]) == (0, 1)
    before = session.model.slice.scores(session.model.slice.points(data[0][[5]]))
    chances = np.exp(before - before.max()) / np.exp(before - before.max()).sum()
    assert found.scores[0, 0] == pytest.approx(chances[0, 1], abs=1e-6)
    rising = session.attributions.faithfulness(
        "gradient_x_input", rows=[5], target=1, kind="insertion"
    )
    assert rising.scores[0, -1] == pytest.approx(found.scores[0, 0], abs=1e-6)


def test_they_follow_the_perturbation(session):
    session.samples = (3,)
    plain = session.attributions("gradient_x_input", target=0)
    session.perturbation = Perturbation(brightness=0.25)
    lit = session.attributions("gradient_x_input", target=0)
    wanted = session.context.samples.perturbed((3,), session.perturbation) * WEIGHTS
    np.testing.assert_allclose(lit.values, wanted, rtol=1e-5)
    assert not np.array_equal(plain.values, lit.values)


def test_refresh_forgets_them(session, probe):
    session.attributions("gradient")
    n_calls = len(probe.slice.calls)
    session.refresh()
    session.attributions("gradient")
    assert len(probe.slice.calls) == n_calls + 1


def test_other_weights_are_noticed_without_refresh(data, session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.LOOK_EVERY_S", 0)
    probe.fingerprint = lambda: (1,)
    attributions = Session(probe, data[0], None).attributions
    attributions("gradient")
    n_calls = len(probe.slice.calls)
    probe.fingerprint = lambda: (2,)
    attributions("gradient")
    assert len(probe.slice.calls) == n_calls + 1


def test_a_probe_without_gradients_says_so(session, probe):
    probe.score_function = super(FakeProbe, probe).score_function
    with pytest.raises(ModelError, match="does not tell gradients"):
        session.attributions("gradient")


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"method": "gradients"}, DataError, "no method 'gradients'; there are gradient"),
        ({"method": "gradient", "steps": 3}, DataError, "no option steps; it has none"),
        ({"method": "gradient", "target": 3}, DataError, "3 is outside the classes 0..2"),
        ({"method": "gradient", "target": 0.5}, DataError, "class indices"),
        ({"output": "logits"}, DataError, 'must be "logit" or "probability"; got .logits'),
        ({"method": "gradient", "rows": [99]}, SelectionError, "99"),
    ],
)
def test_what_cannot_be_is_refused(session, asked, error, words):
    with pytest.raises(error, match=words):
        session.attributions(**asked)


def test_no_samples_are_no_maps(session):
    assert session.attributions("gradient", rows=[]).values.shape == (0, 6, 8, 1)
    assert session.attributions.faithfulness("gradient", rows=[]).scores.shape[0] == 0


def test_a_layer_is_told_apart_only_where_it_matters(session):
    get = session.attributions
    assert get("gradient", layer="conv") is get("gradient", layer="dense")
    assert get("grad_cam", layer="conv").layer == "conv"
    assert get("grad_cam", layer="dense").layer == "dense"


def test_ablations_and_settings_are_told_apart(session, probe):
    probe.edited = lambda edits: probe
    get = session.attributions
    whole = get("occlusion", patch=(3, 2))
    assert get("occlusion", patch=[3, 2]) is whole
    assert get("occlusion", patch=(2, 3)) is not whole
    session.ablations = (Ablation("conv", (1,)),)
    assert get("occlusion", patch=(3, 2)) is not whole


def test_a_model_assigned_is_the_one_that_is_asked(session):
    session.attributions("gradient", target=0)
    other = FakeProbe()
    other.slice.weights = -WEIGHTS
    session.model = other
    found = session.attributions("gradient", target=0)
    np.testing.assert_array_equal(found.values[0], -WEIGHTS)


def test_scores_of_the_other_kind_are_another_map(session):
    get = session.attributions
    logit = get("gradient", output="logit")
    assert get("gradient", output="probability") is not logit
    assert get("gradient", output="logit") is logit


def test_the_predicted_class_is_that_of_the_sample_as_it_is_shown(session):
    session.samples = (3, 4)
    session.perturbation = Perturbation(brightness=0.05)
    wanted = session.outputs((3, 4), as_shown=True).argmax(axis=1)
    assert not np.array_equal(wanted, session.outputs((3, 4)).argmax(axis=1))
    np.testing.assert_array_equal(session.attributions("gradient").target, wanted)


def test_a_class_whose_score_is_no_number_is_not_the_predicted_one(session, probe):
    probe.predictions = lambda x: np.tile(np.array([np.nan, 0.1, 0.2], np.float32), (len(x), 1))
    assert session.attributions("gradient", rows=[0, 1]).target.tolist() == [2, 2]


class RandomSlice(LinearSlice):
    """The linear slice with one layer, whose weights can be other ones."""

    stages, fixed = ("conv",), ()

    def reset(self):
        self.weights = WEIGHTS

    def randomize(self, _layer):
        self.weights = WEIGHTS[::-1] ** 2


def test_the_check_of_random_weights_is_kept_beside_the_map(session, probe):
    asked = {}

    def randomized_score_function(layer, output, **more):
        asked.update(layer=layer, output=output, **more)
        return RandomSlice()

    probe.randomized_score_function = randomized_score_function
    plain = session.attributions("gradient")
    found = session.attributions.randomization("gradient")
    assert found.stages == ("", "conv")
    assert found.similarity[0] == 1
    assert found.similarity[1] < 0.9
    assert session.attributions.randomization("gradient") is found
    assert session.attributions("gradient") is plain
    assert asked["memory_budget_bytes"] == session.memory_budget_bytes // 4


def test_a_batch_may_take_a_quarter_of_the_budget(session, probe):
    asked, plain = [], probe.score_function

    def score_function(layer, output, *, memory_budget_bytes):
        asked.append(memory_budget_bytes)
        return plain(layer, output, memory_budget_bytes=memory_budget_bytes)

    probe.score_function = score_function
    session.attributions("gradient")
    assert set(asked) == {session.memory_budget_bytes // 4}


def test_it_is_the_model_with_its_ablations_that_is_asked(session, probe):
    edited = FakeProbe()
    edited.slice.weights = 2 * WEIGHTS
    probe.edited = lambda edits: edited
    session.ablations = (Ablation("conv", (1,)),)
    found = session.attributions("gradient", target=0)
    np.testing.assert_array_equal(found.values[0], 2 * WEIGHTS)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda it: it.attributions.request(kind="curve"), "there are maps, deletion, insertion"),
        (lambda it: it.attributions.faithfulness(kind="maps"), "there are deletion, insertion"),
        (lambda it: it.layer_similarity(positions="max"), "'flat' or 'mean'; got 'max'"),
        (lambda it: it.embedding(features=(1,), method="features"), r"features .* got \(1,\)"),
    ],
)
def test_an_unknown_option_is_refused_with_those_there_are(session, ask, words):
    with pytest.raises(DataError, match=words):
        ask(session)
