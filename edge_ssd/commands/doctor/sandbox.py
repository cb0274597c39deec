"""What systemd lets an installed unit do: its files alone decide, whoever runs the doctor."""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

from edge_ssd.commands.doctor.check import Situation, System
from edge_ssd.commands.doctor.service import installed_unit
from edge_ssd.units import groups

# systemctl does not print credentials; over D-Bus systemd tells everything, drop-ins included.
_CALL = ("busctl", "--json=short", "call", "org.freedesktop.systemd1")
_GET_ALL = ("org.freedesktop.DBus.Properties", "GetAll", "s", "org.freedesktop.systemd1.Service")

_READ_ONLY = {
    "yes": ("/usr", "/boot", "/efi"),
    "full": ("/usr", "/boot", "/efi", "/etc"),
    "strict": ("/",),
}
_HOMES = ("/home", "/root", "/run/user")
_TMP = ("/tmp", "/var/tmp")
_MEMORY = Path("/run")
_FOLDERS = (
    (_MEMORY, "RuntimeDirectory"),
    (Path("/var/lib"), "StateDirectory"),
    (Path("/var/cache"), "CacheDirectory"),
    (Path("/var/log"), "LogsDirectory"),
)
# Of users that exist while their unit runs; a file of an earlier run is the unit's own.
_DYNAMIC_IDS = range(61184, 65520)
_READ, _WRITE, _ENTER = 4, 2, 1


def properties(situation: Situation) -> dict[str, Any]:
    """Return how systemd runs the configuration's unit, by its names on D-Bus.

    Empty where no unit is installed that reads the configuration, or systemd does not answer.
    """
    unit = installed_unit(situation)
    place = re.sub(rb"[^A-Za-z0-9]", lambda found: b"_%02x" % found[0][0], unit.encode()).decode()
    path = f"/org/freedesktop/systemd1/unit/{place}"
    answer = situation.system.run(*_CALL, path, *_GET_ALL) if unit else None
    try:
        told: dict[str, dict[str, Any]] = json.loads(answer or "")["data"][0]
    except ValueError:
        return {}
    return {name: value["data"] for name, value in told.items()}


def why_unknown(situation: Situation) -> str:
    """Return why there are no properties."""
    unit = installed_unit(situation)
    if unit:
        return f"systemd does not tell over D-Bus what {unit} may"
    return f"no installed service reads {situation.path}"


class Sandbox:
    """What a unit may write, from its properties.

    folders: those that systemd makes for it, the ones in memory first.
    """

    def __init__(self, system: System, unit: dict[str, Any]) -> None:
        self._system, self._unit = system, unit
        made = {place / name: place for place, option in _FOLDERS for name in unit.get(option, ())}
        self.folders = list(made)
        private = bool(unit.get("PrivateTmp")) or unit.get("PrivateTmpEx", "no") != "no"
        self._private = {self._followed(Path(path)) for path in _TMP if private}
        self._kept = {self._followed(path) for path, place in made.items() if place != _MEMORY}
        self._emptied = {self._followed(path) for path, place in made.items() if place == _MEMORY}
        # Shown elsewhere than they are: their owner and mode cannot be seen here.
        self._bound = {self._followed(Path(path)) for _, path, *_ in unit.get("BindPaths", ())}
        own = self._private | self._kept | self._emptied | self._bound
        self._writable = self._rules() | dict.fromkeys(own, True)

    def hides(self, path: Path) -> bool:
        """Whether nobody but the unit would see what it writes there."""
        return not self._private.isdisjoint(self._followed(path).parents)

    def refusal(self, path: Path) -> str:
        """Return why the unit cannot write a file; empty where it can."""
        system, file = self._system, self._followed(path)
        folder, new = file.parent, system.missing(file)
        written = folder if new else file
        nearest = next(p for p in (written, *written.parents) if p in self._writable)
        if not self._writable[nearest]:
            return "it is read-only there"
        empty = self._private | self._emptied
        if folder in empty | self._kept:
            return ""
        if not empty.isdisjoint(folder.parents) or system.missing(folder):
            return f"{folder} is not there when it starts"
        if nearest in self._bound:
            return ""
        # What systemd makes it lets the unit enter, although /var/lib/private is closed.
        above = takewhile(lambda parent: parent not in self._kept, written.parents)
        entered = all(self._permits(parent, _ENTER) for parent in above)
        wanted = _WRITE | (_ENTER if new else _READ)
        return "" if entered and self._permits(written, wanted) else "its user may not"

    def _rules(self) -> dict[Path, bool]:
        """Return what may be written as far as mounts tell; of two, the deeper one decides."""
        unit = self._unit
        closed = [
            *_READ_ONLY.get(unit.get("ProtectSystem", "no"), ()),
            *(_HOMES if unit.get("ProtectHome", "no") != "no" else ()),
            *unit.get("ReadOnlyPaths", ()),
            *unit.get("InaccessiblePaths", ()),
        ]
        opened = ["/dev", *unit.get("ReadWritePaths", ())]
        rules = {Path("/"): True}
        for paths, writable in ((closed, False), (opened, True)):
            # "-": need not be there; "+": below RootDirectory=.
            rules |= {self._followed(Path(path.lstrip("-+"))): writable for path in paths}
        return rules

    def _followed(self, path: Path) -> Path:
        return self._system.inside(self._system.path(path))

    def _permits(self, path: Path, wanted: int) -> bool:
        """Whether owner, group and mode of what is there let the unit's user do so."""
        name = self._unit.get("User", "")
        try:
            found = self._system.path(path).stat()
        except OSError:  # hidden from this user: not known to be closed
            return True
        if name in ("", "root"):
            return True
        uid, gid = self._user(name)
        owns = found.st_uid == uid if uid is not None else found.st_uid in _DYNAMIC_IDS
        known = groups(self._system)
        member = [gid, *map(known.get, self._unit.get("SupplementaryGroups", ()))]
        shift = 6 if owns else 3 if found.st_gid in member else 0
        return found.st_mode >> shift & wanted == wanted

    def _user(self, name: str) -> tuple[int | None, int | None]:
        """Return ids from ``/etc/passwd``; none for a user that exists while the unit runs."""
        for line in self._system.read("/etc/passwd").splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 3:
                return int(fields[2]), int(fields[3])
        return None, None
