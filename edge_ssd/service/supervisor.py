"""The service's main thread: start, watch, reload, stop; systemd is notified of each."""

from __future__ import annotations

import faulthandler
import logging
import time
from collections.abc import Callable
from pathlib import Path

from edge_ssd import config
from edge_ssd.board import Sensors
from edge_ssd.errors import ConfigError
from edge_ssd.pipeline.lifecycle import stop_on_signals, wait_until_done
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.pipeline.stats import Snapshot
from edge_ssd.service import build, systemd
from edge_ssd.service.governor import Governor
from edge_ssd.service.reload import Reloader
from edge_ssd.service.signals import hangups
from edge_ssd.service.status import Status
from edge_ssd.service.systemd import Manager
from edge_ssd.service.watchdog import Watchdog

log = logging.getLogger(__name__)

STATUS_S = 5.0
"""Seconds between two status lines; the governor looks at the board as often."""


def serve(path: Path) -> Snapshot:
    """Run the service that a configuration file describes, to its source's end or a signal.

    Returns the counters. Raises the error that ended it.
    """
    # The watchdog's SIGABRT, and a crash in a driver, then show where every thread was.
    faulthandler.enable()
    manager = systemd.from_environment()
    with hangups() as hung_up:
        try:
            manager.status("loading the model")
            options = config.load(path)
            build.check_start(options)
            pipeline = build.pipeline(options)
            live = pipeline.capture.source.live
            governor = Governor(
                options.governor, pipeline.capture.pace if live else None, Sensors().read
            )
            reloader = Reloader(path, options, pipeline)
            last_words = Supervisor(pipeline, reloader, governor, manager, hung_up).run()
        except BaseException as error:
            manager.stopping(f"failed: {error}")
            raise
        manager.stopping(last_words)
    return pipeline.stats.snapshot()


class Supervisor:
    """Watches one pipeline from the main thread.

    hung_up: whether a SIGHUP came since it was last asked.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        reloader: Reloader,
        governor: Governor,
        manager: Manager,
        hung_up: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._reloader = reloader
        self._governor = governor
        self._manager = manager
        self._hung_up = hung_up
        self._clock = clock
        self._watchdog = Watchdog(manager, clock)
        self._status = Status(clock())
        self._ready = False
        self._next_status_s = clock() + STATUS_S
        self._refused = ""

    def run(self) -> str:
        """Start the pipeline and wait until it has ended; return the last status for people.

        Raises the error that ended it.
        """
        with stop_on_signals(self._request_stop) as received:
            self._manager.status("waiting for the first frame")
            self._pipeline.start()
            wait_until_done(self._pipeline, received, self.tick)
        self._announce()
        # When systemd waited no longer for READY: what the service was waiting for.
        return "ended" if self._ready else f"ended; {self._status_line()}"

    def tick(self) -> None:
        """Do whatever is due."""
        if self._hung_up():
            self._reload()
        if self._announce():
            self._watchdog.check(self._pipeline.workers)
        if self._clock() >= self._next_status_s:
            self._next_status_s = self._clock() + STATUS_S
            self._manager.status(self._status_line())

    def _request_stop(self) -> None:
        self._manager.stopping("finishing the frames in the queues")
        self._pipeline.request_stop()

    def _announce(self) -> bool:
        """Say once that the first frame was inferred; return whether it was."""
        if not self._ready and self._pipeline.stats.snapshot().inferred:
            self._ready = True
            log.info("ready: the first frame was inferred")
            self._manager.ready("the first frame was inferred")
            self._next_status_s = self._clock() + STATUS_S
        return self._ready

    def _status_line(self) -> str:
        """Return one line for people, outages first; the governor reads the board."""
        troubles = [self._refused, *self._pipeline.outages]
        if self._ready:
            line = self._status.line(self._pipeline.stats.snapshot(), self._clock())
            self._governor.step(self._status.inferred_fps)
            parts = [*troubles, line, self._governor.report()]
        else:
            parts = [*troubles, "waiting for the first frame"]
        return "; ".join(part for part in parts if part)

    def _reload(self) -> None:
        """Reload; on any error the service keeps its configuration."""
        if self._ready:  # systemd takes the READY that follows for the one it waits for
            self._manager.reloading()
        outcome = self._try_reload()
        if self._ready:
            self._manager.ready(outcome)

    def _try_reload(self) -> str:
        path = self._reloader.path
        try:
            later = self._reloader.reload()
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s: %s", path, problem)
            log.error("%s is refused; keeping the current configuration", path)
            self._refused = f"{path} is refused: {error.problem}"
            return self._refused
        except Exception as error:
            log.exception("%s could not be applied; keeping the current configuration", path)
            self._refused = f"{path} could not be applied: {error}"
            return self._refused
        self._refused = ""
        self._governor.options = self._reloader.options.governor
        if later:
            log.warning("%s: restart needed for the change of %s", path, ", ".join(later))
        log.info("%s applied", path)
        return f"{path} applied" + (f"; restart needed for {', '.join(later)}" if later else "")
