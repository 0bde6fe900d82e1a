"""The weights of a published model before and after its training, as numpy has them."""

import numpy as np
import pytest
import shown
from real_data import require_data, require_model

pytestmark = pytest.mark.keras


def test_means_and_deviations_of_a_cifar_model_before_and_after_are_those_of_numpy():
    import keras

    import actwidgets as aw
    from actwidgets.views.weight_histogram import WeightHistogram

    trained = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    data = aw.load_dataset("cifar10", require_data("cifar10"))
    keras.utils.set_random_seed(0)
    model = keras.models.clone_model(trained)  # with new weights
    session = aw.Session(model, data.x_test[:40], data.y_test[:40])
    view = WeightHistogram(session)
    before = {
        layer.name: [np.asarray(each).copy() for each in layer.weights] for layer in model.layers
    }
    session.histograms.remember("before")
    model.set_weights(trained.get_weights())
    session.refresh()
    n_compared = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        session.layer = layer.name
        assert view.error == ""
        for was, variable in zip(before[layer.name], layer.weights, strict=True):
            *_, (_, then), (label, now) = session.histograms.moments(layer.name, variable.name)
            assert label == "now"
            for found, values in ((then, was), (now, np.asarray(variable))):
                exact = values.astype(np.float64)
                assert found.n_values == values.size
                assert found.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-15)
                assert found.std == pytest.approx(exact.std(), rel=1e-12)
                bins = np.histogram(exact, found.edges)[0]
                np.testing.assert_array_equal(found.counts, bins)
                n_compared += 1
    assert n_compared >= 10
    kernel = np.asarray(model.layers[0].weights[0]).astype(np.float64)
    session.layer = model.layers[0].name
    words = f"mean {kernel.mean():.3g}, standard deviation {kernel.std():.3g}"
    assert words.replace("-", "\u2212") in shown.text(view)
