"""What units tell of the class, where the truth is known or scikit-learn says the same."""

import numpy as np
import pytest
from planted import CARRIES, DEAD, IGNORED, PlantedProbe, planted_samples
from real_data import require_data, require_model
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import mutual_info_classif

from actwidgets.core.accumulators import summarize
from actwidgets.core.unit_importance import MEASURES, GrowingForest, mutual_information
from actwidgets.errors import DataError, ModelError, ShapeError
from actwidgets.session.importance import ImportancePass
from actwidgets.views.unit_importance import bar_ends


def _pass(x, labels, *, probe=None, **options):
    """A pass over the planted model, or over whatever values are given."""
    x, labels = np.asarray(x, np.float32), np.asarray(labels)
    probe = probe or PlantedProbe()

    def predict(edit, rows):
        return probe.edited({"<units>": edit}).predictions(x[rows])

    options = {"predict": predict, "n_trees": 25} | options
    return ImportancePass(
        "<units>", x.shape[-1], lambda rows: summarize(x[rows]), labels, **options
    )


def _table(*given, **options):
    wanted = _pass(*given, **options)
    while not wanted.complete:
        wanted.step()
    return wanted.table()


# --- planted truth -----------------------------------------------------------------------


def test_the_unit_that_carries_the_class_is_first_by_every_measure():
    x, labels = planted_samples()
    x[:, IGNORED] = np.random.default_rng(1).normal(size=len(x))  # no duplicate
    table = _table(x, labels)
    assert [table.order(measure)[0] for measure in MEASURES] == [CARRIES] * 3
    assert table.forest.sum() == pytest.approx(1)
    assert table.forest[CARRIES] > 0.8
    assert table.mutual_information[CARRIES] == pytest.approx(np.log(2), abs=0.05)
    assert table.ablation[CARRIES] == pytest.approx(0.5)  # zero says: the first class
    assert (table.baseline, table.out_of_bag_accuracy) == (1.0, 1.0)
    assert table.majority_share == 0.5


def test_a_duplicate_halves_the_forests_figure_and_leaves_the_information():
    x, labels = planted_samples()
    table = _table(x, labels)
    assert table.forest[CARRIES] == pytest.approx(0.5, abs=0.15)
    assert table.forest[[CARRIES, IGNORED]].sum() > 0.8
    assert table.mutual_information[IGNORED] == table.mutual_information[CARRIES]
    assert table.mutual_information[IGNORED] > 0.6


def test_what_the_next_layer_ignores_has_no_ablation_effect_though_it_tells_the_class():
    table = _table(*planted_samples())
    assert table.ablation[IGNORED] == 0
    assert table.ablation[CARRIES] > 0.4


def test_of_one_class_it_is_the_recall_that_is_lost_and_only_its_samples_that_are_run():
    probe = PlantedProbe()
    x, labels = planted_samples()
    table = _table(x, labels, probe=probe, class_index=1, class_name="second")
    assert table.ablation[CARRIES] == 1.0  # switched off, all are taken for the first
    assert (table.baseline, table.n_ablated, table.n_samples) == (1.0, 150, 300)
    assert _table(x, labels, class_index=0, class_name="first").ablation[CARRIES] == 0


def test_a_dead_unit_has_0_by_every_measure_and_costs_no_pass():
    probe = PlantedProbe()
    table = _table(*planted_samples(), probe=probe)
    assert [table.of(measure)[DEAD] for measure in MEASURES] == [0, 0, 0]
    assert [DEAD] not in [units for _, units in probe.log]
    assert [CARRIES] in [units for _, units in probe.log]


def test_a_unit_that_is_never_above_0_is_not_dead():
    probe = PlantedProbe()
    x, labels = planted_samples()
    x[:, DEAD] = -np.abs(x[:, 0])
    x[0, DEAD] = 0
    x[:, 0] = np.where(labels, 0, -1)  # 0 is the largest, of a map perhaps
    maps = np.stack([x, 0 * x], axis=1)[:, :, None]
    _table(maps, labels, predict=lambda e, rows: probe.edited({"<units>": e}).predictions(x[rows]))
    run = [units for _, units in probe.log]
    assert [DEAD] in run
    assert [0] in run


