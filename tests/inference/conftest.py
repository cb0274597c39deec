"""The stand-in for libedgetpu, compiled for the tests that need it, here and in a child."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.inferring import DEADLINE_S
from support.tflite_models import edgetpu_model, raw_heads_model

from edge_ssd.inference.delegate import Delegate
from edge_ssd.inference.subprocess import SubprocessBackend
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
def stand_in(stand_in_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delegate:
    """The stand-in as a delegate; its locks and its log are this test's own."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "stand-in.log"))
    monkeypatch.delenv("STAND_IN_FAULT", raising=False)
    monkeypatch.delenv("STAND_IN_ONCE", raising=False)
    return Delegate(str(stand_in_library), "usb:0")


@pytest.fixture
def tpu_spec(tmp_path: Path) -> ModelSpec:
    """A network of 16 x 16 pixels compiled for the Edge TPU."""
    path = tmp_path / "small_edgetpu.tflite"
    path.write_bytes(edgetpu_model())
    return ModelSpec("small_edgetpu", path)


@pytest.fixture
def cpu_spec(tmp_path: Path) -> ModelSpec:
    """The network that ``tpu_spec`` was compiled from."""
    path = tmp_path / "small.tflite"
    path.write_bytes(raw_heads_model())
    return ModelSpec("small", path)


@pytest.fixture
def isolated(
    tpu_spec: ModelSpec, stand_in: Delegate, runtime_name: str
) -> Iterator[SubprocessBackend]:
    """The stand-in in a child, not yet open."""
    detector = SubprocessBackend(tpu_spec, stand_in, runtime_name, deadline_s=DEADLINE_S)
    yield detector
    detector.close()


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's fault happens once, however many processes there are."""
    monkeypatch.setenv("STAND_IN_ONCE", str(tmp_path / "happened"))
