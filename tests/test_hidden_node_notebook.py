"""The hidden-node notebook remade on real MNIST: its figures equal plain numpy and scikit-learn.

That notebook trained 784-1-10, with a relu and L2 of 0.001 on the one unit, and reported about
31 % accuracy and a unit that reaches 19.58. Its weights were not published and began at random,
so the range of the unit is compared with numpy's, and of the accuracy only the region is.
"""

import sys

import numpy as np
import pytest
from real_data import require_data, require_model
from sklearn import metrics

import actwidgets as aw

pytestmark = pytest.mark.keras
SEED = 0
CLASSES = range(10)


@pytest.fixture(scope="module")
def mnist():
    return aw.load_dataset("mnist", path=require_data("mnist"))


@pytest.fixture(scope="module")
def test_vectors(mnist):
    return mnist.x_test.reshape(-1, 784)


@pytest.fixture(scope="module")
def one_unit(mnist):
    """The notebook's model, trained on all 60,000 images."""
    import keras

    keras.utils.set_random_seed(SEED)
    hidden = keras.layers.Dense(
        1, activation="relu", kernel_regularizer=keras.regularizers.L2(0.001), name="hidden"
    )
    digit = keras.layers.Dense(10, activation="softmax", name="digit")
    model = keras.Sequential([keras.Input((784,)), hidden, digit])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = mnist.x_train.reshape(-1, 784)
    model.fit(x, mnist.y_train, batch_size=128, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="module")
def session(one_unit, mnist, test_vectors):
    session = aw.Session(
        one_unit, test_vectors, mnist.y_test, class_names=mnist.class_names, image_shape=(28, 28)
    )
    yield session
    session.close()


@pytest.fixture(scope="module")
def values(one_unit, test_vectors):
    """What the one unit puts out for each test image: `act_val_0` of the notebook."""
    return aw.activations(one_unit, test_vectors, layers=["hidden"])["hidden"][:, 0]


@pytest.fixture(scope="module")
def dense_128(mnist):
    """A 784-128-10 model that somebody else trained and published, on the first 1,000 images."""
    model = aw.load_model(require_model("MNIST_dense128.h5"))
    session = aw.Session(
        model, mnist.x_test[:1000, ..., 0], mnist.y_test[:1000], class_names=mnist.class_names
    )
    yield session
    session.close()


# --- one unit --------------------------------------------------------------------------------


def test_the_unit_is_relu_of_a_weighted_sum(one_unit, values, test_vectors):
    weights, bias = one_unit.get_layer("hidden").get_weights()
    expected = np.maximum(test_vectors @ weights[:, 0] + bias[0], 0)
    assert values.max() > 1, "a dead unit"
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4)


def test_its_range_by_class_is_numpys(session, one_unit, values, mnist, test_vectors):
    of_class = [values[mnist.y_test == index] for index in CLASSES]
    low, high = [each.min() for each in of_class], [each.max() for each in of_class]
    assert len(set(high)) == 10
    session.profiles()  # the boxes are of what that has read
    boxes = session.unit_boxes()
    profiles = aw.class_profiles(one_unit, test_vectors, mnist.y_test, layers=["hidden"])
    for found in (boxes.min, profiles.min["hidden"][:, 0]):
        np.testing.assert_allclose(found, low, rtol=0, atol=1e-5)
    for found in (boxes.max, profiles.max["hidden"][:, 0]):
        np.testing.assert_allclose(found, high, rtol=0, atol=1e-5)
    told = ", ".join(f"{index}: {high[index]:.2f}" for index in CLASSES)
    sys.stdout.write(f"highest value by class: {told}\n")


def test_its_boxes_are_numpys_quartiles(session, values, mnist):
    session.profiles()
    boxes = session.unit_boxes()
    quartiles = [np.percentile(values[mnist.y_test == index], [25, 50, 75]) for index in CLASSES]
    assert boxes.error == 0
    np.testing.assert_array_equal(boxes.counts, np.bincount(mnist.y_test))
    np.testing.assert_allclose(boxes.fives[:, 1:4], quartiles, rtol=0, atol=1e-5)


def test_the_first_activations_are_the_units(session, values):
    np.testing.assert_allclose(session.maps(range(15))[:, 0], values[:15], rtol=0, atol=1e-5)


