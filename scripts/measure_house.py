"""Measure the shape of the code: files, lines, imports, and the path of one slider tick.

    python scripts/measure_house.py [CHECKOUT] [--no-trace] [--list]

Prints one row a number, for this checkout or for another one, of whatever layout. What is
traced runs in a process of its own, with the checkout on its path, on the demo model that
ships with the package.

How the rows are counted:

- A file with nothing but a docstring in one line, such as an empty `__init__.py`, is no file.
- An import inside a function or a method counts as any other, so do those under TYPE_CHECKING.
- A circle is a set of modules that import each other, directly or by way of others.
- A private attribute is `thing._name` where `thing` is neither `self` nor `cls`.
- A tick is traced on the thread that moves the slider, from the assignment of `session.layer`
  until it returns, for a layer that nobody has looked at, with one `FeatureMapGrid`; what other
  threads enter meanwhile is told apart. A return to a file is a call into a file that was
  entered before, made from another one.
- The session's lock is counted by the times that any thread enters it.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

PACKAGE = "actwidgets"
# Options whose absence leaves code unchecked. That a base class or a decorator of a library has no
# types is no fault of the code: `disallow_subclassing_any` and the like may be off.
STRICT_OPTIONS = {
    *("disallow_untyped_defs", "disallow_incomplete_defs", "check_untyped_defs"),
    "disallow_any_generics",
}
LOOSENING = {"ignore_errors", "follow_imports"}


# --- files and lines -------------------------------------------------------------------------


def python_files(folder: Path) -> list[Path]:
    """All Python files of a folder, hidden ones left out."""
    return [
        path
        for path in sorted(folder.rglob("*.py"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def n_lines(path: Path) -> int:
    """Number of lines of a file."""
    return len(path.read_text("utf-8").splitlines())


def is_stub(path: Path) -> bool:
    """Whether a file is an `__init__.py` of one line."""
    return path.name == "__init__.py" and n_lines(path) <= 1


def function_lengths(paths: list[Path]) -> list[int]:
    """Lines of each function and method, decorators and docstring included."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


# --- imports ---------------------------------------------------------------------------------


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a file below `root`."""
    parts = [*path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Which modules of the package each of its modules imports, late imports included."""
    paths = {module_name(path, root): path for path in python_files(root / PACKAGE)}
    graph: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names} & set(paths)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    up = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*up, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    graph[name] |= {inner if inner in paths else base} & set(paths)
        graph[name].discard(name)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that import each other: Tarjan's strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            members = stack[at:]
            del stack[at:]
            if len(members) > 1:
                found.append(sorted(members))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


# --- tests -----------------------------------------------------------------------------------


def n_layer_rows(root: Path) -> int | None:
    """Rows of the table that `tests/test_layers.py` allows imports by: its largest dict."""
    path = root / "tests" / "test_layers.py"
    if not path.exists():
        return None
    tables = [
        len(node.value.keys)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
    ]
    return max(tables, default=None)


def n_private_reads(paths: list[Path]) -> int:
    """Reads and writes of private attributes of anything but `self` and `cls`."""
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    )


# --- types -----------------------------------------------------------------------------------


def strict_share(root: Path) -> float:
    """Share of the package's lines that mypy checks strictly, by `pyproject.toml`."""
    config = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"].get("mypy", {})
    if not config.get("strict"):
        return 0.0
    checked: set[Path] = set()
    files = config.get("files", [PACKAGE])
    for pattern in [files] if isinstance(files, str) else files:
        for path in root.glob(pattern):
            checked |= set(python_files(path)) if path.is_dir() else {path}
    loosened = [
        pattern
        for override in config.get("overrides", [])
        if LOOSENING & set(override)
        or any(override.get(option) is False for option in STRICT_OPTIONS)
        for pattern in (
            [override["module"]] if isinstance(override["module"], str) else override["module"]
        )
        if pattern.split(".")[0] == PACKAGE
    ]

    def is_strict(path: Path) -> bool:
        name = module_name(path, root)
        patterns = [each.removesuffix(".*") for each in loosened]
        return path in checked and not any(
            name == each or name.startswith(f"{each}.") for each in patterns
        )

    lines = {path: n_lines(path) for path in python_files(root / PACKAGE)}
    return sum(n for path, n in lines.items() if is_strict(path)) / sum(lines.values())


