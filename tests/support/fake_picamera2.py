"""A fake picamera2, and the libcamera it needs, for machines without a camera.

It behaves as version 0.3.38 does where ``edge_ssd.sources.picamera`` depends on it, faults
included: a failing constructor leaves its pipe open; formats, sizes and strides become what
the camera likes, without a word; a job that nobody waits for any more still takes the next
frame, and its buffer is lost; there are four buffers, whose memory is used again once
released; a held view of a buffer makes unmapping it fail.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from copy import deepcopy
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

BUFFERS = 4
BYTES = {"RGB888": 3, "BGR888": 3, "XRGB8888": 4, "XBGR8888": 4, "YUYV": 2}
BARS = ((255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255))
"""The picture every frame shows: upright bars of these colours, RGB, from left to right."""


@dataclass
class Rig:
    """The hardware, as a test sets it up and watches it."""

    cameras: list[dict[str, Any]] = field(
        default_factory=lambda: [{"Model": "imx708", "Id": "/base/i2c/imx708@1a", "Num": 0}]
    )
    advertised: dict[str, tuple[Any, Any, Any]] = field(
        default_factory=lambda: {
            "AfMode": (0, 2, 0),
            "AeEnable": (False, True, True),
            "ExposureTime": (1, 66666, 20000),
            "ColourGains": (0.0, 32.0, None),
            "ScalerCrop": ((0, 0, 64, 64), (0, 0, 4608, 2592), (0, 0, 4608, 2592)),
            "FrameDurationLimits": (16666, 500000, 33333),
        }
    )
    pi5: bool = False
    can_flip: bool = True
    gives: dict[str, Any] = field(default_factory=dict)
    """What the lores stream becomes whatever is asked, such as {"format": "NV12"}."""
    buffer_bytes: int | None = None
    busy: bool = False
    dma_heap: bool = True
    start_error: Exception | None = None
    free_running: bool = False
    """Each request asked for is there at once; otherwise frames come with ``push``."""
    stalled: bool = False
    sensor_ns: Callable[[], int | None] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    opened: list[int] = field(default_factory=list)
    camera: FakePicamera2 | None = None

    def push(self, count: int = 1) -> int:
        """Take so many pictures; return how many found a free buffer."""
        assert self.camera is not None
        return sum(self.camera.complete_one() for _ in range(count))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the fake modules where an import finds them."""
        picamera2, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
        camera = type("Picamera2", (FakePicamera2,), {"rig": self})
        vars(picamera2).update(Picamera2=camera, MappedArray=FakeMappedArray)
        vars(libcamera).update(Transform=FakeTransform, ColorSpace=FakeColorSpace)
        monkeypatch.setitem(sys.modules, "picamera2", picamera2)
        monkeypatch.setitem(sys.modules, "libcamera", libcamera)


@dataclass(frozen=True)
class FakeTransform:
    hflip: bool = False
    vflip: bool = False


class FakeColorSpace:
    @staticmethod
    def Smpte170m() -> str:  # noqa: N802
        return "Smpte170m"


class FakeJob:
    """A promise of the next request."""

    def __init__(self) -> None:
        self.future: Future[FakeRequest] = Future()

    def get_result(self, timeout: float | None = None) -> FakeRequest:
        return self.future.result(timeout)

    def cancel(self) -> None:
        self.future.set_exception(CancelledError())


class FakeRequest:
    """A completed request; its buffer belongs to the caller until ``release``."""

    def __init__(self, camera: FakePicamera2, memory: mmap.mmap) -> None:
        self.camera, self.memory = camera, memory
        self.config = deepcopy(camera.camera_config)
        self.config["lores"] |= camera.rig.gives
        self.references = 1
        self.metadata = {"SensorTimestamp": camera.rig.sensor_ns(), "ExposureTime": 20000}
        lores = self.config["lores"]
        picture = paint(lores["format"], *lores["size"], lores["stride"])
        usable = min(len(memory), picture.size)
        memory[:usable] = picture.tobytes()[:usable]

    def get_metadata(self) -> dict[str, Any]:
        return {key: value for key, value in self.metadata.items() if value is not None}

    def release(self) -> None:
        self.references -= 1
        assert self.references == 0, "released twice"
        self.memory[:] = b"\x55" * len(self.memory)  # the camera writes its next picture
        self.camera.free.append(self.memory)


class FakeMappedArray:
    """A view of a request's buffer, valid inside its ``with``."""

    def __init__(
        self, request: FakeRequest, stream: str, reshape: bool = True, write: bool = True
    ) -> None:
        assert stream == "lores", "the main stream's buffers are not for mapping"
        assert not reshape, "the fake maps flat buffers only"
        assert not write
        assert request.references == 1, "mapped after its release"
        self._memory = request.memory
        self.array: NDArray[np.uint8]

    def __enter__(self) -> FakeMappedArray:
        self.array = np.frombuffer(self._memory, np.uint8)
        return self

    def __exit__(self, *_: object) -> None:
        del self.array


