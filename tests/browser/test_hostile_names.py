"""Names that come from a model or from data are shown as text and never run."""

CELL = """
import keras, numpy as np, actwidgets as aw

BAD = '<img src=x onerror="window.ran = true">'
model = keras.Sequential([
    keras.Input((4, 6, 1)),
    keras.layers.Conv2D(3, 3, name="conv"),
    keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(2),
])
x, y = np.random.default_rng(0).random((20, 4, 6, 1)), np.arange(20) % 2
app = aw.explore(model, x, y, class_names=[BAD, BAD + "!"])
app
"""


def test_hostile_names_stay_text(lab):
    notebook = lab.new(CELL)
    notebook.run_all()
    notebook.execute("app.views['LayerPicker']._session.refresh()")
    for view, handler in (
        ("SampleGallery", "_on_user_hover"),
        ("FeatureMapGrid", "_on_user_hover"),
    ):
        notebook.execute(f"app.views[{view!r}].{handler}(0, 0)")
    notebook.execute("session = app.session\nsession.select(layer=session.layers[-1].name)")
    # an error message repeats the name that it is about
    notebook.execute("app.views['FeatureMapGrid']._show_error(BAD)")
    notebook.page.get_by_text('<img src=x onerror="window.ran = true">').first.wait_for()
    notebook.settle()
    assert notebook.page.evaluate("window.ran") is None
    assert notebook.page.get_by_text('<img src=x onerror="window.ran = true">').count() > 0
