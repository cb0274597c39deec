"""Camera controls compared with those that the camera advertises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_ssd.errors import Problem
from edge_ssd.wording import did_you_mean

_FRAME_DURATION = "FrameDurationLimits"

# Durations are whole microseconds and modes are odd: smaller deviations are not reported.
_TOLERANCE = 0.02


def control_problems(controls: Mapping[str, Any], advertised: Mapping[str, Any]) -> list[Problem]:
    """Return the problem of each unknown control, and of each value out of range.

    advertised: minimum, maximum and default value by name; those of controls that are no
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
    """Return the control that sets a frame rate, and a warning where the camera cannot reach it.

    fps: None leaves the camera's own limits.
    """
    if fps is None:
        return {}, ""
    if _FRAME_DURATION not in advertised:
        return {}, "source.fps: this camera has a fixed frame rate"
    minimum, maximum, _ = advertised[_FRAME_DURATION]
    wanted = 1e6 / fps
    microseconds = round(min(max(wanted, minimum), maximum))
    warning = ""
    if abs(microseconds / wanted - 1) > _TOLERANCE:
        given = 1e6 / microseconds
        warning = f"source.fps: {fps:g} asked, the camera gives {given:.3g} at this size"
    return {_FRAME_DURATION: (microseconds, microseconds)}, warning


def _value_problem(value: Any, minimum: Any, maximum: Any) -> str:
    if not (isinstance(minimum, (int, float)) and isinstance(maximum, (int, float))):
        return ""
    for number in value if isinstance(value, (list, tuple)) else (value,):
        if not (isinstance(number, (int, float)) and minimum <= number <= maximum):
            return f"must be from {minimum} to {maximum} (it is {number!r})"
        if isinstance(minimum, int) and not isinstance(number, int):
            return f"must be an integer (it is {number!r})"
    return ""