class FakePicamera2:
    """One camera; the class attribute ``rig`` is its hardware."""

    rig: Rig

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.rig.cameras

    def __init__(self, camera_num: int = 0) -> None:
        self.notifyme_r, self.notifyme_w = os.pipe2(os.O_NONBLOCK)
        self.notifymeread = os.fdopen(self.notifyme_r, "rb")
        self.helpers = [self]  # a cycle: only the garbage collector ends it
        self.is_open = False
        self.started = False
        self.camera_config: dict[str, Any] = {}
        self.controls: dict[str, Any] = {}
        self.free: list[mmap.mmap] = []
        self.memories: list[mmap.mmap] = []
        self.jobs: list[FakeJob] = []
        self.completed: list[FakeRequest] = []
        if camera_num >= len(self.rig.cameras):
            raise RuntimeError(f"No camera number {camera_num} found - use ...")
        if self.rig.busy or (self.rig.camera and self.rig.camera.is_open):
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.is_open = True
        self.rig.camera = self
        self.rig.opened.append(camera_num)
        if not self.rig.dma_heap:
            raise RuntimeError("Could not open any dmaHeap device")
        self.allocator: Any = os.open("/dev/null", os.O_RDONLY)

    @property
    def camera_controls(self) -> dict[str, Any]:
        return self.rig.advertised

    def create_preview_configuration(self, **parts: Any) -> dict[str, Any]:
        def even(stream: dict[str, Any]) -> dict[str, Any]:
            width, height = stream["size"]
            return stream | {"size": (width - width % 2, height - height % 2)}

        return parts | {"main": even(parts["main"]), "lores": even(parts["lores"])}

    def configure(self, config: dict[str, Any]) -> None:
        assert not self.started
        assert config["colour_space"] == "Smpte170m"
        main, lores = config["main"], dict(config["lores"])
        if any(a > b for a, b in zip(lores["size"], main["size"], strict=True)):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        if not self.rig.pi5 and lores["format"] != "YUV420":
            raise RuntimeError("lores stream must be YUV")
        lores["format"] = self.rig.gives.get("format", lores["format"])
        row = lores["size"][0] * BYTES.get(lores["format"], 1)
        lores["stride"] = -(-row // 64) * 64
        lores |= self.rig.gives
        transform = config["transform"] if self.rig.can_flip else FakeTransform()
        self.camera_config = config | {"lores": lores, "transform": transform}
        rows = lores["size"][1] * 3 // (2 if lores["format"] not in BYTES else 3)
        size = self.rig.buffer_bytes or rows * lores["stride"]
        self.memories = [mmap.mmap(-1, size) for _ in range(BUFFERS)]
        self.free = list(self.memories)

    def camera_configuration(self) -> dict[str, Any]:
        return self.camera_config

    def set_controls(self, controls: dict[str, Any]) -> None:
        for name in controls:
            if name not in self.rig.advertised:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.controls |= controls

    def start(self) -> None:
        if self.rig.start_error:
            raise self.rig.start_error
        self.started = True

    def capture_request(self, wait: bool | float | None = None) -> Any:
        job = FakeJob()
        self.jobs.append(job)
        if self.rig.free_running:
            self.complete_one()
        self._serve()
        return job.get_result(None if wait is True else wait) if wait else job

    def complete_one(self) -> bool:
        """Take a picture; False when the camera is stalled or all its buffers are held."""
        if self.rig.stalled or not self.started or not self.free:
            return False
        self.completed.append(FakeRequest(self, self.free.pop(0)))
        self._serve()
        while len(self.completed) > 1:
            self.completed.pop(0).release()
        return True

    def cancel_all_and_flush(self) -> None:
        while self.jobs:
            self.jobs.pop().cancel()

    def close(self) -> None:
        if not self.is_open:
            return
        self.started = False
        while self.completed:
            self.completed.pop().release()
        for memory in self.memories:
            memory.close()  # BufferError where a view of it is held
        self.is_open = False
        self.notifymeread.close()
        os.close(self.notifyme_w)
        os.close(self.allocator)
        self.allocator = _DmaHeap()

    def _serve(self) -> None:
        while self.jobs and self.completed:
            self.jobs.pop(0).future.set_result(self.completed.pop(0))


class _DmaHeap:
    """The device that ``close`` opens anew, and that its owner keeps open."""

    def __init__(self) -> None:
        self.descriptor = os.open("/dev/null", os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.descriptor)


def paint(format_name: str, width: int, height: int, stride: int) -> NDArray[np.uint8]:
    """Return a buffer that shows BARS, flat; the padding of its rows is noise."""
    columns = np.arange(width) * len(BARS) // width
    rgb = np.repeat(np.array(BARS, np.uint8)[columns][None], height, axis=0)
    if format_name in BYTES:
        pixels = rgb if format_name in ("BGR888", "XBGR8888") else rgb[..., ::-1]
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, BYTES[format_name] - 3)), constant_values=255)
        return _padded(pixels.reshape(height, -1), stride).ravel()
    y, u, v = yuv_video_range(rgb)
    u, v = (np.round(plane.reshape(height // 2, 2, -1, 2).mean((1, 3))) for plane in (u, v))
    if format_name == "NV12":
        colour = _padded(np.dstack([u, v]).reshape(height // 2, -1), stride)
    else:
        colour = np.concatenate([_padded(u, stride // 2), _padded(v, stride // 2)])
    return np.concatenate([_padded(np.round(y), stride).ravel(), colour.ravel()])


def yuv_video_range(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Return the Y, U and V planes of (height, width, 3) RGB: ITU-R BT.601, 16 to 235."""
    red, green, blue = np.moveaxis(rgb / 255.0, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (
        16 + 219 * luma,
        128 + 112 * (blue - luma) / (1 - 0.114),
        128 + 112 * (red - luma) / (1 - 0.299),
    )


def _padded(rows: NDArray[Any], stride: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).integers(0, 256, (rows.shape[0], stride), np.uint8)
    usable = min(stride, rows.shape[1])
    noise[:, :usable] = rows[:, :usable]
    return noise
