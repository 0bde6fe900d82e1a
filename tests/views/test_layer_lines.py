import pytest

from actwidgets.core.layers import LayerInfo, LayerTree
from actwidgets.views.layer_picker import SPACE, abbreviate, layer_lines


def _lines(layers, letters=43):
    tree = LayerTree(layers)
    lines = layer_lines(tree.rows(tree.containers), letters, in_tree=bool(tree.containers))
    assert [name for _, name in lines] == [layer.name for layer in layers]
    return [line.replace(SPACE, " ") for line, _ in lines]


def test_names_are_indented_and_columns_aligned_with_air_where_there_is_room():
    assert _lines(
        (
            LayerInfo("net", "Functional", (None, 7, 7, 8), 8, 23_587_712),
            LayerInfo("net/block", "Sequential", (None, 14, 14, 8), 8, 616),
            LayerInfo("net/block/conv", "Conv2D", (None, 14, 14, 8), 8, 584),
            LayerInfo("last", "Flatten", (None, 392), 392, 0),
        )
    ) == [
        "▾ net       Functional  7×7×8    23.6M",
        "  ▾ block   Sequential  14×14×8    616",
        "      conv  Conv2D      14×14×8    584",
        "  last      Flatten     392          –",
    ]


def test_long_names_and_kinds_lose_letters_so_that_no_line_is_longer():
    names = ("net", *(f"net/conv{n}_block{m}_1_relu" for n in range(3) for m in range(3)))
    layers = tuple(
        LayerInfo(name, "BatchNormalization", (None, 112, 112, 64), 64, 16_640) for name in names
    )
    lines = _lines(layers)
    assert {len(line) for line in lines} == {43}
    assert len(set(lines)) == len(names)
    assert lines[0].split() == ["▾", "net", "Batch…", "112×112×64", "16.6k"]
    assert lines[1].split()[1:] == ["Batch…", "112×112×64", "16.6k"]
    assert _lines(layers, 80)[1].split()[:2] == ["conv0_block0_1_relu", "BatchNormaliza…"]


def test_deep_names_keep_at_least_a_letter():
    names = ["a"]
    for _ in range(30):
        names.append(f"{names[-1]}/conv")
    lines = _lines(tuple(LayerInfo(name, "Dense", (None, 5), 5, 1) for name in names))
    assert lines[-1].split()[:2] == ["…", "Dense"]


def test_no_rows_are_no_lines():
    assert layer_lines((), 43, in_tree=True) == ()


def test_a_flat_model_has_no_marks_and_fits_all_the_same():
    layers = (LayerInfo("conv2_block1_2_relu", "BatchNormalization", (None, 56, 56, 64), 64, 256),)
    ((line,),) = (_lines(layers),)
    assert line.split() == ["conv2_block1_2_relu", "BatchNorm…", "56×56×64", "256"]
    assert len(line) <= 43


@pytest.mark.parametrize(
    ("letters", "short"),
    [
        (19, "conv2_block1_2_relu"),
        (18, "conv2_blo…1_2_relu"),
        (15, "co…2_bl…1_2_re…"),
        (14, "con…ck1_2_relu"),
        (5, "con…u"),
        (4, "con…"),
        (1, "…"),
    ],
)
def test_a_name_loses_the_ends_of_its_words_and_keeps_its_numbers(letters, short):
    assert abbreviate("conv2_block1_2_relu", letters) == short
