"""The console command `actwidgets`.

`actwidgets demo` opens the tutorial in JupyterLab, `actwidgets export` writes what layers put out.
"""

import argparse
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FORMATS = ("png", "npz", "gif", "csv")


def add_export(commands: Any) -> None:
    """Add `export` to the commands of a parser."""
    export = commands.add_parser(
        "export",
        help="write what layers put out to files, without a browser",
        description="Writes a grid of maps per layer (png), their values (npz), a film over the "
        "layers (gif) and, where there are labels, class profiles (csv).",
    )
    export.add_argument("model", type=Path, help="a .keras or .h5 file")
    export.add_argument(
        "--data",
        required=True,
        help="an .npz or .npy file, or the name of a data set: digits, mnist, fashion_mnist, "
        "cifar10 (its test part, in 0..1)",
    )
    export.add_argument("--labels", type=Path, help="class indices: .npy, .npz, .txt or .csv")
    export.add_argument("--divide-by", type=float, help="divide the data by this, as by 255")
    export.add_argument("--layers", type=_names, help="names, as conv_1,conv_2 (default: all)")
    export.add_argument("--out", type=Path, required=True, help="folder; made where there is none")
    export.add_argument(
        "--format",
        type=_formats,
        help="of png, npz, gif, csv (default: png,npz and, where there are labels, csv)",
    )
    rows = export.add_mutually_exclusive_group()
    rows.add_argument("--samples", type=_rows, help="rows of the data, as 0,5,7")
    rows.add_argument("--n", type=_positive, default=8, help="the first rows (default: 8)")
    export.set_defaults(run=run_export)


def run_export(options: argparse.Namespace) -> int:
    """Write the files, tell which, and return the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its greetings are nobody's concern here
    from actwidgets.errors import ActwidgetsError
    from actwidgets.export.files import Export

    try:
        export = Export.checked(options)
        for path, message in export.write():
            _say(f"{path}: {message}")
    except (ActwidgetsError, OSError) as failure:
        return _fail(f"{failure}")
    return 0


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("name at least one layer, as conv_1,conv_2")
    return names


def _formats(text: str) -> tuple[str, ...]:
    names = _names(text)
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no format {', '.join(unknown)}; there are {', '.join(FORMATS)}"
        )
    return names


def _rows(text: str) -> tuple[int, ...]:
    try:
        rows = tuple(int(each) for each in text.split(","))
    except ValueError:
        rows = ()
    if not rows or min(rows) < 0:
        raise argparse.ArgumentTypeError(f"rows are whole numbers from 0 on, as 0,5,7; got {text}")
    return rows


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed; got {text}")
    return number


FIRST_NOTEBOOK = "01_quickstart.ipynb"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (`sys.argv` when omitted) and return its exit code."""
    parser = argparse.ArgumentParser(prog="actwidgets", description="Widgets for live Keras models")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="open the tutorial notebooks in JupyterLab")
    demo.add_argument("--folder", type=Path, help="where to copy them (default: actwidgets-demo)")
    demo.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    demo.add_argument("--no-browser", action="store_true", help="only print the address")
    demo.set_defaults(run=run_demo)
    add_export(commands)

    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except OSError as failure:
        return _fail(f"{failure}")


def run_demo(options: argparse.Namespace) -> int:
    """Copy the notebooks, serve them until ctrl-C, and return the exit code."""
    if importlib.util.find_spec("jupyterlab") is None:
        return _fail('JupyterLab is not installed here; try: pip install "actwidgets[lab]"')
    port = free_port(options.port)
    folder = (options.folder or default_folder()).absolute()
    kept = copy_notebooks(shipped_notebooks(), folder)
    _say(f"Notebooks are in {folder}")
    if kept:
        _say(f"Left as you changed them: {', '.join(kept)} (delete one to get it afresh)")
    _on_stop_signals(signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="actwidgets-", ignore_cleanup_errors=True) as state:
            return _serve(folder, port, Path(state), show=not options.no_browser)
    except KeyboardInterrupt:
        _say("\nStopped.")
        return 0


