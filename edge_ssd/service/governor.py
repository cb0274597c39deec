"""Lower the frame rate before heat or a weak power supply makes the firmware do it.

The rule: the board is strained while its processor is at ``max_temperature_c`` or above, its
supply voltage is too low, or the firmware lowers the clock. Strained: one step down. Not
strained, and at least 5 degrees below the limit: one step up. At most one step in 10 seconds.
A step down allows three quarters of the frames per second allowed so far, starting from the
rate inferred at the first step, and at least ``min_fps``; a step up takes one step back, and
the last one removes the limit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_ssd.board import Health
from edge_ssd.config import GovernorOptions
from edge_ssd.pipeline.capture import Pace

log = logging.getLogger(__name__)

STEP_S = 10.0  # minimum time between two steps
STEP = 0.75  # what a step down leaves of the frame rate
HYSTERESIS_C = 5.0  # how far below the limit the board must be before a step up


@dataclass(eq=False)
class Governor:
    """Set the pace of a live source by the module's rule; belongs to one thread.

    pace: None for a recorded source, whose every frame counts: it is never slowed.
    read: gives the board's health. ``options`` may be replaced at any time.
    """

    options: GovernorOptions
    pace: Pace | None
    read: Callable[[], Health]
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._health = Health()
        self._limits: list[float] = []
        self._stepped_at = -math.inf
        self._said: str | None = None

    def step(self, inferred_fps: float) -> None:
        """Take a step where the rule says so. inferred_fps: the rate inferred lately."""
        self._health = self.read()
        strain = self._strain()
        self._say(strain)
        if self.pace is None:
            return
        if not self.options.enabled:
            self._limits.clear()
        elif self.clock() - self._stepped_at >= STEP_S:
            self._take_step(strain, inferred_fps)
        self.pace.limit_fps = self._limits[-1] if self._limits else None

    def report(self) -> str:
        """Return the board's state and the limit, for people; empty without sensors."""
        health, parts = self._health, []
        if health.temperature_c is not None:
            parts.append(f"{health.temperature_c:.0f} °C")
        if health.throttled is not None:
            low, slowed = health.throttled.undervoltage, health.throttled.slowed
            parts += ["undervoltage"] * low + ["throttled"] * slowed
        if self._limits:
            parts.append(f"limited to {self._limits[-1]:.1f} fps")
        return ", ".join(parts)

    def _strain(self) -> str | None:
        """Why the board needs relief, or None."""
        throttled, temperature_c = self._health.throttled, self._health.temperature_c
        if throttled is not None and throttled.undervoltage:
            return "the power supply is too weak (undervoltage)"
        if temperature_c is not None and temperature_c >= self.options.max_temperature_c:
            return f"the processor is above {self.options.max_temperature_c:g} °C"
        if throttled is not None and throttled.slowed:
            return "the firmware has lowered the clock"
        return None

    def _take_step(self, strain: str | None, inferred_fps: float) -> None:
        before = self._limits[-1] if self._limits else inferred_fps
        lower = max(STEP * before, self.options.min_fps)
        if strain and lower < before:
            self._limits.append(lower)
        elif not strain and self._cool() and self._limits:
            self._limits.pop()
        else:
            return
        self._stepped_at = self.clock()
        log.info("frame rate %s", f"limited to {lower:.1f} fps" if strain else "raised")

    def _cool(self) -> bool:
        temperature_c = self._health.temperature_c
        cool_c = self.options.max_temperature_c - HYSTERESIS_C
        return temperature_c is None or temperature_c < cool_c

    def _say(self, strain: str | None) -> None:
        """Log what strains the board once, and once when it is over and the limit is gone."""
        if strain is not None and strain != self._said:
            log.warning("%s", strain)
            self._said = strain
        elif self._said is not None and strain is None and self._cool() and not self._limits:
            log.warning("the board has recovered")
            self._said = None
