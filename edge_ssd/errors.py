"""Every error a user may meet: what is wrong, what to do about it, and the exit code.

An error is data; its line for people is made when it is printed (``str``). Each class is also
the matching standard-library type, so callers may catch either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


class EdgeSsdError(Exception):
    """Root of the package's errors; prints as ``problem; remedy`` on one line."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = _one_line(problem)
        self.remedy = _one_line(remedy)
        super().__init__(self.problem, self.remedy)

    def __str__(self) -> str:
        return _joined(self.problem, self.remedy)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one option of a configuration.

    option: its dotted path, such as ``source.path``; empty for the file as a whole.
    """

    option: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.option}: {self.text}" if self.option else self.text
        return _one_line(_joined(text, self.remedy))

    def below(self, section: str) -> Problem:
        """Return the same problem of an option inside ``section``."""
        return replace(self, option=".".join(filter(None, [section, self.option])))


class ConfigError(EdgeSsdError, ValueError):
    """The configuration cannot be used.

    problems: all that were found. path: the file, where there is one.
    """

    exit_code = 78

    def __init__(self, problems: Sequence[Problem], path: Path | None = None) -> None:
        self.problems = tuple(problems)
        self.path = path
        super().__init__("; ".join(map(str, self.problems)))
        self.args = (self.problems, path)  # what unpickling calls the class with

    @property
    def lines(self) -> list[str]:
        """One line for each problem, with the file's name."""
        return [
            f"{self.path}: {problem}" if self.path else str(problem) for problem in self.problems
        ]

    def __str__(self) -> str:
        return "; ".join(self.lines)

    def in_file(self, path: Path) -> ConfigError:
        """Return the same error of the file at ``path``."""
        return ConfigError(self.problems, path)


class UsageError(EdgeSsdError, ValueError):
    """The command line asks for something that does not fit together."""

    exit_code = 2


class Interrupted(EdgeSsdError):
    """The user ended a command before it was done."""

    exit_code = 130


class ModelError(EdgeSsdError, ValueError):
    """A model file cannot be used.

    path: the file at fault, where it is known. option: which option of ``model`` names it.
    """

    noun = "model"
    option = "name"

    def __init__(self, problem: str, remedy: str = "", path: Path | None = None) -> None:
        super().__init__(problem, remedy)
        self.path = path

    @property
    def what(self) -> str:
        """The problem with its file, without the remedy."""
        return f"{self.noun} {self.path}: {self.problem}" if self.path else self.problem

    def __str__(self) -> str:
        return _joined(self.what, self.remedy)

    def of(self, path: Path) -> ModelError:
        """Return the error with the file it is about, unless it names one already."""
        return self if self.path else type(self)(self.problem, self.remedy, path)


class LabelsError(ModelError):
    """A label file cannot be used."""

    noun = "labels"
    option = "labels"


class InputError(EdgeSsdError, OSError):
    """A recorded input (image, folder, video) is missing or cannot be read."""


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


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _joined(problem: str, remedy: str) -> str:
    return f"{problem}; {remedy}" if remedy else problem
