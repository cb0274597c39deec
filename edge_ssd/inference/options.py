"""The section ``model``: which model, and what runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
)
from pydantic_core import PydanticCustomError

from edge_ssd import DEFAULT_MODEL
from edge_ssd.options import Options


def _edgetpu_device(device: str) -> str:
    if not re.fullmatch(r"usb|pci|(usb|pci)?:[0-9]+", device):
        raise PydanticCustomError("device", "must be usb, pci, usb:N, pci:N or :N")
    return device


EdgeTpuDevice = Annotated[str, AfterValidator(_edgetpu_device)]


class EdgeTpuOptions(Options):
    """What libedgetpu is told; only where `delegate_device` has a number, it drops them else."""

    performance: Literal["Low", "Medium", "High", "Max"] | None = None
    """The clock of the chip (libedgetpu: Performance); null for the library's own choice."""
    usb_always_dfu: bool | None = None
    """Load the firmware at every start (Usb.AlwaysDfu); null for the library's own choice."""
    usb_max_bulk_in_queue_length: int | None = Field(default=None, ge=0, le=255)
    """USB transfers that may wait (Usb.MaxBulkInQueueLength); null for the library's own."""


class ModelOptions(Options):
    """The network and how it is run."""

    name: str = DEFAULT_MODEL
    """A name of `edge-ssd models list`, or the path of a .tflite file."""
    labels: Path | None = None
    """A text file, one label a line; null for the labels that come with the model."""
    runtime: Literal["auto", "litert", "tflite-runtime"] = "auto"
    """The TensorFlow Lite runtime; auto takes litert where it is installed."""
    threads: int | None = Field(default=None, ge=1, le=64)
    """Inference threads; null for one a CPU. Never more than the CPUs available."""
    isolation: Literal["thread", "process"] = "thread"
    """Where inference runs; in a process of its own its crash costs one frame, not the service."""
    invoke_deadline_s: float = Field(default=10.0, gt=0, le=3600)
    """An inference that takes longer hangs, in seconds: the process is replaced, or it all ends."""
    delegate: Literal["edgetpu"] | None = None
    """What runs the model besides the CPU; an Edge TPU needs a model compiled for it."""
    delegate_device: EdgeTpuDevice | None = None
    """Which Edge TPU: usb, pci, or counted from 0: usb:0, pci:0, :0; null for any."""
    delegate_library: str = "libedgetpu.so.1"
    """The Edge TPU's library: a name the system finds, or a path."""
    delegate_options: EdgeTpuOptions = EdgeTpuOptions()
    on_delegate_failure: Literal["error", "cpu"] = "error"
    """When the Edge TPU fails for good: end with the error, or go on with `cpu_model`."""
    cpu_model: str | None = None
    """The model before its compilation for the Edge TPU, for `on_delegate_failure: cpu`."""
