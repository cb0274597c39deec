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
        self.problem = one_line(problem)
        self.remedy = one_line(remedy)
        self.problems: tuple[Problem, ...] = (Problem("", self.problem, self.remedy),)
        super().__init__(self.problem, self.remedy)

    @property
    def what(self) -> str:
        """The problem with the file it is about, without the remedy."""
        return self.problem

    def __str__(self) -> str:
        return "; ".join(filter(None, [self.what, self.remedy]))


@dataclass(frozen=True, slots=True)
class Problem:
    """One option's problem. option: its dotted path, as ``source.path``; empty for the file."""

    option: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.option}: {self.text}" if self.option else self.text
        return one_line("; ".join(filter(None, [text, self.remedy])))

    def below(self, section: str) -> Problem:
        """Return the same problem of an option inside ``section``."""
        return replace(self, option=".".join(filter(None, [section, self.option])))


class ConfigError(EdgeSsdError, ValueError):
    """The configuration cannot be used. problems: all that were found. path: the file, if any."""

    exit_code = 78

    def __init__(self, problems: Sequence[Problem], path: Path | None = None) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems, self.path = tuple(problems), path
        self.args = (self.problems, path)  # what unpickling calls the class with

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return where + "; ".join(map(str, self.problems))

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
    """A model file cannot be used. path: the file. option: the one of ``model`` that names it."""

    noun = "model"
    option = "name"

    def __init__(self, problem: str, remedy: str = "", path: Path | None = None) -> None:
        super().__init__(problem, remedy)
        self.path = path

    @property
    def what(self) -> str:
        return f"{self.noun} {self.path}: {self.problem}" if self.path else self.problem

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


def one_line(text: str) -> str:
    """Return a text with each run of white space as one space."""
    return " ".join(text.split())
