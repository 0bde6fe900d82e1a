"""HTML of views as a tree of nodes with their style."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from actwidgets.views._style import HINT
from actwidgets.views.painting.sheets import Element, Path, Sheet, Style

EMPTY = {"br", "img", "hr", "input", "meta", "link", "col"}
UNSEEN = {"style", "script", "head", "title", "template"}
_SPACE = re.compile(r"[ \t\r\n\f]+")


@dataclass
class Node:
    """An element: its style is that of the page, all that it inherits included."""

    tag: str
    attributes: dict[str, str]
    children: list["Node | str"] = field(default_factory=list)
    style: Style = field(default_factory=dict)

    def text(self) -> str:
        """Its words, and those of what it holds."""
        return "".join(each if isinstance(each, str) else each.text() for each in self.children)


def tree(html: str, sheet: Sheet, around: Path, inherited: Style) -> Node:
    """Read a piece of HTML.

    Args:
        html: As an `HTML` widget holds it.
        sheet: What holds on the page.
        around: The elements that it lies in.
        inherited: The style of the innermost of them.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    root = reader.root
    root.style = dict(inherited)
    _give_styles(root, sheet, around, inherited)
    return root


def _give_styles(node: Node, sheet: Sheet, path: Path, style: Style) -> None:
    nodes = [each for each in node.children if isinstance(each, Node)]
    for place, child in enumerate(nodes):
        classes = frozenset(child.attributes.get("class", "").split())
        element = Element(child.tag, classes, place == 0, place == len(nodes) - 1)
        inner = [*path, element]
        child.style = sheet.style_of(inner, style, child.attributes.get("style", ""))
        if "hidden" in child.attributes:
            child.style["display"] = "none"
        _give_styles(child, sheet, inner, child.style)


class _Reader(HTMLParser):
    """Forgiving: what is not closed ends where its parent does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("div", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        is_hint = HINT in node.attributes.get("class", "").split()  # at controls that are not there
        if tag not in UNSEEN and not is_hint:
            self._open[-1].children.append(node)
        if tag not in EMPTY:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self._open) - 1, 0, -1):
            if self._open[place].tag == tag:
                del self._open[place:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(_SPACE.sub(" ", data))
