"""The message contract: key by key, and as JSON."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from edge_ssd.errors import PublishError
from edge_ssd.publishers.message import encode, message
from edge_ssd.types import Detections, Frame, FrameResult, PixelFormat, Timing

CAPTURED_AT = datetime(2026, 11, 22, 12, 0, 0, 123987, timezone.utc)


def result_of(
    boxes_yxyx: list[list[float]],
    path: str | None = None,
    captured_at: datetime = CAPTURED_AT,
    label: str = "person",
    score: float = 0.83333333,
) -> FrameResult:
    image = np.zeros((720, 1280, 3), np.uint8)
    count = len(boxes_yxyx)
    return FrameResult(
        frame=Frame(image, PixelFormat.RGB, "front-door", 41, 10_000_000, captured_at, path),
        detections=Detections(
            np.array(boxes_yxyx, np.float32).reshape(-1, 4),
            np.full(count, score, np.float32),
            np.zeros(count, np.int32),
            (label,),
            (1280, 720),
        ),
        model="ssdlite_mobilenet_v2_coco",
        timing=Timing(0.4041, 7.0, 0.0666),
        finished_ns=41_234_567,
    )


def test_the_message_is_the_contract() -> None:
    content = message(result_of([[40 / 720, 101.5 / 1280, 710.9 / 720, 380.2 / 1280]]))
    assert content == {
        "schema": 1,
        "source": "front-door",
        "frame": 41,
        "captured_at": "2026-11-22T12:00:00.123Z",
        "age_ms": 31.2,
        "width": 1280,
        "height": 720,
        "model": "ssdlite_mobilenet_v2_coco",
        "timing_ms": {"preprocess": 0.4, "inference": 7.0, "postprocess": 0.07},
        "detections": [
            {"label": "person", "class_id": 0, "score": 0.8333, "box": [101.5, 40.0, 380.2, 710.9]}
        ],
    }


def test_an_empty_frame_still_gives_a_message() -> None:
    assert message(result_of([]))["detections"] == []


def test_boxes_are_clipped_to_the_frame() -> None:
    content = message(result_of([[-0.2, -0.1, 1.3, 1.00001]]))
    assert content["detections"][0]["box"] == [0.0, 0.0, 1280.0, 720.0]


def test_the_path_is_there_only_for_files() -> None:
    assert message(result_of([], path="photos/a.jpg"))["path"] == "photos/a.jpg"
    assert "path" not in message(result_of([]))


@pytest.mark.parametrize(
    ("captured_at", "expected"),
    [
        (CAPTURED_AT.replace(microsecond=0), "2026-11-22T12:00:00.000Z"),
        (CAPTURED_AT.astimezone(timezone(timedelta(hours=5))), "2026-11-22T12:00:00.123Z"),
    ],
)
def test_the_time_is_utc_with_milliseconds(captured_at: datetime, expected: str) -> None:
    assert message(result_of([], captured_at=captured_at))["captured_at"] == expected


def test_json_is_one_compact_line_that_reads_back() -> None:
    content = message(result_of([[0, 0, 1, 1]], label='two\nlines "quoted"'))
    line = encode(content)
    assert b"\n" not in line
    assert b": " not in line
    assert json.loads(line) == content


def test_labels_stay_readable_in_any_script() -> None:
    assert "Fußgänger 歩行者".encode() in encode(
        message(result_of([[0, 0, 1, 1]], label="Fußgänger 歩行者"))
    )


def test_a_file_name_that_is_not_utf8_survives() -> None:
    path = os.fsdecode(b"caf\xe9.jpg")
    read_back: dict[str, Any] = json.loads(encode(message(result_of([], path=path))))
    assert os.fsencode(read_back["path"]) == b"caf\xe9.jpg"


def test_nan_never_reaches_a_reader() -> None:
    with pytest.raises(PublishError, match="frame 41"):
        encode(message(result_of([[0, 0, 1, 1]], score=float("nan"))))
