"""Which output is which: by shape, by name, by signature, and never by position."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_models import raw_heads_model

from edge_ssd.errors import ModelError
from edge_ssd.inference.heads import describe, resolve
from edge_ssd.inference.runtime import load_interpreter
from edge_ssd.inference.tensors import TensorInfo, of_interpreter
from edge_ssd.models.spec import ModelSpec

Outputs = tuple[TensorInfo, ...]


def outputs(
    *given: tuple[str, tuple[int, ...]], dtype: Any = np.uint8, signature: Sequence[str] = ()
) -> Outputs:
    """Outputs of these names and shapes; signature: what it calls them, in order."""
    called = [*signature, *[""] * len(given)]
    return tuple(
        TensorInfo(100 + place, name, shape, shape, np.dtype(dtype), (0.5,), (3,), called[place])
        for place, (name, shape) in enumerate(given)
    )


def found(tensors: Outputs, names: tuple[str, str] | None = None) -> tuple[str, str]:
    """Return the tensor names of the boxes and the scores, the same in every order."""
    results = {
        (heads.boxes.name, heads.scores.name)
        for order in itertools.permutations(tensors)
        for heads in [resolve(order, names)]
    }
    (result,) = results
    return result


def refusal(tensors: Outputs, names: tuple[str, str] | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        resolve(tensors, names)
    assert caught.value.remedy
    return caught.value.problem


# --- By shape ---


@pytest.mark.parametrize("columns", [2, 3, 5, 91])
@pytest.mark.parametrize(("a", "b"), [("x", "y"), ("y", "x"), ("scores", "boxes")])
def test_the_shape_alone_tells_where_it_can(columns: int, a: str, b: str) -> None:
    """Whatever the names say."""
    assert found(outputs((a, (1, 12, 4)), (b, (1, 12, columns)))) == (a, b)


def test_everything_the_postprocessing_needs_is_resolved() -> None:
    heads = resolve(outputs(("s", (1, 12, 91)), ("b", (1, 12, 4))))
    assert (heads.boxes.index, heads.boxes.columns, heads.anchors) == (101, 4, 12)
    assert (heads.scores.index, heads.scores.columns, heads.scores.rows) == (100, 91, 12)
    assert (heads.boxes.scale, heads.boxes.zero_point) == (0.5, 3)


@pytest.mark.parametrize("shape", [(1, 1917, 1, 4), (1, 19 * 101 - 2, 4)])
def test_boxes_with_an_axis_of_one_as_older_graphs_have_them(shape: tuple[int, ...]) -> None:
    assert found(outputs(("b", shape), ("s", (1, 1917, 91)))) == ("b", "s")


def test_further_outputs_are_left_alone() -> None:
    others = (("features", (1, 19, 19, 512)), ("count", (1,)), ("classes", (1, 10)))
    assert found(outputs(("b", (1, 12, 4)), ("s", (1, 12, 7)), *others)) == ("b", "s")


# --- By name: three classes and the background are four columns too ---

NAMES = [
    ("Squeeze", "convert_scores"),
    ("box_encodings", "class_predictions_with_background"),
    ("raw_outputs/box_encodings", "raw_outputs/class_predictions"),
    ("BoxPredictor_0/BoxEncodingPredictor/BiasAdd", "BoxPredictor_0/ClassPredictor/BiasAdd"),
    ("raw_detection_boxes", "raw_detection_scores"),
    ("loc", "conf"),
    ("Locations", "Probabilities"),
]


@pytest.mark.parametrize(("boxes", "scores"), NAMES)
def test_the_names_tell_where_the_shapes_do_not(boxes: str, scores: str) -> None:
    tensors = outputs((boxes, (1, 12, 4)), (scores, (1, 12, 4)))
    assert found(tensors) == (boxes, scores)


def test_names_that_were_given_win() -> None:
    """By the manifest, or by the op the file had."""
    tensors = outputs(("boxes", (1, 12, 4)), ("scores", (1, 12, 4)), ("more", (1, 12, 4)))
    assert found(tensors, ("scores", "boxes")) == ("scores", "boxes")
    assert found(tensors, ("more", "scores")) == ("more", "scores")


def test_names_that_were_given_and_are_not_there() -> None:
    tensors = outputs(("a", (1, 12, 4)), ("b", (1, 12, 91)))
    assert refusal(tensors, ("a", "c")) == (
        "no outputs named a (boxes) and c (scores): the outputs are a [1, 12, 4], b [1, 12, 91]"
    )


@pytest.mark.parametrize("names", [("x", "y"), ("box_scores", "score_boxes"), ("boxes", "boxes_2")])
def test_names_that_do_not_tell_are_refused_and_not_guessed(names: tuple[str, str]) -> None:
    first, second = names
    tensors = outputs((first, (1, 12, 4)), (second, (1, 12, 4)))
    assert refusal(tensors) == (
        "several outputs that may be the box encodings and the class scores: "
        f"the outputs are {first} [1, 12, 4], {second} [1, 12, 4]"
    )


# --- By signature ---


def test_the_signature_tells_where_the_tensors_names_do_not() -> None:
    """As TensorFlow 2's converter leaves them."""
    first, second = ("Call:0", (1, 12, 4)), ("Call:1", (1, 12, 4))
    signed = outputs(first, second, signature=("boxes", "scores"))
    assert found(signed) == ("Call:0", "Call:1")
    signed = outputs(first, second, signature=("class_scores", "box_encodings"))
    assert found(signed) == ("Call:1", "Call:0")
    signed = outputs(first, second, signature=("a", "b"))
    assert found(signed, ("b", "a")) == ("Call:1", "Call:0")


