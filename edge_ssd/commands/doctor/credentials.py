"""Passwords that systemd hands to an installed service as credentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edge_ssd.commands.doctor.check import Finding, Situation, System, fail, ok, skipped
from edge_ssd.commands.doctor.readable import closed_to_service
from edge_ssd.commands.doctor.sandbox import properties, why_unknown
from edge_ssd.commands.doctor.service import unit_of

_REMEDY = (
    "let systemd hand a password over (password_credential, docs/service.md); certificates and "
    "keys must be readable by the service's user, such as in /etc/edge-ssd"
)
# Where systemd looks for what has no path of its own; .encrypted beside each.
_STORES = ("/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore")
_PASSED_TO_MACHINE = ("/run/credentials/@system", "/run/credentials/@encrypted")


def credentials(situation: Situation) -> Finding:
    """The configuration's unit can read, or is handed, every secret that it names."""
    sections = [*filter(None, [situation.source]), *situation.publishers]
    closed = closed_to_service(situation, *_files(sections), remedy=_REMEDY)
    return closed or _handed_over(situation, sections)


def _handed_over(situation: Situation, sections: Sequence[Any]) -> Finding:
    found = [getattr(section, "password_credential", None) for section in sections]
    wanted = list(dict.fromkeys(filter(None, found)))
    unit = properties(situation)
    if not unit:
        if not wanted:
            return skipped("no password_credential is configured")
        return skipped(f"password_credential {', '.join(wanted)}: {why_unknown(situation)}")
    name, handed = unit_of(situation), _Handed(situation.system, unit)
    edit = f"sudo systemctl edit {name.removesuffix('.service')}"
    for credential, path in handed.broken():
        return fail(
            f"{name} does not start (243/CREDENTIALS): {path}, which its credential "
            f"{credential} is loaded from, does not exist",
            f"make that file (root's, mode 0600), or correct LoadCredential= by `{edit}`",
        )
    missing = [credential for credential in wanted if not handed.has(credential)]
    if missing:
        return fail(
            f"password_credential {missing[0]}: {name} is not handed such a credential",
            f"`{edit}`: [Service] LoadCredential={missing[0]}:/etc/edge-ssd/secrets/{missing[0]}",
        )
    if not wanted:
        return skipped("no password_credential is configured")
    return ok(f"{name} is handed {', '.join(wanted)}")


def _files(sections: Sequence[Any]) -> Iterator[Path]:
    """Yield the files that passwords and certificates stand in."""
    for section in sections:
        named = [getattr(section, "password_file", None)]
        tls = getattr(section, "tls", None)
        if tls:
            named += [tls.ca_file, tls.certificate_file, tls.key_file]
        yield from filter(None, named)


class _Handed:
    """What a unit's properties say of credentials."""

    def __init__(self, system: System, unit: dict[str, Any]) -> None:
        def entries(*options: str) -> list[Any]:
            return [entry for option in options for entry in unit.get(option, ())]

        self._system = system
        self._set = [entry[0] for entry in entries("SetCredential", "SetCredentialEncrypted")]
        self._loaded = entries("LoadCredential", "LoadCredentialEncrypted")
        self._imported = entries("ImportCredential")

    def broken(self) -> list[tuple[str, str]]:
        """Return name and path of each that keeps the unit from starting."""
        return [
            (name, path)
            for name, path in self._loaded
            if path.startswith("/") and name not in self._set and not self._there(path)
        ]

    def has(self, wanted: str) -> bool:
        """Whether the unit gets a credential of this name."""
        imported = any(fnmatchcase(wanted, pattern) for pattern in self._imported)
        return (
            wanted in self._set
            or any(self._brings(name, path, wanted) for name, path in self._loaded)
            or (imported and self._stored(wanted))
        )

    def _brings(self, name: str, path: str, wanted: str) -> bool:
        if name == wanted:
            return path.startswith(("/", "@")) or self._stored(path)
        # Of a folder, each file is a credential.
        prefix = f"{name}_"
        file = Path(path) / wanted.removeprefix(prefix)
        return wanted.startswith(prefix) and path.startswith("/") and self._there(file)

    def _stored(self, name: str) -> bool:
        stores = [f"{store}{kind}" for store in _STORES for kind in ("", ".encrypted")]
        return any(self._there(f"{store}/{name}") for store in (*stores, *_PASSED_TO_MACHINE))

    def _there(self, path: str | Path) -> bool:
        return not self._system.missing(path)
