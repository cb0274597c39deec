"""A model in a process of its own gives what it gives in this one, and holds the stick."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command import environment
from support.inferring import changed, infer
from support.pipelines import synthetic
from support.tflite_models import FLOATS, INT8, STOCK, Kinds, raw_heads_model
from support.waiting import wait_for

from edge_ssd.errors import DeviceError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.edgetpu import EdgeTpuBackend
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.spec import ModelSpec

MIXED = Kinds(STOCK.image, FLOATS.boxes, FLOATS.scores, FLOATS.anchors)


@pytest.mark.parametrize(
    ("kinds", "side"), [(STOCK, 16), (INT8, 16), (FLOATS, 16), (MIXED, 15)],
    ids=["uint8", "int8", "float32", "odd-uint8-to-float32"],
)  # fmt: skip
def test_it_gives_what_the_interpreter_in_this_process_gives(
    kinds: Kinds, side: int, cpu_spec: ModelSpec, runtime_name: str
) -> None:
    cpu_spec.path.write_bytes(raw_heads_model(kinds=kinds, input_shape=(1, side, side, 3)))
    options = changed(ModelOptions(), runtime=runtime_name)
    here, there = CpuBackend(cpu_spec, options), SubprocessBackend(cpu_spec, options)
    there.open()
    with synthetic_source() as frames:
        for frame in frames:
            assert here.set_frame(frame) == there.set_frame(frame)
            expected, found = here.invoke(), there.invoke()
            np.testing.assert_array_equal(found.boxes.values, expected.boxes.values)
            np.testing.assert_array_equal(found.scores.values, expected.scores.values)
            assert (found.boxes.scale, found.scores.zero_point) == (
                expected.boxes.scale, expected.scores.zero_point,
            )  # fmt: skip
    there.close()


def synthetic_source():
    """Ten synthetic frames."""
    from contextlib import closing

    from edge_ssd.sources.base import frames

    return closing(frames(synthetic(live=False, frame_limit=10)))


def test_the_heads_are_copies(isolated: SubprocessBackend) -> None:
    isolated.open()
    first = infer(isolated, 1)
    kept = first.boxes.values.copy()
    infer(isolated, 2)
    np.testing.assert_array_equal(first.boxes.values, kept)


def test_a_failure_at_the_start_is_an_error_and_gives_the_lock_back(
    isolated: SubprocessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails")
    with pytest.raises(DeviceError, match="the stand-in was told to fail"):
        isolated.open()
    monkeypatch.delenv("STAND_IN_FAULT")
    isolated.open()
    infer(isolated, 1)


def test_a_start_that_hangs_is_given_up(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-hangs")
    backend = SubprocessBackend(tpu_spec, stand_in, load_deadline_s=0.2)
    with pytest.raises(DeviceError, match=r"^loading the model did not end within 0\.2 s"):
        backend.open()


def test_while_it_is_open_no_other_process_gets_the_stick(
    isolated: SubprocessBackend, tpu_spec: ModelSpec, stand_in: ModelOptions
) -> None:
    isolated.open()
    with pytest.raises(DeviceError, match=rf"in use by .* \(pid {os.getpid()}\)"):
        EdgeTpuBackend(tpu_spec, stand_in).open()


def test_the_child_ignores_signals_and_ends_when_it_is_closed(
    isolated: SubprocessBackend,
) -> None:
    isolated.open()
    child = isolated._child.pid
    assert child
    os.kill(child, signal.SIGTERM)  # systemd sends it to every process of a service
    os.kill(child, signal.SIGINT)
    infer(isolated, 1)
    isolated.close()
    assert not Path(f"/proc/{child}").exists()


def test_the_inference_process_loads_only_what_it_needs(isolated: SubprocessBackend) -> None:
    """Each of these takes about 0.1 s of the time from an abort to the next result."""
    isolated.open()
    loaded = Path(f"/proc/{isolated._child.pid}/maps").read_text()
    assert "_multiarray_umath" in loaded
    assert "cv2" not in loaded
    assert "_pydantic_core" not in loaded


ORPHAN = """
import sys
from pathlib import Path
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.subprocess import SubprocessBackend
from edge_ssd.models.spec import ModelSpec
options = ModelOptions(delegate="edgetpu", delegate_library=sys.argv[2], delegate_device="usb:0")
backend = SubprocessBackend(ModelSpec("small", Path(sys.argv[1])), options)
backend.open()
print(backend._child.pid, flush=True)
backend.invoke()
"""


def test_a_child_that_hangs_ends_with_a_parent_that_is_killed(
    tpu_spec: ModelSpec, stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep the stick from the service that comes next."""
    monkeypatch.setenv("STAND_IN_FAULT", "hangs@1")
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, tpu_spec.path, stand_in.delegate_library],
        stdout=subprocess.PIPE, env=environment(),
    ) as parent:  # fmt: skip
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: not runs(child))


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
