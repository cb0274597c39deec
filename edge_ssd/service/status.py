"""The status line of a running pipeline, for people."""

from __future__ import annotations

from edge_ssd.pipeline.stats import Snapshot


class Status:
    """Turn counters into rates since the last call, by a monotonic clock in seconds."""

    def __init__(self, now_s: float) -> None:
        self.inferred_fps = 0.0
        self._seen_at_s = now_s
        self._inferred = 0
        self._captured = 0
        self._frame_at_s = now_s

    def line(self, now: Snapshot, now_s: float) -> str:
        """Return the line, and start the next interval."""
        self.inferred_fps = (now.inferred - self._inferred) / max(now_s - self._seen_at_s, 1e-9)
        if now.captured != self._captured:
            self._frame_at_s = now_s
        parts = [f"{self.inferred_fps:.1f} fps"]
        if self._frame_at_s < self._seen_at_s:
            parts.append(f"no frame for {now_s - self._frame_at_s:.0f} s")
        parts.append(f"{now.dropped} of {now.captured} frames dropped")
        parts.append(f"age {now.age_p50_ms:.0f} ms")
        for what, counts in (("lost", now.shed), ("failed", now.failed)):
            parts += [f"{name}: {count} {what}" for name, count in counts.items() if count]
        self._seen_at_s, self._inferred, self._captured = now_s, now.inferred, now.captured
        return ", ".join(parts)
