"""The base every publisher stands on: its options; open, publish, close."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import Field

from edge_ssd.checks import Check
from edge_ssd.options import Options
from edge_ssd.types import FrameResult


class PublisherOptions(Options):
    """Options of one kind of publisher. A kind adds ``type``, a literal, and what it needs."""

    queue_size: int = Field(default=64, ge=1, le=100_000)
    """Results that may wait; beyond that a live source's oldest is dropped and counted."""

    @abstractmethod
    def make(self, name: str) -> Publisher:
        """Return the publisher; name: the source's."""

    def checks(self) -> tuple[Check, ...]:
        """Return what to look at before the service runs."""
        return ()


class Publisher(ABC):
    """Where results go. Each has a thread and a bounded queue of its own."""

    name: str

    def open(self) -> None:
        """Get ready to publish. Raises PublishError when that can never work."""

    @abstractmethod
    def publish(self, result: FrameResult) -> None:
        """Deliver one result. Raises PublishError when it is lost; it is dropped and counted."""

    def close(self) -> None:
        """Deliver what is held back and release everything; may be called twice."""
