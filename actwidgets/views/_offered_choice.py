"""A list to choose from whose entries change."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w


class OfferedChoice(w.Dropdown):
    """Calls back when somebody chooses, and not when it is told what to offer.

    Args:
        label: What stands before it.
        on_choice: Called with the chosen value.
        width: Of the whole.
    """

    def __init__(self, label: str, on_choice: Callable[[Any], None], width: str = "180px") -> None:
        self._on_choice = on_choice
        self._by_user = True
        super().__init__(
            description=label,
            tooltip=label,
            layout={"width": width},
            style={"description_width": "initial"},
        )
        self.observe(self._on_value, names="value")

    def offer(self, options: Sequence[tuple[str, Any]], value: Any) -> None:
        """Offer other entries.

        Args:
            options: What is read, and what it stands for.
            value: The one that is chosen; None for none of them.
        """
        self._by_user = False
        try:
            with self.hold_sync():
                if self.options != tuple(options):
                    self.options = tuple(options)
                if value is None:
                    self.index = None
                else:
                    self.value = value
        finally:
            self._by_user = True

    def _on_value(self, change: Any) -> None:
        if self._by_user and change.new is not None:
            self._on_choice(change.new)
