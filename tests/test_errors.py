"""What a message says of a value: the value, and no word of the type that numpy gives it."""

import pickle

import numpy as np
import pytest
from fakes import FakeProbe

import actwidgets as aw
from actwidgets import errors
from actwidgets.errors import ActwidgetsError, DataError, SelectionError, plain

VALUES = [
    (np.int64(-5), "-5"),
    (np.uint8(5), "5"),
    (np.float32(0.5), "0.5"),
    (np.float64("nan"), "nan"),
    (np.float16("-inf"), "-inf"),
    (np.complex64(1 + 2j), "1+2j"),
    (np.longdouble(2), "2.0"),
    (np.True_, "True"),
    (np.str_("it's"), '''"it's"'''),
    (np.str_("a(b)"), "'a(b)'"),
    (np.bytes_(b"a"), "b'a'"),
    ((np.int64(5), [np.float32(1), "x"]), "(5, [1.0, 'x'])"),
    ({"a": np.False_}, "{'a': False}"),
    (np.array([1, 2]), "array([1, 2])"),
    ("np.integer", "'np.integer'"),
]


@pytest.mark.parametrize(("value", "shown"), VALUES, ids=[shown for _, shown in VALUES])
def test_numpys_numbers_are_shown_as_plain_ones(value, shown):
    assert plain(f"got {value!r}.") == f"got {shown}."


@pytest.mark.parametrize("kind", [each for each in vars(errors).values() if isinstance(each, type)])
def test_every_error_shows_them_so_and_travels(kind):
    if not issubclass(kind, ActwidgetsError):
        pytest.skip("of another package")
    error = kind(f"no unit {np.int64(5)!r}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "no unit 5"


def _session():
    return aw.Session(FakeProbe(), np.zeros((4, 6, 8, 1), np.float32), np.arange(4) % 3)


WRONG = {
    "layer": np.str_("nowhere"),
    "sample": np.int64(99),
    "samples": (np.int64(0), np.float64(1.5)),
    "unit": np.float32(2.5),
    "class_index": np.int64(77),
    "threshold": np.str_("high"),
    "ablations": (np.int64(5),),
    "perturbation": np.float64(2),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_field_of_a_session_is_refused_in_numpys_words(name):
    with pytest.raises(SelectionError) as refused:
        _session().select(**{name: WRONG[name]})
    assert "np." not in str(refused.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: aw.Ablation("conv", units=(np.float64(1.5),)),
        lambda: aw.Ablation("conv", units=np.int64(5)),
        lambda: aw.Ablation("conv", units=(1,), scale=np.str_("a")),
        lambda: aw.Ablation(np.int64(5), units=(1,)),
        lambda: aw.Perturbation(noise=np.str_("a")),
        lambda: aw.Perturbation(patch=(np.int64(1), np.int64(2))),
        lambda: aw.Perturbation(seed=np.float64(1.5)),
        lambda: aw.Recorder(FakeProbe(), "/nowhere", every=("batches", np.float64(-5))),
    ],
)
def test_nor_is_any_other_value(make):
    with pytest.raises((DataError, SelectionError, ActwidgetsError)) as refused:
        make()
    assert "np." not in str(refused.value)


def test_what_is_kept_of_them_is_a_plain_number():
    kept = [
        aw.Ablation(np.str_("conv"), units=(np.int64(1),), scale=np.float32(0.5)),
        aw.Perturbation(noise=np.float32(0.5), patch=np.array([1, 2, 3, 4]), seed=np.int64(3)),
    ]
    session = _session()
    choice = {"sample": np.int64(2), "unit": np.int64(1), "threshold": np.float32(0.5)}
    session.select(**choice, class_index=np.int64(1))
    assert "np." not in f"{kept} {session.selection}"
