"""Fixtures shared by all tests, and the rule that CI skips nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_ssd.inference import runtime

# The background jobs of a shell ignore it, and so would the commands that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

STRICT = os.environ.get("EDGE_SSD_TESTS_STRICT") == "1"
SHARED = Path(__file__).parents[2] / "shared"


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
    """The folder of stock models and pictures beside the checkout."""
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
    return Path(__file__).parents[1] / "demo"
