"""Sessions whose `y` has several labels a sample, or a class for each pixel."""

import bqplot as bq
import h5py
import numpy as np
import pandas as pd
import pytest
import shown
from sklearn import metrics

import actwidgets as aw
from actwidgets.errors import DataError, ShapeError

keras = pytest.importorskip("keras")
layers = keras.layers
pytestmark = pytest.mark.keras

NAMES = ("sky", "sea", "sand")
GENERATOR = np.random.default_rng(11)
X = GENERATOR.normal(size=(40, 6)).astype(np.float32)
SETS = GENERATOR.random((40, 3)) > 0.6
PICTURES = GENERATOR.random((21, 8, 6, 1)).astype(np.float32)
MASKS = GENERATOR.integers(0, 3, (21, 8, 6))
VIEWS = (
    *(aw.SampleGallery, aw.ConfusionMatrix, aw.PredictionTable, aw.ClassCounts, aw.UnitBoxPlot),
    *(aw.TopSamples, aw.UnitAblation, aw.InputLab, aw.EmbeddingScatter, aw.UnitImportance),
    *(aw.ClassSimilarityMatrix, aw.ClassRanking, aw.ClassSeparation, aw.UnitTable, aw.SelectionBar),
    *(aw.FeatureMapGrid, aw.AttributionMap),
)


def _labeller(activation):
    keras.utils.set_random_seed(4)
    hidden = layers.Dense(5, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((6,)), hidden, layers.Dense(3, activation, name="out")])


def _segmenter(n_outputs, activation, axis=-1):
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 6, 1))
    maps = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    outputs = layers.Conv2D(n_outputs, 1, activation=activation, name="out")(maps)
    if axis == 1:
        outputs = layers.Permute((3, 1, 2))(outputs)
        outputs = layers.Softmax(axis=1)(outputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("activation", "options", "threshold"),
    [
        ("sigmoid", {}, 0.5),
        (None, {}, 0.0),
        (None, {"output_is": "logit"}, 0.0),
    ],
)
def test_several_labels_are_counted_as_scikit_learn_counts_them(activation, options, threshold):
    model = _labeller(activation)
    session = aw.Session(model, X, SETS.astype(int), class_names=NAMES, **options)
    said = np.asarray(model(X)) > threshold
    np.testing.assert_array_equal(session.label_sets, SETS)
    assert session.labels is None
    np.testing.assert_array_equal(session.predictions.labels(), said)
    found = session.confusion()
    np.testing.assert_array_equal(found.counts, metrics.multilabel_confusion_matrix(SETS, said))
    expected = metrics.classification_report(
        SETS, said, target_names=NAMES, output_dict=True, zero_division=0
    )
    table = session.classification_report().to_dataframe()
    for name, figures in expected.items():
        np.testing.assert_allclose(table.loc[name], [*figures.values()], err_msg=name)
    profiles, hidden = session.profiles(), np.asarray(model.layers[0](X))
    for index in range(3):
        mine = hidden[SETS[:, index]]
        np.testing.assert_allclose(profiles.mean["hidden"][index], mine.mean(0), rtol=1e-5)
        boxes = session.unit_boxes()
        assert boxes.fives[index, 2] == pytest.approx(np.median(mine[:, session.unit]))
    session.threshold = 0.4  # from the peaks that were kept, without another pass
    rates = session.profiles().firing_rate["hidden"]
    for index in range(3):
        np.testing.assert_allclose(rates[index], (hidden[SETS[:, index]] > 0.4).mean(axis=0))
    session.close()


def test_several_labels_as_a_table_bring_their_names():
    session = aw.Session(_labeller("sigmoid"), X, pd.DataFrame(SETS, columns=NAMES))
    assert session.class_names == NAMES
    assert session.label_words(0) == (
        ", ".join(name for name, each in zip(NAMES, SETS[0], strict=True) if each) or "none"
    )
    session.close()


