"""Have widgets answer while a cell is running, from the first touch on."""

import ipywidgets as w

from actwidgets.views._closing import with_all_they_hold


def answer_at_any_time(widget: w.Widget) -> None:
    """Let messages to a widget, and to all in it, go where the browser sends them.

    JupyterLab sends them over a subshell, beside whatever cell is running. ipykernel 7.4 has
    each go to the thread that sent something to that widget last instead: where a cell made
    it, or where `fit` moved it, that is the main one, which is busy until `fit` ends. This hook
    of its kernel is put out of use for our own widgets; versions without it need nothing.
    """
    for each in with_all_they_hold([widget]):
        if hasattr(each.comm, "_reply_subshell_for"):
            each.comm._reply_subshell_for = None
