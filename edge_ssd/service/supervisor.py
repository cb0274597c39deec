"""The service's main thread: start, watch, reload, stop; systemd is notified of each."""

from __future__ import annotations

import faulthandler
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_ssd import config
from edge_ssd.board import Sensors
from edge_ssd.errors import ConfigError
from edge_ssd.pipeline.lifecycle import stop_on_signals, wait_until_done
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.pipeline.stats import Snapshot
from edge_ssd.service import build, systemd
from edge_ssd.service.governor import Governor
from edge_ssd.service.reload import Reloader, hangups
from edge_ssd.service.systemd import Manager, Watchdog

log = logging.getLogger(__name__)

STATUS_S = 5.0  # between two status lines; the governor looks at the board as often


def serve(path: Path) -> Snapshot:
    """Run a configuration file's service to its end; return the counters. Raises its error."""
    # The watchdog's SIGABRT, and a crash in a driver, then show where every thread was.
    faulthandler.enable()
    manager = systemd.from_environment()
    with hangups() as hung_up:
        try:
            manager.status("loading the model")
            options = config.load(path)
            build.check_start(options)
            pipeline = build.pipeline(options)
            pace = pipeline.capture.pace if pipeline.capture.source.live else None
            governor = Governor(options.governor, pace, Sensors().read)
            reloader = Reloader(path, options, pipeline)
            last_words = Supervisor(pipeline, reloader, governor, manager, hung_up).run()
        except BaseException as error:
            manager.stopping(f"failed: {error}")
            raise
        manager.stopping(last_words)
    return pipeline.stats.snapshot()


class Status:
    """A pipeline's status line; rates are since the last one. now_s: monotonic, seconds."""

    def __init__(self, now_s: float) -> None:
        self.inferred_fps = 0.0
        self._seen_at_s = self._frame_at_s = now_s
        self._inferred = self._captured = 0

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


@dataclass(eq=False)
class Supervisor:
    """Watches a pipeline from the main thread. hung_up: whether a SIGHUP came since last asked."""

    pipeline: Pipeline
    reloader: Reloader
    governor: Governor
    manager: Manager
    hung_up: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._watchdog = Watchdog(self.manager, self.clock)
        self._status = Status(self.clock())
        self._ready = False
        self._next_status_s = self.clock() + STATUS_S
        self._refused = ""

    def run(self) -> str:
        """Start the pipeline, wait for its end, return the last status. Raises its error."""
        with stop_on_signals(self._request_stop) as received:
            self.manager.status("waiting for the first frame")
            self.pipeline.start()
            wait_until_done(self.pipeline, received, self.tick)
        self._announce()
        # When systemd waited no longer for READY: what the service was waiting for.
        return "ended" if self._ready else f"ended; {self._status_line()}"

    def tick(self) -> None:
        """Do whatever is due."""
        if self.hung_up():
            self._reload()
        if self._announce():
            self._watchdog.check(self.pipeline.workers)
        if self.clock() >= self._next_status_s:
            self._next_status_s = self.clock() + STATUS_S
            self.manager.status(self._status_line())

    def _request_stop(self) -> None:
        self.manager.stopping("finishing the frames in the queues")
        self.pipeline.request_stop()

    def _announce(self) -> bool:
        """Say once that the first frame was inferred; return whether it was."""
        if not self._ready and self.pipeline.stats.snapshot().inferred:
            self._ready = True
            log.info("ready: the first frame was inferred")
            self.manager.ready("the first frame was inferred")
            self._next_status_s = self.clock() + STATUS_S
        return self._ready

    def _status_line(self) -> str:
        """Return one line for people, outages first; the governor reads the board."""
        parts = [self._refused, *self.pipeline.outages, "waiting for the first frame"]
        if self._ready:
            parts[-1] = self._status.line(self.pipeline.stats.snapshot(), self.clock())
            self.governor.step(self._status.inferred_fps)
            parts.append(self.governor.report())
        return "; ".join(filter(None, parts))

    def _reload(self) -> None:
        """Reload; on any error the service keeps its configuration."""
        if self._ready:  # systemd takes the READY that follows for the one it waits for
            self.manager.reloading()
        outcome = self._try_reload()
        if self._ready:
            self.manager.ready(outcome)

    def _try_reload(self) -> str:
        path, suffix = self.reloader.path, ""
        try:
            later = self.reloader.reload()
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s: %s", path, problem)
            log.error("%s is refused; keeping the current configuration", path)
            self._refused = f"{path} is refused: {error.problem}"
        except Exception as error:
            log.exception("%s could not be applied; keeping the current configuration", path)
            self._refused = f"{path} could not be applied: {error}"
        else:
            self._refused = ""
            self.governor.options = self.reloader.options.governor
            if later:
                log.warning("%s: restart needed for the change of %s", path, ", ".join(later))
                suffix = f"; restart needed for {', '.join(later)}"
            log.info("%s applied", path)
        return self._refused or f"{path} applied{suffix}"
