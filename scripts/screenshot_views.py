"""Screenshots of every view in JupyterLab, for this checkout or another; and what differs.

    python scripts/screenshot_views.py OUT [--checkout CHECKOUT] [--only NAME …]
        [--widths 1000 1600] [--themes light dark] [--against OTHER_OUT]

One PNG a view, theme and page width, named `view-theme-width.png`, of what the demo model on the
digits shows. The page is JupyterLab's own in headless Chromium; CHECKOUT is only what its kernels
import. With `--against`, the share of pixels that differ from the picture of the same name in
another folder, largest first. `sheet-theme-width.png` shows all pictures at a glance.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE), str(HERE / "tests"), str(HERE / "tests" / "browser")]

from lab import CHROMIUM_OPTIONS, Lab, Notebook, Server  # noqa: E402
from setup_browser import find_browser  # noqa: E402

SETUP = """\
import actwidgets as aw
data = aw.load_dataset("digits")
model, other = aw.demo_model(), aw.demo_model()
x, y = data.x_test[:300], data.y_test[:300]
session = aw.Session(model, x, y, class_names=data.class_names)
session.sample, session.unit = 7, 3
def renamed(new, old):
    return getattr(aw, new if new in aw.__all__ else old)
"""
# Name of the picture: the expression whose value the cell shows. Names of the build before the
# redesign stand second.
VIEWS = {
    "layer_picker": "aw.LayerPicker(session)",
    "sample_gallery": "aw.SampleGallery(session)",
    "selection_bar": "renamed('SelectionBar', 'Breadcrumbs')(session)",
    "feature_map_grid": "aw.FeatureMapGrid(session)",
    "kernel_grid": "aw.KernelGrid(session)",
    "confusion_matrix": "aw.ConfusionMatrix(session)",
    "prediction_table": "aw.PredictionTable(session)",
    "class_counts": "aw.ClassCounts(session, {'train': data.y_train, 'test': data.y_test})",
    "embedding_pca": "aw.EmbeddingScatter(session)",
    "embedding_tsne": "aw.EmbeddingScatter(session, method='tsne')",
    "class_similarity": "aw.ClassSimilarityMatrix(session)",
    "class_ranking": "aw.ClassRanking(session)",
    "class_separation": "renamed('ClassSeparation', 'LayerStrip')(session)",
    "layer_similarity": "aw.LayerSimilarity(session, aw.Session(other, x, y))",
    "unit_box_plot": "aw.UnitBoxPlot(session)",
    "top_samples": "aw.TopSamples(session)",
    "unit_table": "renamed('UnitTable', 'UnitList')(session)",
    "unit_importance": "aw.UnitImportance(session)",
    "attribution_map": "aw.AttributionMap(session)",
    "unit_ablation": "aw.UnitAblation(session)",
    "input_lab": "aw.InputLab(session)",
    "training_monitor": "aw.TrainingMonitor(session)",
    "weight_histogram": "aw.WeightHistogram(session)",
    "workbench": "aw.explore(model, x, y, class_names=data.class_names)",
}
STILL_S, LIMIT_S = 1.5, 60


def say(*lines: str) -> None:
    """Write lines to the terminal."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def picture_when_still(notebook: Notebook, cell: int) -> bytes:
    """PNG of a cell's output once two in a row are alike."""
    output = notebook.page.locator(".jp-Cell").nth(cell).locator(".jp-Cell-outputWrapper")
    output.scroll_into_view_if_needed()
    before, deadline = b"", time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        notebook.settle(STILL_S * 1000)
        after: bytes = output.screenshot()
        if after == before:
            break
        before = after
    else:
        say(f"cell {cell} never came to rest")
    return before


def take(out: Path, checkout: Path, names: list[str], themes: list[str], widths: list[int]) -> None:
    """Open one notebook of all views and save their pictures."""
    os.environ["PYTHONPATH"] = str(checkout)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=list(CHROMIUM_OPTIONS)
        )
        lab = Lab(server, browser)
        try:
            notebook = lab.new(SETUP, *(VIEWS[name] for name in names), width=widths[0])
            notebook.run_all(check=False, limit_s=600)
            say(*notebook.cell_errors())
            home = notebook.evaluate("aw.__file__")
            assert Path(home).is_relative_to(checkout), home
            for theme in themes:
                notebook.theme(theme)
                for width in widths:
                    notebook.resize(width, 1000)
                    for number, name in enumerate(names, start=1):
                        path = out / f"{name}-{theme}-{width}.png"
                        path.write_bytes(picture_when_still(notebook, number))
            say(*notebook.page_errors)
        finally:
            lab.close()
            browser.close()
            server.stop()


def compare(out: Path, other: Path) -> None:
    """Print the share of pixels that differ, picture by picture."""
    rows = []
    for path in sorted(out.glob("*.png")):
        if path.name.startswith("sheet") or not (other / path.name).exists():
            continue
        new, old = (np.asarray(Image.open(one).convert("RGB")) for one in (path, other / path.name))
        same_size = new.shape == old.shape
        share = float((new != old).any(axis=2).mean()) if same_size else 1.0
        rows.append((share, path.name, f"{old.shape[1::-1]} → {new.shape[1::-1]}"))
    for share, name, sizes in sorted(rows, reverse=True):
        say(f"{share:8.2%}  {name}  {sizes}")


def sheet(out: Path, theme: str, width: int, columns: int = 6, cell_px: int = 420) -> None:
    """Save all pictures of a theme and width on one page, each with its name."""
    paths = [
        path
        for path in sorted(out.glob(f"*-{theme}-{width}.png"))
        if not path.name.startswith("sheet")
    ]
    if not paths:
        return
    rows = -(-len(paths) // columns)
    page = Image.new("RGB", (columns * cell_px, rows * cell_px), "gray")
    draw = ImageDraw.Draw(page)
    for index, path in enumerate(paths):
        left, top = index % columns * cell_px, index // columns * cell_px
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((cell_px - 8, cell_px - 22))
        page.paste(picture, (left + 4, top + 18))
        draw.text((left + 4, top + 3), path.stem, fill="white")
    page.save(out / f"sheet-{theme}-{width}.png")


def main() -> None:
    """Take the screenshots that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--only", nargs="+", choices=VIEWS, default=list(VIEWS))
    parser.add_argument("--widths", nargs="+", type=int, default=[1000, 1600])
    parser.add_argument("--themes", nargs="+", default=["light", "dark"])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--no-shots", action="store_true", help="compare what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.no_shots:
        checkout = options.checkout.resolve()
        take(options.out, checkout, options.only, options.themes, options.widths)
        for theme in options.themes:
            for width in options.widths:
                sheet(options.out, theme, width)
    if options.against:
        compare(options.out, options.against)


if __name__ == "__main__":
    main()
