"""What the tests of MQTT share: results, and publishers as a configuration makes them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.mqtt import MqttOptions
from edge_ssd.publishers.mqtt_publisher import MqttPublisher
from edge_ssd.types import Detections, Frame, FrameResult, PixelFormat, Timing
from support.mosquitto import USER, Watcher

TOPIC, STATUS = "edge-ssd/cam/detections", "edge-ssd/cam/availability"


def result(number: int, classes: tuple[int, ...] = (), at_s: float = 0) -> FrameResult:
    count = len(classes)
    return FrameResult(
        Frame(
            np.zeros((4, 4, 3), np.uint8), PixelFormat.BGR, "cam", number, 0,
            datetime(2026, 11, 22, tzinfo=timezone.utc),
        ),
        Detections(
            np.zeros((count, 4), np.float32),
            np.ones(count, np.float32),
            np.array(classes, np.int32),
            ("person", "car"),
        ),
        model="m",
        timing=Timing(1, 2, 3),
        finished_ns=int(at_s * 1e9),
    )  # fmt: skip


class Publishers:
    """Makes publishers as a configuration does, and closes them after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Publisher] = []

    def __call__(self, port: int, **options: Any) -> MqttPublisher:
        told = {
            "host": "localhost", "port": port, "username": USER,
            "password_file": self.folder / "password",
            "reconnect_min_s": 0.05, "reconnect_max_s": 0.2,
        }  # fmt: skip
        made = MqttOptions.model_validate(told | options).make("cam")
        self.made.append(made)
        made.open()
        return made


def frame_numbers(watcher: Watcher, last: int) -> list[int]:
    """The frame numbers that came, up to the last that is waited for."""
    numbers: list[int] = []
    while not numbers or numbers[-1] != last:
        numbers.append(json.loads(watcher.next(TOPIC).payload)["frame"])
    return numbers
