"""The configured model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge_ssd.commands.doctor.check import Finding, Situation, ok, warn
from edge_ssd.commands.doctor.readable import closed_to_service
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models import catalogue
from edge_ssd.models import labels as label_lists
from edge_ssd.models.loading import load


def model(situation: Situation) -> Finding:
    """The model is the file its manifest describes, is an SSD, and has its labels."""
    options = situation.model
    found = [_describe(situation, name) for name in (options.name, options.cpu_model) if name]
    evidence = "; ".join(text for text, _ in found)
    closed = closed_to_service(situation, *_own_files(situation))
    if closed:
        return closed
    if not all(labels for _, labels in found):
        return warn(f"{evidence}: classes will have numbers for names", "set model.labels")
    return ok(evidence)


def _own_files(situation: Situation) -> list[Path]:
    """Return the model's and the labels' files, without those that come with the program."""
    options, bundled = situation.model, catalogue.bundled()
    names = [name for name in (options.name, options.cpu_model) if name and name not in bundled]
    return [*map(catalogue.find, names), *filter(None, [options.labels])]


def _describe(situation: Situation, name: str) -> tuple[str, int]:
    """Return what a model is, and how many of its classes have names."""
    options = situation.model
    spec = load(name, options.labels)
    # Described, not run: what it needs an Edge TPU for is the delegate's check.
    detector = CpuBackend(spec, options.runtime, threads=1, allocate=not situation.uses_edgetpu)
    boxes, scores = detector.heads.boxes, detector.heads.scores
    names = label_lists.of_model(spec, detector.classes)
    labels = sum(name is not None for name in names)
    return (
        f"{spec.name}, sha256 {_hash(spec.path)}, boxes {boxes.anchors}x4, "
        f"scores {scores.anchors}x{scores.columns}, {labels} labels",
        labels,
    )


def _hash(path: Path) -> str:
    """Return the hash; ``load`` has compared it with a manifest's, where there is one."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"{digest} as in its manifest" if path.with_suffix(".json").exists() else digest