def test_the_views_show_two_by_two_counts_of_each_label():
    model = _labeller("sigmoid")
    session = aw.Session(model, X, SETS, class_names=NAMES)
    said = np.asarray(model(X)) > 0.5
    views = {kind: kind(session) for kind in VIEWS}
    for samples in ((5, 2), (1,)):
        session.samples = samples
        session.class_index = 1
        assert {kind: view.error for kind, view in views.items() if view.error} == {}
    matrix = views[aw.ConfusionMatrix]
    truth = SETS[:, 1]
    expected = metrics.confusion_matrix(truth, said[:, 1])
    text = dict(
        zip(
            zip(shown.part(matrix, bq.Label).y, shown.part(matrix, bq.Label).x, strict=True),
            shown.part(matrix, bq.Label).text,
            strict=True,
        )
    )
    found = [[int(text.get((row, column), 0)) for column in ("no", "yes")] for row in ("no", "yes")]
    assert found == expected.tolist()
    assert "of sea" in shown.text(matrix)
    assert len(matrix.pairs.options) == 3
    assert "micro average" in shown.text(matrix)
    matrix.pairs.index = 2
    assert session.class_index == 2
    shown.click(matrix, 1, 0)
    missed = np.flatnonzero(SETS[:, 2] & ~said[:, 2])
    assert session.samples == tuple(missed) if len(missed) else "0 samples" in shown.text(matrix)
    assert session.class_index == 2
    gallery = views[aw.SampleGallery]
    gallery.only_chosen = False
    gallery.outcome = "right"
    assert shown.samples(gallery) == np.flatnonzero((said == SETS).all(axis=1))[:12].tolist()
    gallery.outcome, gallery.class_filter = "all", 1
    assert shown.samples(gallery) == np.flatnonzero(truth)[:12].tolist()
    assert "a sample counts in every class" in shown.text(views[aw.ClassCounts])
    assert views[aw.ClassCounts].bars.y.tolist() == [SETS.sum(axis=0).tolist()]
    assert "y holds several" in shown.text(views[aw.UnitImportance])
    session.profiles()
    counted = f"{len(X):,} samples, {SETS.sum():,} labels"  # each counts in its class
    for kind in (aw.UnitTable, aw.UnitBoxPlot, aw.TopSamples, aw.ClassSimilarityMatrix):
        views[kind].watching = False
        views[kind].watching = True
        assert counted in shown.text(views[kind])
    assert f"{len(X):,} samples, all labels" in shown.text(matrix)
    for view in views.values():
        view.close()
    session.close()


def test_a_model_that_gives_one_class_a_sample_refuses_several():
    with pytest.raises(DataError, match=r"not one-hot.*each output of the model stands on its own"):
        aw.Session(_labeller("softmax"), X, SETS)
    with pytest.raises(ShapeError, match="2 columns of labels for 3 classes"):
        aw.Session(_labeller("sigmoid"), X, np.ones((40, 2)))


ENDS = [(3, "softmax", -1), (3, None, -1), (1, "sigmoid", -1), (1, None, -1), (3, None, 1)]
FORMS = ["indices", "channel", "one-hot", "stored", "tensor", "lists"]


@pytest.mark.parametrize(
    ("n_outputs", "activation", "axis", "form"),
    # One output a pixel has no axis of classes to be one-hot along.
    [(*end, form) for end in ENDS for form in FORMS if end[0] > 1 or form != "one-hot"],
)
def test_the_pixels_of_masks_are_counted_as_scikit_learn_counts_them(
    n_outputs, activation, axis, form, tmp_path
):
    model = _segmenter(n_outputs, activation, axis)
    masks = MASKS if n_outputs > 1 else MASKS // 2
    n_classes = max(n_outputs, 2)
    outputs = np.asarray(model(PICTURES))
    if n_outputs > 1:
        said = outputs.argmax(axis=axis)
    else:
        said = (outputs[..., 0] > (0.5 if activation else 0)).astype(int)
    file = h5py.File(tmp_path / "y.h5", "w")
    y = {
        "indices": masks,
        "channel": masks[..., None].astype(np.float32),
        "one-hot": np.eye(n_classes)[masks],
        "stored": file.create_dataset("y", data=masks),
        "lists": [each.tolist() for each in masks],
        "tensor": keras.ops.convert_to_tensor(masks),
    }[form]
    session = aw.Session(model, PICTURES, y)
    found, labels = session.confusion(), range(n_classes)
    true, flat = masks.ravel(), said.ravel()
    np.testing.assert_array_equal(found.counts, metrics.confusion_matrix(true, flat, labels=labels))
    iou = metrics.jaccard_score(true, flat, labels=labels, average=None, zero_division=0)
    np.testing.assert_allclose(session.classification_report().iou, iou)
    behind = [row for row in range(21) if ((masks[row] == 1) & (said[row] == 0)).any()]
    assert found.samples(1, 0) == tuple(behind)
    file.close()
    session.close()


