"""A slider through the slices of a volume."""

from collections.abc import Callable
from typing import Any

import ipywidgets as w


class DepthSlider(w.IntSlider):
    """Calls `chosen(slice)` when somebody moves it; hidden where there is no depth."""

    def __init__(self, description: str, chosen: Callable[[int], None]) -> None:
        self._placed = 0
        super().__init__(
            description=description,
            tooltip="which slice of a volume is shown",
            max=0,
            layout={"display": "none"},
            style={"description_width": "initial"},
        )

        def moved(change: Any) -> None:
            if change.new != self._placed:
                chosen(change.new)

        self.observe(moved, names="value")

    def show(self, n_slices: int | None, wanted: int | None) -> int | None:
        """Stand at a slice.

        Args:
            n_slices: How many there are; None where there is no depth.
            wanted: The slice; the middle one where None, the last one where it is beyond.

        Returns:
            The slice; None where there is no depth.
        """
        self.layout.display = "none" if n_slices is None else None
        if n_slices is None:
            return None
        last = max(n_slices - 1, 0)
        self._placed = min(max(n_slices // 2 if wanted is None else wanted, 0), last)
        self.max = max(self.max, last)  # so that the value is never clamped on its way
        self.value = self._placed
        self.max = last
        return self._placed
