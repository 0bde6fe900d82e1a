"""Access to the model: the only place that imports Keras or TensorFlow."""
