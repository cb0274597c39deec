"""The stand-in for libedgetpu, compiled for the tests that need it, here and in a child."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.inferring import DEADLINE_S, changed
from support.machines import FakeMachine
from support.tflite_models import edgetpu_model, raw_heads_model

from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models import embedded
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec

SOURCE = Path(__file__).parents[1] / "support" / "stub_delegate.c"


@pytest.fixture(scope="session")
def stand_in_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/support/stub_delegate.c, compiled."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed (apt install gcc libc6-dev)")
    library = tmp_path_factory.mktemp("stand-in") / "libstand_in.so"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True
    )
    return library


@pytest.fixture
def stand_in(
    stand_in_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelOptions:
    """A model on the stand-in; its locks and its log are this test's own."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "stand-in.log"))
    monkeypatch.delenv("STAND_IN_FAULT", raising=False)
    monkeypatch.delenv("STAND_IN_ONCE", raising=False)
    return ModelOptions(
        delegate="edgetpu", delegate_library=str(stand_in_library), delegate_device="usb:0"
    )


def spec(path: Path, content: bytes) -> ModelSpec:
    """A model file of 12 boxes, with its manifest inside."""
    anchors = {"type": "table", "values_cyxhw": [[0.5, 0.5, 0.1, 0.1]] * 12}
    described = {"schema": 1, "name": path.stem, "anchors": anchors}
    path.write_bytes(embedded.write(content, described))
    return load(str(path))


@pytest.fixture
def tpu_spec(tmp_path: Path) -> ModelSpec:
    """A model of 16 x 16 pixels compiled for the Edge TPU."""
    return spec(tmp_path / "small_edgetpu.tflite", edgetpu_model())


@pytest.fixture
def cpu_spec(tmp_path: Path) -> ModelSpec:
    """The model that ``tpu_spec`` was compiled from."""
    return spec(tmp_path / "small.tflite", raw_heads_model())


@pytest.fixture
def isolated(
    tpu_spec: ModelSpec, stand_in: ModelOptions, runtime_name: str
) -> Iterator[SubprocessBackend]:
    """The stand-in in a child, not yet open."""
    options = changed(stand_in, runtime=runtime_name, invoke_deadline_s=DEADLINE_S)
    backend = SubprocessBackend(tpu_spec, options)
    yield backend
    backend.close()


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's fault happens once, however many processes there are."""
    monkeypatch.setenv("STAND_IN_ONCE", str(tmp_path / "happened"))


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A fake Pi 5, without an Edge TPU."""
    return FakeMachine(tmp_path / "root")