def test_views_of_masks_count_pixels_and_say_so():
    session = aw.Session(_segmenter(3, "softmax"), PICTURES, MASKS, class_names=NAMES)
    views = {kind: kind(session) for kind in VIEWS}
    session.samples = (5, 2)
    session.class_index = 1
    assert {kind: view.error for kind, view in views.items() if view.error} == {}
    matrix, counts = views[aw.ConfusionMatrix], views[aw.ClassCounts]
    session.wait()
    assert f"{MASKS.size:,} pixels" in shown.text(matrix)
    assert "IoU" in shown.text(matrix)
    shown.hover(matrix, 1, len(matrix.matrix.column) - 1)
    assert f"{(MASKS == 1).sum():,} pixels in 21 samples" in shown.text(matrix)
    assert "Pixels by class" in shown.text(counts)
    assert counts.bars.y.tolist() == [np.bincount(MASKS.ravel()).tolist()]
    assert "y holds masks" in shown.text(views[aw.ClassSimilarityMatrix])
    for view in views.values():
        view.close()
    session.close()


def test_masks_of_another_shape_or_class_are_refused():
    model = _segmenter(3, "softmax")
    with pytest.raises(ShapeError, match="x has 21 samples and y has 20 masks"):
        aw.Session(model, PICTURES, MASKS[:20])
    with pytest.raises(ShapeError, match="got shape"):
        aw.Session(model, PICTURES, MASKS[:, :7])
    with pytest.raises(DataError, match="y holds 7, but there are 3 classes"):
        aw.Session(model, PICTURES, np.where(MASKS == 2, 7, MASKS)).confusion()


def test_a_recording_says_that_it_keeps_one_class_a_sample(tmp_path):
    for model, x, y in ((_labeller("sigmoid"), X, SETS), (_segmenter(3, None), PICTURES, MASKS)):
        session = aw.Session(model, x, y)
        for given in ((model, tmp_path / "run", x, y), (session, tmp_path / "run")):
            with pytest.raises(
                DataError, match=r"one class a sample, and y holds .*give x, and no y"
            ):
                aw.Recorder(*given)
        assert not (tmp_path / "run").exists()
        session.close()


def test_a_sigmoid_over_gray_pictures_stays_a_probability_beside_masks():
    # as many outputs as inputs, as an autoencoder has: the masks tell that it is none
    inputs = keras.Input((6, 8, 1))
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(inputs))
    model.set_weights([np.full((1, 1, 1, 1), -1, np.float32), np.array([0.5], np.float32)])
    x = np.random.default_rng(3).random((5, 6, 8, 1)).astype(np.float32)
    masks = (x < 0.4).astype(np.float32)
    predicted = np.asarray(model(x)) > 0.5  # where x < 0.5
    for y in (masks, masks[..., 0] > 0):
        session = aw.Session(model, x, y)
        assert (session.output.kind, session.output.link) == ("probability", "sigmoid")
        assert session.confusion().accuracy == pytest.approx((predicted == masks).mean())
        session.close()


def test_a_model_that_is_refused_leaves_masks_and_label_sets_as_they_were():
    inputs = keras.Input((6, 8, 3))
    maps = keras.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(inputs))
    classes = keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(inputs)))
    labels = keras.Model(inputs, layers.Dense(4, activation="sigmoid")(layers.Flatten()(inputs)))
    random = np.random.default_rng(5)
    x = random.random((5, 6, 8, 3)).astype(np.float32)
    for model, y in (
        (maps, random.integers(0, 2, (5, 6, 8))),
        (labels, np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 1]])),
    ):
        session = aw.Session(model, x, y)
        before = session.confusion().accuracy
        with pytest.raises((ShapeError, DataError)):
            session.model = classes
        assert session.model is model
        assert session.confusion().accuracy == before
        session.close()
