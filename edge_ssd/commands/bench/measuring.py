"""Measure on this machine: the bare model, each stage, the whole pipeline, memory, start.

What is compared is interleaved, and medians are taken: ratios stay right when the speed drifts.
"""

from __future__ import annotations

import copy
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from edge_ssd.config import Config, parse
from edge_ssd.detector import Detector
from edge_ssd.errors import InputError, PipelineError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.inference.runtime import Interpreter, clamp_threads, load_interpreter
from edge_ssd.models import catalogue
from edge_ssd.pipeline.lifecycle import moving_shapes, pipeline_fps
from edge_ssd.sources.base import frames
from edge_ssd.sources.images import check_readable
from edge_ssd.types import Frame, Geometry, Timing

ROUNDS = 5
THRESHOLDS = (0.5, 0.05, 0.01)


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured. Times are medians in milliseconds, memory is in megabytes.

    postprocess_ms: by score threshold, on this model's heads of these frames.
    op_ms: the same work done by the model's own TFLite_Detection_PostProcess, or None.
    cold_start_ms, memory_mb: of a separate ``edge-ssd run``, to its first line, and at its peak.
    """

    model: str
    threads: int
    frames: int
    bare_invoke_ms: float
    bare_fps: float
    pipeline_fps: float
    pipeline_to_bare: float
    stages: Timing
    postprocess_ms: dict[str, float]
    op_ms: float | None
    cold_start_ms: float
    memory_mb: float


def configuration(model: Mapping[str, Any], recording: Path | None, count: int) -> Config:
    """Return what to measure: a recording, or else moving shapes. Raises ModelError, InputError."""
    source: dict[str, Any] = moving_shapes(count)
    if recording:
        check_readable(recording)
        kind = "images" if recording.is_dir() else "video"
        source = {"type": kind, "path": str(recording.resolve())}
    # Absolute: the configuration is written to another folder for a run of its own.
    file = str(catalogue.find(model["name"]).absolute())
    return parse({"source": source, "model": {**model, "name": file}})


def measure(options: Config, count: int = 100) -> Report:
    """Measure with up to ``count`` frames of the source. Raises InputError for fewer than two."""
    detector = Detector.from_options(options.model, options.preprocess, options.postprocess)
    found = sum(1 for _ in _frames(options, count))
    if found < 2:
        raise InputError("fewer than two frames to measure with", "give a longer recording")
    bare_ms, fps, stages = [], [], []
    for _ in range(ROUNDS):
        bare_ms.append(_bare_ms(detector, found))
        speed, timing = pipeline_fps(options.make_source(), detector, found)
        fps.append(speed)
        stages.append(timing)
    start_ms, memory_mb = _service(options)
    return Report(
        model=detector.backend.spec.name,
        threads=clamp_threads(options.model.threads),
        frames=found,
        bare_invoke_ms=statistics.median(bare_ms),
        bare_fps=1e3 / statistics.median(bare_ms),
        pipeline_fps=statistics.median(fps),
        pipeline_to_bare=statistics.median(f * b / 1e3 for f, b in zip(fps, bare_ms, strict=True)),
        stages=sorted(stages, key=lambda timing: timing.inference_ms)[ROUNDS // 2],
        postprocess_ms=_postprocess_ms(options, detector, found),
        op_ms=_op_ms(options, detector, found),
        cold_start_ms=start_ms,
        memory_mb=memory_mb,
    )


def _frames(options: Config, count: int) -> Iterator[Frame]:
    return islice(frames(options.make_source()), count)


def _bare_ms(detector: Detector, count: int) -> float:
    """Milliseconds one ``invoke()`` takes in a loop that does nothing else."""
    begun = time.perf_counter()
    for _ in range(count):
        _interpreter(detector).invoke()
    return (time.perf_counter() - begun) / count * 1e3


def _postprocess_ms(options: Config, detector: Detector, count: int) -> dict[str, float]:
    """Median time to postprocess the heads of these frames, by score threshold, interleaved."""
    at = [options.postprocess.model_copy(update={"score_threshold": each}) for each in THRESHOLDS]
    candidates = dict(zip(THRESHOLDS, map(detector.postprocessor, at), strict=True))
    times: dict[float, list[float]] = {threshold: [] for threshold in THRESHOLDS}
    heads = []
    for frame in _frames(options, count):
        detector.backend.set_frame(frame)
        heads.append(detector.backend.invoke())
    for number, each in enumerate(heads):
        fresh = copy.deepcopy(each)  # not in the cache yet, as the postprocessing thread gets them
        for turn in range(len(THRESHOLDS)):
            threshold = THRESHOLDS[(number + turn) % len(THRESHOLDS)]
            postprocess = partial(candidates[threshold], fresh, Geometry())
            times[threshold].append(_milliseconds(postprocess))
    return {f"{threshold:g}": statistics.median(row) for threshold, row in times.items()}


def _op_ms(options: Config, detector: Detector, count: int) -> float | None:
    """Median time of the model's own op: an inference with it minus one without, per frame."""
    backend = detector.backend
    if backend.spec.content is None:
        return None
    whole = replace(backend.spec, content=None)
    stock = load_interpreter(whole, options.model.runtime, options.model.threads)
    index = stock.get_input_details()[0]["index"]
    differences = []
    for frame in _frames(options, count):
        prepared = backend.prepare(frame)
        stock.set_tensor(index, prepared.tensor[None])
        backend.set_prepared(prepared)
        with_op = _milliseconds(stock.invoke)
        differences.append(with_op - _milliseconds(_interpreter(detector).invoke))
    return statistics.median(differences)


def _interpreter(detector: Detector) -> Interpreter:
    assert isinstance(detector.backend, CpuBackend)  # bench configures no other
    return detector.backend.interpreter


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def _service(options: Config) -> tuple[float, float]:
    """Milliseconds to the first line, and peak megabytes, of an ``edge-ssd run`` of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "bench.yaml"), Path(folder, "stderr")
        path.write_text(options.model_dump_json(), "utf-8")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "edge_ssd", "run", "--config", str(path)]
        with (
            log.open("wb") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as process,
        ):
            if process.stdout is None or not process.stdout.readline():
                said = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
                raise PipelineError(f"edge-ssd run printed no result: {said}")
            start_ms = (time.perf_counter() - begun) * 1e3
            peak_mb = 0.0
            for _ in process.stdout:
                peak_mb = max(peak_mb, _peak_mb(process.pid))
    return start_ms, peak_mb


def _peak_mb(pid: int) -> float:
    """Return a process's largest resident memory so far, in megabytes; 0 once it ended."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text() if status.exists() else "")
    return int(found[1]) * 1024 / 1e6 if found else 0.0
