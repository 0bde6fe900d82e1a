"""Data sets as Keras fetches them."""

from importlib import import_module
from typing import Any

import numpy as np

from actwidgets.errors import DataError


def download(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fetch a data set through `keras.datasets`, or take it from Keras' cache.

    Args:
        name: A module of `keras.datasets`, such as `"fashion_mnist"`.

    Returns:
        `x_train, y_train, x_test, y_test` as published.

    Raises:
        DataError: It could not be fetched; the message says how to go without the network.
    """
    published: Any = import_module(f"keras.datasets.{name}")
    try:
        (x_train, y_train), (x_test, y_test) = published.load_data()
    except Exception as error:
        raise DataError(
            f"could not download {name!r} ({error}); without a network, give "
            f"load_dataset({name!r}, path=folder), or set ACTWIDGETS_DATA, the folder being one "
            f"that holds {name}.npz with x_train, y_train, x_test, y_test"
        ) from error
    return x_train, y_train, x_test, y_test
