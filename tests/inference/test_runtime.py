"""Choosing and starting a TensorFlow Lite runtime; what is wrong is said in one line."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from support.tflite_models import edgetpu_model, raw_heads_model

from edge_ssd.errors import ModelError, RuntimeMissingError
from edge_ssd.inference import runtime
from edge_ssd.models.spec import ModelSpec


def only(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let only these packages seem to be installed."""
    monkeypatch.setattr(
        runtime.importlib.util, "find_spec", lambda name: name if name in packages else None
    )


def spec(folder: Path, content: bytes) -> ModelSpec:
    path = folder / "m.tflite"
    path.write_bytes(content)
    return ModelSpec(name="m", path=path)


# --- Choosing ---


def test_auto_prefers_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is several times as fast."""
    monkeypatch.setattr(np, "__version__", "1.26.4")
    only(monkeypatch, "tflite_runtime", "ai_edge_litert")
    assert runtime.choose("auto") == "litert"
    assert runtime.choose("tflite-runtime") == "tflite-runtime"
    only(monkeypatch, "tflite_runtime")
    assert runtime.choose("auto") == "tflite-runtime"


def test_no_runtime_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    expected = "no TensorFlow Lite runtime is installed; pip install ai-edge-litert"
    with pytest.raises(RuntimeMissingError, match=expected) as caught:
        runtime.choose("auto")
    assert caught.value.exit_code == 69


@pytest.mark.parametrize(
    ("name", "package", "other"),
    [
        ("litert", "ai-edge-litert", "tflite_runtime"),
        ("tflite-runtime", "tflite-runtime", "ai_edge_litert"),
    ],
)
def test_the_runtime_asked_for_is_missing(
    name: str, package: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is not taken in its place."""
    only(monkeypatch, other)
    expected = f"the runtime {name} is not installed; pip install {package}, or set model.runtime"
    with pytest.raises(RuntimeMissingError, match=expected):
        runtime.choose(name)


