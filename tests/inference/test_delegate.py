"""Loading the Edge TPU's delegate: what it is told, and what is said when it fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command import environment

from edge_ssd.config import parse
from edge_ssd.errors import ConfigError, DeviceError, ModelError
from edge_ssd.inference import tpus
from edge_ssd.inference.backends import delegate, make_backend
from edge_ssd.inference.delegate import RETRIES, Delegate, load
from edge_ssd.inference.options import EdgeTpuOptions, ModelOptions
from edge_ssd.inference.owner_lock import OwnerLock
from edge_ssd.inference.preprocess import PreprocessOptions
from edge_ssd.inference.runtime import import_runtime
from edge_ssd.models.spec import ModelSpec

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


def no_sleep(_seconds: float) -> None:
    pass


def test_the_library_is_told_device_and_options(
    stand_in: Delegate, runtime_name: str, tmp_path: Path
) -> None:
    asked = Delegate(
        stand_in.library, "usb:1", {"Performance": "Low", "Usb.MaxBulkInQueueLength": "8"}
    )
    assert load(asked, import_runtime(runtime_name))
    assert (tmp_path / "stand-in.log").read_text() == (
        "created device=usb:1 Performance=Low Usb.MaxBulkInQueueLength=8\n"
    )


def test_any_device_is_asked_for_without_a_device(stand_in: Delegate, tmp_path: Path) -> None:
    assert load(Delegate(stand_in.library), import_runtime("auto"))
    assert (tmp_path / "stand-in.log").read_text() == "created\n"


@pytest.mark.parametrize("device", ["usb", "pci", "usb:0", "pci:12", ":3"])
def test_devices_that_libedgetpu_knows(device: str) -> None:
    assert Delegate(device=device).arguments() == {"device": device}


@pytest.mark.parametrize("device", ["", "0", "tpu", "usb:", "usb:-1", "USB:0", "usb:0 ", "usb:0\n"])
def test_another_device_is_refused(device: str) -> None:
    with pytest.raises(ModelError, match=r"use usb, pci, usb:N, pci:N or :N"):
        Delegate(device=device)


@pytest.mark.parametrize(
    ("device", "better"), [(None, "usb:0"), ("usb", "usb:0"), ("pci", "pci:0")]
)
def test_options_that_libedgetpu_would_drop_are_refused(device: str | None, better: str) -> None:
    with pytest.raises(ModelError) as error:
        Delegate(device=device, options={"Performance": "Low"})
    assert str(error.value) == (
        "libedgetpu ignores Performance unless the device has a number; "
        f"set model.delegate_device to {better}"
    )


def test_a_missing_library_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libnone\.so\.1 cannot be loaded.*install libedgetpu"):
        load(Delegate("libnone.so.1"), import_runtime("auto"))


def test_a_library_that_is_no_delegate_is_named() -> None:
    with pytest.raises(DeviceError, match=r"libm\.so\.6 is a library, and not a .* delegate"):
        load(Delegate("libm.so.6"), import_runtime("auto"))


def test_a_reason_is_passed_on(
    stand_in: Delegate, runtime_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails")
    with pytest.raises(DeviceError, match=r"\(usb:0\): the stand-in was told to fail"):
        load(stand_in, import_runtime(runtime_name))


@pytest.fixture
def silent(stand_in: Delegate, monkeypatch: pytest.MonkeyPatch) -> Delegate:
    """Fails as libedgetpu does, without a reason."""
    monkeypatch.setenv("STAND_IN_FAULT", "create-fails-silently")
    return stand_in


def test_no_reason_and_no_stick(silent: Delegate, runtime_name: str, tmp_path: Path) -> None:
    slept: list[float] = []
    with pytest.raises(DeviceError, match=r"none is on USB .* check its cable and power"):
        load(silent, import_runtime(runtime_name), tmp_path, slept.append)
    assert not slept, "there is nothing to wait for"


def test_no_reason_and_no_permission(
    silent: Delegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = machine(tmp_path, "18d1:9302")
    monkeypatch.setattr("os.access", lambda *_: False)  # these tests may run as root
    with pytest.raises(DeviceError, match=r"may not write .*bus/usb/001/001; .*udev rules"):
        load(silent, import_runtime("auto"), root, no_sleep)


def test_no_reason_and_another_process_has_the_stick(silent: Delegate, tmp_path: Path) -> None:
    root = machine(tmp_path, "18d1:9302")
    node = root / "dev/bus/usb/001/001"
    with subprocess.Popen(["tail", "-f", node], stdout=subprocess.PIPE) as holder:
        while not tpus.holders(node):
            assert holder.poll() is None
        with pytest.raises(DeviceError, match=rf"is held by process {holder.pid} \(tail -f"):
            load(silent, import_runtime("auto"), root, no_sleep)
        holder.terminate()


def test_no_reason_at_all(silent: Delegate, tmp_path: Path) -> None:
    root = machine(tmp_path, "18d1:9302")
    with pytest.raises(DeviceError, match=r"although USB 18d1:9302 is there; unplug it"):
        load(silent, import_runtime("auto"), root, no_sleep)


def test_a_stick_that_changes_its_id_is_opened_again(
    silent: Delegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first open resets the stick; the second finds it under the other id."""
    monkeypatch.setenv("STAND_IN_ONCE", str(tmp_path / "failed"))
    root = machine(tmp_path, "1a6e:089a")
    slept: list[float] = []
    assert load(silent, import_runtime("auto"), root, slept.append)
    assert len(slept) == 1
    assert (tmp_path / "stand-in.log").read_text().count("created") == 2


