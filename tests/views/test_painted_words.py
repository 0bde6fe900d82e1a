"""HTML of views, painted: what its style sheets say, and where its words lie."""

import io
import re

import ipywidgets as w
import numpy as np
import pytest
from PIL import Image

import actwidgets as aw
from actwidgets.views._controls import hint, note
from actwidgets.views.painting.markup import tree
from actwidgets.views.painting.paint import paint
from actwidgets.views.painting.sheets import Element, Sheet, length, sides

VIEW = [Element("div", frozenset({"aw-view"}))]


def painted(value, **layout):
    return np.asarray(Image.open(io.BytesIO(paint(w.HTML(value, layout=layout)))).convert("RGB"))


def ink(shown):
    """Where something is drawn: top, bottom, left, right."""
    rows, columns = np.nonzero((shown != 255).any(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def style(sheet, html):
    """The style of the innermost element of a line of HTML."""
    node = tree(html, Sheet(sheet), VIEW, {"color": "black"})
    while any(not isinstance(each, str) for each in node.children):
        node = next(each for each in node.children if not isinstance(each, str))
    return node.style


@pytest.mark.parametrize(
    ("selector", "applies"),
    [
        (".note", True),
        ("span", True),
        ("div span.note", True),
        (".aw-view .note", True),
        (".aw-view > .note", False),
        (".outer > .note", True),
        (".note.other", False),
        ("b .note", False),
        ("span:last-child", True),
        ("span:first-child", False),
        (".note:hover", False),
        ("a, .note", True),
    ],
)
def test_rules_apply_to_what_their_selector_means(selector, applies):
    html = '<div class="outer"><br><span class="note">x</span></div>'
    node = tree(html, Sheet(f"{selector} {{ color: red; }}"), VIEW, {"color": "black"})
    span = node.children[0].children[1]
    assert (span.style["color"] == "red") is applies


def test_a_class_counts_more_than_a_tag_and_own_style_most():
    sheet = ".a { color: red } div { color: blue; font: 600 13px/20px sans-serif }"
    found = style(sheet, '<div class="a">x</div>')
    assert (found["color"], found["font-size"], found["line-height"]) == ("red", "13px", "20px")
    assert found["font-weight"] == "600"
    assert style(sheet, '<div class="a" style="color:green">x</div>')["color"] == "green"


def test_colours_and_fonts_are_inherited_and_margins_are_not():
    found = style("div { color: red; margin: 3px }", "<div><i>x</i></div>")
    assert found["color"] == "red"
    assert "margin" not in found


def test_lengths_and_sides():
    assert (length("12px"), length("50%", 80), length(".5"), length("auto")) == (12, 40, 0.5, None)
    assert sides({"margin": "1px 2px 3px", "margin-left": "9px"}, "margin") == (1, 2, 3, 9)


def test_entities_are_letters_and_tags_are_none():
    assert np.array_equal(painted("a &lt;b&gt; &amp; c"), painted("<i>a &lt;b&gt; &amp; c</i>"))
    assert np.array_equal(painted("a  <!-- note -->\n b"), painted("a b"))


def test_escaped_names_do_not_become_markup():
    hostile = "&lt;b style=&quot;color:red&quot;&gt;x&lt;/b&gt;"
    shown = painted(hostile)
    assert not ((shown[..., 0] > 200) & (shown[..., 1] < 80)).any()
    assert ink(shown)[3] > ink(painted("x"))[3] + 60


def test_a_coloured_span_has_its_colour():
    shown = painted('plain <span style="color: #ff0000">red</span>')
    red = (shown[..., 0] > 250) & (shown[..., 1] < 60)
    assert red.any()
    assert np.nonzero(red)[1].min() > 30


def test_bold_words_are_heavier():
    plain, bold = painted("weighty words"), painted("<b>weighty words</b>")
    assert (255 - bold.astype(int)).sum() > 1.2 * (255 - plain.astype(int)).sum()


def test_words_wrap_where_there_is_no_room():
    text = "one two three four five six seven eight nine ten"
    wide, narrow = painted(text), painted(text, width="90px")
    assert narrow.shape[0] > 2 * wide.shape[0]
    assert narrow.shape[1] <= 90 + 2 * 8
    assert ink(narrow)[3] <= 98


def test_a_word_that_is_longer_than_its_room_is_cut():
    shown = painted("a" * 200, width="80px")
    assert shown.shape[1] <= 96
    assert shown.shape[0] < 40


def test_rows_of_a_table_lie_below_one_another_and_cells_in_columns():
    table = (
        "<style>td { text-align: right; padding: 0 4px }</style><table>"
        '<tr><td>wide words</td><td style="color:#ff0000">1</td></tr>'
        '<tr><td>x</td><td style="color:#0000ff">22</td></tr></table>'
    )
    shown = painted(table).astype(int)
    red = np.nonzero((shown[..., 0] - shown[..., 2]) > 100)
    blue = np.nonzero((shown[..., 2] - shown[..., 0]) > 100)
    assert red[0].max() < blue[0].min()
    assert abs(red[1].max() - blue[1].max()) <= 2  # both end at the right of their column


def test_a_bar_is_as_wide_as_its_share():
    bar = '<b style="display:block;height:10px;width:{}%;background:#ff0000"></b>'
    widths = []
    for share in (25, 100):
        shown = painted(f'<div style="width:200px">{bar.format(share)}</div>')
        widths.append((shown == (255, 0, 0)).all(axis=2).any(axis=0).sum())
    assert widths == [50, 200]


def test_a_gradient_runs_from_its_first_colour_to_its_last():
    span = (
        '<span style="display:inline-block;width:100px;height:10px;'
        'background:linear-gradient(to right,rgb(255,0,0),#0000ff)"></span>'
    )
    top, bottom, left, right = ink(painted(f"{span}"))
    shown = painted(f"{span}")[(top + bottom) // 2, left:right].astype(int)
    assert (right - left, bottom - top) == (100, 10)
    assert (shown[0] == (255, 0, 0)).all()
    assert (shown[-1] == (0, 0, 255)).all()
    assert (np.diff(shown[:, 2]) >= 0).all()


def test_what_is_placed_lies_where_it_says():
    value = (
        '<div style="position:relative;height:36px;width:200px">'
        '<div style="position:absolute;left:2px">a</div>'
        '<div style="position:absolute;left:120px">b</div></div>'
    )
    shown = painted(value)
    columns = np.nonzero((shown != 255).any(axis=(0, 2)))[0] - 8
    assert columns.min() < 12
    assert 118 <= columns.max() <= 132


@pytest.mark.parametrize("value", ["", "&nbsp;", "<style>.a{}</style>", "<img hidden src='x'>"])
def test_what_has_no_words_takes_no_room(value):
    assert painted(value).shape == painted("").shape


@pytest.mark.parametrize(
    "value",
    ["<div", "</b>x", "<table><tr>x", "<b><i>x</b></i>", "<td>x", "a<br>b", "<table></table>"],
)
def test_markup_that_is_not_closed_is_painted_all_the_same(value):
    assert painted(value).size


def texts_in(widget):
    """Every `HTML` in a tree of widgets."""
    if isinstance(widget, w.HTML):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from texts_in(child)


@pytest.mark.parametrize("name", ["EmbeddingScatter", "InputLab", "ClassSimilarityMatrix"])
def test_what_a_mouse_can_do_is_not_painted(session, name):
    view = getattr(aw, name)(session)
    session.embeddings.wait()
    hints = [each for each in texts_in(view) if re.search("drag|click", each.value)]
    hints = [each for each in hints if "<style>" not in each.value]
    assert len(hints) == 1
    shown = view.png()
    hints[0].value = ""
    assert view.png() == shown
    hints[0].value = hint("other words")
    assert view.png() == shown
    hints[0].value = note("other words")
    assert view.png() != shown
