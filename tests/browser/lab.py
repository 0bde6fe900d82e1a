"""JupyterLab in a real browser, for tests: a server, a browser tab, a notebook in it.

The fixture `lab` of `conftest.py` gives a `Lab`; a test asks it for a `Notebook`:

    def test_dragging_the_slider_changes_the_maps(lab):
        notebook = lab.open("notebooks/01_quickstart.ipynb")   # a copy; or lab.new(cell, cell)
        notebook.run_all()                            # fails with the error of a failed cell
        before = notebook.pixels()                    # (row, column, RGBA) uint8, as published
        notebook.drag("sample", to=0.7)               # the slider so described; 0..1 of its track
        after = notebook.wait_for_other_pixels(before)
        assert notebook.evaluate("session.sample") == 69     # in the kernel, by way of JSON
        notebook.theme("dark"); notebook.resize(1000, 800); notebook.screenshot("dark.png")
        notebook.assert_no_errors()                   # of cells, of the page, on its console

A notebook is closed, and its kernel ended, with the module that opened it. To share one
between the tests of a module, open it in a module-scoped fixture. `notebook.page` is
Playwright's page for whatever is not here: `notebook.page.get_by_role("button", name="Next")`.
All outputs are kept in the page, so nothing needs scrolling before it can be found.
"""

import ast
import base64
import json
import re
import secrets
import time
from itertools import count
from pathlib import Path

import numpy as np

from actwidgets.__main__ import answers, free_port, lab_command, private_environment, start, stop

