"""Two buttons and what lies between them."""

from collections.abc import Callable

import ipywidgets as w

from actwidgets.core.paging import Page
from actwidgets.views._controls import note


class Pager(w.HBox):
    """Turns pages by calling `turn(-1)` and `turn(1)`; hidden buttons where there is one page."""

    def __init__(self, turn: Callable[[int], None]) -> None:
        size = {"width": "32px"}
        self.back = w.Button(icon="chevron-left", tooltip="previous page", layout=size)
        self.forth = w.Button(icon="chevron-right", tooltip="next page", layout=size)
        self.back.on_click(lambda _button: turn(-1))
        self.forth.on_click(lambda _button: turn(1))
        self.words = w.HTML(layout={"min_width": "max-content"})
        super().__init__(
            children=(self.back, self.words, self.forth), layout={"align_items": "center"}
        )

    def show(self, page: Page, words: str) -> None:
        """Say what is on show, and which way there is more."""
        self.words.value = note(words)
        self.back.disabled = page.number == 0
        self.forth.disabled = page.number == page.n_pages - 1
        for button in (self.back, self.forth):
            button.layout.display = None if page.n_pages > 1 else "none"
