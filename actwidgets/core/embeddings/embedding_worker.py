"""What a process of its own does: lay points out by t-SNE or UMAP, away from the kernel.

    python -m actwidgets.core.embeddings.embedding_worker FOLDER

The folder holds `features.npy`, `options.json` and, where t-SNE begins at other points,
`begin.npy`; `points.npy` and `fact.txt` are written
there, or `failure.txt`. What the libraries say goes to standard output as it is: the other side
reads in it how far they are. It ends when its standard input does, that is, with its parent.
"""

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array

Points = tuple[Array, str]
_FIRST_SIZE = 1e-4  # standard deviation of what t-SNE begins at, as scikit-learn has it


def tsne(features: Array, *, seed: int, perplexity: float, begin: Array | None = None) -> Points:
    """Barnes-Hut t-SNE from the first two principal components on, or from other points.

    Args:
        features: `(sample, feature)` float32, four samples or more.
        seed: Of what is random.
        perplexity: How many neighbours count, about; fewer than a third of the samples do.
        begin: `(sample, 2)` points to begin at, as small as the components would be: who lies
            where is kept, and how the samples gather is found anew.

    Reference: van der Maaten 2014.
    """
    from sklearn.manifold import TSNE

    allowed = min(perplexity, (len(features) - 1) / 3)
    init: Any = "pca"
    if begin is not None:
        size = float(begin.std(axis=0).max())
        init = (begin * (_FIRST_SIZE / size if size else 1.0)).astype(np.float32)
    model = TSNE(init=init, perplexity=allowed, random_state=seed, verbose=2)
    points = model.fit_transform(features)
    lowered = f", lowered for {len(features):,} points" if allowed < perplexity else ""
    fact = f"KL divergence {model.kl_divergence_:.2f}, perplexity {allowed:.3g}{lowered}"
    return points, fact


def umap(features: Array, *, seed: int, perplexity: float) -> Points:
    """UMAP; `perplexity` is its number of neighbours.

    Reference: McInnes 2018.
    """
    library = importlib.import_module("umap")  # optional: a package of its own
    neighbours = min(max(2, round(perplexity)), len(features) - 1)
    model = library.UMAP(n_neighbors=neighbours, random_state=seed, verbose=True)
    return model.fit_transform(features), f"{neighbours} neighbours"


ARRANGE: Mapping[str, Callable[..., Points]] = {"tsne": tsne, "umap": umap}


def main(folder: Path) -> None:
    """Lay out what lies in the folder."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # whoever moves a slider goes first
    try:
        options: dict[str, Any] = json.loads((folder / "options.json").read_text("utf-8"))
        features = np.load(folder / "features.npy", allow_pickle=False)
        begin = folder / "begin.npy"
        if begin.is_file():
            options["begin"] = np.load(begin, allow_pickle=False)
        points, fact = ARRANGE[options.pop("method")](features, **options)
        np.save(folder / "points.npy", points.astype(np.float32), allow_pickle=False)
        (folder / "fact.txt").write_text(fact, "utf-8")
    except Exception as error:
        (folder / "failure.txt").write_text(f"{type(error).__name__}: {error}", "utf-8")
        raise


def _end_with_the_parent() -> None:
    while os.read(0, 1):  # not `sys.stdin`: its lock would be held when the interpreter ends
        pass
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
