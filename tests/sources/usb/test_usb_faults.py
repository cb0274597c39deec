"""A USB camera that is missing, busy, unplugged or hanging: told in words, and opened again."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.fake_camera import BGR, FakeCamera, FakeVideoCapture, read
from support.pipelines import Recorder, make_pipeline, small_spec
from support.privileges import without_root_rights
from support.waiting import wait_for

from edge_ssd.errors import DeviceError
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.sources import opencv, usb
from edge_ssd.sources.usb import UsbCamera, UsbOptions


def test_a_camera_that_is_not_there_is_named_with_those_that_are(camera: FakeCamera) -> None:
    with pytest.raises(
        DeviceError, match=rf"door: /dev/video99 does not exist.*{camera.node.name}"
    ):
        UsbCamera("door", UsbOptions(path=Path("/dev/video99"))).open()
    camera.unplug()
    with pytest.raises(DeviceError, match=r"plug the camera in; .*by-id lists none"):
        UsbCamera("door", UsbOptions(path=camera.node)).open()


def test_a_file_is_no_camera(tmp_path: Path, camera: FakeCamera) -> None:
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(DeviceError, match="is not a device"):
        UsbCamera("door", UsbOptions(path=path)).open()


def test_a_camera_of_another_group_names_the_group(camera: FakeCamera) -> None:
    camera.device.chmod(0)
    source = UsbCamera("door", UsbOptions(path=camera.node))
    with without_root_rights(), pytest.raises(DeviceError, match="add the user to the group video"):
        source.open()


def test_a_folder_that_may_not_be_entered_is_told(camera: FakeCamera) -> None:
    camera.by_id.chmod(0)
    source = UsbCamera("door", UsbOptions(path=camera.node))
    with without_root_rights(), pytest.raises(DeviceError, match="Permission denied; let the user"):
        source.open()
    camera.by_id.chmod(0o700)


def test_a_busy_camera_names_its_holder(camera: FakeCamera, source: UsbCamera) -> None:
    camera.refuses_to_open = True
    holder = subprocess.Popen(
        [sys.executable, "-c", f"f = open({str(camera.device)!r}); print(); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(DeviceError, match=rf"is in use by python.*pid {holder.pid}\)"):
            source.open()
        holder.communicate(b"\n")
    with pytest.raises(DeviceError, match=r"gives no images; .*index0"):
        source.open()


def test_unplugged_and_plugged_in_again_it_goes_on_counting(
    camera: FakeCamera, source: UsbCamera
) -> None:
    source.open()
    camera.send(BGR)
    assert read(source).number == 0
    camera.unplug()
    with pytest.raises(DeviceError, match="was unplugged"):
        source.read(60)
    source.close()
    with pytest.raises(DeviceError, match="does not exist"):
        source.open()
    camera.plug_in()
    source.open()
    camera.send(BGR)
    assert read(source).number == 1
    assert [capture.open for capture in camera.captures] == [False, True]


def test_a_driver_that_knows_of_the_plug_before_the_kernel_does_is_understood(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames end first, the device goes a moment later."""
    monkeypatch.setattr(usb, "_REMOVAL_S", 10)
    asked = threading.Event()
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: exists(path) and not asked.set())
    source.open()
    asked.clear()
    camera.driver.put(None)
    assert asked.wait(60)
    camera.node.unlink()
    with pytest.raises(DeviceError, match="was unplugged"):
        source.read(60)


def test_a_running_pipeline_survives_the_plug(
    camera: FakeCamera, source: UsbCamera, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    pipeline = make_pipeline(source, CpuBackend(small_spec(tmp_path)), [recorder])
    pipeline.start()
    camera.send(BGR)
    wait_for(lambda: recorder.numbers == [0])
    camera.unplug()
    wait_for(lambda: "was unplugged" in caplog.text)
    camera.plug_in()
    camera.send(BGR)
    wait_for(lambda: recorder.numbers == [0, 1])
    camera.driver.put(None)
    pipeline.stop()
    assert "works again" in caplog.text


def test_a_driver_that_hangs_blocks_nobody(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencv, "_CLOSE_WAIT_S", 0.01)
    source.open()
    assert source.read(0.01) is None
    source.close()
    with pytest.raises(DeviceError, match="the driver is still blocked in the last connection"):
        source.open()
    camera.driver.put(None)  # the driver's own timeout
    wait_for(lambda: not camera.captures[0].open)
    source.close()
    source.open()
    camera.send(BGR)
    assert read(source).number == 0


def test_a_silent_camera_is_reported_when_the_driver_gives_up(
    camera: FakeCamera, source: UsbCamera
) -> None:
    source.open()
    camera.driver.put(None)
    with pytest.raises(DeviceError, match=r"gave no image for \d+\.\d s; check the cable"):
        source.read(60)


def test_an_error_that_nobody_foresaw_is_not_swallowed(
    camera: FakeCamera, source: UsbCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.open()
    monkeypatch.setattr(FakeVideoCapture, "retrieve", lambda _: 1 / 0)
    camera.send(BGR)
    with pytest.raises(ZeroDivisionError):
        source.read(60)
