"""Which rule hands relevance back through which layers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from actwidgets.errors import DataError

RULES = ("composite", "epsilon", "gamma", "alpha_beta")
Ends = float | tuple[float, ...]


@dataclass(frozen=True)
class LrpRules:
    """How relevance is handed back (Bach 2015; Montavon 2019 for gamma and the composite).

    Attributes:
        rule: "epsilon", "gamma" or "alpha_beta" throughout; "composite": epsilon for dense
            layers, gamma for convolutions.
        epsilon: What is added to a denominator, away from zero; 0 gives LRP-0.
        gamma: By how much what agrees with the sign of an output counts more.
        alpha: Share of what speaks for; `beta = alpha - 1` speaks against.
        box: The lowest and the highest value of the inputs, each a number or one for every
            channel, for the z^B rule at layers that read an input; None for `rule` there too.
    """

    rule: str = "composite"
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    box: tuple[Ends, Ends] | None = None

    def __post_init__(self) -> None:
        """Refuse rules that are none.

        Raises:
            DataError: Says which setting, what it is and what it may be.
        """
        if self.rule not in RULES:
            raise DataError(f"rule must be one of {', '.join(RULES)}; got {self.rule!r}")
        for name, least in (("epsilon", 0.0), ("gamma", 0.0), ("alpha", 1.0)):
            value = getattr(self, name)
            if not isinstance(value, (int, float, np.number)) or not least <= value < np.inf:
                raise DataError(f"{name} must be a number of at least {least:g}; got {value!r}")
        if self.box is not None:
            object.__setattr__(self, "box", _checked_box(self.box))


def _checked_box(box: Any) -> tuple[Ends, Ends]:
    """The box in numbers, so that rules can be compared and looked up.

    Raises:
        DataError: It is not two numbers, or two rows of them, the first below the second.
    """
    try:
        low, high = (np.asarray(end, np.float64) for end in box)
        right = low.ndim <= 1 and high.ndim <= 1 and bool(np.all(low < high))
        right = right and bool(np.isfinite(low).all() and np.isfinite(high).all())
    except (TypeError, ValueError):
        right = False
    if not right:
        raise DataError(
            f"box must be (lowest, highest), each a number or one for every channel; got {box!r}"
        )
    return _plain(low), _plain(high)


def _plain(end: Any) -> Ends:
    return tuple(float(value) for value in end) if end.ndim else float(end)
