"""How far colours reach where all moments of a recording are to have the same."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actwidgets.core import npz_files
from actwidgets.core.arrays import Doubles, finite_range
from actwidgets.core.npz_files import Arrays
from actwidgets.core.predictions.confusion import Confusion
from actwidgets.core.predictions.outcomes import predicted_classes
from actwidgets.core.profiles import profile_files
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.value_bins import METRICS as OF_HISTOGRAMS
from actwidgets.errors import DataError
from actwidgets.recording.snapshot_files import KIND, SnapshotInfo

if TYPE_CHECKING:
    from actwidgets.recording.recording import Recording

MOMENTS = 64  # that are looked at, evenly spread: 0.3 s
PAIRS_UP_TO = 10**8  # of values that are compared, over all of these


class CommonScales:
    """Largest numbers over all moments, each of them read once.

    Of a recording with more than 64 snapshots over as many, evenly spread.

    Args:
        recording: The recording; it may grow.
    """

    def __init__(self, recording: "Recording") -> None:
        self._recording = recording
        self._known: dict[Hashable, Any] = {}

    def distance(self, layer: str, statistic: str, metric: str) -> float | None:
        """The largest distance between two classes, at threshold 0; 1 where none can be larger.

        Args:
            layer: A recorded layer.
            statistic: As in `ClassProfiles.similarity`.
            metric: As there.

        Returns:
            None where it would take long, or where no snapshot can be read.
        """
        if metric in OF_HISTOGRAMS:
            return 1.0
        n_units = next(each.n_units for each in self._recording.layers if each.name == layer)
        n_classes = len(self._recording.class_names)
        if MOMENTS * n_classes**2 * (n_units or 0) > PAIRS_UP_TO:
            return None

        def largest(header: Mapping[str, Any], arrays: Arrays) -> float:
            matrix = _profiles(header, arrays, layer).similarity(layer, statistic, metric)
            return finite_range(matrix)[1]

        found = self._over_moments(("distance", layer, statistic, metric), largest)
        return max(found) if found else None

    def confused(self, normalised: str, class_names: tuple[str, ...]) -> tuple[float, float] | None:
        """The largest cell of a confusion matrix on the diagonal, and the largest beside it.

        Args:
            normalised: As in `Confusion.normalised`.
            class_names: One per class.

        Returns:
            None where no snapshot can be read.
        """
        labels, output = self._recording.labels, self._recording.output
        if labels is None:
            return None
        rows = np.arange(len(labels))

        def largest(_header: Mapping[str, Any], arrays: Arrays) -> tuple[float, float]:
            predicted = predicted_classes(arrays["predictions"], output=output)
            found = Confusion(labels, predicted, rows, class_names, len(labels))
            return diagonal_and_rest(found.normalised(normalised))

        found = self._over_moments(("confused", normalised), largest)
        if not found:
            return None
        return max(right for right, _ in found), max(wrong for _, wrong in found)

    def _over_moments(
        self, what: Hashable, of: Callable[[Mapping[str, Any], Arrays], Any]
    ) -> list[Any]:
        """A number of each moment; those that are gone meanwhile are left out."""
        snapshots = self._recording.snapshots
        places = np.unique(np.linspace(0, len(snapshots) - 1, MOMENTS).round().astype(int))
        found = []
        for info in (snapshots[place] for place in places):
            key = info.index, what
            if key not in self._known:
                try:
                    with _opened(self._recording, info) as (header, arrays):
                        self._known[key] = of(header, arrays)
                except DataError:
                    continue
            found.append(self._known[key])
        return found


def diagonal_and_rest(matrix: Doubles) -> tuple[float, float]:
    """The largest value on the diagonal and the largest beside it; 0 where there is none.

    Args:
        matrix: `(class, class)`, not negative; NaN counts as 0.
    """
    known = np.nan_to_num(matrix)
    is_right = np.eye(len(known), dtype=bool)
    return float(known[is_right].max(initial=0)), float(known[~is_right].max(initial=0))


@contextmanager
def _opened(recording: "Recording", info: SnapshotInfo) -> Iterator[tuple[Any, Arrays]]:
    path = Path(recording.path) / info.file
    with npz_files.opened(path, KIND, checked=True) as (header, arrays):
        yield header, arrays


def _profiles(header: Mapping[str, Any], arrays: Arrays, layer: str) -> ClassProfiles:
    """The profiles of one layer; the others are left in the file."""
    told = header["profiles"]
    place = next(at for at, each in enumerate(told["layers"]) if each["name"] == layer)
    start = f"profiles/{place}/"
    kept = {
        f"0/{name.removeprefix(start)}": arrays[name] for name in arrays if name.startswith(start)
    }
    kept["counts"] = arrays["profiles/counts"]
    return profile_files.from_arrays(told | {"layers": [told["layers"][place]]}, kept)
