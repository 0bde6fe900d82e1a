"""As much of style sheets as views use: rules by tag and class, and what a node inherits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

INHERITED = (
    *("color", "font-size", "font-weight", "line-height", "text-align", "white-space"),
    *("font-family", "overflow-wrap"),
)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL | re.IGNORECASE)
_SIMPLE = re.compile(r"^(\w+|\*)?((?:\.[\w-]+)*)(:first-child|:last-child)?$")
_FONT = re.compile(r"(?:(?:(bold|[1-9]00|normal)|italic)\s+)*([\d.]+)px(?:/([\d.]+)px)?\s*(.*)")
TAGS = {
    "b": {"font-weight": "700"},
    "strong": {"font-weight": "700"},
    "th": {"font-weight": "700", "text-align": "center"},
    "h1": {"font-weight": "700", "font-size": "18px", "line-height": "26px"},
    "h2": {"font-weight": "700", "font-size": "16px", "line-height": "24px"},
    "h3": {"font-weight": "700", "font-size": "14px", "line-height": "22px"},
    "code": {"font-family": "monospace"},
    "pre": {"font-family": "monospace", "white-space": "pre"},
    "small": {"font-size": "10px"},
}


@dataclass(frozen=True)
class Element:
    """What a rule asks of a node: its tag, its classes, and whether it is the first or last."""

    tag: str
    classes: frozenset[str] = frozenset()
    first: bool = False
    last: bool = False


Path = Sequence[Element]
Style = dict[str, str]


def sheets_in(html: str) -> str:
    """The style sheets within a piece of HTML."""
    return "\n".join(_STYLE.findall(html))


class Sheet:
    """Rules that are looked up by the path of elements to a node."""

    def __init__(self, text: str) -> None:
        self._rules = _rules(text)

    def style_of(self, path: Path, inherited: Style, own: str = "") -> Style:
        """What holds for the last element of a path.

        Args:
            path: The elements around it, the outermost first, and itself.
            inherited: What holds for the element around it.
            own: The value of its attribute `style`.
        """
        style = {name: inherited[name] for name in INHERITED if name in inherited}
        style |= TAGS.get(path[-1].tag, {})
        for parts, declared, _weight in self._rules:
            if _fits(parts, path):
                style |= declared
        return style | declarations(own)


def declarations(text: str) -> Style:
    """`name: value; …` as a dictionary; `font` and `background` are spelled out."""
    style: Style = {}
    for line in text.split(";"):
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.replace("!important", "").strip()
        if name == "font":
            style |= _font(value)
        elif name and value:
            style["background" if name == "background-color" else name] = value
    return style


def length(text: str | None, whole: float = 0.0) -> float | None:
    """A length in CSS pixels; None where it is not one."""
    found = re.fullmatch(r"(-?[\d.]+)(px|%|em|)", (text or "").strip())
    if not found:
        return None
    value = float(found[1])
    return {"%": value * whole / 100, "em": value * 12}.get(found[2], value)


def sides(style: Style, name: str) -> tuple[float, float, float, float]:
    """Top, right, bottom and left of `margin` or `padding`."""
    parts = [length(part) or 0.0 for part in style.get(name, "0").split()] or [0.0]
    top = parts[0]
    right = parts[1] if len(parts) > 1 else top
    bottom = parts[2] if len(parts) > 2 else top
    left = parts[3] if len(parts) > 3 else right
    given = (length(style.get(f"{name}-{side}")) for side in ("top", "right", "bottom", "left"))
    found = [a if b is None else b for a, b in zip((top, right, bottom, left), given, strict=True)]
    return found[0], found[1], found[2], found[3]


def _font(value: str) -> Style:
    found = _FONT.fullmatch(value)
    if not found:
        return {}
    style = {"font-weight": found[1] or "400", "font-size": f"{found[2]}px"}
    if found[3]:
        style["line-height"] = f"{found[3]}px"
    return style | ({"font-family": found[4]} if found[4] else {})


@lru_cache(maxsize=64)
def _rules(text: str) -> list[tuple[tuple[tuple[str, bool], ...], Style, tuple[int, int]]]:
    """Selectors with what they declare, those that count more last."""
    rules = []
    for place, (selectors, body) in enumerate(_RULE.findall(_COMMENT.sub("", text))):
        for selector in selectors.split(","):
            parts: list[tuple[str, bool]] = []
            direct = False
            for word in selector.split():
                if word == ">":
                    direct = True
                    continue
                parts.append((word, direct))
                direct = False
            if parts and all(_SIMPLE.match(word) for word, _ in parts):
                n_classes = sum(word.count(".") + word.count(":") for word, _ in parts)
                n_tags = sum(word[0].isalpha() for word, _ in parts)
                weight = 1000 * n_classes + n_tags
                rules.append((tuple(parts), declarations(body), (weight, place)))
    return sorted(rules, key=lambda rule: rule[2])


def _fits(parts: Sequence[tuple[str, bool]], path: Path) -> bool:
    """Whether a selector means the last element of a path."""
    if not parts:
        return True
    if not path or not _is(parts[-1][0], path[-1]):
        return False
    rest, above = parts[:-1], path[:-1]
    if not rest:
        return True
    if parts[-1][1]:
        return _fits(rest, above)
    return any(_fits(rest, above[: end + 1]) for end in range(len(above)))


def _is(word: str, element: Element) -> bool:
    found = _SIMPLE.match(word)
    assert found
    tag, classes, which = found[1], found[2], found[3]
    if tag not in (None, "*", element.tag):
        return False
    if which and not (element.first if which == ":first-child" else element.last):
        return False
    return element.classes.issuperset(filter(None, classes.split(".")))
