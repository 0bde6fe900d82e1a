"""What is told of samples that a model does not take."""

import numpy as np
import pytest

from actwidgets.core.samples import shape_message

SHAPE = (32, 24, 3)


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        (SHAPE, (24, 32, 3), "rows and columns are swapped, which np.swapaxes(x, 1, 2) mends"),
        (SHAPE, (3, 32, 24), "the channels come first, which np.moveaxis(x, 1, -1) mends"),
        ((28, 28, 1), (28, 28), "the last axis is missing, which x[..., None] adds"),
        ((28, 28), (28, 28, 1), "there is an axis too many, which x[..., 0] takes away"),
        (SHAPE, (24, 3), "if this is one sample alone, give x[None]"),
        ((12,), (), "if this is one sample alone, give x[None]"),
        (SHAPE, (32 * 24 * 3,), "these are as many numbers, which x.reshape(-1, 32, 24, 3) puts"),
        ((12,), (3, 4), "these are as many numbers, which x.reshape(-1, 12) puts in shape"),
        ((None, None, 3), (5, 3), "if this is one sample alone, give x[None]"),
    ],
)
def test_what_would_be_right_is_guessed(wanted, given, told):
    assert told in shape_message("x", wanted, given)


@pytest.mark.parametrize(
    ("mend", "given"),
    [
        (lambda x: np.swapaxes(x, 1, 2), (24, 32, 3)),
        (lambda x: np.moveaxis(x, 1, -1), (3, 32, 24)),
        (lambda x: x.reshape(-1, 32, 24, 3), (32 * 24 * 3,)),
    ],
)
def test_what_is_said_to_mend_it_does(mend, given):
    assert mend(np.zeros((2, *given))).shape == (2, *SHAPE)


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        (
            SHAPE,
            (5, 7, 3),
            "x must hold samples of shape (32, 24, 3); got samples of shape (5, 7, 3)",
        ),
        ((12,), (11,), "x must hold samples of shape (12,); got samples of shape (11,)"),
        ((None, 7), (7,), "of shape (any, 7); got samples of shape (7,): if this is one"),
        ((None, 7), (3, 8), "x must hold samples of shape (any, 7); got samples of shape (3, 8)"),
    ],
)
def test_otherwise_both_shapes_are_told(wanted, given, told):
    found = shape_message("x", wanted, given)
    assert told in found
    if "if this" not in told:
        assert found == told
