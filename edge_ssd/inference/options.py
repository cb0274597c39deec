"""The section ``model``: which model, and what runs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from edge_ssd import DEFAULT_MODEL
from edge_ssd.checks import Check, Finding, System
from edge_ssd.options import Options


def _edgetpu_device(device: str) -> str:
    if not re.fullmatch(r"usb|pci|(usb|pci)?:[0-9]+", device):
        raise PydanticCustomError("device", "must be usb, pci, usb:N, pci:N or :N")
    return device


class EdgeTpuOptions(Options):
    """Options of libedgetpu, which ignores them unless `delegate_device` has a number."""

    performance: Literal["Low", "Medium", "High", "Max"] | None = Field(
        default=None, serialization_alias="Performance"
    )
    """The clock of the chip (libedgetpu: Performance); null for the library's own choice."""
    usb_always_dfu: bool | None = Field(default=None, serialization_alias="Usb.AlwaysDfu")
    """Load the firmware at every start (Usb.AlwaysDfu); null for the library's own choice."""
    usb_max_bulk_in_queue_length: int | None = Field(
        default=None, ge=0, le=255, serialization_alias="Usb.MaxBulkInQueueLength"
    )
    """USB transfers that may wait (Usb.MaxBulkInQueueLength); null for the library's own."""

    def arguments(self) -> dict[str, str]:
        """Return the options that are set, with libedgetpu's names and spelling of values."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        return {name: str(value) for name, value in values.items()}


class ModelOptions(Options):
    """The model and how it is run."""

    name: str = DEFAULT_MODEL
    """A name of `edge-ssd models list`, or the path of a .tflite file."""
    labels: Path | None = None
    """A text file, one label per line; null for the labels that come with the model."""
    runtime: Literal["auto", "litert", "tflite-runtime"] = "auto"
    """The TensorFlow Lite runtime; auto takes litert where it is installed."""
    threads: int | None = Field(default=None, ge=1, le=64)
    """Inference threads; null for one per CPU. Never more than the CPUs available."""
    isolation: Literal["thread", "process"] = "thread"
    """Where inference runs; in a process of its own its crash costs one frame, not the service."""
    invoke_deadline_s: float = Field(default=10.0, gt=0, le=3600)
    """Longer inferences are treated as hung: the process is replaced, or the service ends."""
    delegate: Literal["edgetpu"] | None = None
    """What runs the model besides the CPU; an Edge TPU needs a model compiled for it."""
    delegate_device: Annotated[str, AfterValidator(_edgetpu_device)] | None = None
    """Which Edge TPU: usb, pci, or counted from 0: usb:0, pci:0, :0; null for any."""
    delegate_library: str = "libedgetpu.so.1"
    """The Edge TPU's library: a name the system finds, or a path."""
    delegate_options: EdgeTpuOptions = EdgeTpuOptions()
    on_delegate_failure: Literal["error", "cpu"] = "error"
    """When the Edge TPU fails permanently: end with the error, or go on with `cpu_model`."""
    cpu_model: str | None = None
    """The model before its compilation for the Edge TPU, for `on_delegate_failure: cpu`."""

    @model_validator(mode="after")
    def _fits_together(self) -> ModelOptions:
        tpu, cpu = self.delegate is not None, self.on_delegate_failure == "cpu"
        device, arguments = self.delegate_device or "", self.delegate_options.arguments()
        faults = [
            ("delegate_device", "has a value, and model.delegate is null", device and not tpu),
            ("delegate_options", "has values, and model.delegate is null", arguments and not tpu),
            # Its plugin passes the options on only where it picks the device by number.
            (
                "delegate_options",
                f"libedgetpu ignores {', '.join(arguments)} unless the device has a number; "
                f"set model.delegate_device to {device or 'usb'}:0",
                tpu and arguments and ":" not in device,
            ),
            ("on_delegate_failure", "is cpu, and model.delegate is null", cpu and not tpu),
            (
                "cpu_model",
                "is missing; a model compiled for the Edge TPU cannot run on the CPU, so "
                "on_delegate_failure: cpu needs the file it was compiled from",
                cpu and tpu and not self.cpu_model,
            ),
            ("cpu_model", "is used with on_delegate_failure: cpu only", self.cpu_model and not cpu),
        ]
        found = [
            InitErrorDetails(type=PydanticCustomError("options", text), loc=(option,), input=self)
            for option, text, wrong in faults
            if wrong
        ]
        if found:
            raise ValidationError.from_exception_data("ModelOptions", found)
        return self

    def delegate_arguments(self) -> dict[str, str]:
        """Return what the delegate's library is asked for, in its own words."""
        device = {"device": self.delegate_device} if self.delegate_device else {}
        return device | self.delegate_options.arguments()

    def checks(self) -> tuple[Check, ...]:
        """Return what to check before this model runs."""
        edgetpu = partial(
            Check,
            required=self.delegate is not None and self.on_delegate_failure == "error",
            instead="the model runs on the CPU",
            exit_code=69,
        )
        connected, probed = self._look("connected"), self._look("probed")
        return (
            Check("runtime", self._look("runtime"), "runtime", exit_code=69, limit_s=60),
            Check("model", self._look("model"), "name", limit_s=60),
            edgetpu("edge tpu", connected, "delegate_device", outside=True),
            edgetpu("libedgetpu", self._look("library"), "delegate_library"),
            edgetpu("udev rules", self._look("udev_rules"), "delegate_device"),
            edgetpu("delegate probe", probed, "delegate", outside=True, limit_s=90),
        )

    def _look(self, function: str) -> Callable[[System], Finding]:
        """Return a look whose module is imported when it runs: what that imports may be broken."""
        module = "edge_ssd.inference.checks"
        return lambda system: getattr(import_module(module), function)(self, system)
