"""The anchor generator against literal tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edge_ssd.errors import ModelError
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec, SsdAnchorLayout
from edge_ssd.postprocess import anchors

# The article's SSD300 (Liu et al. 2016, section 3): scales .2 to .88 as in its reference
# configuration, .1 for the first of six maps; boxes of ratio 3 and 1/3 on the middle three.
FOUR, SIX = (1.0, 2.0, 0.5), (1.0, 2.0, 0.5, 3.0, 1 / 3)
SSD300 = SsdAnchorLayout(
    grids=tuple((cells, cells) for cells in (38, 19, 10, 5, 3, 1)),
    scales=(0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05),
    aspect_ratios=(FOUR, SIX, SIX, SIX, FOUR, FOUR),
    reduce_boxes_in_lowest_layer=False,
)

# index: ycenter, xcenter, h, w
MOBILENET_300 = {
    # 19 x 19 cells of 3, centres at (i + .5) / 19; the first layer's sizes are its own
    0: (0.02631579, 0.02631579, 0.1, 0.1),
    1: (0.02631579, 0.02631579, 0.14142136, 0.28284271),
    2: (0.02631579, 0.02631579, 0.28284271, 0.14142136),
    3: (0.02631579, 0.07894737, 0.1, 0.1),
    1082: (0.97368421, 0.97368421, 0.28284271, 0.14142136),
    # 10 x 10 cells of 6, scale .35, the next .5
    1083: (0.05, 0.05, 0.35, 0.35),
    1084: (0.05, 0.05, 0.24748737, 0.49497475),
    1085: (0.05, 0.05, 0.49497475, 0.24748737),
    1086: (0.05, 0.05, 0.20207259, 0.60621778),
    1087: (0.05, 0.05, 0.60624810, 0.20206249),
    1088: (0.05, 0.05, 0.41833001, 0.41833001),
    1682: (0.95, 0.95, 0.41833001, 0.41833001),
    # 5 x 5, scale .5
    1683: (0.1, 0.1, 0.5, 0.5),
    1832: (0.9, 0.9, 0.57008771, 0.57008771),
    # 3 x 3, scale .65
    1833: (1 / 6, 1 / 6, 0.65, 0.65),
    1886: (5 / 6, 5 / 6, 0.72111026, 0.72111026),
    # 2 x 2, scale .8
    1887: (0.25, 0.25, 0.8, 0.8),
    1910: (0.75, 0.75, 0.87177979, 0.87177979),
    # one cell, scale .95, the next 1
    1911: (0.5, 0.5, 0.95, 0.95),
    1916: (0.5, 0.5, 0.97467943, 0.97467943),
}

ARTICLE_300 = {
    # 38 x 38 cells of 4, scale .1, the next .2
    0: (0.01315789, 0.01315789, 0.1, 0.1),
    1: (0.01315789, 0.01315789, 0.07071068, 0.14142136),
    3: (0.01315789, 0.01315789, 0.14142136, 0.14142136),
    5775: (0.98684211, 0.98684211, 0.14142136, 0.14142136),
    # 19 x 19 of 6, scale .2
    5776: (0.02631579, 0.02631579, 0.2, 0.2),
    5780: (0.02631579, 0.02631579, 0.34641016, 0.11547005),
    7941: (0.97368421, 0.97368421, 0.27202941, 0.27202941),
    # 10 x 10 of 6, scale .37
    7942: (0.05, 0.05, 0.37, 0.37),
    8541: (0.95, 0.95, 0.44698993, 0.44698993),
    # 5 x 5 of 6, scale .54
    8542: (0.1, 0.1, 0.54, 0.54),
    8691: (0.9, 0.9, 0.61919302, 0.61919302),
    # 3 x 3 of 4, scale .71
    8692: (1 / 6, 1 / 6, 0.71, 0.71),
    8727: (5 / 6, 5 / 6, 0.79044291, 0.79044291),
    # one cell of 4, scale .88, the next 1.05
    8728: (0.5, 0.5, 0.88, 0.88),
    8731: (0.5, 0.5, 0.96124919, 0.96124919),
}


@pytest.mark.parametrize(
    ("layout", "count", "table"),
    [
        (anchors.mobilenet_layout(300, 300), 1917, MOBILENET_300),
        (SSD300, 8732, ARTICLE_300),
    ],
    ids=["mobilenet 1917", "article 8732"],
)
def test_literal_tables(
    layout: SsdAnchorLayout, count: int, table: dict[int, tuple[float, ...]]
) -> None:
    generated = anchors.generate(layout, 300, 300)
    assert generated.shape == (count, 4)
    assert generated.dtype == np.float32
    for index, expected in table.items():
        np.testing.assert_allclose(generated[index], expected, atol=2e-7, err_msg=str(index))


@pytest.mark.parametrize(
    ("size", "count"), [(300, 1917), (320, 2034), (512, 5118), (96, 204), (640, 8028)]
)
def test_the_usual_layout_follows_the_input_size(size: int, count: int) -> None:
    assert len(anchors.generate(anchors.mobilenet_layout(size, size), size, size)) == count


def test_boxes_of_a_wide_input_keep_their_shape_in_pixels() -> None:
    wide = anchors.generate(anchors.mobilenet_layout(300, 600), 300, 600)
    _, _, height, width = wide[0]
    assert math.isclose(height * 300, width * 600, rel_tol=1e-6)
    assert math.isclose(height, 0.1, rel_tol=1e-6)


def test_generated_anchors_are_close_to_those_in_the_stock_file(stock_model: Path) -> None:
    stored = load(str(stock_model)).anchors
    assert isinstance(stored, np.ndarray)
    generated = anchors.generate(anchors.mobilenet_layout(300, 300), 300, 300)
    # The file keeps them in 8 bits.
    np.testing.assert_allclose(generated, stored, atol=0.0033)


def test_a_count_that_does_not_fit_is_refused_with_both_counts() -> None:
    spec = ModelSpec(name="odd", path=Path("odd.tflite"))
    with pytest.raises(ModelError, match=r"predicts 1000 boxes .* 1917 anchors; .*odd\.json"):
        anchors.for_model(spec, 1000, 300, 300)
