"""The list from which the class that a map is asked about is chosen."""

from collections.abc import Callable
from typing import Any

import ipywidgets as w

from actwidgets.errors import DataError
from actwidgets.session import Selection, Session

TARGETS = ("predicted", "label", "chosen")
OUTPUTS_UP_TO = 100  # of a regression, that are offered
_TOLD = {"predicted": "predicted class", "label": "true class", "chosen": "chosen class"}


class TargetChoice(w.Dropdown):
    """What of a session may be asked about, which changes with its model.

    Args:
        on_target: Called with what the user chooses.
    """

    def __init__(self, on_target: Callable[[Any], None]) -> None:
        self._offering = False
        super().__init__(
            description="for",
            tooltip="which class or score is explained",
            layout={"width": "210px"},
            style={"description_width": "initial"},
        )
        self._tell = on_target
        self.observe(self._on_value, names="value")

    def offer(self, session: Session, target: Any) -> None:
        """Show the target, among those that the session has.

        One that it does not have is offered too: it was asked for, and the view says why not.
        """
        is_value = session.output.kind == "value"
        if is_value:
            n_outputs = min(max(session.n_outputs, 1), OUTPUTS_UP_TO)
            offered = [("largest output" if n_outputs > 1 else "the output", "predicted")]
            offered += [(f"output {index}", index) for index in range(n_outputs) if n_outputs > 1]
        else:
            offered = [
                (_TOLD[each], each)
                for each in TARGETS
                if each != "label" or session.labels is not None or target == "label"
            ]
            offered += [(name, index) for index, name in enumerate(session.class_names)]
        if target not in [each for _, each in offered]:
            told = _TOLD.get(target, f"output {target}" if is_value else f"class {target}")
            offered.append((told, target))
        self._offering = True
        try:
            if list(self.options) != offered:
                self.options = offered
            self.value = target
        finally:
            self._offering = False

    def _on_value(self, change: Any) -> None:
        if not self._offering:
            self._tell(change.new)


def target_of(session: Session, selection: Selection, target: Any, rows: tuple[int, ...]) -> Any:
    """The classes that some samples are asked about; None for what each is predicted as.

    Raises:
        DataError: True classes, and the session has no labels; classes of what has none.
    """
    if target in ("label", "chosen") and session.output.kind == "value":
        raise DataError(f"no {_TOLD[target]} to ask about: the model puts out values")
    if target == "label":
        if session.labels is None:
            raise DataError("no true classes to ask about: the session has no labels")
        return session.labels[list(rows)]
    if target == "chosen":
        return selection.class_index
    return target if isinstance(target, int) else None
