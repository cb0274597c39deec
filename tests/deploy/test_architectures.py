"""The builders against the published tables: every row. Needs TensorFlow, the extra [export]."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from deploy.export.report import Cost, costs, standard_totals, table, totals

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def classifier() -> dict[str, Cost]:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import mobilenet_v1

    return by_name(mobilenet_v1.build())


@pytest.fixture(scope="module")
def api_ssd() -> dict[str, Cost]:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import ssd_mobilenet_v1

    return by_name(ssd_mobilenet_v1.build())


@pytest.fixture(scope="module")
def article_ssd() -> dict[str, Cost]:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import ssd_mobilenet_v1_38

    return by_name(ssd_mobilenet_v1_38.build())


def by_name(model: Any) -> dict[str, Cost]:
    return {cost.name: cost for cost in costs(model)}


# MobileNet paper, table 1: filter shape, input height and width, stride; and its output.
MOBILENET = {
    "Conv2d_0": ((3, 3, 3, 32), 224, 2),
    "Conv2d_1_depthwise": ((3, 3, 32), 112, 1),
    "Conv2d_1_pointwise": ((1, 1, 32, 64), 112, 1),
    "Conv2d_2_depthwise": ((3, 3, 64), 112, 2),
    "Conv2d_2_pointwise": ((1, 1, 64, 128), 56, 1),
    "Conv2d_3_depthwise": ((3, 3, 128), 56, 1),
    "Conv2d_3_pointwise": ((1, 1, 128, 128), 56, 1),
    "Conv2d_4_depthwise": ((3, 3, 128), 56, 2),
    "Conv2d_4_pointwise": ((1, 1, 128, 256), 28, 1),
    "Conv2d_5_depthwise": ((3, 3, 256), 28, 1),
    "Conv2d_5_pointwise": ((1, 1, 256, 256), 28, 1),
    "Conv2d_6_depthwise": ((3, 3, 256), 28, 2),
    "Conv2d_6_pointwise": ((1, 1, 256, 512), 14, 1),
    "Conv2d_7_depthwise": ((3, 3, 512), 14, 1),
    "Conv2d_7_pointwise": ((1, 1, 512, 512), 14, 1),
    "Conv2d_8_depthwise": ((3, 3, 512), 14, 1),
    "Conv2d_8_pointwise": ((1, 1, 512, 512), 14, 1),
    "Conv2d_9_depthwise": ((3, 3, 512), 14, 1),
    "Conv2d_9_pointwise": ((1, 1, 512, 512), 14, 1),
    "Conv2d_10_depthwise": ((3, 3, 512), 14, 1),
    "Conv2d_10_pointwise": ((1, 1, 512, 512), 14, 1),
    "Conv2d_11_depthwise": ((3, 3, 512), 14, 1),
    "Conv2d_11_pointwise": ((1, 1, 512, 512), 14, 1),
    "Conv2d_12_depthwise": ((3, 3, 512), 14, 2),
    "Conv2d_12_pointwise": ((1, 1, 512, 1024), 7, 1),
    "Conv2d_13_depthwise": ((3, 3, 1024), 7, 1),
    "Conv2d_13_pointwise": ((1, 1, 1024, 1024), 7, 1),
}


@pytest.mark.parametrize("name", MOBILENET)
def test_the_rows_of_mobilenets_table(name: str, classifier: dict[str, Cost]) -> None:
    shape, size, stride = MOBILENET[name]
    weights = math.prod(shape)
    cost = classifier[name]
    assert cost.output == (size // stride, size // stride, shape[-1])
    assert cost.parameters == weights
    assert cost.multiply_adds == weights * (size // stride) ** 2


def test_mobilenets_table_has_no_further_row_but_the_classifiers(
    classifier: dict[str, Cost],
) -> None:
    assert list(classifier) == [*MOBILENET, "Logits"]
    assert classifier["Logits"][1:4] == ((1000,), 1024 * 1000, 1024 * 1000 + 1000)


def test_the_classifier_ends_in_pooling_and_softmax() -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import mobilenet_v1

    model = mobilenet_v1.build(classes=7)
    assert tuple(model.get_layer("AvgPool").output.shape) == (1, 1024)
    assert tuple(model.output["scores"].shape) == (1, 7)


# The paper's tables 6 and 7: millions of multiply-adds, millions of parameters.
@pytest.mark.parametrize(
    ("alpha", "size", "multiply_adds", "parameters"),
    [
        (1.0, 224, 569, 4.2),
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1.0, 192, 418, 4.2),
        (1.0, 160, 290, 4.2),
        (1.0, 128, 186, 4.2),
    ],
)
def test_the_published_totals(
    alpha: float, size: int, multiply_adds: int, parameters: float
) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    from deploy.export import mobilenet_v1

    found, weights = totals(costs(mobilenet_v1.build(size, alpha)))
    assert found / 1e6 == pytest.approx(multiply_adds, abs=0.8)
    assert round(weights / 1e6, 1) == parameters


def test_the_published_total_with_standard_convolutions(classifier: dict[str, Cost]) -> None:
    multiply_adds, parameters = standard_totals(list(classifier.values()))  # the paper's table 4
    assert multiply_adds / 1e6 == pytest.approx(4866, rel=0.001)
    assert round(parameters / 1e6, 1) == 29.3


def test_the_published_shares_of_the_kinds_of_layer(classifier: dict[str, Cost]) -> None:
    whole = totals(list(classifier.values()))  # the paper's table 2
    for ending, multiply_adds, parameters in (
        ("_pointwise", 0.9486, 0.7459),
        ("_depthwise", 0.0306, 0.0106),
        ("Logits", 0.0018, 0.2433),
    ):
        part = totals([cost for name, cost in classifier.items() if name.endswith(ending)])
        assert part[0] / whole[0] == pytest.approx(multiply_adds, abs=0.0002)
        assert part[1] / whole[1] == pytest.approx(parameters, abs=0.0002)


def test_each_block_saves_what_the_formula_says(classifier: dict[str, Cost]) -> None:
    blocks = [cost for cost in classifier.values() if cost.standard]
    assert len(blocks) == 13
    for cost in blocks:
        expected = 1 / cost.output[-1] + 1 / 9
        assert cost.separable / cost.standard == pytest.approx(expected, rel=1e-12)


def test_the_report_has_a_line_a_layer_and_the_saving(classifier: dict[str, Cost]) -> None:
    text = table(list(classifier.values()))
    lines = text.splitlines()
    assert len(lines) == 1 + len(classifier) + 3
    assert "12.7%" in lines[3]
    assert lines[-3].split() == ["total", "568,740,352", "4,210,088"]
    assert "8.6 times fewer multiply-adds, 7.0 times fewer parameters" in lines[-1]


def test_the_report_is_printed_by_one_command() -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    import subprocess

    finished = subprocess.run(
        [sys.executable, "-m", "deploy.export.report", "ssd_mobilenet_v1"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\nBoxPredictor_5_ClassPredictor  " in finished.stdout


# After the base, as in TensorFlow's feature extractor: output, kernel, channels before.
API_FURTHER = {
    "Conv2d_13_pointwise_1_Conv2d_2_1x1_256": ((10, 10, 256), 1, 1024),
    "Conv2d_13_pointwise_2_Conv2d_2_3x3_s2_512": ((5, 5, 512), 3, 256),
    "Conv2d_13_pointwise_1_Conv2d_3_1x1_128": ((5, 5, 128), 1, 512),
    "Conv2d_13_pointwise_2_Conv2d_3_3x3_s2_256": ((3, 3, 256), 3, 128),
    "Conv2d_13_pointwise_1_Conv2d_4_1x1_128": ((3, 3, 128), 1, 256),
    "Conv2d_13_pointwise_2_Conv2d_4_3x3_s2_256": ((2, 2, 256), 3, 128),
    "Conv2d_13_pointwise_1_Conv2d_5_1x1_64": ((2, 2, 64), 1, 256),
    "Conv2d_13_pointwise_2_Conv2d_5_3x3_s2_128": ((1, 1, 128), 3, 64),
}
# Cells, channels, boxes a cell of each map.
API_MAPS = [(19, 512, 3), (10, 1024, 6), (5, 512, 6), (3, 256, 6), (2, 256, 6), (1, 128, 6)]

ARTICLE_FURTHER = {
    "Further_1_1_3x3_1024": ((19, 19, 1024), 3, 512),
    "Further_1_2_1x1_1024": ((19, 19, 1024), 1, 1024),
    "Further_2_1_1x1_256": ((19, 19, 256), 1, 1024),
    "Further_2_2_3x3_512": ((10, 10, 512), 3, 256),
    "Further_3_1_1x1_128": ((10, 10, 128), 1, 512),
    "Further_3_2_3x3_256": ((5, 5, 256), 3, 128),
    "Further_4_1_1x1_128": ((5, 5, 128), 1, 256),
    "Further_4_2_3x3_256": ((3, 3, 256), 3, 128),
    "Further_5_1_1x1_128": ((3, 3, 128), 1, 256),
    "Further_5_2_3x3_256": ((1, 1, 256), 3, 128),
}
ARTICLE_MAPS = [(38, 512, 4), (19, 1024, 6), (10, 512, 6), (5, 256, 6), (3, 256, 4), (1, 256, 4)]

# Output sizes of MobileNet V1's layers at 300: cells after Conv2d_0, Conv2d_1, ...
API_BASE = (150, 150, 75, 75, 38, 38, 19, 19, 19, 19, 19, 19, 10, 10)
ARTICLE_BASE = (150, 150, 75, 75, 38, 38, 38, 38, 38, 38, 38, 38)


@pytest.mark.parametrize(
    ("fixture", "base", "further", "maps", "boxes"),
    [
        ("api_ssd", API_BASE, API_FURTHER, API_MAPS, 1917),
        ("article_ssd", ARTICLE_BASE, ARTICLE_FURTHER, ARTICLE_MAPS, 8732),
    ],
    ids=["object detection API", "article"],
)
def test_the_rows_of_the_ssd_tables(
    fixture: str,
    base: tuple[int, ...],
    further: dict[str, tuple[tuple[int, ...], int, int]],
    maps: list[tuple[int, int, int]],
    boxes: int,
    request: pytest.FixtureRequest,
) -> None:
    found: dict[str, Cost] = request.getfixturevalue(fixture)
    for index, cells in enumerate(base):
        name = f"Conv2d_{index}_pointwise" if index else "Conv2d_0"
        channels = MOBILENET[name][0][-1]
        assert found[name].output == (cells, cells, channels), name
    for name, (output, kernel, channels) in further.items():
        weights = kernel * kernel * channels * output[-1]
        expected = (name, output, output[0] * output[1] * weights, weights)
        assert found[name][:4] == expected
    for index, (cells, channels, count) in enumerate(maps):
        for part, columns in (("BoxEncodingPredictor", 4), ("ClassPredictor", 91)):
            cost = found[f"BoxPredictor_{index}_{part}"]
            width = count * columns
            assert cost.output == (cells, cells, width)
            assert cost.parameters == channels * width + width
    assert len(found) == 2 * len(base) - 1 + len(further) + 2 * len(maps)
    assert sum(cells * cells * count for cells, _, count in maps) == boxes


def test_the_published_totals_of_the_ssd(api_ssd: dict[str, Cost]) -> None:
    # The MobileNet paper's table 13 (SSD 300): 1.2 billion multiply-adds, 6.8 million parameters.
    multiply_adds, parameters = totals(list(api_ssd.values()))
    assert round(multiply_adds / 1e9, 1) == 1.2
    assert round(parameters / 1e6, 1) == 6.8
