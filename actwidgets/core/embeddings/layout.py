"""How samples become points: what is asked for, and what they are to be compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from actwidgets.core.embeddings.alignment import Plane
from actwidgets.core.embeddings.embedding import Embedding


@dataclass(frozen=True)
class Layout:
    """How features become points.

    Attributes:
        method: One of `METHODS`.
        seed: Of what is random.
        perplexity: How many neighbours count in t-SNE and UMAP, about.
        features: For the method "features": two columns; None for two that vary most.
        names: What a column of the features is called.
        picked: Whether only these two columns are read.
    """

    method: str
    seed: int = 0
    perplexity: float = 30.0
    features: tuple[int, int] | None = None
    names: Callable[[int], str] = str
    picked: bool = False


class Reference(Protocol):
    """Pictures of the same samples that a picture is to be compared with."""

    def plane(self) -> Plane:
        """The plane of principal components that all of them are drawn in."""

    def begin(self) -> tuple[Embedding, str] | None:
        """A picture to begin t-SNE at, and which it is in words; None where there is none."""
