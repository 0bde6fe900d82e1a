"""What a session's model predicts of all samples, as it is and with units ablated."""

import numpy as np
import pytest
import traitlets
from fakes import FakeProbe, hold_back

from actwidgets.core.ablation import Ablation
from actwidgets.core.layers import LayerInfo
from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import DataError, LayerError, SelectionError
from actwidgets.probe.base import Probe
from actwidgets.session.results import STEP
from actwidgets.session.session import Session


class _Editable(FakeProbe):
    """Predicts from the first unit of its dense layer, which may be edited."""

    def __init__(self, edits=None):
        super().__init__()
        self.edits, self.made = edits or {}, []

    def edited(self, edits):
        self.made.append(edits)
        probe = type(self)(edits)
        probe.calls, probe.made = self.calls, self.made
        return probe

    def activations(self, layers, x):
        found = super().activations(layers, x)
        return {
            name: values * self.edits[name].factor + self.edits[name].offset
            if name in self.edits
            else values
            for name, values in found.items()
        }

    def predictions(self, x):
        first = self.activations(("dense",), x)["dense"][:, 0].round().astype(int) % 3
        return np.eye(3, dtype=np.float32)[first]


@pytest.fixture
def session(data):
    return Session(_Editable(), *data, class_names=("shirt", "coat", "bag"))


def test_confusion_and_report_are_of_all_samples(session):
    found = session.confusion()
    assert found.complete
    predicted = np.arange(30) % 3
    np.testing.assert_array_equal(found.predicted, predicted)
    assert found.accuracy == np.mean(predicted == np.arange(30) % 2)
    assert session.classification_report().support.tolist() == [15, 15, 0]
    assert session.confusion([3, 4]).labels.tolist() == [1, 0]


def test_a_partial_result_is_finished_in_the_background(data):
    n_samples = 6 * STEP
    x = np.zeros((n_samples, 6, 8, 1), np.float32)
    session = Session(_Editable(), x, np.zeros(n_samples, int))
    readings = []
    session.observe(lambda change: readings.append(change.new), names="reading")
    first = session.predictions.confusion(partial=True)
    session.wait()
    assert session.predictions.confusion(partial=True).complete
    if not first.complete:  # it may have been that fast
        assert readings[-1].what == "predictions"
        assert readings[-1].complete


def test_a_cancelled_pass_goes_no_further_until_it_is_resumed(monkeypatch):
    monkeypatch.setattr("actwidgets.session.predictions.AT_ONCE_S", 0.0)
    n_samples = 40 * STEP
    session = Session(_Editable(), np.zeros((n_samples, 6, 8, 1), np.float32), [0] * n_samples)
    go = hold_back(session)
    assert len(session.predictions.confusion(partial=True).rows) == STEP
    session.cancel()
    session.wait()
    assert not session.predictions.confusion(partial=True).complete
    assert session.reading.cancelled
    go()
    session.resume()
    session.predictions.confusion(partial=True)
    session.wait()
    assert session.predictions.confusion(partial=True).complete


def test_a_pass_that_others_finish_is_reported_as_complete(monkeypatch):
    monkeypatch.setattr("actwidgets.session.predictions.AT_ONCE_S", 0.0)
    n_samples = 20 * STEP
    session = Session(_Editable(), np.zeros((n_samples, 6, 8, 1), np.float32), [0] * n_samples)
    go = hold_back(session)
    session.predictions.confusion(partial=True)
    session.predictions()
    go()
    session.wait()
    assert session.reading.complete


