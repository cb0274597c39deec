"""The base every publisher stands on: open, publish, close."""

from __future__ import annotations

from abc import ABC, abstractmethod

from edge_ssd.types import FrameResult


class Publisher(ABC):
    """Where results go. Each has a thread and a bounded queue of its own."""

    name: str

    def open(self) -> None:
        """Get ready to publish. Raises PublishError when that can never work."""

    @abstractmethod
    def publish(self, result: FrameResult) -> None:
        """Deliver one result.

        Raises PublishError when this result could not be delivered; it is then dropped and
        counted, and the next one is tried.
        """

    def close(self) -> None:
        """Deliver what is held back and give everything back; may be called twice."""
