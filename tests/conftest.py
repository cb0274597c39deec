"""Fixtures of all tests, their markers, and the rule that CI skips nothing."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_ssd.inference import runtime

# The background jobs of a shell ignore it, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

STRICT = os.environ.get("EDGE_SSD_TESTS_STRICT") == "1"
TESTS = Path(__file__).parent
SHARED = TESTS.parents[1] / "shared"

RUNTIME = [
    TESTS / name
    for name in (
        "inference", "postprocess",
        "models/test_bundled.py", "models/test_embedded.py", "models/test_face.py",
        "models/test_flatbuffer_graph.py", "models/test_loading.py",
        "models/test_operator_inputs.py", "models/test_stock_golden.py",
        "commands/test_annotated.py", "commands/test_eval.py", "commands/test_eval_coco.py",
        "sources/test_images.py", "sources/test_recorded.py", "sources/test_video.py",
        "workshop/inspect", "workshop/test_prepare.py", "workshop/test_requantise.py",
        "test_boxes.py", "test_detector.py", "test_draw.py",
    )
]  # fmt: skip
"""Tests of what computes; with those of ``runtime_name``, .ci/run repeats them on the second
runtime and on emulated Pis."""


def pytest_configure() -> None:
    missing = [str(path) for path in RUNTIME if not path.exists()]
    if missing:
        raise pytest.UsageError(f"tests/conftest.py lists {', '.join(missing)}: no such test")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs ``shared``, what depends on the runtime, and cases beyond quick_cases."""
    cases = Counter[str]()
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "shared" in fixtures:
            item.add_marker("shared")
        if "runtime_name" in fixtures or not {item.path, *item.path.parents}.isdisjoint(RUNTIME):
            item.add_marker("runtime")
        quick = item.get_closest_marker("quick_cases")
        if quick:
            test = item.nodeid.partition("[")[0]
            cases[test] += 1
            if cases[test] > quick.args[0]:
                item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where EDGE_SSD_TESTS_STRICT is 1, as under .ci/run, a skipped test is a failed one."""
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Likewise for a file that skips itself whole."""
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure here: {report.longrepr}"
    return report


@pytest.fixture(params=runtime.installed())
def runtime_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each TensorFlow Lite runtime installed here, in turn."""
    return request.param


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of stock models and images beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED.name}/ is not beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def stock_model(shared: Path) -> Path:
    """TensorFlow's quantised SSD MobileNet V1, with its postprocess op."""
    return shared / "models" / "ssd_mobilenet_v1_coco_quant.tflite"


@pytest.fixture(scope="session")
def demo() -> Path:
    """The recorded frames of the checkout."""
    return TESTS.parent / "demo"