def test_ablations_change_predictions_and_nothing_else(session):
    plain = session.predictions().copy()
    maps = session.maps([1, 2]).copy()
    session.layer = "dense"
    session.ablations = (Ablation("dense", (0,)),)
    assert session.predictions().argmax(axis=1).tolist() == [0] * 30
    assert session.confusion().counts.tolist() == [[15, 0, 0], [15, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(session.predictions(ablated=False), plain)
    assert session.maps()[0, 0] == 0  # of what is on show
    session.samples = (4,)
    assert session.maps().tolist() == [[0, 8, 12, 16, 20]]
    assert session.maps([4]).tolist() == [[4, 8, 12, 16, 20]]  # of the data as given
    session.ablations = ()
    np.testing.assert_array_equal(session.predictions(), plain)
    session.layer = "conv"
    np.testing.assert_array_equal(session.maps([1, 2]), maps)


def test_a_unit_may_be_held_at_its_mean_and_two_ablations_share_a_layer(session):
    session.select(layer="dense", samples=(29,))
    session.ablations = [Ablation("dense", (0,), fill="mean"), Ablation("dense", (4,), scale=2.0)]
    np.testing.assert_allclose(session.maps(), [[14.5, 58, 87, 116, 290]])


def test_a_unit_is_not_held_at_the_mean_of_one_sample_which_is_itself(data):
    session = Session(_Editable(), *(part[:1] for part in data), layer="dense")
    session.ablations = Ablation("dense", (0,), fill="mean")
    with pytest.raises(DataError, match=r"over the only sample is the value itself.*fill=.zero"):
        session.predictions()


@pytest.mark.parametrize("layer", ["dense", "conv"])
def test_the_mean_of_a_unit_leaves_nan_out(data, layer):
    class Holed(_Editable):
        predictions = FakeProbe.predictions

        def activations(self, layers, x):
            found = super().activations(layers, x)
            for values in found.values():
                values[np.asarray(x)[:, 0, 0, 0] == 29, ..., 0] = np.nan
                values[..., 1] = np.nan
            return found

    session = Session(Holed(), *data, layer=layer)
    session.ablations = Ablation(layer, (0,), fill="mean")
    session.predictions()
    (edits,) = session.model.made
    assert edits[layer].offset[0] == np.arange(29).mean()
    session.ablations = Ablation(layer, (1,), fill="mean")
    with pytest.raises(DataError, match=r"unit 1 .*cannot be filled with its mean"):
        session.predictions()


def test_a_perturbation_is_of_the_samples_on_show(session):
    session.samples = (6,)
    plain, picture = session.maps().copy(), session.pictures().copy()
    session.perturbation = Perturbation(brightness=-1.0)
    assert session.maps().max() == 0
    assert not session.pictures().any()
    assert session.outputs(session.samples, as_shown=True).argmax() == 0
    np.testing.assert_array_equal(session.maps([6]), plain)
    np.testing.assert_array_equal(session.pictures([6]), picture)
    session.perturbation = None
    np.testing.assert_array_equal(session.maps(), plain)


def test_scores_are_of_what_is_on_show_or_of_rows(session):
    session.select(samples=(3, 4), ablations=(Ablation("dense", (0,)),))
    assert session.scores().predicted.tolist() == [0, 0]
    assert session.scores([3, 4], ablated=False).predicted.tolist() == [0, 1]
    assert session.scores(limit=1).confidence.tolist() == [1.0]
    assert len(session.maps([1, 2, 3], limit=2)) == 2
    np.testing.assert_allclose(session.scores().loss, [-np.log(1e-7), 0], atol=1e-6)


def test_scores_of_all_samples_are_told_once_and_not_of_other_weights(data):
    class Trained(_Editable):
        weights = 0

        def fingerprint(self):
            return self.weights

        def predictions(self, x):
            return np.roll(super().predictions(x), self.weights, axis=1)

    session = Session(Trained(), *data, class_names=("shirt", "coat", "bag"))
    first = session.scores(range(30))
    session.scores([3])
    assert session.scores(range(30)) is first
    assert session.scores(range(29)) is not first
    np.testing.assert_array_equal(first.loss, session.scores(np.arange(30)).loss)
    with pytest.raises(SelectionError, match="sample 30 is outside"):
        session.scores([30])
    Trained.weights = 1
    session.results._looked_s -= 1.0  # it is time to look again
    assert session.scores(range(30)).predicted.tolist() == ((first.predicted + 1) % 3).tolist()


def test_means_are_looked_for_once_for_all_that_is_done_to_a_layer(session, monkeypatch):
    asked = []
    original = Probe.summaries

    def summaries(probe, layers, *args, **options):
        asked.append(layers)
        return original(probe, layers, *args, **options)

    monkeypatch.setattr(Probe, "summaries", summaries)
    session.predictions(ablated=False)
    for scale in (0.0, 0.5, 2.0):
        session.ablations = (Ablation("dense", (0,), scale, "mean"), Ablation("conv", (1,)))
        session.predictions()
    session.ablations = (Ablation("dense", (0,), 0.1, "mean"), Ablation("dense", (1,), 0, "mean"))
    session.predictions()
    assert asked == [("dense",)]
    session.refresh()
    session.predictions()
    assert asked == [("dense",)] * 2


def test_predictions_of_perturbed_samples_follow_the_ablations(session):
    session.select(samples=(4,), perturbation=Perturbation(brightness=0.001))
    assert session.outputs(session.samples, as_shown=True).argmax() == 1
    session.ablations = Ablation("dense", (0,))
    assert session.outputs(session.samples, as_shown=True).argmax() == 0


def test_one_ablation_is_several_and_what_does_not_exist_is_refused(session):
    session.ablations = Ablation("dense", (1,))
    assert session.ablations == (Ablation("dense", (1,)),)
    for wrong, message in [
        (Ablation("sense", (0,)), "no layer 'sense'"),
        (Ablation("dense", (5,)), r"unit 5 is outside 0\.\.4"),
        ((Ablation("dense", (1,)), Ablation("dense", (2, 1))), "ablated twice"),
        ("dense", "must be several Ablation"),
    ]:
        with pytest.raises(SelectionError, match=message):
            session.ablations = wrong
    with pytest.raises(SelectionError, match="must be a Perturbation"):
        session.perturbation = 0.5
    assert session.ablations == (Ablation("dense", (1,)),)
    session.ablations = (Ablation("dense", ()),)
    assert session.ablations == ()


def _set_held(session, **fields):
    with session.hold_trait_notifications():
        for name, value in fields.items():
            setattr(session, name, value)


def test_fields_that_are_held_are_all_refused_where_one_does_not_exist(session):
    before = session.selection
    for wrong in ("dense", 5, Ablation("dense", (9,))):
        with pytest.raises(SelectionError):
            _set_held(session, layer="dense", ablations=wrong)
        assert (session.layer, session.ablations, session.selection) == ("conv", (), before)
        with pytest.raises(SelectionError):
            session.select(layer="dense", class_index=1, ablations=wrong)
        assert session.selection == before


def test_fields_of_two_sessions_may_be_linked(session, data):
    other = Session(_Editable(), *data, class_names=("shirt", "coat", "bag"))
    links = [traitlets.link((session, name), (other, name)) for name in ("ablations", "samples")]
    links.append(traitlets.link((session, "perturbation"), (other, "perturbation")))
    session.ablations = [Ablation("dense", (1,))]
    other.select(perturbation=Perturbation(noise=0.5), samples=[4, 5])
    assert other.ablations == (Ablation("dense", (1,)),)
    assert session.selection == other.selection
    for each in links:
        each.unlink()


def test_another_model_takes_over_the_ablations_that_fit(session):
    class Smaller(_Editable):
        layers = FakeProbe.layers[:1]

    session.ablations = (Ablation("conv", (3,)), Ablation("dense", (1,)))
    session.model = Smaller()
    assert session.ablations == (Ablation("conv", (3,)),)


def test_a_slider_makes_no_second_pass_for_what_it_has_seen(session):
    session.ablations = (Ablation("dense", (0,), scale=0.5),)
    session.predictions()
    session.model.calls.clear()
    session.predictions()
    assert session.model.calls == []


def test_without_labels_or_classes_it_says_why(data):
    session = Session(_Editable(), data[0])
    assert session.predictions.missing_for_confusion() == "this needs labels"
    with pytest.raises(DataError, match="no confusion matrix: this needs labels"):
        session.confusion()

    class Regression(_Editable):
        n_classes = 1

        def predictions(self, x):
            return np.asarray(x)[:, 0, 0] - 7

    session = Session(Regression(), data[0])
    assert "held for values, not classes (one number" in session.predictions.missing_for_confusion()
    with pytest.raises(DataError, match="no predictions: the model's output is held for values"):
        session.predictions()

    class Maps(_Editable):
        n_classes = 0

    session = Session(Maps(), data[0], data[1], class_names=("a", "b"))
    with pytest.raises(DataError, match="not one value per class"):
        session.confusion()


def test_a_probe_that_cannot_be_edited_says_so(data):
    plain = Session(FakeProbe(), *data, ablations=(Ablation("dense", (0,)),))
    with pytest.raises(LayerError, match="cannot run its model with"):
        plain.predictions()


def test_the_peak_of_a_unit_on_some_rows(session):
    session.select(layer="conv", unit=2)
    assert session.peak_values([1, 5]).tolist() == [3, 15]
    assert session.peak_values([]).shape == (0,)
    assert session.peak_positions([]).shape == (0, 2)


def test_a_layer_of_one_number_a_sample_has_one_unit(data):
    class Scalar(FakeProbe):
        layers = (LayerInfo("norm", "Lambda", (None,), 1, 0),)

        def activations(self, layers, x):
            return {"norm": np.asarray(x)[:, 0, 0, 0]}

    session = Session(Scalar(), *data)
    assert session.peak_values([3, 5]).tolist() == [3, 5]
    assert session.peak_positions([3, 5]).shape == (2, 0)
    assert session.peak_positions([]).shape == (0, 0)