@pytest.mark.parametrize("asked", ["auto", "tflite-runtime"])
def test_tflite_runtime_beside_numpy_2_is_explained(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error would be a SystemError that names neither."""
    only(monkeypatch, "tflite_runtime")
    monkeypatch.setattr(np, "__version__", "2.1.0")
    expected = r"tflite-runtime needs numpy older than 2, and numpy 2\.1\.0 is .*'numpy<2'"
    with pytest.raises(RuntimeMissingError, match=expected):
        runtime.choose(asked)
    only(monkeypatch, "tflite_runtime", "ai_edge_litert")
    assert runtime.choose("auto") == "litert"


def test_an_installed_runtime_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its shared library misses another one, for instance."""

    def broken(name: str) -> None:
        raise ImportError("libfoo.so: cannot open shared object file")

    only(monkeypatch, "ai_edge_litert")
    monkeypatch.setattr(runtime.importlib, "import_module", broken)
    expected = r"litert is installed but cannot be imported: libfoo\.so.*reinstall"
    with pytest.raises(RuntimeMissingError, match=expected):
        runtime.load_interpreter(spec(tmp_path, raw_heads_model()))


def test_auto_takes_the_other_runtime_when_the_first_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> str:
        if name.startswith("ai_edge_litert"):
            raise ImportError("libfoo.so: cannot open shared object file")
        return name

    only(monkeypatch, "ai_edge_litert", "tflite_runtime")
    monkeypatch.setattr(np, "__version__", "1.26.4")
    monkeypatch.setattr(runtime.importlib, "import_module", broken)
    assert runtime.import_runtime("auto") == "tflite_runtime.interpreter"
    assert "litert cannot be imported (libfoo.so" in caplog.text
    with pytest.raises(RuntimeMissingError, match="litert is installed but cannot be imported"):
        runtime.import_runtime("litert")


# --- Threads ---


def test_threads_never_exceed_the_cpus_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More can be ten times slower; the affinity counts, and not the CPUs of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert [runtime.clamp_threads(threads) for threads in (None, 1, 2)] == [2, 1, 2]
    assert caplog.text == ""
    assert runtime.clamp_threads(4) == 2
    assert "model.threads is 4, but 2 CPUs are available: 2 used" in caplog.text


def test_this_process_may_be_held_to_one_cpu(tmp_path: Path) -> None:
    """The real affinity, as taskset and systemd's CPUAffinity set it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert runtime.clamp_threads(None) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_interpreter_is_given_the_clamped_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime_name: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    module = runtime.importlib.import_module(runtime.MODULES[runtime_name])
    given = []
    real = module.Interpreter
    monkeypatch.setattr(
        module, "Interpreter", lambda **options: given.append(options) or real(**options)
    )
    runtime.load_interpreter(spec(tmp_path, raw_heads_model()), runtime_name, threads=8)
    assert [options["num_threads"] for options in given] == [1]


# --- Starting ---


def test_a_model_from_its_file_or_from_memory(runtime_name: str, tmp_path: Path) -> None:
    on_disk = spec(tmp_path, raw_heads_model(num_anchors=12))
    edited = ModelSpec(name="m", path=on_disk.path, content=raw_heads_model(num_anchors=7))
    for given, anchors in ((on_disk, 12), (edited, 7)):
        interpreter = runtime.load_interpreter(given, runtime_name)
        assert interpreter.get_output_details()[0]["shape"].tolist() == [1, anchors, 4]


def test_nothing_is_printed(
    runtime_name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither that XNNPACK is used, nor what is wrong with a file."""
    interpreter = runtime.load_interpreter(spec(tmp_path, raw_heads_model()), runtime_name)
    interpreter.invoke()
    for content in (edgetpu_model(), b"hello"):
        with pytest.raises(ModelError):
            runtime.load_interpreter(spec(tmp_path, content), runtime_name)
    assert capfd.readouterr() == ("", "")


def test_what_the_runtime_prints_is_logged_for_verbose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    module = runtime.importlib.import_module(runtime.MODULES[runtime.choose("auto")])
    real = module.Interpreter

    def talkative(**options: object) -> object:
        os.write(2, b"INFO: hello\n")
        return real(**options)

    monkeypatch.setattr(module, "Interpreter", talkative)
    with caplog.at_level(logging.DEBUG, "edge_ssd"):
        runtime.load_interpreter(spec(tmp_path, raw_heads_model()))
    assert capfd.readouterr() == ("", "")
    assert "INFO: hello" in caplog.text


def test_what_others_print_meanwhile_is_back_afterwards(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime.load_interpreter(spec(tmp_path, raw_heads_model()))
    os.write(2, b"hello\n")
    assert capfd.readouterr().err == "hello\n"


def test_open_files_do_not_add_up(tmp_path: Path, runtime_name: str) -> None:
    given = spec(tmp_path, raw_heads_model())
    runtime.load_interpreter(given, runtime_name)
    before = open_files()
    for _ in range(5):
        runtime.load_interpreter(given, runtime_name)
    assert open_files() == before


def open_files() -> int:
    gc.collect()  # else those of an earlier test may go while this one counts
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_edge_tpu_model_is_explained(runtime_name: str, tmp_path: Path) -> None:
    """The runtime says "unresolved custom op" and lists bytes."""
    expected = (
        r"m\.tflite: it is compiled for the Edge TPU and needs its delegate; .*use the model file"
    )
    with pytest.raises(ModelError, match=expected):
        runtime.load_interpreter(spec(tmp_path, edgetpu_model()), runtime_name)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000)])
def test_a_damaged_file_is_one_line(runtime_name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.tflite: cannot be run: .*damaged") as caught:
        runtime.load_interpreter(spec(tmp_path, content), runtime_name)
    assert "\n" not in str(caught.value)