def test_a_constant_unit_tells_nothing_but_may_be_needed():
    x, labels = planted_samples()
    x[:, CARRIES] = 1.0  # the model now says the second class of every sample
    table = _table(x, labels)
    assert table.forest[CARRIES] == table.mutual_information[CARRIES] == 0
    assert table.ablation[CARRIES] == 0  # right on as many of the first as of the second
    assert _table(x, labels, class_index=1).ablation[CARRIES] == 1


# --- the same as scikit-learn ------------------------------------------------------------


def test_the_forest_grown_tree_by_tree_is_scikit_learns():
    x, labels = planted_samples()
    forest = GrowingForest(x, labels)
    while forest.n_grown < forest.n_trees:
        forest.grow()
    whole = RandomForestClassifier(100, random_state=0, oob_score=True).fit(x, labels)
    np.testing.assert_array_equal(forest.importance, whole.feature_importances_)
    assert forest.out_of_bag_accuracy == whole.oob_score_


def test_so_it_is_after_every_tree_where_some_have_nothing_to_split():
    """Their draw of the samples has a single class."""
    x, labels = planted_samples()
    few = np.flatnonzero(np.cumsum(labels == 1) * (labels == 1) == 1)
    rows = np.concatenate([np.flatnonzero(labels == 0)[:5], few])
    x, labels = x[rows], labels[rows]
    forest = GrowingForest(x, labels, n_trees=8)
    n_leaves_alone = 0
    for n_trees in range(1, 9):
        forest.grow()
        whole = RandomForestClassifier(n_trees, random_state=0).fit(x, labels)
        np.testing.assert_allclose(forest.importance, whole.feature_importances_, rtol=1e-12)
        n_leaves_alone += whole.estimators_[-1].tree_.node_count == 1
    assert 0 < n_leaves_alone < 8


def test_splits_that_gain_nothing_make_no_unit_important():
    """Each class has both values: the tree splits them, and is as unsure as before."""
    forest = GrowingForest([[0], [0], [0], [1], [1], [1]], [0, 0, 1, 1, 0, 1], 3)
    forest.grow()
    assert forest.importance.tolist() == [0]
    while forest.n_grown < 3:
        forest.grow()
        assert forest.importance[0] in (0, 1)


def test_the_information_of_a_unit_is_scikit_learns_of_that_unit_alone():
    x, labels = planted_samples()
    x[:, 0] += labels
    x = np.maximum(x, 0)  # many values tie, and noise parts them
    for unit in (0, CARRIES):
        plain = mutual_info_classif(x[:, [unit]], labels, random_state=0)
        assert mutual_information(x[:, unit], labels) == plain[0]


def test_a_constant_tells_nothing_where_scikit_learn_finds_noise():
    x, labels = np.full((30, 1), 1.0), np.arange(30) % 5
    assert mutual_info_classif(x, labels, random_state=0)[0] > 0.1
    assert mutual_information(x[:, 0], labels) == 0


