"""The options of the section ``model``: what fits together, and what libedgetpu is told."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from support.command import environment

from edge_ssd.config import parse
from edge_ssd.errors import ConfigError
from edge_ssd.inference.backends import make_backend
from edge_ssd.inference.options import EdgeTpuOptions, ModelOptions
from edge_ssd.models.spec import ModelSpec

LOW = {"performance": "Low"}


def section(**options: Any) -> ModelOptions:
    return parse({"source": {"type": "synthetic"}, "model": options}).model


def test_libedgetpu_is_told_in_its_own_words() -> None:
    given = EdgeTpuOptions(
        performance="Medium", usb_always_dfu=True, usb_max_bulk_in_queue_length=16
    )
    options = ModelOptions(delegate="edgetpu", delegate_device=":0", delegate_options=given)
    assert options.delegate_arguments() == {
        "device": ":0", "Performance": "Medium", "Usb.AlwaysDfu": "True",
        "Usb.MaxBulkInQueueLength": "16",
    }  # fmt: skip
    assert ModelOptions(delegate="edgetpu").delegate_arguments() == {}


@pytest.mark.parametrize("device", ["usb", "pci", "usb:0", "pci:12", ":3"])
def test_devices_that_libedgetpu_knows(device: str) -> None:
    options = section(delegate="edgetpu", delegate_device=device)
    assert options.delegate_arguments() == {"device": device}


@pytest.mark.parametrize(
    "device", ["", "0", "tpu", "usb0", "usb:", "usb:-1", "USB:0", "usb:0 ", "usb:0\n"]
)
def test_another_device_is_refused(device: str) -> None:
    expected = r"^model\.delegate_device: must be usb, pci, usb:N, pci:N or :N"
    with pytest.raises(ConfigError, match=expected):
        section(delegate="edgetpu", delegate_device=device)


@pytest.mark.parametrize(
    ("device", "better"), [(None, "usb:0"), ("usb", "usb:0"), ("pci", "pci:0")]
)
def test_options_that_libedgetpu_would_drop_are_refused(device: str | None, better: str) -> None:
    with pytest.raises(ConfigError) as error:
        section(delegate="edgetpu", delegate_device=device, delegate_options=LOW)
    assert str(error.value) == (
        "model.delegate_options: libedgetpu ignores Performance unless the device has a number; "
        f"set model.delegate_device to {better}"
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"delegate_device": "usb:0"},
            "delegate_device: has a value, and model.delegate is null",
        ),
        ({"delegate_options": LOW}, "delegate_options: has values, and model.delegate is null"),
        (
            {"on_delegate_failure": "cpu", "cpu_model": "a"},
            "on_delegate_failure: is cpu, and model.delegate is null",
        ),
        ({"cpu_model": "a"}, "cpu_model: is used with on_delegate_failure: cpu only"),
        (
            {"delegate": "edgetpu", "on_delegate_failure": "cpu"},
            "cpu_model: is missing; a model compiled for the Edge TPU cannot run on the CPU, so "
            "on_delegate_failure: cpu needs the file it was compiled from",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.{problem}$") as error:
        section(**options)
    assert len(error.value.problems) == 1


def test_every_option_that_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        section(delegate_device="usb:0", delegate_options=LOW, cpu_model="a")
    assert [problem.option for problem in error.value.problems] == [
        "model.delegate_device", "model.delegate_options", "model.cpu_model",
    ]  # fmt: skip


def test_a_model_for_the_cpu_is_refused_on_the_edge_tpu(cpu_spec: ModelSpec) -> None:
    options = ModelOptions(name=str(cpu_spec.path), delegate="edgetpu")
    with pytest.raises(ConfigError, match=r"^model\.delegate: .*holds nothing compiled for the Ed"):
        make_backend(options)


def test_the_checks_are_listed_without_numpy_or_a_runtime() -> None:
    """They are what tells that these are broken."""
    code = (
        "import sys; sys.modules['numpy'] = sys.modules['ai_edge_litert'] = None; "
        "from edge_ssd.inference.options import ModelOptions; print(len(ModelOptions().checks()))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert finished.stdout == "6\n"
