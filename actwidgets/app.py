"""The workbench: all views of one session, laid out."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as w

from actwidgets.session import Session
from actwidgets.views._closing import close_all
from actwidgets.views.base import View
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.layer_picker import LayerPicker
from actwidgets.views.layer_strip import LayerStrip
from actwidgets.views.sample_gallery import SampleGallery

WRAPPING = {"flex_flow": "row wrap", "align_items": "flex-start", "align_content": "flex-start"}


class Workbench(w.Box):
    """The views of one session side by side; they wrap where the page is narrow.

    Attributes:
        session: What all of them show.
        views: The views, by class name.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        picker, gallery = LayerPicker(session, letters=47), SampleGallery(session)
        maps, matrix = FeatureMapGrid(session), ClassSimilarityMatrix(session)
        strip = LayerStrip(session, columns=6)
        widths = {picker: 360, gallery: 306, maps: 584, strip: 584, matrix: 540}
        self.views: dict[str, View] = {type(view).__name__: view for view in widths}
        for view, width in widths.items():
            view.layout.width = f"{width}px"
        # What chooses, and what shows. Beside each other the second takes all that is left;
        # on a narrow page each has the whole width, and its views lie side by side.
        choosing = w.Box([picker, gallery], layout=WRAPPING | {"flex": "1 1 362px"})
        layers = w.VBox([maps, strip], layout={"width": "584px"})
        showing = w.Box([layers, matrix], layout=WRAPPING | {"flex": "9999 1 590px"})
        super().__init__(children=(choosing, showing), layout=WRAPPING | {"width": "100%"})

    @property
    def error(self) -> str:
        """The last failure of each view that has one; empty when all is well."""
        return "; ".join(f"{name}: {view.error}" for name, view in self.views.items() if view.error)

    def close(self) -> None:
        """Close all views and give back every widget. Safe to call twice."""
        views = getattr(self, "views", {})
        for view in views.values():
            view.close()
        close_all(self.children)
        self.children = ()
        if views:
            self.session.close()
        super().close()
        self.layout.close()


def explore(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> Workbench:
    """Look into a model: the whole workbench in one line.

    Args:
        model: A built Keras model. It is on loan: nothing about it is changed.
        x: Samples `(sample, …)`, as the model takes them.
        y: `(sample,)` class indices or one-hot; optional.
        class_names: One per class; optional.
        **options: Further arguments of `Session`, such as the first `layer` or `sample`.

    Returns:
        A widget with a layer picker, a sample gallery, feature maps, the similarity of the
        classes and how well every layer parts them, linked through its `.session`. `close()`
        gives every widget back.

    Raises:
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
        DataError: No samples, labels outside the classes, class names that do not fit.
        SelectionError: A first selection that does not exist.

    Cost: one trace of the model, and a pass over the samples in the background, first of the
    chosen layer, then of all of them.
    """
    if y is not None:
        options.setdefault("class_index", 0)
    return Workbench(Session(model, x, y, class_names=class_names, **options))
