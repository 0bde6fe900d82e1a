"""Which snapshots of a recording go when there are more bytes than it may take."""

from collections.abc import Sequence


def to_drop(epochs: Sequence[float], n_bytes: Sequence[int], budget_bytes: int) -> tuple[int, ...]:
    """Which snapshots to drop so that the rest fits, and lies evenly over the epochs.

    The first and the last stay, whatever they take. One after the other that goes which
    leaves the smallest gap, the earliest of equals: what is added later is thinned in turn.

    Args:
        epochs: Of the snapshots, ascending.
        n_bytes: What each of them takes.
        budget_bytes: What all of them may take.

    Returns:
        Their places, ascending.
    """
    kept = list(range(len(epochs)))
    total = sum(n_bytes)
    while total > budget_bytes and len(kept) > 2:
        gaps = [epochs[kept[at + 1]] - epochs[kept[at - 1]] for at in range(1, len(kept) - 1)]
        total -= n_bytes[kept.pop(gaps.index(min(gaps)) + 1)]
    return tuple(sorted(set(range(len(epochs))) - set(kept)))