def test_the_signature_wins_over_the_tensors_names() -> None:
    given = ("boxes", (1, 12, 4)), ("scores", (1, 12, 4))
    assert found(outputs(*given, signature=("scores", "boxes"))) == ("scores", "boxes")


@pytest.mark.parametrize("signature", [("output_0", "output_1"), ("box_scores", "score_boxes")])
def test_a_signature_that_does_not_tell_leaves_it_to_the_tensors(
    signature: tuple[str, str],
) -> None:
    given = ("boxes", (1, 12, 4)), ("scores", (1, 12, 4))
    assert found(outputs(*given, signature=signature)) == ("boxes", "scores")


@pytest.mark.parametrize("scores_first", [False, True])
@pytest.mark.parametrize("signature", [("boxes", "scores"), False])
@pytest.mark.parametrize("names", [("boxes", "scores"), ("Identity", "Identity_1")])
def test_a_real_interpreters_outputs(
    runtime_name: str, scores_first: bool, signature: Any, names: tuple[str, str]
) -> None:
    """Both runtimes, both orders; without a name anywhere it is refused."""
    content = raw_heads_model(12, 4, names=names, scores_first=scores_first, signature=signature)
    interpreter = load_interpreter(ModelSpec("m", Path("m"), content), runtime_name)
    tensors = of_interpreter(interpreter).outputs
    assert [tensor.name for tensor in tensors] == list(names[::-1] if scores_first else names)
    if signature or names == ("boxes", "scores"):
        heads = resolve(tensors)
        assert (heads.boxes.name, heads.scores.name) == names
        assert heads.boxes.scale == pytest.approx(0.07902788)
    else:
        with pytest.raises(ModelError, match="several outputs"):
            resolve(tensors)


# --- What is refused ---

NO_HEADS = {
    "none": outputs(),
    "one": outputs(("boxes", (1, 12, 4))),
    "classifier": outputs(("scores", (1, 1001))),
    "of other counts": outputs(("b", (1, 12, 4)), ("s", (1, 13, 91))),
    "two images at once": outputs(("b", (2, 12, 4)), ("s", (2, 12, 91))),
    "corners and no boxes": outputs(("b", (1, 12, 5)), ("s", (1, 12, 91))),
    "of the op": outputs(("b", (1, 10, 4)), ("c", (1, 10)), ("s", (1, 10)), ("n", (1,))),
}


@pytest.mark.parametrize("tensors", NO_HEADS.values(), ids=NO_HEADS)
def test_what_is_no_ssd_is_refused_with_what_was_found(tensors: Outputs) -> None:
    problem = refusal(tensors)
    assert problem.startswith("no SSD heads: the outputs are ")
    for tensor in tensors:
        assert f"{tensor.name} {list(tensor.shape)}" in problem
    assert "none" in problem or tensors
    assert "expected box encodings [1, N, 4] and class scores [1, N, classes]" in problem


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float16, np.float64])
def test_an_unusual_type_is_named_as_the_reason(dtype: Any) -> None:
    problem = refusal(outputs(("b", (1, 12, 4)), ("s", (1, 12, 91)), dtype=dtype))
    name = np.dtype(dtype).name
    assert f"b [1, 12, 4] {name}, s [1, 12, 91] {name}; expected" in problem


def test_a_scale_per_channel_is_named_as_the_reason() -> None:
    boxes, scores = outputs(("b", (1, 12, 4)), ("s", (1, 12, 91)))
    boxes = replace(boxes, scales=(1.0,) * 4)
    expected = "b [1, 12, 4] with a scale per channel, s [1, 12, 91]; expected"
    assert expected in refusal((boxes, scores))


def test_the_list_shows_both_names_of_an_output() -> None:
    given = ("Call:0", (1, 12, 4)), ("same", (1, 3))
    signed = outputs(*given, signature=("boxes", "same"))
    assert describe(signed) == "boxes (Call:0) [1, 12, 4], same [1, 3]"
