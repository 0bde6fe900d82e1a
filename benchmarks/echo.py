"""How near this build comes to the least that its work can take, beside another build.

    python benchmarks/echo.py BASE [--rows tick explore …] [--runs 5] [--flame tick]

BASE is a checkout, as `git worktree add --detach /tmp/base d146345` makes it. Every group of rows
runs in Jupyter kernels of its own, base and this build in turns. In each kernel the ways of a row
take turns with its floor: bare TensorFlow, or bare widgets, that do no more than the way must, so
that a machine that is slower for a while is slower for all. The table gives multiples of the floor,
medians over the runs with quartiles; beside them tf-explain and xplique where they are installed
(`uv run --with tf-explain --with "xplique<1.4" --with opencv-python-headless …`), and the
notebook's way: a sliced model made anew for every click. `--flame` prints where the time of ticks
goes, by function. Only names that are public in both builds are used. Machines differ: read ratios.
"""

import argparse
import cProfile
import importlib.util
import io
import json
import os
import pstats
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import kernel_rows
from jupyter_client.manager import start_new_kernel
from kernel_rows import NOTEBOOK, OURS, TF_EXPLAIN, XPLIQUE

HERE = Path(__file__).resolve().parents[1]
BASE = "base"
IN_BROWSER = ("keys", "paint", "busy")
PEERS = {NOTEBOOK: None, TF_EXPLAIN: "tf_explain", XPLIQUE: "xplique"}
UNITS = {"s": (1000, "ms"), "bytes": (1e-3, "kB")}


def measure(group, peers):
    """Print the rows of a group as JSON, with the package that this process finds."""
    import actwidgets as aw

    if group in IN_BROWSER:
        from browser_rows import GROUPS
    else:
        from kernel_rows import GROUPS
    print(json.dumps([row.as_json() for row in GROUPS[group](aw, peers)]))


def run_with(root, call, in_browser=False):
    """What a call of a function here prints, with the package of a checkout.

    It runs in a Jupyter kernel, or in a plain process, which starts a server and a browser.
    """
    code = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import echo; echo.{call}"
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
    start = {"env": environment, "cwd": str(root)}
    if in_browser:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, **start, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{root} failed:\n{done.stderr[-3000:]}")
        return done.stdout
    manager, client = start_new_kernel(
        **start, extra_arguments=["--log-level=ERROR"], stderr=subprocess.DEVNULL
    )
    printed = []

    def on_output(message):
        if message["content"].get("name") == "stdout":
            printed.append(message["content"]["text"])

    try:
        reply = client.execute_interactive(code, output_hook=on_output, timeout=3600)["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise RuntimeError(f"{root}: {reply['ename']}: {reply['evalue']}\n{reply['traceback'][-2]}")
    return "".join(printed)


def table(group, base, n_runs):
    """Measure a group in turns, and print its rows."""
    found = {}
    for run in range(n_runs):
        builds = ((BASE, base), (OURS, HERE))
        for build, root in builds if run % 2 == 0 else reversed(builds):
            call = f"measure({group!r}, peers={build == OURS})"
            printed = run_with(root, call, group in IN_BROWSER)
            for row in json.loads(printed.splitlines()[-1]):
                entry = found.setdefault(row["name"], {"row": row, "floor": [], "columns": {}})
                floor = row["floor"]
                if floor is not None:
                    entry["floor"].append(floor)
                for column, value in row["values"].items():
                    ratio = value / floor if row["ratios"] else value
                    name = build if column == OURS else column
                    entry["columns"].setdefault(name, []).append(ratio)
    for name, entry in found.items():
        print_row(name, entry)


def print_row(name, entry):
    """One row of the table."""
    scale, unit = UNITS.get(entry["row"]["unit"], (1, entry["row"]["unit"]))
    ratios = entry["row"]["ratios"]
    shown = [with_quartiles(entry["floor"], scale, f" {unit}") if entry["floor"] else "–"]
    for column in (BASE, OURS, *PEERS):
        values = entry["columns"].get(column)
        shown.append(with_quartiles(values, 1 if ratios else scale) if values else "–")
    print(f"| {name} | {' | '.join(shown)} |", flush=True)


def with_quartiles(values, scale=1, unit=""):
    """The median, and the quartiles in brackets."""
    scaled = [scale * each for each in values]
    if len(scaled) == 1:
        return f"{short(scaled[0])}{unit}"
    low, _, high = quantiles(scaled, n=4, method="inclusive")
    return f"{short(median(scaled))}{unit} ({short(low)}–{short(high)})"


def short(number):
    """A number in about three digits."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def print_flame(what):
    """Where the time of ticks or of `explore()` goes, by function: this thread, in this process."""
    import actwidgets as aw

    run = kernel_rows.FLAMES[what](aw)
    profile = cProfile.Profile()
    profile.runcall(run)
    for order in ("tottime", "cumulative"):
        told = io.StringIO()
        pstats.Stats(profile, stream=told).sort_stats(order).print_stats(40)
        text = told.getvalue()
        for folder in (Path(aw.__file__).parents[1], Path(sys.prefix) / "lib", sys.base_prefix):
            text = text.replace(f"{folder}/", "")
        print(text)


def main():
    """Print the table, or a flame."""
    names = [*kernel_rows.GROUPS, *IN_BROWSER]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path, help="another checkout, as `git worktree` makes it")
    parser.add_argument("--rows", nargs="+", choices=names, default=names)
    parser.add_argument("--runs", type=int, default=5, help="processes of each build")
    parser.add_argument("--flame", choices=kernel_rows.FLAMES, help="profile instead")
    options = parser.parse_args()
    if options.flame:
        for root in (options.base.resolve(), HERE):
            print(f"{root}\n{run_with(root, f'print_flame({options.flame!r})')}")
    else:
        for name, module in PEERS.items():
            if module and importlib.util.find_spec(module) is None:
                print(f"{name} is not installed: its column stays empty")
        print(f"multiples of the floor, medians of {options.runs} runs (quartiles)\n")
        columns = ("", "floor", "base", OURS, *PEERS)
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for group in options.rows:
            table(group, options.base.resolve(), options.runs)


if __name__ == "__main__":
    main()
