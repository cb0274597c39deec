"""The runtime's check, as the doctor's list calls it."""

from __future__ import annotations

from edge_ssd.commands.doctor.check import Finding, Situation
from edge_ssd.inference import model_checks


def runtime(situation: Situation) -> Finding:
    return model_checks.runtime(situation.model, situation.system)