def test_a_stick_that_never_opens_is_given_up(silent: Delegate, tmp_path: Path) -> None:
    root = machine(tmp_path, "1a6e:089a")
    with pytest.raises(DeviceError):
        load(silent, import_runtime("auto"), root, no_sleep)
    assert (tmp_path / "stand-in.log").read_text().count("created") == RETRIES + 1


def test_sticks_and_cards_are_found(tmp_path: Path) -> None:
    root = machine(tmp_path, "1a6e:089a", "046d:c31c", "18d1:9302")
    (root / "dev/apex_0").touch()
    found = tpus.find(root)
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
        pytest.raises(DeviceError, match=rf"in use by process {pid} \(.*python"),
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


def test_the_configuration_speaks_to_libedgetpu_in_its_own_words() -> None:
    section = ModelOptions(
        delegate="edgetpu",
        delegate_device=":0",
        delegate_options=EdgeTpuOptions(
            performance="Medium", usb_always_dfu=True, usb_max_bulk_in_queue_length=16
        ),
    )
    found = delegate(section)
    assert found
    assert found.arguments() == {
        "device": ":0", "Performance": "Medium", "Usb.AlwaysDfu": "True",
        "Usb.MaxBulkInQueueLength": "16",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delegate_device": "usb:0"}, r"delegate_device: has a value, and model\.delegate is"),
        ({"delegate_options": {"performance": "Low"}}, "delegate_options: has values, and"),
        ({"on_delegate_failure": "cpu"}, r"on_delegate_failure: is cpu, and model\.delegate is"),
        ({"cpu_model": "a"}, "cpu_model: is used with on_delegate_failure: cpu only"),
        (
            {"delegate": "edgetpu", "on_delegate_failure": "cpu"},
            "cpu_model: is missing; a model compiled for the Edge TPU cannot run on the CPU",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_named(
    options: dict[str, object], problem: str
) -> None:
    section = parse({"source": {"type": "synthetic"}, "model": options}).model
    with pytest.raises(ConfigError, match=rf"^model\.{problem}"):
        delegate(section)


def test_a_device_that_is_none_is_refused_when_the_file_is_read() -> None:
    model = {"delegate": "edgetpu", "delegate_device": "usb0"}
    with pytest.raises(ConfigError, match=r"^model\.delegate_device: must be usb, pci, usb:N"):
        parse({"source": {"type": "synthetic"}, "model": model})


def test_a_model_for_the_cpu_is_refused_on_the_edge_tpu(cpu_spec: ModelSpec) -> None:
    section = ModelOptions(name=str(cpu_spec.path), delegate="edgetpu")
    with pytest.raises(ConfigError, match=r"holds nothing compiled for the Edge TPU"):
        make_backend(section, PreprocessOptions())
