"""A limit to how many of a camera's frames are inferred."""

from __future__ import annotations


class Pace:
    """Admits frames at ``limit_fps`` on average; all of them where that is None.

    Any thread may set the limit; ``admits`` belongs to one.
    """

    def __init__(self) -> None:
        self.limit_fps: float | None = None
        self._due_s = 0.0

    def admits(self, now_s: float) -> bool:
        """Return whether a frame that came at ``now_s`` (monotonic seconds) is inferred."""
        limit_fps = self.limit_fps
        if limit_fps is None:
            return True
        if now_s < self._due_s:
            return False
        # Counted from when this frame was due, so that the limit is kept on average; an outage
        # of the camera earns no extra frames.
        period_s = 1 / limit_fps
        self._due_s = (self._due_s if now_s - self._due_s < period_s else now_s) + period_s
        return True
