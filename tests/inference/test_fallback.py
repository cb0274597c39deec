"""The CPU takes over from an Edge TPU that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inferring import changed, image, warnings
from support.pipelines import Recorder, make_pipeline, synthetic
from support.tflite_models import raw_heads_model

from edge_ssd.errors import ModelError
from edge_ssd.inference.backends import make_backend
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.fallback import FallbackBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.models.spec import ModelSpec


def fallback_options(
    tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: ModelOptions, isolation: str
) -> ModelOptions:
    return changed(
        stand_in, name=str(tpu_spec.path), isolation=isolation,
        on_delegate_failure="cpu", cpu_model=str(cpu_spec.path),
    )  # fmt: skip


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_fails_at_the_start_is_replaced_by_the_cpu(
    isolation: str, tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: ModelOptions,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("STAND_IN_FAULT", "create-aborts")
    options = fallback_options(tpu_spec, cpu_spec, stand_in, isolation)
    found = make_backend(options)
    found.open()
    found.set_prepared(image(1))
    assert found.invoke().boxes.values.shape == (12, 4)
    assert found.spec.name == "small"
    (warning,) = warnings(caplog)
    assert "SIGABRT" in warning
    assert warning.endswith("until a restart, small runs on the CPU")
    assert found.trouble
    assert found.trouble.startswith("small runs on the CPU: ")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stick_that_fails_later_costs_a_frame_and_is_replaced_by_the_cpu(
    isolation: str, tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: ModelOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("edge_ssd.inference.subprocess.MAX_DEATHS", 1)
    monkeypatch.setenv("STAND_IN_FAULT", "fails@11")
    options = fallback_options(tpu_spec, cpu_spec, stand_in, isolation)
    recorder = Recorder()
    source = synthetic(live=False, frame_limit=100)
    pipeline = make_pipeline(source, make_backend(options), [recorder])
    pipeline.start()
    assert pipeline.wait(30)
    assert recorder.numbers == [*range(10), *range(11, 100)]
    assert recorder.results[-1].model == "small"
    assert pipeline.stats.snapshot().dropped == 1


def test_a_cpu_model_that_predicts_something_else_is_refused(
    tpu_spec: ModelSpec, cpu_spec: ModelSpec, stand_in: ModelOptions, tmp_path: Path
) -> None:
    cpu_spec.path.write_bytes(raw_heads_model(75, 5))
    with pytest.raises(ModelError, match=r"differ in the number of boxes, the number of classes;"):
        FallbackBackend(EdgeTpuBackend(tpu_spec, stand_in), CpuBackend(cpu_spec))