# --- traced live -----------------------------------------------------------------------------


class CallTracer:
    """Notes calls into the package while it is on, by thread.

    It has to be there before threads begin: `threading.setprofile` is for later ones only.
    """

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{folder}{os.sep}"
        self.calls: list[tuple[int, str, str]] = []  # thread, file, function
        self._on = False
        sys.setprofile(self._profile)
        threading.setprofile(self._profile)

    def _profile(self, frame: Any, event: str, _argument: Any) -> None:
        if self._on and event == "call":
            code = frame.f_code
            if code.co_filename.startswith(self._prefix) and code.co_name != "<module>":
                name = getattr(code, "co_qualname", code.co_name)
                file = code.co_filename.removeprefix(self._prefix)
                self.calls.append((threading.get_ident(), file, name))

    def __enter__(self) -> "CallTracer":
        """Begin to note calls, anew."""
        self.calls = []
        self._on = True
        return self

    def __exit__(self, *failure: object) -> None:
        """Note no more."""
        self._on = False

    def path(self) -> list[tuple[str, str]]:
        """`(file, function)` of each call on this thread, in order."""
        here = threading.get_ident()
        return [(file, name) for thread, file, name in self.calls if thread == here]

    def files_elsewhere(self) -> set[str]:
        """Files that other threads entered and this one did not."""
        return {file for _, file, _ in self.calls} - {file for file, _ in self.path()}


def count_returns(path: list[tuple[str, str]]) -> int:
    """How often a call goes into a file that was entered before, from another one."""
    seen: set[str] = set()
    before, found = "", 0
    for file, _ in path:
        found += file != before and file in seen
        seen.add(file)
        before = file
    return found


class LockCounter:
    """Counts how often a session's lock is entered, whatever its class."""

    def __init__(self, session: Any) -> None:
        self.n_entered = 0
        lock = next(
            value
            for name, value in [("lock", getattr(session, "lock", None)), *vars(session).items()]
            if "lock" in name and hasattr(value, "__enter__")
        )
        counter = self

        def counted(name: str) -> Any:
            original = getattr(type(lock), name)

            def enter(one: Any, *args: Any, **options: Any) -> Any:
                if one is lock:
                    counter.n_entered += 1
                return original(one, *args, **options)

            return enter

        self._type, self._original = type(lock), type(lock).__enter__
        # A lock of the standard library cannot be patched: TypeError says so.
        type(lock).__enter__ = counted("__enter__")

    def close(self) -> None:
        """Put the class back as it was."""
        self._type.__enter__ = self._original


