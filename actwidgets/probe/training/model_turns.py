"""One `Turns` for each model, for as long as there is the model."""

import threading
from typing import Any
from weakref import WeakKeyDictionary

from actwidgets.core.training.turns import Turns

_turns: WeakKeyDictionary[Any, Turns] = WeakKeyDictionary()
_finding = threading.Lock()


def turns_of(model: Any) -> Turns:
    """Whose turn it is at the weights of a model; nothing about the model is changed."""
    with _finding:
        found = _turns.get(model)
        if found is None:
            found = _turns[model] = Turns()
        return found