RUN_LIMIT_S = 180
FIND_LIMIT_S = 60
CHROMIUM_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
# What JupyterLab itself logs as an error on a healthy page.
HARMLESS = re.compile(r"favicon|the server responded with a status of 404")
IS_IDLE = """() => {
    const kernel = window.notebook?.sessionContext.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


class Server:
    """A JupyterLab server on a free port that keeps everything below one folder."""

    def __init__(self, folder):
        self.folder, state = folder / "notebooks", folder / "state"
        self.folder.mkdir(parents=True)
        self._token, self._log, self._port = secrets.token_hex(), folder / "log", free_port()
        environment = private_environment(state, self._token)
        tracker = state / "settings" / "@jupyterlab" / "notebook-extension"
        tracker.mkdir(parents=True)
        (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
        exposed = "--LabApp.expose_app_in_browser=True"
        command = lab_command(self.folder, self._port, "/lab", exposed)
        self._process = start(command, environment, self._log)
        if not answers(self._process, self._port, self._token):
            raise RuntimeError(f"JupyterLab gave up:\n{self._log.read_text()[-2000:]}")

    def url(self, name):
        """Return the address that opens one notebook alone on the page."""
        return f"http://127.0.0.1:{self._port}/doc/tree/{name}?token={self._token}&reset"

    def stop(self):
        """End the server and all kernels."""
        stop(self._process)


class Lab:
    """One browser at one server: opens notebooks, and closes them at the end."""

    def __init__(self, server, browser):
        self._server, self._browser = server, browser
        self._opened = []

    def open(self, path, width=1280, height=900):
        """Open a copy of the notebook file `path`."""
        return self._open(Path(path).stem, json.loads(Path(path).read_text("utf-8")), width, height)

    def new(self, *sources, width=1280, height=900):
        """Open a new notebook with one code cell for each of `sources`."""
        cells = [
            {"cell_type": "code", "source": source, "metadata": {}, "id": f"cell-{index}"}
            | {"outputs": [], "execution_count": None}
            for index, source in enumerate(sources)
        ]
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        return self._open("new", content, width, height)

    def _open(self, stem, content, width, height):
        # Without a kernel named in the file, a dialog asks for one and blocks the page.
        content["metadata"].setdefault("kernelspec", KERNELSPEC)
        names = (f"{stem}-{number}.ipynb" for number in count())
        target = next(path for name in names if not (path := self._server.folder / name).exists())
        target.write_text(json.dumps(content), "utf-8")
        context = self._browser.new_context(viewport={"width": width, "height": height})
        notebook = Notebook(context.new_page(), self._server.url(target.name))
        self._opened.append(notebook)
        return notebook

    def close(self):
        """Close every notebook that is still open."""
        for notebook in self._opened:
            notebook.close()


class Notebook:
    """A notebook open in its own tab, with a kernel that is ready."""

    def __init__(self, page, url):
        self.page = page
        self.page_errors = []
        page.set_default_timeout(FIND_LIMIT_S * 1000)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.on("console", self._note)
        page.goto(url)
        self._wait_until_ready()

    def _note(self, message):
        where = message.location.get("url", "")
        if message.type == "error" and not HARMLESS.search(message.text):
            self.page_errors.append(f"console: {message.text} ({where})")

    def _wait_until_ready(self):
        self._wait_for(
            """() => {
                const panel = window.jupyterapp?.shell?.currentWidget;
                if (panel?.context?.isReady && panel.sessionContext) window.notebook = panel;
                return Boolean(window.notebook);
            }"""
        )
        self._wait_for(IS_IDLE)

    def _wait_for(self, condition, limit_s=RUN_LIMIT_S):
        self.page.wait_for_function(condition, timeout=limit_s * 1000, polling=100)

    # Running code

    def run_all(self, check=True, limit_s=RUN_LIMIT_S):
        """Run all cells and wait for the last; with `check` an error in one is a failure."""
        self.page.evaluate(
            """() => {
                window.ended = false;
                const end = () => { window.ended = true; };
                window.jupyterapp.commands.execute('notebook:run-all-cells').then(end, end);
            }"""
        )
        self._wait_for("() => window.ended", limit_s)
        self._wait_for(IS_IDLE, limit_s)
        if check:
            assert not self.cell_errors(), self.cell_errors()
            assert not self._not_run(), f"cells {self._not_run()} have not run"

    def cell_errors(self):
        """Return "cell 3: NameError: …" for each output of type error."""
        return [
            f"cell {index}: {output['ename']}: {output['evalue']}"
            for index, cell in enumerate(self._cells())
            for output in cell.get("outputs", ())
            if output["output_type"] == "error"
        ]

    def _not_run(self):
        return [
            index
            for index, cell in enumerate(self._cells())
            if cell["cell_type"] == "code"
            and "".join(cell["source"]).strip()
            and cell["execution_count"] is None
        ]

    def _cells(self):
        return self.page.evaluate("() => window.notebook.content.model.toJSON().cells")

    def assert_no_errors(self):
        """Fail if a cell, the page or its console has reported an error."""
        errors = self.cell_errors() + self.page_errors
        assert not errors, errors

    def evaluate(self, expression, limit_s=RUN_LIMIT_S):
        """Return the value of a Python expression in the kernel, by way of JSON."""
        return json.loads(self._ask("", f"__import__('json').dumps({expression})", limit_s))

    def execute(self, code, limit_s=RUN_LIMIT_S):
        """Run Python statements in the kernel, without a cell."""
        self._ask(code, "''", limit_s)

    def start(self, code):
        """Have the kernel run statements, and do not wait; `is_running` tells whether it does."""
        self.page.evaluate(
            """code => {
                window.running = true;
                const kernel = window.notebook.sessionContext.session.kernel;
                const end = () => { window.running = false; };
                kernel.requestExecute({code, store_history: false}).done.then(end, end);
            }""",
            code,
        )

    def is_running(self):
        """Return whether what `start` began is still being run."""
        return self.page.evaluate("() => window.running")

    def _ask(self, code, expression, limit_s):
        reply = self.page.evaluate(
            """async ([code, expression, limit_ms]) => {
                const kernel = window.notebook.sessionContext.session.kernel;
                const asked = kernel.requestExecute({
                    code, user_expressions: {value: expression}, silent: true,
                    store_history: false, stop_on_error: false,
                });
                const late = new Promise((_, reject) => setTimeout(
                    () => reject(new Error('no answer from the kernel')), limit_ms));
                return (await Promise.race([asked.done, late])).content;
            }""",
            [code, expression, limit_s * 1000],
        )
        answer = reply["user_expressions"]["value"] if reply["status"] == "ok" else reply
        assert answer["status"] == "ok", f"{answer.get('ename')}: {answer.get('evalue')}"
        return ast.literal_eval(answer["data"]["text/plain"])

    # Using widgets

    def slider(self, description):
        """Return the slider widget so described; `.locator(".noUi-handle")` takes keys."""
        label = self.page.get_by_text(description, exact=True)
        return self.page.locator(".widget-slider", has=label)

    def drag(self, description, to, steps=12, release=True):
        """Take a slider's handle with the mouse and move it to `to`, 0..1 of its track.

        With `release=False` the button stays down, until `page.mouse.up()`.
        """
        slider = self.slider(description)
        slider.scroll_into_view_if_needed()
        handle = slider.locator(".noUi-handle").bounding_box()
        track = slider.locator(".noUi-base").bounding_box()
        mouse, middle = self.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, middle)
        mouse.down()
        mouse.move(track["x"] + to * track["width"], middle, steps=steps)
        if release:
            mouse.up()

    def images(self):
        """Return the pictures of pixels, in the order of the page."""
        return self.page.locator(".aw-picture > img, img.aw-pixels")

    def pixels(self, image=None):
        """Decode a picture, the first of `images()` unless given, to (row, column, RGBA)."""
        found = (image or self.images().first).evaluate(
            """async (element) => {
                const source = element.href?.baseVal ?? element.src;
                const bitmap = await createImageBitmap(await (await fetch(source)).blob());
                const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
                const context = canvas.getContext('2d');
                context.drawImage(bitmap, 0, 0);
                const {data} = context.getImageData(0, 0, bitmap.width, bitmap.height);
                let text = '';
                for (let at = 0; at < data.length; at += 8192)
                    text += String.fromCharCode(...data.subarray(at, at + 8192));
                return [bitmap.height, bitmap.width, btoa(text)];
            }"""
        )
        height, width, text = found
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)

    def wait_for_other_pixels(self, before, image=None, limit_s=FIND_LIMIT_S):
        """Wait until a picture is not `before` any more, and return its pixels."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            after = self.pixels(image)
            if not np.array_equal(before, after):
                return after
            self.page.wait_for_timeout(20)
        raise AssertionError(f"the picture did not change within {limit_s} s")

    # Waiting

    def wait_until(self, found, wanted=True, limit_s=FIND_LIMIT_S):
        """Wait until an expression in the kernel, or a function here, gives what is wanted."""
        deadline = time.monotonic() + limit_s
        while (value := found() if callable(found) else self.evaluate(found)) != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"{found} is {value!r}, not {wanted!r}")
            self.page.wait_for_timeout(50)

    def settle(self, page_ms=500):
        """Wait until the page has heard what the kernel had to say, and has had time to draw it.

        The time is the page's own: what it put off for less is done by then. bqplot lays out
        what comes into sight after 0.3 s.
        """
        self.evaluate("0")
        self.page.evaluate(
            "ms => new Promise(done => setTimeout(() => requestAnimationFrame(done), ms))", page_ms
        )

    # The page

    def theme(self, kind):
        """Switch JupyterLab to its "light" or "dark" theme."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            f"JupyterLab {kind.capitalize()}",
        )
        light = str(kind == "light").lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")

    def resize(self, width, height):
        """Give the page another size, in pixels."""
        self.page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, path, target=None):
        """Save a picture of a locator, or of the page."""
        (target or self.page).screenshot(path=path)

    def reload(self):
        """Save the notebook and load the page again; the kernel lives on."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.reload()
        self._wait_until_ready()

    def close(self):
        """End the kernel and close the tab. Safe to call twice."""
        if not self.page.is_closed():
            self.page.evaluate("() => window.notebook?.sessionContext.shutdown().catch(() => {})")
            self.page.context.close()
