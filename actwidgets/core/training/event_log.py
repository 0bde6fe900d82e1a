"""Event files, which TensorBoard shows; written without TensorFlow."""

import io
import os
import secrets
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.pictures.compact_png import pixels_png
from actwidgets.core.training.histogram import Histogram, shared_bins
from actwidgets.errors import ActwidgetsError, DataError

N_BINS = 64  # TensorBoard brings them down to 30 by itself
_LARGEST = np.finfo(np.float64).max
_PNG_SIZE = slice(16, 24)  # width and height, in the first chunk


def require_tensorboard() -> None:
    """Refuse to go on where the package `tensorboard` is missing.

    Raises:
        ActwidgetsError: Says how to install it.
    """
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as failure:
        raise ActwidgetsError(
            "event files are written with the package tensorboard, which is not installed here: "
            'pip install "actwidgets[tensorboard]"'
        ) from failure


class EventLog:
    """A file of events in a folder that TensorBoard is started on.

    Every event is handed to the system when the call returns: a run that is killed loses none,
    and TensorBoard shows it while the run goes on. Use one tag for one kind of
    thing: TensorBoard remembers the first.

    Args:
        logdir: Folder; made where there is none. Several logs may be in one.

    Raises:
        ActwidgetsError: TensorBoard is not installed.
        DataError: The folder cannot be written to.
    """

    def __init__(self, logdir: str | os.PathLike[str]) -> None:
        require_tensorboard()
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        # EventFileWriter would load TensorFlow where there is one, and lose what its thread
        # raises: a full disk would go unnoticed.
        self._new_event: Any = event_pb2.Event
        self._as_record: Any = RecordWriter
        name = f"events.out.tfevents.{int(time.time()):010d}.actwidgets.{secrets.token_hex(4)}"
        self.path = Path(logdir) / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb", buffering=0)
        except OSError as failure:
            raise DataError(f"cannot write to {str(logdir)!r}: {failure}") from failure
        self._put(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalar(self, tag: str, step: int, value: float, *, wall_time: float | None = None) -> None:
        """Write a number; NaN and infinities are shown as such.

        Args:
            tag: Its name; what is before a `/` groups it.
            step: On the axis to the right.
            value: float32 of it is kept.
            wall_time: Seconds since 1970; now when omitted.

        Raises:
            OSError: It cannot be written, as on a full disk.
        """
        from tensorboard.plugins.scalar import metadata

        values = np.array(value, np.float32)
        self._write(tag, step, wall_time, metadata.create_summary_metadata("", ""), values)

    def histogram(
        self, tag: str, step: int, histogram: Histogram, *, wall_time: float | None = None
    ) -> None:
        """Write how values are spread, in at most 64 bins, each of whole bins of the histogram.

        NaN and infinite values have no place in one; where there are any, the scalar
        `<tag>/not_finite` says how many.

        Raises:
            OSError: It cannot be written.
        """
        from tensorboard.plugins.histogram import metadata

        bins = shared_bins([histogram], N_BINS)
        edges = np.clip(bins.edges, -_LARGEST, _LARGEST)
        table = np.stack([edges[:-1], edges[1:], bins.counts[0].astype(np.float64)], axis=1)
        self._write(tag, step, wall_time, metadata.create_summary_metadata("", ""), table)
        lost = histogram.n_nan + histogram.n_infinite
        if lost:
            self.scalar(f"{tag}/not_finite", step, lost, wall_time=wall_time)

    def image(
        self,
        tag: str,
        step: int,
        pixels: Array | bytes,
        *,
        description: str = "",
        wall_time: float | None = None,
    ) -> None:
        """Write a picture.

        Args:
            tag: Its name.
            step: On the slider below it.
            pixels: `(row, column)`, `(row, column, 3)` or `(row, column, 4)` uint8; or a PNG.
            description: What is told of the tag; TensorBoard keeps that of the first picture.
            wall_time: Seconds since 1970; now when omitted.

        Raises:
            DataError: Pixels of another kind.
            OSError: It cannot be written.
        """
        from tensorboard.plugins.image import metadata

        png = pixels if isinstance(pixels, bytes) else pixels_png(pixels)
        width, height = struct.unpack(">II", png[_PNG_SIZE])
        told = metadata.create_summary_metadata("", description)
        self._write(tag, step, wall_time, told, [f"{width}".encode(), f"{height}".encode(), png])

    def close(self) -> None:
        """Write no more. Safe to call twice."""
        self._file.close()

    def _write(
        self,
        tag: str,
        step: int,
        wall_time: float | None,
        metadata: Any,
        values: Array | Sequence[bytes],
    ) -> None:
        event = self._new_event(
            wall_time=time.time() if wall_time is None else wall_time, step=step
        )
        value = event.summary.value.add(tag=tag, metadata=metadata)
        _fill(value.tensor, values)
        self._put(event)

    def _put(self, event: Any) -> None:
        record = io.BytesIO()
        self._as_record(record).write(event.SerializeToString())
        left, end = record.getbuffer(), self._file.tell()
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(end)  # half a record would hide all that come later
            self._file.seek(end)
            raise


def _fill(tensor: Any, values: Array | Sequence[bytes]) -> None:
    """Put values into a message that holds a tensor."""
    from tensorboard.compat.proto import types_pb2

    if not isinstance(values, np.ndarray):
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add(size=len(values))
        tensor.string_val.extend(values)
        return
    is_double = values.dtype == np.float64
    tensor.dtype = types_pb2.DT_DOUBLE if is_double else types_pb2.DT_FLOAT
    for length in values.shape:
        tensor.tensor_shape.dim.add(size=length)
    tensor.tensor_content = values.tobytes()
