"""A publisher thread's work: deliver results, count what fails, say so once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from edge_ssd.channels import Channel
from edge_ssd.errors import PublishError
from edge_ssd.pipeline.stats import Stats
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.publishers.base import Publisher
from edge_ssd.types import FrameResult

log = logging.getLogger(__name__)

TAKEOVER_S = 5.0
"""How long a publisher waits for those it replaces to give their files and ports back."""


class Publishing:
    """Owns a publisher and its queue. ``begin``, ``step``, ``end`` run in the publisher's thread.

    lossy: when the queue is full, its oldest result is discarded and counted as shed;
        otherwise ``offer`` waits.
    replaces: those that this one takes over from while the pipeline runs, or None. An error
        in opening it then does not end the service: its results fail, and are counted.
    """

    def __init__(
        self,
        publisher: Publisher,
        queue_size: int,
        lossy: bool,
        stats: Stats,
        replaces: Sequence[Publishing] | None = None,
    ) -> None:
        self.publisher = publisher
        self.inbox: Channel[FrameResult] = Channel(queue_size, lossy)
        self.unusable = False
        self._stats = stats
        self._replaces = replaces
        self._retired = False
        self._failing = False
        self._ended = threading.Event()

    def offer(self, result: FrameResult) -> None:
        """Queue a result; any thread. Raises Closed."""
        self._stats.count_results(self.publisher.name, shed=self.inbox.put(result))

    def begin(self) -> None:
        """Open the publisher. Raises its error, unless it was added to a running pipeline."""
        if self._replaces is None:
            self.publisher.open()
            return
        deadline = time.monotonic() + TAKEOVER_S
        for replaced in self._replaces:
            replaced._ended.wait(max(0.0, deadline - time.monotonic()))
        self._replaces = ()
        try:
            self.publisher.open()
        except Exception as error:  # whatever it is, the service did well without it
            self.unusable = True
            log.error("%s; its results are dropped and counted until the next reload", error)

    def retire(self) -> None:
        """Deliver what waits, and end; any thread may ask."""
        self._retired = True
        self.inbox.close()

    def end(self) -> None:
        """Close the publisher. Raises its error, unless it was taken out of a running pipeline."""
        try:
            self.publisher.close()
        except Exception as error:
            if not self._retired:
                raise
            log.warning("%s could not be closed: %s", self.publisher.name, error)
        finally:
            self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether it has closed its publisher."""
        return self._ended.is_set()

    def step(self) -> None:
        """Publish one result. Raises Closed when there are no more."""
        result = self.inbox.get(POLL_S)
        if result is None:
            return
        name = self.publisher.name
        if self.unusable:
            self._stats.count_results(name, failed=1)
            return
        try:
            self.publisher.publish(result)
        except PublishError as error:
            self._stats.count_results(name, failed=1)
            if not self._failing:
                log.warning("%s; results are dropped and counted until it works again", error)
            self._failing = True
            return
        self._stats.count_results(name, published=1)
        if self._failing:
            log.warning("%s works again", name)
        self._failing = False


def check_delivered(stats: Stats) -> None:
    """Raise PublishError when results could not be delivered, at the end of a source."""
    failed = sum(stats.snapshot().failed.values())
    if failed:
        raise PublishError(f"{failed} results could not be delivered", "see the warning above")