def test_the_accuracy_is_in_the_region_that_the_notebook_reports(session, mnist):
    """About 0.31 was reported; seeds 0 to 3, Adam or RMSprop, gave 0.275 to 0.342 here.

    A unit that died answers with the largest class, 0.114, and no single relu unit parts ten
    digits much better than three or four of them: 0.2 to 0.45 is neither.
    """
    accuracy = session.confusion().accuracy
    sys.stdout.write(f"accuracy {accuracy:.4f} with seed {SEED}\n")
    assert 0.2 < accuracy < 0.45
    expected = metrics.accuracy_score(mnist.y_test, session.predicted_classes())
    assert accuracy == pytest.approx(expected, abs=1e-12)


def test_the_confusion_matrix_is_scikit_learns(session, one_unit, mnist, test_vectors):
    predicted = one_unit.predict(test_vectors, batch_size=500, verbose=0).argmax(axis=1)
    expected = metrics.confusion_matrix(mnist.y_test, predicted, labels=list(CLASSES))
    np.testing.assert_array_equal(session.confusion().counts, expected)


def test_the_report_is_scikit_learns(session, mnist):
    expected = metrics.classification_report(
        mnist.y_test,
        session.predicted_classes(),
        target_names=mnist.class_names,
        output_dict=True,
        zero_division=0,
    )
    found = session.classification_report().to_dataframe()
    for name in (*mnist.class_names, "macro avg", "weighted avg"):
        np.testing.assert_allclose(found.loc[name], list(expected[name].values()), atol=1e-12)
    assert found.loc["accuracy", "f1-score"] == pytest.approx(expected["accuracy"], abs=1e-12)


def test_a_cell_of_the_matrix_holds_the_samples_that_numpy_finds(session, mnist):
    confusion = session.confusion()
    pair = confusion.worst_pairs(1)[0]
    taken = (mnist.y_test == pair.true) & (session.predicted_classes() == pair.predicted)
    assert confusion.samples(pair.true, pair.predicted) == tuple(np.flatnonzero(taken).tolist())


def test_the_classes_are_counted_as_numpy_counts_them(session, mnist):
    view = aw.ClassCounts(session, {"train": mnist.y_train, "test": mnist.y_test})
    expected = [np.unique(y, return_counts=True)[1] for y in (mnist.y_train, mnist.y_test)]
    np.testing.assert_array_equal(view.bars.y, expected)
    view.close()


# --- 128 units -------------------------------------------------------------------------------


def test_the_published_model_is_right_on_0_977_of_the_first_thousand(dense_128):
    assert dense_128.confusion().accuracy == pytest.approx(0.977, abs=5e-4)


def test_the_table_of_probabilities_has_numpys_figures(dense_128, mnist):
    scores, labels = dense_128.scores(range(1000)), mnist.y_test[:1000]
    outputs = dense_128.model.predict(mnist.x_test[:1000, ..., 0], verbose=0).astype(np.float64)
    assert scores.kind == "probabilities"
    np.testing.assert_allclose(scores.values, outputs, rtol=0, atol=1e-6)
    best = np.sort(scores.values, axis=1)
    np.testing.assert_array_equal(scores.confidence, best[:, -1])
    np.testing.assert_array_equal(scores.margin, best[:, -1] - best[:, -2])
    shares = scores.values / scores.values.sum(axis=1, keepdims=True)  # they are float32
    of_label = shares[np.arange(1000), labels]
    assert of_label.min() > 1e-7  # else the loss is cut off, as Keras cuts it off
    np.testing.assert_allclose(scores.loss, -np.log(of_label), rtol=0, atol=1e-9)
    expected = metrics.log_loss(labels, shares, labels=list(CLASSES))
    assert scores.loss.mean() == pytest.approx(expected, rel=1e-9)
    assert scores.order("loss")[0] == of_label.argmin()


def test_the_table_shows_the_first_twenty(dense_128, mnist):
    view = aw.PredictionTable(dense_128, lines=20)
    assert view.error == ""
    texts = list(view._sheet.words.text)
    for row in range(20):
        predicted = int(dense_128.predicted_classes([row])[0])
        label = int(mnist.y_test[row])
        told = f"✓ {predicted}" if predicted == label else f"{label} ✗ {predicted}"
        assert texts.count(str(row)) + texts.count(f"▸ {row}") >= 1
        assert told in texts
    view.close()
