"""Damaged files of every kind give a result or a ModelError: nothing else, and at once."""

from __future__ import annotations

import io
import signal
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.tflite_builder import Kind, Model
from support.tflite_models import (
    PostprocessOptions,
    edgetpu_model,
    raw_heads_model,
    stock_like_model,
)

from edge_ssd.errors import ModelError
from edge_ssd.models import labels, manifest
from edge_ssd.models.graph import EDGETPU_OP, Graph, custom_options
from edge_ssd.models.loading import load

LIMIT_S = 60
LIMIT_BYTES = 30_000_000
ANCHORS = np.array([[0.25, 0.25, 0.5, 0.5]] * 4, np.float32)


def with_labels(model: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "person\nbicycle\ncar\n")
    return model + packed.getvalue()


SMALL = {
    "heads": raw_heads_model(4, 3, input_shape=(1, 4, 4, 3), signature=True),
    "op": stock_like_model(ANCHORS, 4, PostprocessOptions(num_classes=3), input_shape=(1, 4, 4, 3)),
    "edgetpu": edgetpu_model(),
}
small = pytest.mark.parametrize("data", SMALL.values(), ids=SMALL)


@contextmanager
def bounded() -> Iterator[None]:
    """Fail on a warning, a hang (so much time of the processor) or a huge allocation."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"not done after {LIMIT_S} s")

    tracemalloc.start()
    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
        assert tracemalloc.get_traced_memory()[1] < LIMIT_BYTES
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        tracemalloc.stop()


def refused(read: Callable[[], object]) -> bool:
    """Run ``read``; say whether it raised ModelError. Any other exception goes through."""
    try:
        read()
    except ModelError as error:
        assert error.problem
        return True
    return False


def read_all(path: Path, data: bytes) -> None:
    """Read everything that the package ever asks a model file for."""
    path.write_bytes(data)
    load(str(path))
    graph = Graph(data)
    _ = graph.tensors, graph.operators, graph.inputs, graph.outputs
    graph.metadata("labels")
    labels.packed_in(data)
    operator = graph.custom_operator(EDGETPU_OP)
    if operator:
        custom_options(operator)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bytes, overwrite a word with a telling one, or cut, double or move a piece."""
    edited = bytearray(data)
    start, end = sorted(int(n) for n in rng.integers(0, len(data), 2))
    kind = rng.integers(0, 5)
    if kind == 0:
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            edited[place] ^= int(rng.integers(1, 256))
    elif kind == 1:
        telling = (0, 1, 4, 255, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data))
        word = int(rng.choice(telling)).to_bytes(4, "little")
        edited[start // 4 * 4 : start // 4 * 4 + 4] = word
    elif kind == 2:
        del edited[start : min(end, start + 64)]
    elif kind == 3:
        edited[start:start] = edited[start : min(end, start + 64)]
    else:
        there = int(rng.integers(0, len(data)))
        edited[there : there + end - start] = edited[start:end]
    return bytes(edited)


@pytest.mark.quick_cases(1)
@small
def test_every_truncation_is_refused(data: bytes, tmp_path: Path) -> None:
    """A download that was cut short: tflite-runtime would crash on it, without a word."""
    path = tmp_path / "m.tflite"
    with bounded():
        for length in range(len(data)):
            path.write_bytes(data[:length])
            assert refused(lambda: load(str(path))), length


def test_truncations_of_the_published_file_are_refused(stock_model: Path, tmp_path: Path) -> None:
    data = stock_model.read_bytes()
    path = tmp_path / "m.tflite"
    for length in np.linspace(0, len(data) - 1000, 40).astype(int).tolist():
        path.write_bytes(data[:length])
        assert refused(lambda: load(str(path))), length


@pytest.mark.quick_cases(1)
@small
def test_random_damage(data: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(20261122)
    whole, path = with_labels(data), tmp_path / "m.tflite"
    with bounded():
        outcomes = [refused(lambda: read_all(path, damaged(whole, rng))) for _ in range(1000)]
    # Both outcomes are common, so the damage is neither all fatal nor all beside the point.
    assert 0.1 < np.mean(outcomes) < 0.95


@pytest.mark.slow
def test_damage_to_the_options_of_the_op(tmp_path: Path) -> None:
    """The flexbuffer of the options is where most of an op's bytes lie."""
    rng, data = np.random.default_rng(1), SMALL["op"]
    operator = Graph(data).operators[-1]
    start, path = data.index(operator.custom_options), tmp_path / "m.tflite"
    with bounded():
        for _ in range(300):
            options = damaged(operator.custom_options, rng)[: len(operator.custom_options)]
            edited = data[:start] + options + data[start + len(options) :]
            refused(lambda content=edited: read_all(path, content))


def test_an_offset_to_before_the_file(tmp_path: Path) -> None:
    """A table's own offset is subtracted: it may not lead around to the file's end."""
    edited = bytearray(SMALL["heads"])
    root = int.from_bytes(edited[:4], "little")
    edited[root : root + 4] = (root + 8).to_bytes(4, "little")
    with pytest.raises(ModelError, match="an offset points to byte -8 of"):
        Graph(bytes(edited))


def test_weights_that_are_said_to_be_longer_than_the_file(tmp_path: Path) -> None:
    weights = np.arange(64, dtype=np.float32)
    model = Model().constant("weights", weights).tensor("x", (64,))
    data = bytearray(model.op("RESHAPE", ("weights",), ("x",)).build(("weights",), ("x",)))
    start = data.index(weights.tobytes())
    assert data[start - 4 : start] == (256).to_bytes(4, "little")
    data[start - 4 : start] = len(data).to_bytes(4, "little")
    with pytest.raises(ModelError, match=r"damaged or cut short: .* do not fit"):
        Graph(data).check()


def test_a_scale_that_is_no_number() -> None:
    """What comes of it is refused when the anchors are used, and no warning is printed."""
    stored = np.array([[1, 2, 3, 255]], np.uint8)
    graph = Graph(Model().constant("anchors", stored, Kind("uint8", 3e38, 0)).build((), ()))
    with bounded():
        assert np.isinf(graph.constant(graph.tensors[0])).any()


MANIFEST = """{"schema": 1, "name": "m", "file": {"sha256": "00"}, "input": {"mean": 0, "std": 1},
 "anchors": {"type": "ssd", "grids": [[2, 2], [1, 1]], "scales": [0.2, 0.9, 1.0],
 "aspect_ratios": [[1.0, 2.0], [1.0]]}, "box_coder": {"y_scale": 10.0, "h_scale": 5},
 "heads": {"boxes": "a", "scores": "b"}, "labels": ["cat", null], "background": true,
 "score_activation": "sigmoid", "postprocess": {"iou_threshold": 0.6}}"""


def test_damaged_manifests(tmp_path: Path) -> None:
    """Other values in every place, and other bytes."""
    rng, path = np.random.default_rng(2), tmp_path / "m.json"
    values = ("[]", "{}", "null", "true", '"x"', "-1", "0", "1e999", "1" * 400, "[[1]]", "[1, [2]]")
    tokens = ("1", '"a"', "0.6", "0.2", "10.0", "[2, 2]", '"cat"', "true", '"ssd"', "[1.0]", "null")

    def read() -> None:
        entry = manifest.read(path)
        manifest.spec(entry, path)
        manifest.verify(entry, b"")

    with bounded():
        path.write_text(MANIFEST)
        assert refused(read)  # only because of its sha256
        for token in tokens:
            for value in values:
                path.write_text(MANIFEST.replace(token, value))
                assert refused(read)
        for _ in range(500):
            path.write_bytes(damaged(MANIFEST.encode(), rng))
            assert refused(read)
        path.write_text("[" * 100_000)
        assert refused(read)


def test_damaged_label_files(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "labels.txt"
    with bounded():
        for length in range(300):
            path.write_bytes(rng.integers(0, 256, length, np.uint8).tobytes())
            refused(lambda: labels.match(labels.read(path), 3))
