import numpy as np
import pytest

from actwidgets.core.predictions import class_counts
from actwidgets.errors import DataError


def test_every_class_is_counted_the_absent_too():
    assert class_counts([2, 0, 2], 4).tolist() == [1, 0, 2, 0]
    assert class_counts(np.eye(3)[[0, 0, 1]], 3).tolist() == [2, 1, 0]
    assert class_counts([], 2).tolist() == [0, 0]
    with pytest.raises(DataError, match="y holds 4"):
        class_counts([4], 4)
