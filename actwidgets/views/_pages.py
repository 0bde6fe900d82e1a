"""Pages of views behind tabs, each made when it is first opened."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w

from actwidgets.errors import DataError
from actwidgets.views.base import View

Page = Callable[[], tuple[w.Widget, Sequence[View]]]


class Pages(w.Tab):
    """Tabs whose views are made when they are wanted, and watch only while they are on show.

    What is behind another tab costs a tick nothing; it is painted when its tab is opened.

    Args:
        pages: By title: makes a widget, and tells the views in it.
        opened: Called with the views of a page when it has been made.
    """

    def __init__(self, pages: Mapping[str, Page], opened: Callable[[Sequence[View]], None]) -> None:
        self._pages, self._opened = list(pages.values()), opened
        self._views: dict[int, Sequence[View]] = {}
        places = [w.VBox() for _ in pages]
        super().__init__(children=places, titles=tuple(pages), selected_index=0)
        self.add_class("aw-pages")
        self._show(0)
        self.observe(self._on_user_tab, names="selected_index")

    def turn_to(self, title: str) -> None:
        """Turn to a page.

        Raises:
            DataError: No page of that title.
        """
        if title not in self.titles:
            raise DataError(f"no page {title!r}; there are {', '.join(self.titles)}")
        self.selected_index = self.titles.index(title)

    def _on_user_tab(self, change: Any) -> None:
        if change.new is not None:
            self._show(change.new)

    def _show(self, index: int) -> None:
        for other, views in self._views.items():
            for view in views:
                view.watching = other == index
        if index not in self._views:
            content, views = self._pages[index]()
            self._views[index] = views
            self.children[index].children = (content,)
            self._opened(views)
