"""Which rule hands relevance back through which layers."""

from dataclasses import dataclass

from actwidgets.errors import DataError

RULES = ("epsilon", "gamma", "alpha_beta", "composite")


@dataclass(frozen=True)
class LrpRules:
    """How relevance is handed back (Bach 2015; Montavon 2019 for gamma and the composite).

    Attributes:
        rule: "epsilon", "gamma" or "alpha_beta" throughout; "composite": epsilon for dense
            layers, gamma for convolutions.
        epsilon: What is added to a denominator, away from zero; 0 gives LRP-0.
        gamma: By how much positive weights count more.
        alpha: Share of what speaks for; `beta = alpha - 1` speaks against.
        box: The lowest and the highest value of the input, for the z^B rule at the first
            layer; None for `rule` there too.
    """

    rule: str = "composite"
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    box: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse rules that are none.

        Raises:
            DataError: Says which setting, what it is and what it may be.
        """
        if self.rule not in RULES:
            raise DataError(f"rule must be one of {', '.join(RULES)}; got {self.rule!r}")
        for name, least in (("epsilon", 0.0), ("gamma", 0.0), ("alpha", 1.0)):
            value = getattr(self, name)
            if not value >= least:
                raise DataError(f"{name} must be at least {least:g}; got {value!r}")
        if self.box is not None and not self.box[0] < self.box[1]:
            raise DataError(f"box must be (lowest, highest); got {self.box!r}")
