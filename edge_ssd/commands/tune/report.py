"""What was measured: the choice, and the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_ssd.board import Health
from edge_ssd.commands.tune.candidates import AS_IT_IS, Candidate

SAME = 1.03
"""Candidates this near to the fastest count as equal; the one with fewest threads wins."""


@dataclass(slots=True)
class Report:
    """All candidates, and how the board stood it.

    hottest_c: the highest temperature seen, or None. slowed: the firmware lowered the clock, so
    the figures cannot be trusted.
    """

    candidates: list[Candidate]
    hottest_c: float | None = None
    slowed: bool = False

    @property
    def fastest(self) -> float:
        """The most frames a second of any."""
        return max(each.fps for each in self.candidates)

    @property
    def best(self) -> Candidate:
        """The fastest; among equals the one with fewest threads, then the given file."""
        return min(
            (each for each in self.candidates if each.fps * SAME >= self.fastest),
            key=lambda each: (each.threads, each.form != AS_IT_IS, -each.fps),
        )

    def watch(self, health: Health) -> None:
        """Take in one look at the board."""
        seen = [c for c in (self.hottest_c, health.temperature_c) if c is not None]
        self.hottest_c = max(seen, default=None)
        self.slowed |= bool(health.throttled and health.throttled.slowed)

    def rows(self) -> Iterator[str]:
        """Yield the table for people, the fastest first, the choice marked."""
        yield f"  {'fps':>7}  {'of best':>7}  runtime         threads  file"
        for each in sorted(self.candidates, key=lambda each: -each.fps):
            mark = "*" if each is self.best else " "
            figures = f"{each.fps:7.1f}  {each.fps / self.fastest:7.2f}"
            figures = figures if each.fps else f"{'-':>7}  {'':7}"
            line = f"{mark} {figures}  {each.runtime:<14}  {each.threads:7}  {each.form}"
            yield f"{line}: {each.problem}" if each.problem else line
        if self.hottest_c is not None:
            yield f"the processor reached {self.hottest_c:.0f} °C"
