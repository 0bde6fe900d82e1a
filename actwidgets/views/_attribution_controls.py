"""The settings of a method of attribution, as sliders and lists made from what it offers."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import numpy as np

from actwidgets.core.attributions.method import Method, Option


class MethodSettings(w.Box):
    """A control for each setting that a method offers choices for.

    Those of a method are made when it is first chosen, and kept.

    Args:
        on_setting: Called with the name of a setting and its new value.
    """

    def __init__(self, on_setting: Callable[[str, Any], None]) -> None:
        self._tell = on_setting
        self._made: dict[str, dict[str, w.Widget]] = {}
        self._choices: dict[tuple[str, str], list[Any]] = {}
        self._following = False
        super().__init__(layout={"flex_flow": "row wrap", "align_items": "center"})

    def show(self, method: Method, settings: Mapping[str, Any]) -> None:
        """Offer the settings of a method, at their values."""
        if method.name not in self._made:
            offered = (option for option in method.options if option.choices)
            self._made[method.name] = {
                option.name: self._control(method.name, option) for option in offered
            }
        controls = self._made[method.name]
        self._following = True
        try:
            for name, control in controls.items():
                choices = self._choices[method.name, name]
                place = _place_of(settings[name], choices)
                if place is None:  # given in Python: it is one more
                    place = len(choices)
                    choices.append(settings[name])
                    option = next(each for each in method.options if each.name == name)
                    control.options = [*control.options, (_told(settings[name], option), place)]
                control.value = place
        finally:
            self._following = False
        if self.children != tuple(controls.values()):
            self.children = tuple(controls.values())

    def _control(self, method: str, option: Option) -> w.Widget:
        choices = list(option.choices)
        if option.default not in choices:
            choices = [option.default, *choices]
        self._choices[method, option.name] = choices
        is_slider = len(choices) > 2 and all(isinstance(each, int | float) for each in choices)
        make = w.SelectionSlider if is_slider else w.Dropdown
        control = make(
            # By place: a list with the value None shows nothing.
            options=[(_told(each, option), place) for place, each in enumerate(choices)],
            value=choices.index(option.default),
            description=option.name.replace("_", " "),
            tooltip=option.help,
            layout={"width": "232px" if is_slider else "176px"},
            style={"description_width": "initial"},
        )
        control.observe(
            lambda change: self._on_user_setting(option.name, choices[change.new]), "value"
        )
        return control

    def _on_user_setting(self, name: str, value: Any) -> None:
        if not self._following:
            self._tell(name, value)

    def gather(self) -> None:
        """Hold the controls of all methods, so that they are closed with this."""
        self.children = [each for made in self._made.values() for each in made.values()]


def _place_of(value: Any, choices: list[Any]) -> int | None:
    """Which choice a setting is; None for one that is not offered yet."""
    for place, each in enumerate(choices):
        if each is value or (
            _is_plain(each) and _is_plain(value) and _plain(each) == _plain(value)
        ):
            return place
    return None


def _is_plain(value: Any) -> bool:
    return not isinstance(value, np.ndarray | dict)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _told(value: Any, option: Option) -> str:
    if not _is_plain(value):
        return "as given"
    if value is None:
        return option.none
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " × ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
