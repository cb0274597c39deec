"""Room on the disk, and what wears an SD card out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_ssd.checks import Check, Finding, System, fail, ok, skipped, warn

_MIN_BYTES = 200_000_000
_FULL_BYTES = 1_000_000
_CARD, _CARD_MAJOR = "/dev/mmcblk", "179:"
# The last one that says something wins.
_JOURNALD = (
    "/usr/lib/systemd/journald.conf.d/*.conf",
    "/etc/systemd/journald.conf",
    "/etc/systemd/journald.conf.d/*.conf",
)
_NOATIME = "add noatime to / in /etc/fstab"
_VOLATILE = "set Storage=volatile in /etc/systemd/journald.conf"
_ZRAM = "swap to zram, or not at all"
_MEMORY = "let it write below /run, or publish over MQTT"


Written = tuple[Path, int]
"""A file that a publisher writes, and how many bytes it and its backups may take."""


def checks(written: Sequence[Written]) -> tuple[Check, ...]:
    """Return the checks of disks; written: what the publishers write."""
    return (
        Check("disk space", partial(space, written)),
        Check("sd card", partial(wear, written), required=False),
    )


def space(written: Sequence[Written], system: System) -> Finding:
    """There is room on each file system that the system and the publishers write to."""
    mounts = _mounts(system)
    wanted, folders = {"/": _MIN_BYTES}, {"/": system.root}
    for path, size in written:
        folder = path.parent.resolve()
        place = _mount_point(folder, mounts)
        in_memory = place in mounts and mounts[place].in_memory
        wanted[place] = wanted.get(place, 0 if in_memory else _MIN_BYTES) + size
        # The service's own below /run is there only while that runs.
        folders.setdefault(place, folder if folder.is_dir() else system.path(place))
    free = {place: system.free_bytes(folder) for place, folder in folders.items()}
    evidence = ", ".join(f"{place}: {size / 1e6:.0f} MB free" for place, size in free.items())
    if min(free.values()) < _FULL_BYTES:
        return fail(evidence, "make room: `sudo apt clean`, `journalctl --vacuum-size=50M`")
    if any(free[place] < wanted[place] for place in free):
        return warn(evidence, "make room, or lower max_bytes and backups of the publisher")
    return ok(evidence)


def wear(written: Sequence[Written], system: System) -> Finding:
    """Nothing writes to an SD card again and again."""
    mounts = _mounts(system)
    root = mounts.get("/", _Mount("an unknown disk", False, False, []))
    if not root.on_card:
        return skipped(f"the system is on {root.device}, not on an SD card")
    publishes = any(_on_card(path.parent.resolve(), mounts) for path, _ in written)
    found = [
        (says, remedy)
        for says, remedy, wears in (
            ("/ is mounted without noatime", _NOATIME, "noatime" not in root.options),
            ("the journal is kept on the card", _VOLATILE, _journal_kept(system)),
            ("swap is on the card", _ZRAM, _swaps_to_card(system, mounts)),
            ("a publisher writes to the card", _MEMORY, publishes),
        )
        if wears
    ]
    if found:
        return warn("; ".join(says for says, _ in found), "; ".join(remedy for _, remedy in found))
    return ok(f"{root.device} with noatime, journal in memory, no swap and no publisher on it")


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of ``/proc/self/mountinfo``."""

    device: str
    on_card: bool
    in_memory: bool
    options: list[str]


def _mounts(system: System) -> dict[str, _Mount]:
    """Return what is mounted, by mount point."""
    found = {}
    for line in system.read("/proc/self/mountinfo").splitlines():
        place, _, kind = line.partition(" - ")
        fields, (file_system, device) = place.split(), kind.split()[:2]
        # By number as well: a kernel without an initramfs calls the card /dev/root.
        card = device.startswith(_CARD) or fields[2].startswith(_CARD_MAJOR)
        found[fields[4]] = _Mount(
            device, card, file_system in ("tmpfs", "ramfs"), fields[5].split(",")
        )
    return found


def _mount_point(folder: Path, mounts: dict[str, _Mount]) -> str:
    """Return where the file system of a folder is mounted; ``/`` where that is unknown."""
    mounted = [str(place) for place in (folder, *folder.parents) if str(place) in mounts]
    return mounted[0] if mounted else "/"


def _on_card(folder: Path, mounts: dict[str, _Mount]) -> bool:
    place = _mount_point(folder, mounts)
    return place in mounts and mounts[place].on_card


def _journal_kept(system: System) -> bool:
    """Whether journald writes to the disk: ``auto``, its default, does where the folder is."""
    texts = [system.read(path) for pattern in _JOURNALD for path in system.glob(pattern)]
    found = re.findall(r"^\s*Storage=(\w+)", "\n".join(texts), re.MULTILINE)
    storage = found[-1] if found else "auto"
    return storage == "persistent" or (storage == "auto" and system.exists("/var/log/journal"))


def _swaps_to_card(system: System, mounts: dict[str, _Mount]) -> bool:
    swaps = [line.split()[0] for line in system.read("/proc/swaps").splitlines()[1:] if line]
    return any(
        swap.startswith(_CARD) or (not swap.startswith("/dev/") and _on_card(Path(swap), mounts))
        for swap in swaps
    )
