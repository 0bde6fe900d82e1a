"""A recording as event files, which TensorBoard shows."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from actwidgets.core.folders import require_writable
from actwidgets.core.training.board import Board
from actwidgets.core.training.event_log import EventLog, require_tensorboard
from actwidgets.errors import DataError
from actwidgets.recording import manifest
from actwidgets.recording.recording import Recording
from actwidgets.recording.snapshot_files import SnapshotInfo

Numbers = Iterator[tuple[str, str, int, float]]  # subject, name, place, value


def to_tensorboard(
    recording: Recording,
    logdir: str | os.PathLike[str],
    *,
    layers: Sequence[str] | None = None,
    scaling: str = "per layer",
) -> Path:
    """Write what is recorded so that TensorBoard shows it.

    For each snapshot and layer the maps that were kept as a picture, histograms of all weights
    and activations, and how many units are dead, the update ratio and the gradient norm; and
    the metrics. The axis is that of epochs where every snapshot is at the end of one, and of
    training steps otherwise.

    Args:
        recording: It stays as it is; neither the model nor TensorFlow is needed.
        logdir: Folder that TensorBoard is started on. In it a folder is made that is named
            like the recording's.
        layers: Names; all that are recorded when omitted.
        scaling: What one colour scale of a picture covers: "per layer", "per map" or
            "symmetric".

    Returns:
        The folder that was made.

    Raises:
        ActwidgetsError: TensorBoard is not installed.
        LayerError: A layer is not recorded.
        DataError: There is no snapshot, the folder holds event files already, or it cannot be
            written; what was begun is then taken away.

    Cost: every snapshot is read once.
    """
    require_tensorboard()
    names = [info.name for info in recording.layers] if layers is None else list(layers)
    for name in names:
        recording.weight_numbers(name)
    infos = recording.snapshots
    if not infos:
        raise DataError("there is no snapshot to write: nothing has been recorded yet")
    folder = Path(logdir) / recording.path.absolute().name
    require_writable(folder)
    if any(folder.glob("*tfevents*")):
        raise DataError(
            f"{str(folder)!r} holds event files already, and TensorBoard would show both: name "
            "another logdir, or delete them"
        )
    log = EventLog(folder)
    try:
        with closing(Board(log)) as board:
            _write(board, recording, names, scaling)
    except BaseException as failure:
        log.path.unlink(missing_ok=True)
        if isinstance(failure, OSError):
            raise DataError(f"cannot write to {str(folder)!r}: {failure}") from failure
        raise
    return folder


def _write(board: Board, recording: Recording, names: Sequence[str], scaling: str) -> None:
    infos = recording.snapshots
    places = _places(infos)
    begun = (recording.path / manifest.NAME).stat().st_mtime
    for at, (info, place) in enumerate(zip(infos, places, strict=True)):
        board.wall_time = begun + info.seconds
        for name in names:
            board.maps(name, place, recording.activations(name, at), scaling)
            board.activations(name, place, recording.activation_histogram(name, at))
            board.weights(name, place, recording.weight_histograms(name, at))
    board.wall_time = None
    for number in (*_of_layers(recording, names, places), *_metrics(recording, places)):
        board.number(*number)


def _places(infos: Sequence[SnapshotInfo]) -> list[int]:
    """Where snapshots are on TensorBoard's axis, which knows whole numbers only."""
    if all(float(info.epoch).is_integer() for info in infos):
        epochs = [int(info.epoch) for info in infos]
        if len(set(epochs)) == len(epochs):
            return epochs
    steps = [info.step for info in infos]
    return steps if len(set(steps)) == len(steps) else [info.index for info in infos]


def _of_layers(recording: Recording, names: Sequence[str], places: Sequence[int]) -> Numbers:
    for name in names:
        numbers = recording.weight_numbers(name)
        for subject, values in (
            ("weight_norm", numbers.norm),
            ("update_ratio", numbers.update_ratio),
            ("gradient_norm", numbers.gradient_norm),
            ("dead_units", numbers.n_dead),
        ):
            for place, value in zip(places, values, strict=True):
                if value == value:  # NaN: it was not measured
                    yield subject, name, place, float(value)


def _metrics(recording: Recording, places: Sequence[int]) -> Numbers:
    infos, history = recording.snapshots, recording.history
    found = {
        (name, place): value
        for info, place in zip(infos, places, strict=True)
        for name, value in info.metrics.items()
    }
    if list(places) == [info.epoch for info in infos]:  # thinned snapshots leave no gap here
        for name, (epochs, values) in history.by_epoch.items():
            found |= {
                (name, int(epoch)): float(value)
                for epoch, value in zip(epochs, values, strict=True)
            }
    for (name, place), value in sorted(found.items()):
        yield "metrics", name, place, value
    for name, (steps, values) in history.by_step.items():
        for step, value in zip(steps, values, strict=True):
            yield "batch_metrics", name, int(step), float(value)
