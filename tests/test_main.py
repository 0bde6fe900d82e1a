"""The command line, as somebody in a terminal meets it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from actwidgets import __main__


def test_notebooks_are_copied_and_nobodys_work_is_overwritten(tmp_path):
    source, folder = tmp_path / "shipped", tmp_path / "mine"
    source.mkdir()
    (source / "01_quickstart.ipynb").write_text("first")
    (source / "02_more.ipynb").write_text("second")
    assert __main__.copy_notebooks(source, folder) == []
    (folder / "02_more.ipynb").write_text("my notes")
    (folder / "01_quickstart.ipynb").unlink()
    assert __main__.copy_notebooks(source, folder) == ["02_more.ipynb"]
    assert (folder / "01_quickstart.ipynb").read_text() == "first"
    assert (folder / "02_more.ipynb").read_text() == "my notes"


def test_the_tutorial_is_shipped():
    assert (__main__.shipped_notebooks() / __main__.FIRST_NOTEBOOK).is_file()


def test_where_one_may_not_write_another_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert __main__.default_folder().name == "actwidgets-demo"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert __main__.default_folder().is_dir()


def test_without_jupyterlab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(__main__.importlib.util, "find_spec", lambda name: None)
    assert __main__.main(["demo"]) == 1
    assert 'pip install "actwidgets[lab]"' in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused_in_a_sentence(capsys, tmp_path):
    with __main__.socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert __main__.main(["demo", "--port", str(port), "--folder", str(tmp_path)]) == 1
    assert f"cannot use port {port}" in capsys.readouterr().err


@pytest.mark.notebook
def test_the_demo_serves_the_tutorial_and_ctrl_c_ends_all_of_it(tmp_path):
    command = [sys.executable, "-m", "actwidgets", "demo", "--no-browser", "--folder", tmp_path]
    demo = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        lines = iter(demo.stdout.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
        base, token = re.match(r"(http://[\d.:]+)/lab/tree/01_.*\?token=(\S+)", url).groups()

        def ask(path, method="GET", data=None):
            request = urllib.request.Request(base + path, data, method=method)
            request.add_header("Authorization", f"token {token}")
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)

        assert ask("/api/contents/01_quickstart.ipynb?content=0")["type"] == "notebook"
        (spec,) = [ask("/api/kernelspecs")["kernelspecs"]["python3"]["spec"]]
        assert spec["argv"][0] == sys.executable
        ask("/api/kernels", "POST", b'{"name": "python3"}')
        family = psutil.Process(demo.pid).children(recursive=True)
        assert len(family) >= 2, "a server and a kernel"
        demo.send_signal(signal.SIGINT)
        rest, complaints = demo.communicate(timeout=180)
    finally:
        demo.kill()
    assert demo.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert "Stopped." in rest
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(base, timeout=5)
    assert [process for process in family if process.is_running()] == []
