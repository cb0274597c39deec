"""Camera controls held against what the camera advertises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_ssd.errors import Problem
from edge_ssd.wording import did_you_mean

_FRAME_DURATION = "FrameDurationLimits"

# Durations are whole microseconds and modes are odd: less than this share is no news.
_UNNOTICED = 0.02


def control_problems(controls: Mapping[str, Any], advertised: Mapping[str, Any]) -> list[Problem]:
    """Return the problem of each control the camera has not, or value it cannot take.

    advertised: least, greatest and default value by name; those of controls that are no
        numbers (rectangles) are not checked.
    """
    problems = []
    for name, value in controls.items():
        if name in advertised:
            problem = _value_problem(value, *advertised[name][:2])
        else:
            problem = f"this camera has no such control{did_you_mean(name, advertised)}"
        if problem:
            problems.append(Problem(f"source.controls.{name}", problem))
    return problems


def frame_duration(
    fps: float | None, advertised: Mapping[str, Any]
) -> tuple[dict[str, tuple[int, int]], str]:
    """Return the control that sets a frame rate, and a warning where it cannot be had.

    fps: None leaves the camera's own limits.
    """
    if fps is None:
        return {}, ""
    if _FRAME_DURATION not in advertised:
        return {}, "source.fps: this camera has a frame rate of its own"
    least, greatest, _ = advertised[_FRAME_DURATION]
    wanted = 1e6 / fps
    microseconds = round(min(max(wanted, least), greatest))
    warning = ""
    if abs(microseconds / wanted - 1) > _UNNOTICED:
        given = 1e6 / microseconds
        warning = f"source.fps: {fps:g} asked, the camera gives {given:.3g} at this size"
    return {_FRAME_DURATION: (microseconds, microseconds)}, warning


def _value_problem(value: Any, least: Any, greatest: Any) -> str:
    if not (isinstance(least, (int, float)) and isinstance(greatest, (int, float))):
        return ""
    for number in value if isinstance(value, (list, tuple)) else (value,):
        if not (isinstance(number, (int, float)) and least <= number <= greatest):
            return f"must be from {least} to {greatest} (it is {number!r})"
        if isinstance(least, int) and not isinstance(number, int):
            return f"must be an integer (it is {number!r})"
    return ""
