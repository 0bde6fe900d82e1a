"""The command line's part of an export: its options, and its sentences."""

import argparse
import os
import sys
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
    from actwidgets.exporting.export import Export

    try:
        export = Export.checked(options)
        for path, told in export.write():
            sys.stdout.write(f"{path}: {told}\n")
            sys.stdout.flush()
    except (ActwidgetsError, OSError) as failure:
        sys.stderr.write(f"actwidgets: {failure}\n")
        return 1
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
