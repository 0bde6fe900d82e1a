"""Comms of widgets: opened together with one message each, and one for all layouts that are alike.

ipywidgets tells the page of a widget as soon as it is made, and of every change since: of a
view that is put together a message a widget and one a change, and another two for the `Layout`
and the style that every widget has of its own. Half of all widgets are those, and most are alike.
"""

import threading
import uuid
import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import bqplot as bq
import comm
import ipywidgets as w
from ipywidgets._version import __protocol_version__
from ipywidgets.widgets.widget import _instances, _remove_buffers

_making = threading.local()  # `.widgets`: what this thread makes amid `opened_together`
_lock = threading.RLock()  # guards what follows, and what is opened
_n_makers = 0
_callback_before: Any = None


@contextmanager
def opened_together() -> Iterator[None]:
    """Tell the page of widgets made inside when all are made, as they are then.

    Layouts and styles that are alike are one model on the page until one of them changes: that
    one is then a model of its own. From Python each is its widget's own all the time.

    A widget reaches the page earlier where something that is there already comes to refer to it,
    or it is displayed. Inside of another one it is the outermost that ends it.
    """
    if getattr(_making, "widgets", None) is not None:
        yield
        return
    made: list[w.Widget] = []
    _making.widgets = made
    _watch_constructors()
    try:
        yield
    finally:
        try:
            for widget in made:  # it grows: a layout is made when somebody asks for it
                _open(widget)
        finally:
            _making.widgets = None
            _leave_constructors()


def _watch_constructors() -> None:
    global _n_makers, _callback_before
    with _lock:
        if not _n_makers:
            _callback_before = w.Widget._widget_construction_callback
            w.Widget.on_widget_constructed(_on_constructed)
        _n_makers += 1


def _leave_constructors() -> None:
    global _n_makers
    with _lock:
        _n_makers -= 1
        if not _n_makers and w.Widget._widget_construction_callback is _on_constructed:
            w.Widget.on_widget_constructed(_callback_before)


def _on_constructed(widget: w.Widget) -> None:
    """Called by ipywidgets at the end of a constructor, before it opens the widget."""
    if _callback_before is not None:
        _callback_before(widget)
    made = getattr(_making, "widgets", None)
    if made is not None and widget.comm is None:
        widget._holding_sync = True  # what changes is told with all the rest
        widget.comm = unopened = _Unopened(widget)
        # Who asks for the state of all, perhaps on another thread, is not told of it yet.
        del _instances[unopened.comm_id]
        unopened.is_asked = True
        made.append(widget)


class _Unopened:
    """Stands for the comm of a widget of which the page has not been told."""

    def __init__(self, widget: w.Widget) -> None:
        self._widget, self._id = widget, uuid.uuid4().hex
        self.is_asked = False  # whether asking for the id means that the page will refer to it
        self.is_being_opened = False
        self.messages: list[tuple[Any, Any]] = []

    @property
    def comm_id(self) -> str:
        """The id, which the page knows then."""
        if not self.is_asked or self.is_being_opened:
            return self._id
        _open(self._widget)
        return str(self._widget.comm.comm_id)

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        """Keep a message of the widget's own kind until it is open."""
        if data.get("method") == "custom":
            self.messages.append((data, buffers))

    def on_msg(self, callback: Any) -> None:
        """Nobody sends anything to it."""


def _open(widget: w.Widget, *, alone: bool = False) -> None:
    """Tell the page of a widget, and before of all that it refers to.

    Args:
        widget: What may be open already.
        alone: Whether it is a model of its own in any case.
    """
    with _lock:
        unopened = widget.comm
        if not isinstance(unopened, _Unopened) or unopened.is_being_opened:
            return
        unopened.is_being_opened = True
        if isinstance(widget, bq.Figure):
            _open(widget.layout, alone=True)  # to change its size it must not be without any
        for name in widget.keys:
            _open_in(getattr(widget, name))
        widget._states_to_send.clear()
        key = None if alone else _key_of(widget)
        if key is not None:
            _alike_with(key, widget).join(widget)
        else:
            widget.comm = _publish(widget, unopened.comm_id)
            for data, buffers in unopened.messages:
                widget.comm.send(data=data, buffers=buffers)
        widget._holding_sync = False
        if widget._states_to_send:  # by another thread, since its state was taken
            widget.send_state(set(widget._states_to_send))
            widget._states_to_send.clear()


def _open_in(value: Any) -> None:
    if isinstance(value, w.Widget):
        _open(value)
    elif isinstance(value, dict):
        for each in value.values():
            _open_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _open_in(each)