@pytest.mark.keras
def test_on_mnist_all_three_are_what_plain_calls_say():
    import keras

    import actwidgets as aw

    folder = require_data("mnist")
    model = aw.load_model(require_model("MNIST_dense128.h5"))
    data = aw.load_dataset("mnist", path=folder)
    x, labels = data.x_test.reshape(-1, 28, 28)[:600], data.y_test[:600]
    session = aw.Session(model, x, labels, layer="dense_0")
    table = session.importance()

    values = aw.activations(model, x, layers=["dense_0"])["dense_0"]
    forest = RandomForestClassifier(random_state=0, oob_score=True).fit(values, labels)
    np.testing.assert_allclose(table.forest, forest.feature_importances_, atol=1e-3)
    assert table.out_of_bag_accuracy == pytest.approx(forest.oob_score_, abs=0.01)
    units = [0, 20, 55, 127]
    one_by_one = [mutual_info_classif(values[:, [u]], labels, random_state=0)[0] for u in units]
    np.testing.assert_allclose(table.mutual_information[units], one_by_one, atol=1e-6)
    together = mutual_info_classif(values, labels, random_state=0)
    np.testing.assert_allclose(table.mutual_information, together, atol=0.1)  # ties

    head = keras.Sequential([keras.Input((128,)), *model.layers[-2:]])
    right = [np.mean(head.predict(values, verbose=0).argmax(axis=1) == labels)]
    for unit in units:
        off = values.copy()
        off[:, unit] = 0
        right.append(np.mean(head.predict(off, verbose=0).argmax(axis=1) == labels))
    assert table.baseline == pytest.approx(right[0])
    np.testing.assert_allclose(table.ablation[units], right[0] - np.array(right[1:]), atol=1e-12)


# --- in pieces ---------------------------------------------------------------------------


def test_pieces_are_counted_and_the_last_is_done_when_all_is_known():
    wanted = _pass(*planted_samples())
    counts = []
    while not wanted.complete:
        assert wanted.n_read < wanted.n_samples
        counts.append(wanted.n_read)
        wanted.step()
    assert (np.diff(counts) >= 0).all()
    assert wanted.n_read == wanted.n_samples
    assert not any(np.isnan(wanted.table().of(measure)).any() for measure in MEASURES)
    wanted.step()
    assert wanted.table().complete
    assert wanted.table().seconds_left == 0


def test_the_order_of_what_becomes_known_is_forest_information_ablation():
    wanted, first = _pass(*planted_samples()), []
    while not wanted.complete:
        wanted.step()
        first += [m for m in MEASURES if m not in first and wanted.table().known(m)]
    assert first == list(MEASURES)
    assert wanted.table().seconds.keys() == {"reading", *MEASURES}
    assert all(wanted.table().seconds.values())


def test_a_table_is_a_copy_that_further_pieces_leave_alone():
    wanted = _pass(*planted_samples())
    while not wanted.table().known("forest"):
        wanted.step()
    early = wanted.table()
    before = early.forest.copy()
    while not wanted.complete:
        wanted.step()
    np.testing.assert_array_equal(early.forest, before)
    assert not early.known("mutual_information")
    assert early.order("ablation").tolist() == list(range(early.n_units))  # NaN: by index


# --- odd input ---------------------------------------------------------------------------


def test_at_most_2000_samples_are_read_evenly_spread():
    x, labels = planted_samples(5001)
    table = _table(x, labels)
    assert (table.n_samples, table.n_total) == (2000, 5001)
    assert table.baseline == 1


def test_of_a_very_wide_layer_fewer_samples_are_read():
    x, labels = planted_samples(100)
    assert _table(x, labels, budget_bytes=6 * 4 * 50).n_samples == 50


def test_of_4096_units_the_256_that_vary_most_are_measured():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 4096)).astype(np.float32) * 0.01
    x[:, 3000:3256] *= 1000
    wanted = _pass(x, np.arange(40) % 2, predict=None)
    while not wanted.table().known("forest"):
        wanted.step()
    table = wanted.table()
    assert table.measured.tolist() == list(range(3000, 3256))
    assert np.isnan(table.forest[:3000]).all()
    assert table.forest.size == 4096
    assert "Measured are the 256 of 4,096 units that vary most." in table.notes


def test_samples_with_nan_or_infinity_are_left_out_and_told():
    x, labels = planted_samples()
    clean = _table(x[2:], labels[2:], predict=None)
    x[0, 0], x[1, 2] = np.nan, np.inf
    table = _table(x, labels, predict=None)
    assert (table.n_finite, table.n_samples) == (298, 300)
    np.testing.assert_array_equal(table.forest, clean.forest)
    assert any("2." in each and "NaN" in each for each in table.notes)