def trace() -> dict[str, Any]:
    """What a tick and an attribution enter, in this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import actwidgets as aw

    package = Path(aw.__file__).parent
    tracer = CallTracer(package)
    digits, model = aw.load_dataset("digits"), aw.demo_model()
    x, y = digits.x_test[:200], digits.y_test[:200]
    session = aw.Session(model, x, y, layer="conv_1")
    view = aw.FeatureMapGrid(session)
    session.wait()
    locks = LockCounter(session)
    with tracer:
        session.layer = "conv_2"
    tick, elsewhere, n_locked = tracer.path(), tracer.files_elsewhere(), locks.n_entered
    locks.n_entered = 0
    with tracer:
        session.sample = 7
    sample_tick, n_locked_sample = tracer.path(), locks.n_entered
    locks.close()
    assert not view.error, view.error
    view.close()
    session.close()
    fresh = aw.demo_model()
    with tracer:
        aw.attribute(fresh, x[:2], method="gradient")
    attribution = tracer.path()
    sys.setprofile(None)
    threading.setprofile(None)
    return {
        "tick": tick,
        "elsewhere": sorted(elsewhere),
        "n_locked": n_locked,
        "sample_tick": sample_tick,
        "n_locked_sample": n_locked_sample,
        "attribution": attribution,
    }


def traced(root: Path) -> dict[str, Any]:
    """The same for a checkout, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--trace-here"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root)
    if done.returncode:
        raise RuntimeError(f"tracing failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def n_files(path: list[tuple[str, str]]) -> str:
    """Number of files on a path of calls."""
    return f"{len({file for file, _ in path})}"


def n_functions(path: list[tuple[str, str]]) -> str:
    """Number of functions on it."""
    return f"{len({(file, name) for file, name in path})}"


# --- the table -------------------------------------------------------------------------------


def measure(root: Path, *, with_trace: bool) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """Rows of the table, and the details behind them."""
    every = python_files(root / PACKAGE)
    paths = [path for path in every if not is_stub(path)]
    tests = python_files(root / "tests")
    in_benchmarks = [each for each in tests if "benchmarks" in each.relative_to(root).parts]
    benchmarks = in_benchmarks + python_files(root / "benchmarks")
    tests = [each for each in tests if each not in in_benchmarks]
    graph = import_graph(root)
    importers = Counter(other for imported in graph.values() for other in imported)
    lengths = function_lengths(every)
    sizes = sorted(map(n_lines, paths))
    rings = circles(graph)
    lines = sum(map(n_lines, every))
    rows = [
        ("files in the package", f"{len(paths):,}"),
        ("  with one-line __init__", f"{len(every):,}"),
        ("  with exactly one importer", f"{sum(n == 1 for n in importers.values()):,}"),
        ("lines of the package", f"{lines:,}"),
        ("  median and largest file", f"{median(sizes):.0f}, {sizes[-1]}"),
        ("  functions of six lines or fewer", f"{sum(n <= 6 for n in lengths) / len(lengths):.0%}"),
        ("lines of tests", f"{sum(map(n_lines, tests)):,} in {len(tests)} files"),
        ("lines of benchmarks", f"{sum(map(n_lines, benchmarks)):,}"),
        ("rows in the table of tests/test_layers.py", f"{n_layer_rows(root)}"),
        ("private attributes of others read in tests", f"{n_private_reads(tests):,}"),
        ("circles of imports, late ones counted", f"{len(rings)}"),
        ("code that mypy checks strictly", f"{strict_share(root):.0%}"),
    ]
    details: dict[str, Any] = {
        "circles": rings,
        "one importer": sorted(name for name, n in importers.items() if n == 1),
    }
    if with_trace:
        live = traced(root)
        tick, sample, attribution = live["tick"], live["sample_tick"], live["attribution"]
        rows += [
            ("files an uncached layer tick enters", n_files(tick)),
            ("  functions", n_functions(tick)),
            ("  returns to a file it had left", f"{count_returns(tick)}"),
            ("  more files, on other threads", f"{len(live['elsewhere'])}"),
            ("times the session's lock is taken in it", f"{live['n_locked']}"),
            ("files a tick of the sample enters", n_files(sample)),
            ("  times the session's lock is taken in it", f"{live['n_locked_sample']}"),
            ('files attribute(method="gradient") enters', n_files(attribution)),
            ("  functions", n_functions(attribution)),
        ]
        details |= {
            "files of the tick, in order": list(dict.fromkeys(each for each, _ in tick)),
            "files of the attribution, in order": list(
                dict.fromkeys(each for each, _ in attribution)
            ),
        }
    return rows, details


def main() -> None:
    """Print the table of a checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    own = Path(__file__).resolve().parents[1]
    parser.add_argument("checkout", nargs="?", type=Path, default=own, help="this one by default")
    parser.add_argument("--no-trace", action="store_true", help="leave out what runs the package")
    parser.add_argument("--list", action="store_true", help="name the files behind the numbers")
    parser.add_argument("--trace-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trace_here:
        sys.stdout.write(f"{json.dumps(trace())}\n")
        return
    rows, details = measure(options.checkout.resolve(), with_trace=not options.no_trace)
    for name, value in rows:
        sys.stdout.write(f"{name:46} {value:>20}\n")
    if options.list:
        for name, found in details.items():
            sys.stdout.write(f"\n{name}:\n")
            for each in found:
                text = " ".join(each) if isinstance(each, list) else each
                sys.stdout.write(f"  {text}\n")


if __name__ == "__main__":
    main()