def _publish(widget: w.Widget, model_id: str) -> Any:
    """The comm of a widget, opened with its state; as `Widget.open`, which would set it."""
    state, paths, buffers = _remove_buffers(widget.get_state())
    opened = comm.create_comm(
        target_name="jupyter.widget",
        data={"state": state, "buffer_paths": paths},
        buffers=buffers,
        metadata={"version": __protocol_version__},
        comm_id=model_id,
    )
    _answer_at_any_time(opened)
    return opened


def _answer_at_any_time(opened: Any) -> None:
    """Let messages to a widget go where the browser sends them.

    JupyterLab sends them over a subshell, beside whatever cell is running. ipykernel 7.4 has
    each go to the thread that sent something to that widget last instead: where a cell made
    it, or where `fit` moved it, that is the main one, which is busy until `fit` ends. This hook
    of its kernel is put out of use for our own widgets; versions without it need nothing.
    """
    if hasattr(opened, "_reply_subshell_for"):
        opened._reply_subshell_for = None


# --- layouts and styles that are alike -------------------------------------------------------


def _key_of(widget: w.Widget) -> Hashable | None:
    """What those have in common that may be one model; None for what is always its own."""
    if not isinstance(widget, w.Layout | w.Style):
        return None
    values = widget._trait_values
    state = ((name, values.get(name)) for name in sorted(widget.keys))
    key = type(widget), tuple(item for item in state if item[1] is not None)
    try:
        hash(key)
    except TypeError:
        return None
    return key


_alike: dict[Hashable, "_Alike"] = {}


def _alike_with(key: Hashable, widget: w.Widget) -> "_Alike":
    if key not in _alike:
        _alike[key] = _Alike(key, _publish(widget, uuid.uuid4().hex))
    return _alike[key]


class _Alike:
    """Layouts or styles that are one model on the page.

    One of them, the first, answers when the page asks for the state of its models.
    """

    def __init__(self, key: Hashable, opened: Any) -> None:
        self._key, self.opened = key, opened
        self._members: dict[_SharedComm, None] = {}
        opened.on_msg(self._on_message)

    def join(self, widget: w.Widget) -> None:
        """Let an unopened widget be one of them."""
        widget.comm = shared = _SharedComm(self, widget)
        self._members[shared] = None
        self._answer()

    def leave(self, shared: "_SharedComm") -> None:
        """Let a widget be none of them any more; the last one closes the model."""
        self._members.pop(shared, None)
        if not self._answer():
            self._forget()
            self.opened.close()

    def change(self, shared: "_SharedComm", widget: w.Widget, data: Any, buffers: Any) -> None:
        """Tell of a change of one of them, which is not like the others any more."""
        self._members.pop(shared, None)
        if not self._answer():
            self._forget()
            widget.comm = self.opened  # there are no others
            self.opened.send(data=data, buffers=buffers)
            return
        widget.comm = widget._model_id = None
        widget.open()
        _answer_at_any_time(widget.comm)
        for holder in list(_instances.values()):
            held = [name for name in ("layout", "style") if _has(holder, name, widget)]
            if held:
                holder.send_state(held)

    def _on_message(self, message: Any) -> None:
        """Tell the state where it is asked for.

        JupyterLab asks for that of all models at once, or of each one, and waits for every
        answer, where it was loaded anew and the kernel was busy for some seconds.
        """
        with _lock:
            if message["content"]["data"]["method"] == "request_state" and self._answer():
                state = _instances[self.opened.comm_id].get_state()
                self.opened.send(data={"method": "update", "state": state, "buffer_paths": []})

    def _answer(self) -> bool:
        """Let the first of them answer; whether there is one."""
        while self._members:
            first = next(iter(self._members))
            widget = first.widget()
            if widget is not None and widget.comm is first:
                _instances[first.comm_id] = widget
                return True
            del self._members[first]
        return False

    def _forget(self) -> None:
        _instances.pop(self.opened.comm_id, None)
        _alike.pop(self._key, None)


def _has(holder: w.Widget, name: str, held: w.Widget) -> bool:
    return holder._trait_values.get(name) is held


class _SharedComm:
    """What a layout or a style has for a comm while it is like others."""

    def __init__(self, alike: _Alike, widget: w.Widget) -> None:
        self._alike, self.widget = alike, weakref.ref(widget)

    @property
    def comm_id(self) -> str:
        """The id of the model that they are."""
        return str(self._alike.opened.comm_id)

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        """Tell of a change."""
        widget = self.widget()
        if widget is not None:
            with _lock:
                self._alike.change(self, widget, data, buffers)

    def on_msg(self, callback: Any) -> None:
        """What the page sends goes to all of them."""

    def close(self) -> None:
        """Leave the others."""
        widget = self.widget()  # None where it is garbage
        if widget is not None:
            widget._model_id = None  # of the others
        with _lock:
            self._alike.leave(self)