def test_a_nan_somewhere_on_a_map_is_not_hidden_by_the_mean_of_the_rest():
    maps = np.ones((4, 2, 2, 1), np.float32)
    maps[0, 0, 0, 0] = np.nan
    assert _table(maps, [0, 1, 0, 1], predict=None).n_finite == 3


def test_a_unit_that_is_never_finite_is_left_out_rather_than_all_samples():
    x, labels = planted_samples()
    x[:, 0] = np.nan
    table = _table(x, labels)
    assert table.measured.tolist() == [1, 2, 3, 4, 5]
    assert table.n_finite == 300
    assert np.isnan(table.forest[0])
    assert any("never finite: 1" in each for each in table.notes)


def test_nothing_finite_leaves_all_unknown_and_complete():
    table = _table(np.full((4, 2), np.nan), [0, 1, 0, 1], predict=None)
    assert table.complete
    assert table.n_finite == 0
    assert not any(table.known(measure) for measure in MEASURES)


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_one_class_tells_nothing(n_samples):
    x, _ = planted_samples(n_samples)
    table = _table(x, np.zeros(n_samples, int))
    assert table.forest.tolist() == [0] * 6
    assert table.mutual_information.tolist() == [0] * 6
    assert np.isnan(table.out_of_bag_accuracy)
    assert table.majority_share == 1
    assert any("one class" in each for each in table.notes)


def test_classes_with_one_sample_each_have_no_information_that_could_be_told():
    x, labels = planted_samples(2)
    table = _table(x, labels)
    assert np.isnan(table.mutual_information[:5]).all()
    assert table.complete
    assert any("two samples of two classes" in each for each in table.notes)
    assert table.known("ablation")


def test_a_class_with_one_sample_among_others_is_ordinary():
    x, labels = planted_samples(50)
    labels = np.append(labels[:-1], 1)
    assert np.isfinite(_table(x, labels, class_index=1).mutual_information).all()


def test_a_single_unit_is_all_of_the_forest():
    x, labels = planted_samples()
    table = _table(x[:, [CARRIES]], labels, predict=None)
    assert table.forest.tolist() == [1]
    assert table.order().tolist() == [0]


def test_a_class_without_samples_has_no_recall_to_lose():
    x, labels = planted_samples()
    table = _table(x, labels, class_index=7, class_name="none")
    assert np.isnan(table.ablation).all()
    assert np.isnan(table.baseline)
    assert any("recall" in each for each in table.notes)


def test_a_model_that_cannot_be_edited_is_told_and_the_rest_is_measured():
    def refuse(edit, rows):
        raise ModelError("this probe cannot alter what layers put out")

    table = _table(*planted_samples(), predict=refuse)
    assert table.complete
    assert np.isnan(table.ablation).all()
    assert table.known("mutual_information")
    assert "No ablation effect: this probe cannot alter what layers put out." in table.notes


def test_what_else_the_model_raises_passes_through():
    def fail(edit, rows):
        raise FloatingPointError("no")

    with pytest.raises(FloatingPointError):
        _table(*planted_samples(), predict=fail)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ShapeError, match="3 samples need as many labels; got 2"):
        mutual_information([1, 2, 3], [0, 1])


def test_no_such_measure():
    with pytest.raises(DataError, match="no measure 'gini'; there are forest"):
        _table(*planted_samples(10), predict=None).order("gini")


def test_the_table_of_pandas_has_a_row_per_unit():
    table = _table(*planted_samples())
    frame = table.to_dataframe()
    assert list(frame.columns) == list(MEASURES)
    assert frame.index.name == "unit"
    np.testing.assert_array_equal(frame["ablation"], table.ablation)


# --- bars --------------------------------------------------------------------------------


def test_bars_span_their_panel_from_the_lowest_to_the_highest():
    zero, ends = bar_ends([-1, 0, 3, np.nan])
    assert zero == 0.25
    assert ends.tolist() == [0, 0.25, 1, 0.25]


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [np.nan], [np.inf]])
def test_where_nothing_differs_from_zero_there_are_no_bars(values):
    zero, ends = bar_ends(values)
    assert zero == 0
    assert not ends.any()