def _serve(folder: Path, port: int, state: Path, *, show: bool) -> int:
    token, log = secrets.token_urlsafe(24), state / "server.log"
    command = lab_command(folder, port, f"/lab/tree/{FIRST_NOTEBOOK}")
    server = start(command, private_environment(state, token), log)
    try:
        if answers(server, port, token):
            url = f"http://127.0.0.1:{port}/lab/tree/{FIRST_NOTEBOOK}?token={token}"
            _say(f"\n    {url}\n\nOpen this address in a browser. Stop with ctrl-C.")
            if show and _has_desktop():
                webbrowser.open(url)
        code = server.wait()
    finally:
        _on_stop_signals(signal.SIG_IGN)  # impatience must not leave a kernel behind
        stop(server)
    said = log.read_text("utf-8", "replace")[-2000:]
    return _fail(f"JupyterLab gave up:\n{said}") if code else 0


def lab_command(folder: Path, port: int, page: str, *extra: str) -> list[str]:
    """Return the command that serves `folder` at `port`, with `page` as its start page."""
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={folder}", f"--LabApp.default_url={page}"),
        # JupyterLab refuses root, which is who one is in most containers.
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *extra,
    ]


def private_environment(state: Path, token: str) -> dict[str, str]:
    """Return an environment in which JupyterLab keeps all it writes below `state`.

    Nobody's own Jupyter settings are read or changed: a password, a kernel called
    `python3` of another environment or a half-broken extension must not spoil the tutorial.
    """
    kernel = state / "data" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    # TensorFlow's greetings go to the server's log instead of the first page of a tutorial.
    argv += ["--IPKernelApp.capture_fd_output=False"]
    spec: dict[str, Any] = {"argv": argv, "display_name": "Python 3 (actwidgets)"}
    spec |= {"language": "python", "metadata": {"debugger": True}}
    (kernel / "kernel.json").write_text(json.dumps(spec))

    news = state / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    # Otherwise a question about news covers a corner of the first page.
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')

    config = state / "config"
    config.mkdir()
    enabled = {"jpserver_extensions": {"actwidgets.server_extension": True}}
    (config / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": enabled}))

    return os.environ | {
        "JUPYTER_TOKEN": token,  # not an argument: those are shown to everybody by `ps`
        "JUPYTER_PATH": str(state / "data"),
        "JUPYTER_DATA_DIR": str(state / "data"),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
    }


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start the server; what it has to say goes to the file `log`."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a terminal sends ctrl-C to its whole group
        )


def answers(server: subprocess.Popen[bytes], port: int, token: str) -> bool:
    """Wait until the server answers our token; return False if it ended instead.

    Raises:
        TimeoutError: It did neither for two minutes.
    """
    headers = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/status", headers=headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while server.poll() is None:
        try:
            direct.open(request, timeout=5).close()
            return True
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError("JupyterLab did not answer for two minutes") from None
            time.sleep(0.1)
    return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its kernels; do nothing if it has ended."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port(port: int = 0) -> int:
    """Return `port` after checking that nobody listens there; any free one for 0."""
    with socket.socket() as probe:
        if os.name == "posix":  # a port that was in use a second ago is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as failure:
            raise OSError(f"cannot use port {port} of 127.0.0.1: {failure}") from None
        return int(probe.getsockname()[1])


def shipped_notebooks() -> Path:
    """Return the notebooks' folder: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def default_folder() -> Path:
    """Return `actwidgets-demo` in the current folder, or a fresh one if that is read-only."""
    folder = Path("actwidgets-demo")
    writable = os.access(folder if folder.exists() else Path.cwd(), os.W_OK)
    return folder if writable else Path(tempfile.mkdtemp(prefix="actwidgets-demo-"))


def copy_notebooks(source: Path, folder: Path) -> list[str]:
    """Copy what is missing from `folder`; return the names there that differ from ours.

    What is there already may hold somebody's work, so it is never overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for original in sorted(source.glob("*.ipynb")):
        copy = folder / original.name
        if not copy.exists():
            shutil.copyfile(original, copy)
        elif copy.read_bytes() != original.read_bytes():
            kept.append(original.name)
    return kept


def _on_stop_signals(handler: Any) -> None:
    """Treat every polite request to stop like ctrl-C."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


def _has_desktop() -> bool:
    if sys.platform.startswith("linux"):
        # Without this Python falls back to a text browser in our own terminal.
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"actwidgets: {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
