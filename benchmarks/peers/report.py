"""The table, the sentences under it, and the plot, as docs/performance.md shows them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from harness import Detection
from rounds import LOOP, Peer

from edge_ssd.boxes import iou_yxyx

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"
SCORE, OVERLAP = 0.5, 0.5
HEAD = (
    "| | fps | CPU ms a frame | p50 ms | p99 ms | peak RSS MB | PSS MB | its boxes in the loop | "
    "the loop's boxes in it |"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What was measured: the clip and model files' names, the size of the run."""

    clip: str
    model: str
    frames: int
    rounds: int
    labels: Sequence[str | None]


def markdown(peers: Sequence[Peer], setting: Setting) -> str:
    """Return the part of docs/performance.md between the markers."""
    reference = next(peer for peer in peers if peer.script == LOOP and peer.results)
    lines = [*_introduction(setting), "", HEAD, "|---|" + "---:|" * 8]
    lines += [_row(peer, reference, setting.labels) for peer in peers]
    lines += ["", *_ratios(peers), "", "![Frames a second and memory](performance.svg)"]
    return "\n".join(lines)


def insert(page: Path, part: str) -> None:
    """Put the part between the page's markers."""
    before, rest = page.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{part}\n{END}{after}", "utf-8")


def _introduction(setting: Setting) -> Iterator[str]:
    cpus = len(os.sched_getaffinity(0))
    yield (
        f"{date.today():%d %B %Y}, {_processor()}, {cpus} CPUs, {platform.machine()}, "
        f"Python {platform.python_version()}: not a Raspberry Pi."
    )
    yield (
        f"Clip {setting.clip}, model {setting.model}; medians of {setting.rounds} interleaved "
        f"rounds of {setting.frames} frames."
    )


def _row(peer: Peer, reference: Peer, labels: Sequence[str | None]) -> str:
    if not peer.results:
        return f"| {peer.name} | not measured: {peer.problem} |" + " |" * 7
    median = peer.median
    mine, loop = (_identified(each.detections, labels) for each in (peer, reference))
    return (
        f"| {peer.name} ({peer.version}) | {median('fps'):.0f} | {median('cpu_ms'):.1f} "
        f"| {median('p50_ms'):.1f} | {median('p99_ms'):.1f} | {median('peak_mb'):.0f} "
        f"| {median('pss_mb'):.0f} | {_share(mine, loop)} | {_share(loop, mine)} |"
    )


def _ratios(peers: Sequence[Peer]) -> Iterator[str]:
    """Yield what the best of ours is against the two that people use."""
    measured = {peer.name: peer for peer in peers if peer.results}
    ours = measured.get("edge_ssd, requantised")
    for name in ("MediaPipe Tasks", "sequential loop, litert"):
        other = measured.get(name)
        if ours and other:
            yield (
                f"- edge_ssd with the requantised file against {name}: "
                f"{ours.median('fps') / other.median('fps'):.1f} x its fps, "
                f"{ours.median('cpu_ms') / other.median('cpu_ms'):.0%} of its CPU time, "
                f"{ours.median('peak_mb') / other.median('peak_mb'):.0%} of its peak memory."
            )


def _identified(
    frames: Sequence[Sequence[Detection]], labels: Sequence[str | None]
) -> list[list[Detection]]:
    """Return the detections with ids for names."""
    ids = {name: class_id for class_id, name in enumerate(labels)}
    return [[(ids.get(row[0], row[0]), *row[1:]) for row in frame] for frame in frames]


def _share(these: Sequence[Sequence[Detection]], those: Sequence[Sequence[Detection]]) -> str:
    """How many of these boxes are among those, with the same class.

    Those count from a lower score: a box at the threshold may fall to either side of it.
    """
    found = total = 0
    for here, there in zip(these, those, strict=True):
        sure = [row for row in here if row[1] >= SCORE]
        total += len(sure)
        if sure and there:
            overlap = iou_yxyx(_boxes(sure), _boxes(there))
            same = np.array([row[0] for row in sure])[:, None] == [row[0] for row in there]
            found += int(((overlap >= OVERLAP) & same).any(axis=1).sum())
    return f"{found / total:.0%} of {total}" if total else "none"


def _boxes(rows: Sequence[Detection]) -> np.ndarray:
    return np.clip(np.array([row[2:] for row in rows], np.float32), 0, 1)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"
