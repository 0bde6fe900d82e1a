"""A cache that forgets what was least recently used once it holds too many bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np


class ArrayCache:
    """Arrays by key, at most `budget_bytes` of them; an array larger than that is not kept."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[Hashable, np.ndarray[Any, Any]] = OrderedDict()

    def get(
        self, key: Hashable, compute: Callable[[], np.ndarray[Any, Any]]
    ) -> np.ndarray[Any, Any]:
        """The array of that key, computed where it is not there. It is read-only."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = np.asarray(compute()).view()  # whoever made it may go on writing to it
        array.flags.writeable = False
        if array.nbytes <= self.budget_bytes:
            self._arrays[key] = array
            self.n_bytes += array.nbytes
            while self.n_bytes > self.budget_bytes:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def __contains__(self, key: Hashable) -> bool:
        """Whether the array of that key is there."""
        return key in self._arrays

    def clear(self) -> None:
        """Forget everything."""
        self._arrays.clear()
        self.n_bytes = 0
