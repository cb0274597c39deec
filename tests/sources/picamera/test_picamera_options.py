"""Options of the picamera2 source: which camera, its controls, rate and rotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fake_picamera2 import FakeTransform, Rig
from support.reading import assert_nothing_is_held, opened

from edge_ssd import config
from edge_ssd.errors import ConfigError, DeviceError
from edge_ssd.sources.picamera import PiCameraOptions, PiCameraSource


@pytest.mark.parametrize(
    "camera", [1, "imx477", "/base/i2c/imx477@1a"], ids=["number", "model", "id"]
)
def test_a_camera_is_chosen_by_number_model_or_id(rig: Rig, camera: int | str) -> None:
    rig.cameras.append({"Model": "imx477", "Id": "/base/i2c/imx477@1a", "Num": 1})
    for _ in opened(camera=camera):
        assert rig.opened == [1]


def test_a_camera_that_is_not_there_is_told_from_those_that_are(rig: Rig) -> None:
    with pytest.raises(DeviceError, match=r"no camera 'imx219'; found 0 = imx708 \(/base/i2c"):
        PiCameraSource("door", PiCameraOptions(camera="imx219")).open()
    with pytest.raises(DeviceError, match="no camera 1; found 0 = imx708"):
        PiCameraSource("door", PiCameraOptions(camera=1)).open()
    rig.cameras.clear()
    with pytest.raises(DeviceError, match="door: no camera found; check its ribbon cable"):
        PiCameraSource("door", PiCameraOptions()).open()


def test_controls_reach_the_camera(rig: Rig) -> None:
    controls = {"AfMode": 2, "ExposureTime": 8000, "ColourGains": [1.5, 2.0], "AeEnable": False}
    for _ in opened(fps=20, controls=controls):
        assert rig.camera is not None
        assert rig.camera.controls == controls | {"FrameDurationLimits": (50000, 50000)}


def test_every_control_the_camera_refuses_is_named_with_its_range(rig: Rig) -> None:
    controls = {
        "AfMod": 2,
        "ExposureTime": 10**6,
        "AfMode": 1.5,
        "ColourGains": [1, 99],
        "Rainbow": 1,
        "AeEnable": "yes",
    }
    with pytest.raises(ConfigError) as caught:
        PiCameraSource("door", PiCameraOptions(controls=controls)).open()
    assert [str(problem) for problem in caught.value.problems] == [
        "source.controls.AfMod: this camera has no such control; did you mean AfMode?",
        "source.controls.ExposureTime: must be from 1 to 66666 (it is 1000000)",
        "source.controls.AfMode: must be an integer (it is 1.5)",
        "source.controls.ColourGains: must be from 0.0 to 32.0 (it is 99)",
        "source.controls.Rainbow: this camera has no such control",
        "source.controls.AeEnable: must be from False to True (it is 'yes')",
    ]
    assert_nothing_is_held(rig)


def test_a_frame_rate_beyond_the_camera_is_lowered_and_said(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in opened(fps=120):
        assert rig.camera is not None
        assert rig.camera.controls["FrameDurationLimits"] == (16666, 16666)
    assert "door: source.fps: 120 asked, the camera gives 60 at this size" in caplog.messages
    del rig.advertised["FrameDurationLimits"]
    for _ in opened(fps=30):
        assert rig.camera.controls == {}
    assert "door: source.fps: this camera has a fixed frame rate" in caplog.messages
    caplog.clear()
    for _ in opened(fps=None):
        assert not caplog.messages


@pytest.mark.parametrize(
    ("options", "transform"),
    [
        ({}, FakeTransform()),
        ({"rotation": 180}, FakeTransform(True, True)),
        ({"hflip": True}, FakeTransform(True, False)),
        ({"rotation": 180, "hflip": True}, FakeTransform(False, True)),
    ],
)
def test_rotation_and_flips_are_one_transform(
    rig: Rig, options: dict[str, Any], transform: FakeTransform
) -> None:
    for _ in opened(**options):
        assert rig.camera is not None
        assert rig.camera.camera_config["transform"] == transform


def test_a_camera_that_cannot_flip_says_so(rig: Rig) -> None:
    rig.can_flip = False
    with pytest.raises(ConfigError, match=r"source\.rotation: this camera can neither rotate"):
        PiCameraSource("door", PiCameraOptions(rotation=180)).open()


def test_a_shipped_configuration_makes_it(rig: Rig) -> None:
    options = config.load(Path(__file__).parents[3] / "configs" / "picamera.yaml")
    values = {
        "type": "picamera", "camera": "imx708", "width": 800, "height": 600, "lores_width": 300,
        "lores_height": 200, "rotation": 180, "vflip": True, "controls": {"AfMode": 2},
    }  # fmt: skip
    for section in (options, config.parse({"source": values})):
        source = section.make_source()
        source.open()
        source.close()
    assert rig.camera is not None
    made = rig.camera.camera_config
    assert (made["main"]["size"], made["lores"]["size"]) == ((800, 600), (300, 200))
    assert made["transform"] == FakeTransform(hflip=True, vflip=False)
    assert rig.camera.controls == {"AfMode": 2, "FrameDurationLimits": (33333, 33333)}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"lores_width": 300}, "source: must have both lores_width and lores_height"),
        (
            {"width": 320, "height": 240, "lores_width": 300, "lores_height": 300},
            "source: must have a lores size within width x height",
        ),
        ({"rotation": 90}, "source.rotation: must be 0 or 180"),
        ({"lores_format": "MJPEG"}, "source.lores_format: must be one of YUV420, RGB888"),
    ],
)
def test_a_bad_option_is_refused_before_any_camera_is_asked(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse({"source": {"type": "picamera"} | options})
    assert str(caught.value.problems[0]).startswith(problem)
