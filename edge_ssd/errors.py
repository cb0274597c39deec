"""Every error a user may meet: what is wrong, what to do about it, and the exit code.

Each class is also the matching standard-library type, so callers may catch either.
"""

from __future__ import annotations


class EdgeSsdError(Exception):
    """Root of the package's errors; prints as ``problem; remedy`` on one line."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = " ".join(problem.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(self.problem, self.remedy)

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class ConfigError(EdgeSsdError, ValueError):
    """The configuration cannot be used. ``problems`` holds every ``path: problem`` line."""

    exit_code = 78

    def __init__(self, problems: list[str], remedy: str = "") -> None:
        self.problems = [" ".join(problem.split()) for problem in problems]
        super().__init__("; ".join(self.problems), remedy)


class UsageError(EdgeSsdError, ValueError):
    """The command line asks for something that does not fit together."""

    exit_code = 2


class ModelError(EdgeSsdError, ValueError):
    """A model file, its manifest or its labels cannot be used."""


class InputError(EdgeSsdError, OSError):
    """A recorded input (picture, folder, video) is missing or cannot be read."""


class DeviceError(EdgeSsdError, OSError):
    """A camera or other device that the service needs is unavailable."""

    exit_code = 69


class RuntimeMissingError(EdgeSsdError, ImportError):
    """No TensorFlow Lite runtime can be used on this machine."""

    exit_code = 69


class PublishError(EdgeSsdError, OSError):
    """A publisher could not deliver a result; the result is dropped and counted."""


class PipelineError(EdgeSsdError, RuntimeError):
    """A worker of the pipeline failed, or would not stop in time."""
