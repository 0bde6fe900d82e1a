"""Whether what a kernel says waits on its way to the page."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tornado.websocket import WebSocketHandler

from actwidgets import server_extension
from actwidgets.__main__ import private_environment

SHIPPED = Path(__file__).parents[1] / "jupyter-config"
EXTENSION = "actwidgets.server_extension"

# Of a server with a kernel: whether the server's end of a page's connection has TCP_NODELAY.
SERVER = """
import asyncio, gc, json, socket
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.websocket import websocket_connect

async def main(server):
    kernel_id = await server.kernel_manager.start_kernel()
    path = f"127.0.0.1:{server.port}/api/kernels/{kernel_id}/channels?token={server.token}"
    page = await websocket_connect(f"ws://{path}")
    request = {"header": {"msg_type": "kernel_info_request", "msg_id": "1"}, "channel": "shell"}
    rest = {"content": {}, "parent_header": {}, "metadata": {}}
    await page.write_message(json.dumps(request | rest))
    while json.loads(await page.read_message())["header"]["msg_type"] != "kernel_info_reply":
        pass
    handlers = [each for each in gc.get_objects() if isinstance(each, KernelWebsocketHandler)]
    sockets = [each.ws_connection.stream.socket for each in handlers]
    print([each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for each in sockets])
    page.close()
    await server._cleanup()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
server = ServerApp()
server.initialize(["--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"])
loop.run_until_complete(main(server))
"""


def _nodelay(environment):
    """What the server above prints: one truth value, of one connection."""
    command = [sys.executable, "-c", SERVER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1].lower())


@pytest.mark.slow
def test_messages_do_not_wait_where_the_package_is_installed_until_it_is_disabled(tmp_path):
    environment = _private(tmp_path)
    shutil.copytree(SHIPPED, tmp_path / "CONFIG" / "jupyter_server_config.d")
    assert _nodelay(environment) == [True]
    # As `docs/limits.md` has it; that of the environment in which tests run is left alone.
    options = {"ServerApp": {"jpserver_extensions": {EXTENSION: False}}}
    (tmp_path / "CONFIG" / "jupyter_server_config.json").write_text(json.dumps(options))
    assert _nodelay(environment) == [False]


@pytest.mark.slow
def test_in_the_demo_they_do_not(tmp_path):
    assert _nodelay(private_environment(tmp_path, "known")) == [True]


def test_a_server_without_such_a_setting_is_told(caplog):
    log = logging.getLogger("server")
    server = SimpleNamespace(web_app=SimpleNamespace(settings={}), log=log)
    server_extension._load_jupyter_server_extension(server)
    assert "needs Jupyter Server 2" in caplog.text
    assert server.web_app.settings == {}


def test_a_page_that_left_before_its_kernel_was_there_is_no_failure():
    class Connection:
        websocket_handler = WebSocketHandler.__new__(WebSocketHandler)

        def connect(self):
            return "connected"

    Connection.websocket_handler.ws_connection = None
    assert server_extension.without_delay(Connection)().connect() == "connected"


def _private(folder):
    """An environment in which nobody's own settings are read."""
    folders = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    return os.environ | folders | {"JUPYTER_NO_CONFIG": "", "JUPYTER_TOKEN": "known"}
