"""The Edge TPU's checks, as the doctor's list calls them."""

from __future__ import annotations

from edge_ssd.commands.doctor.check import Finding, Situation
from edge_ssd.inference import edgetpu_checks


def connected(situation: Situation) -> Finding:
    return edgetpu_checks.connected(situation.model, situation.system)


def library(situation: Situation) -> Finding:
    return edgetpu_checks.library(situation.model, situation.system)


def udev_rules(situation: Situation) -> Finding:
    return edgetpu_checks.udev_rules(situation.model, situation.system)


def delegate_probe(situation: Situation) -> Finding:
    return edgetpu_checks.probed(situation.model, situation.system)
