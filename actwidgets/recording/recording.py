"""What a `Recorder` has kept, read back without the model and without TensorFlow."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actwidgets.core.arrays import Floats, Integers
from actwidgets.core.predictions.output_kind import OutputKind, kind_by_values
from actwidgets.recording import history_file, manifest, samples_file
from actwidgets.recording.history_file import History
from actwidgets.recording.stored_snapshots import StoredSnapshots

if TYPE_CHECKING:
    from actwidgets.recording.recorded_probe import RecordedProbe
    from actwidgets.recording.recorded_session import RecordedSession


class Recording(StoredSnapshots):
    """A training on disk. Snapshots are read when they are asked for, and a few are kept.

    `at` is a place in `snapshots` everywhere, counted from the end where negative. A recorder
    that goes on adds snapshots, and may drop some in between: `refresh` looks again.

    Args:
        path: The folder.

    Raises:
        DataError: It holds no recording, or one that cannot be read; says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._samples: tuple[Any, Integers | None, Floats | None] | None = None
        self._output: OutputKind | None = None

    def __repr__(self) -> str:
        """Say what it holds, and how much of it cannot be read."""
        snapshots = self.snapshots
        plural = "" if len(snapshots) == 1 else "s"
        parts = [f"{len(snapshots):,} snapshot{plural}"]
        if snapshots:
            parts[0] += f", epoch {snapshots[0].epoch:.4g} to {snapshots[-1].epoch:.4g}"
        if self.refused:
            parts.append(f"{len(self.refused):,} that cannot be read")
        parts.append(f"{self.n_samples:,} samples")
        parts.append(f"layers {', '.join(self._layers)}")
        return f"<Recording {str(self.path)!r}: {'; '.join(parts)}>"

    # --- what there is -------------------------------------------------------------------

    @property
    def begun(self) -> float:
        """When the recording was begun, in seconds since 1970."""
        return (self.path / manifest.NAME).stat().st_mtime

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class."""
        return self.manifest.class_names

    @property
    def output(self) -> OutputKind | None:
        """What the model's output means, as it was when the recording began.

        Of a recording from before that was kept, by the values of its first snapshot; None
        where the output is no vector, or nothing is recorded yet.
        """
        if self._output is None:
            self._output = self.manifest.output
        if self._output is None and self.manifest.n_classes and self.snapshots:
            of = "the recorded samples of the first snapshot"
            self._output = kind_by_values(self.predictions(0), of)
        return self._output

    @property
    def n_samples(self) -> int:
        """How many samples are recorded."""
        return self.manifest.n_samples

    @property
    def x(self) -> Any:
        """The samples: an array, or a list or dict of arrays, as they were given."""
        return self._read_samples()[0]

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None."""
        return self._read_samples()[1]

    @property
    def targets(self) -> Floats | None:
        """`(sample, output)` float32 targets of a regression, or None."""
        return self._read_samples()[2]

    @property
    def n_bytes(self) -> int:
        """What the recording takes on disk."""
        named = [self.path / each.NAME for each in (manifest, samples_file, history_file)]
        sizes = [path.stat().st_size for path in named if path.exists()]
        return sum(sizes) + sum(info.n_bytes for info in self.snapshots)

    @property
    def history(self) -> History:
        """Metrics by epoch and by step, as they are on disk now."""
        return history_file.read(self.path)

    # --- looking at it -------------------------------------------------------------------

    def probe(self, at: int = -1) -> "RecordedProbe":
        """The model as it was at a snapshot, for `Session`; it knows the recorded samples only.

        Raises:
            SelectionError: There is no such snapshot.
        """
        from actwidgets.recording.recorded_probe import RecordedProbe

        return RecordedProbe(self, at)

    def session(self, at: int = -1, **options: Any) -> "RecordedSession":
        """A session that any view works on; set its `at` to look at another snapshot.

        Args:
            at: Which snapshot it begins at.
            **options: As of `Session`: the first `layer` or `sample`, …

        Raises:
            DataError: There is no snapshot yet.
            SelectionError: No such snapshot, or a first selection that does not exist.
        """
        from actwidgets.recording.recorded_session import RecordedSession

        return RecordedSession(self, at, **options)

    # --- handing it on -------------------------------------------------------------------

    def save_gif(self, view: Any, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a view of `session()` as an animated GIF; see `export.animation.save_gif`.

        Over the snapshots, or with `over="layers"` the input and then each layer. The view is
        put back to what it showed.
        """
        from actwidgets.export.animation import save_gif

        save_gif(view, path, **options)

    def save_contact_sheet(self, view: Any, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the frames of `save_gif` beside one another, as one PNG."""
        from actwidgets.export.animation import save_contact_sheet

        save_contact_sheet(view, path, **options)

    def to_tensorboard(self, logdir: str | os.PathLike[str], **options: Any) -> Path:
        """Write event files into a folder in `logdir`; see `export.tensorboard`."""
        from actwidgets.export.tensorboard import to_tensorboard

        return to_tensorboard(self, logdir, **options)

    # --- reading -------------------------------------------------------------------------

    def _read_samples(self) -> tuple[Any, Integers | None, Floats | None]:
        if self._samples is None:
            self._samples = samples_file.read(self.path)
        return self._samples


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open what a `Recorder` has written, while it goes on or long after.

    Neither the model nor TensorFlow is needed. Snapshots that cannot be read are left out,
    and `refused` says why.

    Raises:
        DataError: The folder holds no recording, or one of a newer version; says why.
    """
    return Recording(path)
