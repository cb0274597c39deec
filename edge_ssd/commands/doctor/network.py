"""What the publishers' own checks find."""

from __future__ import annotations

from edge_ssd.commands.doctor.check import Finding, Situation, Verdict, ok, skipped

_WORST_FIRST = (Verdict.FAIL, Verdict.WARN)


def of_publishers(situation: Situation, name: str) -> Finding | None:
    """Return the worst finding of the publishers' checks of this name; None without such checks."""
    found = [
        check.look(situation.system)
        for section in situation.publishers
        for check in section.checks()
        if check.name == name and check.option != "password_credential"  # the service's alone
    ]
    for verdict in _WORST_FIRST:
        for finding in found:
            if finding.verdict is verdict:
                return finding
    evidence = dict.fromkeys(finding.evidence for finding in found)
    return ok("; ".join(evidence)) if found else None


def brokers(situation: Situation) -> Finding:
    """The MQTT brokers accept connections, and passwords and certificates can be read."""
    of_publishers(situation, "credentials")  # raises for a file that cannot be read
    return of_publishers(situation, "broker") or skipped("no publisher needs a broker")
