"""The model's check, as the doctor's list calls it, and whether the service can read its files."""

from __future__ import annotations

from pathlib import Path

from edge_ssd.commands.doctor.check import Finding, Situation
from edge_ssd.commands.doctor.readable import closed_to_service
from edge_ssd.inference import model_checks
from edge_ssd.models import catalogue


def model(situation: Situation) -> Finding:
    finding = model_checks.model(situation.model, situation.system)
    return closed_to_service(situation, *_own_files(situation)) or finding


def _own_files(situation: Situation) -> list[Path]:
    """Return the model's and the labels' files, without those that come with the program."""
    options, bundled = situation.model, catalogue.bundled()
    names = [name for name in (options.name, options.cpu_model) if name and name not in bundled]
    return [*map(catalogue.find, names), *filter(None, [options.labels])]
