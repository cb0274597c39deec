"""Files of publishers that an installed service has to write."""

from __future__ import annotations

from pathlib import Path

from edge_ssd.commands.doctor.check import Finding, Situation, Verdict, fail, ok, skipped, warn
from edge_ssd.commands.doctor.network import of_publishers
from edge_ssd.commands.doctor.sandbox import Sandbox, properties, why_unknown
from edge_ssd.commands.doctor.service import unit_of


def outputs(situation: Situation) -> Finding:
    """The configuration's unit may write where the publishers shall."""
    files = [section.path for section in situation.publishers if section.type == "jsonl"]
    paths = [path for path in files if path]
    if not paths:
        return skipped("no publisher writes to a file")
    unit = properties(situation)
    if not unit:
        return _by_this_user(situation)
    name, sandbox = unit_of(situation), Sandbox(situation.system, unit)
    refused = [f"{path} ({why})" for path in paths if (why := sandbox.refusal(path))]
    remedy = _remedy(name.removesuffix(".service"), sandbox)
    if refused:
        return fail(f"{name} cannot write {', '.join(refused)}", remedy)
    hidden = [str(path) for path in paths if sandbox.hides(path)]
    if hidden:
        return warn(f"only {name} sees {', '.join(hidden)}, and only while it runs", remedy)
    return ok(f"{name} may write {', '.join(map(str, paths))}")


def _by_this_user(situation: Situation) -> Finding:
    found = of_publishers(situation, "outputs") or skipped("no publisher writes to a file")
    if found.verdict is Verdict.FAIL:
        return warn(found.evidence, f"{found.remedy}, or ask as the user that will")
    return ok(f"{found.evidence} ({why_unknown(situation)})")


def _remedy(name: str, sandbox: Sandbox) -> str:
    wanted = name.replace("@", "-")
    state = Path("/var/lib") / wanted
    folders = [f"{folder}/" for folder in sandbox.folders]
    if state not in sandbox.folders:
        folders.append(
            f"{state}/ after `sudo systemctl edit {name}`: [Service] StateDirectory={wanted}"
        )
    return f"put it into {' or '.join(folders)}"
