"""Files that the service, which runs as a user of its own, has to read."""

from __future__ import annotations

import stat
from pathlib import Path

from edge_ssd.commands.doctor.check import Finding, Situation, System, fail, warn
from edge_ssd.commands.doctor.service import unit_of
from edge_ssd.units import units

# ProtectHome= of the units hides them.
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
_REMEDY = "put it in /etc/edge-ssd, readable by all (the service runs as a user of its own)"


def closed_to_service(situation: Situation, *files: Path, remedy: str = _REMEDY) -> Finding | None:
    """Return what is wrong where an installed service could not read one of these files.

    A failure where it is its unit's configuration, a warning for any other: somebody may start
    that by hand. None where it could, or there is no service.
    """
    own = unit_of(situation)
    installed = [unit["Id"] for unit in units(situation.system, *filter(None, [own]))]
    closed = [str(file) for file in files if not _open_to_all(situation.system, file)]
    if not installed or not closed:
        return None
    verdict = fail if own in installed else warn
    return verdict(f"the service cannot read {', '.join(closed)}", remedy)


def _open_to_all(system: System, file: Path) -> bool:
    inside = system.inside(file)
    if any(inside.is_relative_to(folder) for folder in _HIDDEN):
        return False
    folders = [system.path(parent) for parent in inside.parents[:-1]]
    return _allows(file, stat.S_IROTH) and all(_allows(f, stat.S_IXOTH) for f in folders)


def _allows(file: Path, permission: int) -> bool:
    # What does not show to this user is not known to be closed: other checks tell of it.
    try:
        return bool(file.stat().st_mode & permission)
    except OSError:
        return True
