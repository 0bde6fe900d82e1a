"""A TensorBoard that is really started, and asked as its page asks it."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

from actwidgets.__main__ import free_port


class BoardServer:
    """Answers of a running TensorBoard."""

    def __init__(self, port):
        self._base = f"http://127.0.0.1:{port}/data/plugin"
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def raw(self, path, **query):
        url = f"{self._base}/{path}?{urllib.parse.urlencode(query)}"
        with self._direct.open(url, timeout=30) as answer:
            return answer.read()

    def ask(self, path, **query):
        return json.loads(self.raw(path, **query))

    def images(self, run, tag):
        """PNG files by step."""
        found = self.ask("images/images", run=run, tag=tag, sample=0)
        return {
            each["step"]: self.raw("images/individualImage", **_query(each["query"]))
            for each in found
        }

    def scalars(self, run, tag):
        """Numbers by step."""
        return {step: value for _, step, value in self.ask("scalars/scalars", run=run, tag=tag)}

    def histograms(self, run, tag):
        """Lists of (left, right, count) by step."""
        return {
            step: table for _, step, table in self.ask("histograms/histograms", run=run, tag=tag)
        }


@contextmanager
def board_server(logdir, log):
    """Serve a folder of logs until the block is left; what the server says goes to `log`."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--reload_interval", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        server = BoardServer(port)
        deadline = time.monotonic() + 120
        while not _has_read(server):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _has_read(server):
    try:
        return bool(server.ask("scalars/tags"))
    except (OSError, ValueError):
        return False


def _query(text):
    return dict(urllib.parse.parse_qsl(text))
