"""An extension of the Jupyter server: what a kernel sends goes on to the page at once.

A server leaves Nagle's algorithm on: a message to the page waits until the page has acknowledged
the one before, which it may put off for 40 ms. A step of a slider is answered by half a dozen
messages in a row, and the next step leaves when the last of them has come. This switches the
algorithm off (`TCP_NODELAY`) for the connections of kernels, and does nothing else. It is enabled
where the package is installed beside the server, and `jupyter server extension disable
actwidgets.server_extension` disables it.
"""

from typing import Any

CONNECTION = "kernel_websocket_connection_class"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    settings = server.web_app.settings
    if CONNECTION not in settings:  # before Jupyter Server 2
        server.log.warning(f"{__name__} needs Jupyter Server 2: messages still wait")
        return
    settings[CONNECTION] = without_delay(settings[CONNECTION])


def without_delay(connection: Any) -> Any:
    """A class of connections like `connection`, whose messages do not wait for each other."""

    class PromptConnection(connection):  # type: ignore[misc]
        def connect(self) -> Any:
            if self.websocket_handler.ws_connection is not None:  # the page has not left yet
                self.websocket_handler.set_nodelay(True)
            return super().connect()

    return PromptConnection
