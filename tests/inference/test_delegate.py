"""Loading the Edge TPU's delegate: what it is told, and what is said when it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command import environment
from support.inferring import changed
from support.machines import held

from edge_ssd.errors import DeviceError
from edge_ssd.inference.delegate import RETRIES, find, load
from edge_ssd.inference.options import EdgeTpuOptions, ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.runtime import import_runtime

HOLD = """
import sys
from pathlib import Path
from edge_ssd.inference.owner_lock import OwnerLock
OwnerLock(sys.argv[1], [Path(sys.argv[2])]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def machine(root: Path, *ids: str) -> Path:
    """Makes a /sys and /dev that show sticks with these USB ids."""
    for number, usb_id in enumerate(ids, 1):
        vendor, product = usb_id.split(":")
        folder = root / f"sys/bus/usb/devices/1-{number}"
        folder.mkdir(parents=True)
        node = root / f"dev/bus/usb/001/{number:03d}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        for name, value in {
            "idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": number,
            "speed": "5000",
        }.items():  # fmt: skip
            (folder / name).write_text(f"{value}\n")
    return root


def opened(
    options: ModelOptions,
    root: Path = Path("/"),
    sleep: Callable[[float], None] = lambda _: None,
    runtime: str = "auto",
) -> object:
    """The delegate that these options ask for."""
    module = import_runtime(runtime)
    return load(options.delegate_library, options.delegate_arguments(), module, root, sleep)


def test_the_library_is_told_device_and_options(
    stand_in: ModelOptions, runtime_name: str, tmp_path: Path
) -> None:
    given = EdgeTpuOptions(performance="Low", usb_max_bulk_in_queue_length=8)
    options = changed(stand_in, delegate_device="usb:1", delegate_options=given)
    assert opened(options, runtime=runtime_name)
    assert (tmp_path / "stand-in.log").read_text() == (
        "created device=usb:1 Performance=Low Usb.MaxBulkInQueueLength=8\n"
    )


def test_any_device_is_asked_for_without_a_device(stand_in: ModelOptions, tmp_path: Path) -> None:
    assert opened(changed(stand_in, delegate_device=None))
    assert (tmp_path / "stand-in.log").read_text() == "created\n"


def test_a_missing_library_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libnone\.so\.1 cannot be loaded.*install libedgetpu"):
        load("libnone.so.1", {}, import_runtime("auto"))


def test_a_library_that_is_no_delegate_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libm\.so\.6 is a library, and not a .* delegate"):
        load("libm.so.6", {}, import_runtime("auto"))


def test_a_reason_is_passed_on(
    stand_in: ModelOptions, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails")
    with pytest.raises(DeviceError, match=r"\(usb:0\): the stand-in was told to fail"):
        opened(stand_in, runtime=runtime_name)


@pytest.fixture
def silent(stand_in: ModelOptions, monkeypatch: pytest.MonkeyPatch) -> ModelOptions:
    """Fails as libedgetpu does, without a reason."""
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails-silently")
    return stand_in


def test_no_reason_and_no_stick(silent: ModelOptions, runtime_name: str, tmp_path: Path) -> None:
    slept: list[float] = []
    with pytest.raises(DeviceError, match=r"none is on USB .* check its cable and power"):
        opened(silent, tmp_path, slept.append, runtime_name)
    assert not slept, "there is nothing to wait for"


def test_no_reason_and_no_permission(
    silent: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine(tmp_path, "18d1:9302")
    monkeypatch.setattr("os.access", lambda *_: False)  # these tests may run as root
    with pytest.raises(DeviceError, match=r"may not write .*bus/usb/001/001; .*udev rules"):
        opened(silent, root)


def test_no_reason_and_another_process_has_the_stick(silent: ModelOptions, tmp_path: Path) -> None:
    root = machine(tmp_path, "18d1:9302")
    with (
        held(root / "dev/bus/usb/001/001", "frigate"),
        pytest.raises(DeviceError, match=r"USB 18d1:9302 is in use by frigate \(pid \d+\); stop"),
    ):
        opened(silent, root)


def test_no_reason_at_all(silent: ModelOptions, tmp_path: Path) -> None:
    root = machine(tmp_path, "18d1:9302")
    with pytest.raises(DeviceError, match=r"although USB 18d1:9302 is there; unplug it"):
        opened(silent, root)


def test_a_stick_that_changes_its_id_is_opened_again(
    silent: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first open resets the stick; the second finds it under the other id."""
    monkeypatch.setenv("STAND_IN_ONCE", str(tmp_path / "failed"))
    root = machine(tmp_path, "1a6e:089a")
    slept: list[float] = []
    assert opened(silent, root, slept.append)
    assert len(slept) == 1
    assert (tmp_path / "stand-in.log").read_text().count("created") == 2


def test_a_stick_that_never_opens_is_given_up(silent: ModelOptions, tmp_path: Path) -> None:
    root = machine(tmp_path, "1a6e:089a")
    with pytest.raises(DeviceError):
        opened(silent, root)
    assert (tmp_path / "stand-in.log").read_text().count("created") == RETRIES + 1


def test_sticks_and_cards_are_found(tmp_path: Path) -> None:
    root = machine(tmp_path, "1a6e:089a", "046d:c31c", "18d1:9302")
    (root / "dev/apex_0").touch()
    found = find(root)
    assert {(tpu.name, tpu.speed_mbps) for tpu in found} == {
        ("USB 1a6e:089a", 5000), ("USB 18d1:9302", 5000), ("PCIe apex_0", None),
    }  # fmt: skip


@contextmanager
def another_process_with(device: str, folder: Path) -> Iterator[int]:
    """Another process of this package that holds the lock of a device."""
    command = [sys.executable, "-c", HOLD, device, folder]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


@pytest.mark.parametrize("device", ["usb:0", "usb", None, ":0"])
def test_a_second_owner_is_refused_and_told_who_is_first(
    device: str | None, tmp_path: Path
) -> None:
    mine = OwnerLock(device, [tmp_path])
    with (
        another_process_with("usb:0", tmp_path) as pid,
        pytest.raises(DeviceError, match=rf"in use by .*python.* \(pid {pid}\)"),
    ):
        mine.acquire()
    mine.acquire()  # the kernel dropped the other's lock with its process
    mine.release()


def test_two_sticks_have_two_owners(tmp_path: Path) -> None:
    with another_process_with("usb:0", tmp_path):
        lock = OwnerLock("usb:1", [tmp_path])
        lock.acquire()
        lock.release()


def test_a_lock_falls_back_to_a_folder_that_can_be_used(tmp_path: Path) -> None:
    lock = OwnerLock("usb:0", [tmp_path / "missing", tmp_path])
    lock.acquire()
    with pytest.raises(DeviceError, match="in use"):
        OwnerLock("usb:0", [tmp_path]).acquire()
    lock.release()
    with pytest.raises(DeviceError, match=r"no lock file .* can be made in .*missing"):
        OwnerLock("usb:0", [tmp_path / "missing"]).acquire()
