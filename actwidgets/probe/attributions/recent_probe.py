"""The probe of the model that was asked about last, so that a loop traces it once."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from actwidgets.core import batches
from actwidgets.core.array_like import as_arrays
from actwidgets.probe.keras_probe import KerasProbe

KEPT_S = 30.0  # after that nobody waits for it any more, and it holds memory

_lock = threading.Lock()
_kept: tuple[Any, Any, KerasProbe] | None = None  # the model, what it was asked with, its probe
_used_s = 0.0
_releasing: threading.Thread | None = None


def recent_probe(
    model: Any, x: Any, head: str | int | None, output_is: str | None = None
) -> KerasProbe:
    """A probe of the model: the last one, where it is that of the same model as it is now.

    It is kept for half a minute, and with it the model.

    Args:
        model: A built Keras model.
        x: One batch.
        head: Which of its outputs.
        output_is: What that output is, as of a `KerasProbe`.

    Raises: as `KerasProbe`.
    """
    global _kept, _used_s, _releasing
    x = as_arrays(x)
    asked = head, output_is, _kinds(x)
    with _lock:
        is_other = _kept is None or _kept[0] is not model or _kept[1] != asked
        if is_other or _kept[2].is_stale():
            _kept = None
            _kept = model, asked, KerasProbe(model, x, head=head, output_is=output_is)
        _used_s = time.monotonic()
        if _releasing is None:
            _releasing = threading.Thread(target=_release, daemon=True)
            _releasing.start()
        return _kept[2]


def _release() -> None:
    """Let the probe go when it has not been asked for in a while."""
    global _kept, _releasing
    while True:
        with _lock:
            left_s = _used_s + KEPT_S - time.monotonic()
            if left_s <= 0:
                _kept = _releasing = None
                return
        time.sleep(left_s)


def _kinds(x: Any) -> Any:
    """Shapes and types of one sample of each input: a model may take what it is given."""
    parts = batches.parts(x) if batches.is_arrays(x) else ()
    names = tuple(x) if isinstance(x, Mapping) else ()
    return names, tuple((tuple(part.shape[1:]), str(part.dtype)) for part in parts)
