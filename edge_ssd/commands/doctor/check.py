"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ssd.checks import (
    Finding,
    System,
    Verdict,
    fail,
    may_use,
    ok,
    skipped,
    warn,
)

if TYPE_CHECKING:
    from edge_ssd.config import AnySource, Config, PublisherOptions
    from edge_ssd.inference.options import ModelOptions


@dataclass(frozen=True, slots=True)
class Situation:
    """What is to be checked.

    path: the configuration file; None where there is none.
    config: what it says; None as well when it is bad, and ``problem`` says why.
    """

    system: System = field(default_factory=System)
    path: Path | None = None
    config: Config | None = None
    problem: str = ""

    @property
    def source(self) -> AnySource | None:
        """The section ``source``."""
        return self.config.source if self.config else None

    @property
    def source_type(self) -> str:
        """Its type; empty where there is none."""
        return self.source.type if self.source else ""

    @property
    def publishers(self) -> tuple[PublisherOptions, ...]:
        """The section ``publishers``."""
        return self.config.publishers if self.config else ()

    @property
    def model(self) -> ModelOptions:
        """The section ``model``, or its defaults."""
        if self.config:
            return self.config.model
        from edge_ssd.inference.options import ModelOptions

        return ModelOptions()

    @property
    def uses_edgetpu(self) -> bool:
        """Whether the model is to run on an Edge TPU."""
        return bool(self.config and self.config.model.delegate == "edgetpu")

    @property
    def needs_edgetpu(self) -> bool:
        """Whether the service does not run without one."""
        return self.uses_edgetpu and self.model.on_delegate_failure == "error"


def always(_situation: Situation) -> bool:
    """The service needs it whatever the configuration says."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    look: may raise; an EdgeSsdError is a failure in its own words.
    needed: where the configuration does not need it, a failure is a warning.
    exit_code: what the service ends with where this fails.
    limit_s: seconds it may take.
    instead: what the service does without it, where it is not needed; may be empty.
    """

    name: str
    look: Callable[[Situation], Finding]
    needed: Callable[[Situation], bool] = always
    exit_code: int = 1
    limit_s: float = 15.0
    instead: str = ""


__all__ = [
    "Check", "Finding", "Situation", "System", "Verdict",
    "fail", "may_use", "ok", "skipped", "warn",
]  # fmt: skip
