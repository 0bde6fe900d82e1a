"""Trait classes: integers as people have them, which is often numpy's."""

import operator
from typing import Any

import traitlets as t


class Index(t.Int[int, int]):
    """An integer, numpy's included."""

    def validate(self, obj: Any, value: Any) -> int:
        try:
            return operator.index(value)
        except TypeError:
            self.error(obj, value)


class Indices(t.TraitType[tuple[int, ...], Any]):
    """Several integers, as a tuple."""

    info_text = "a sequence of integers"

    def validate(self, obj: Any, value: Any) -> tuple[int, ...]:
        try:
            return tuple(operator.index(each) for each in value)
        except TypeError:
            self.error(obj, value)
