"""Whether a function that trains is still running: nobody is told when it raises."""

import sys
import threading
from types import FrameType
from typing import Self

TRIES = 50


class RunningFrame:
    """A function call on some thread; call it to ask whether it is still running.

    Args:
        frame: Of the call, on this thread.
    """

    def __init__(self, frame: FrameType) -> None:
        self._thread, self._code, self._lowest = threading.get_ident(), frame.f_code, frame
        self._frame: FrameType | None = frame
        while self._lowest.f_back is not None:
            self._lowest = self._lowest.f_back

    def let_go(self) -> None:
        """Hold the call no longer, nor all that is in it; any call of the function will do."""
        self._frame = None

    @classmethod
    def of_caller(cls) -> Self:
        """Of what calls a callback: the nearest call that is not Keras' list of them, or ours."""
        frame = sys._getframe(1)
        while frame.f_back is not None and _tells(frame.f_globals.get("__name__", "")):
            frame = frame.f_back
        return cls(frame)

    def __call__(self) -> bool:
        """Whether it has neither returned nor raised.

        Its thread may go on meanwhile: where a call that was looked at has returned, what
        called it cannot be told any more, and one looks again.
        """
        for _ in range(TRIES):
            current = sys._current_frames().get(self._thread)
            if current is None:
                return False
            while current.f_back is not None and not self._is_it(current):
                current = current.f_back
            if self._is_it(current) or current is self._lowest:
                return self._is_it(current)
        return False

    def _is_it(self, frame: FrameType) -> bool:
        return frame.f_code is self._code if self._frame is None else frame is self._frame


def _tells(module: str) -> bool:
    """Whether a module hands on what callbacks are told."""
    return module.startswith(("actwidgets.probe.", "keras.src.callbacks", "tf_keras.src.callbacks"))
