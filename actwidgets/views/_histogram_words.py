"""What histograms of different moments tell, in words."""

import html
from collections.abc import Sequence

from actwidgets.core.training.histogram import Histogram

MINUS = "\u2212"


def told(moments: Sequence[tuple[str, Histogram]], colours: Sequence[str]) -> str:
    """A line for each moment: its mean and standard deviation, in its colour, as HTML."""
    parts = [
        f'<span style="color:{colour}">▬</span> {html.escape(label)}: {_figures(found)}'
        for (label, found), colour in zip(moments, colours, strict=True)
    ]
    return "".join(f'<div class="aw-note">{part}</div>' for part in parts)


def _figures(found: Histogram) -> str:
    if not found.n_finite:
        return "no finite values"
    return f"mean {_figure(found.mean)}, standard deviation {_figure(found.std)}"


def _figure(value: float) -> str:
    return f"{value:.3g}".replace("-", MINUS)


def counted_weights(found: Histogram, n_all: int | None) -> str:
    """How many weights were counted."""
    if n_all is None or n_all == found.n_values:
        return f"{found.n_values:,} weight{'s' if found.n_values != 1 else ''}"
    return f"{found.n_values:,} of {n_all:,} weights, evenly spread"


def counted_activations(
    found: Histogram, n_samples: int, n_all: int, *, has_positions: bool
) -> str:
    """Over what the activations were counted."""
    samples = f"{n_all:,} samples" if n_samples == n_all else f"{n_samples:,} of {n_all:,} samples"
    where = " at all positions" if has_positions else ""
    return f"{found.n_values:,} values: of {samples}{where}"


def odd_values(moments: Sequence[tuple[str, Histogram]]) -> str:
    """What the bins do not hold; "" where they hold everything."""
    parts = []
    for label, found in moments:
        kinds = [(found.n_nan, "NaN"), (found.n_infinite, "infinite")]
        if some := [f"{count:,} {kind}" for count, kind in kinds if count]:
            parts.append(f"{label}: {' and '.join(some)} not in the bins")
    return "; ".join(parts)
