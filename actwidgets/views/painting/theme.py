"""The colours of JupyterLab's two themes, as far as views use them."""

from collections.abc import Mapping
from dataclasses import dataclass

from actwidgets.core.pictures.colormaps import css_colour
from actwidgets.core.pictures.frame_sheet import PAPERS
from actwidgets.errors import DataError


@dataclass(frozen=True)
class Theme:
    """Colours as CSS.

    Attributes:
        paper: Behind everything.
        ink: Of words.
        faint: Of words that matter less.
        rule: Of frames and of axes.
        variables: JupyterLab's own names for these, as style sheets use them.
    """

    paper: str
    ink: str
    faint: str
    rule: str
    variables: Mapping[str, str]


def _theme(name: str, ink: str, rule: str) -> Theme:
    paper, faint = (css_colour(each) for each in PAPERS[name])
    variables = {
        "--jp-layout-color0": paper,
        "--jp-layout-color1": paper,
        "--jp-ui-font-color0": ink,
        "--jp-ui-font-color1": ink,
        "--jp-ui-font-color2": faint,
        "--jp-content-font-color1": ink,
        "--jp-border-color1": rule,
        "--jp-border-color2": rule,
    }
    return Theme(paper, ink, faint, rule, variables)


THEMES = {
    "light": _theme("light", "#212121", "#bdbdbd"),
    "dark": _theme("dark", "#f2f2f2", "#5f5f5f"),
}


def theme_of(name: str) -> Theme:
    """The theme of that name.

    Raises:
        DataError: There is none.
    """
    if name not in THEMES:
        raise DataError(f"no theme {name!r}; there are {', '.join(THEMES)}")
    return THEMES[name]
