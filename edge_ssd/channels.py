"""Bounded queues between threads."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """Nothing more will come out of this channel, or can be put into it."""


class Channel(Generic[T]):
    """A bounded first-in-first-out queue between threads, which can be closed from any.

    lossy: when full, ``put`` discards the oldest item instead of waiting. With a capacity
    of 1 that is the newest-frame slot of a live source.
    closed: whether nothing more can be put in.
    """

    def __init__(self, capacity: int, lossy: bool = False) -> None:
        self.capacity = capacity
        self.lossy = lossy
        self._items: deque[T] = deque()
        self.closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def drained(self) -> bool:
        """Whether nothing will come out any more."""
        return self.closed and not self._items

    def put(self, item: T) -> int:
        """Add an item; return how many older ones were discarded for it (0 or 1). Raises Closed."""
        with self._changed:
            while len(self._items) >= self.capacity and not self.lossy and not self.closed:
                self._changed.wait()
            if self.closed:
                raise Closed
            full = len(self._items) >= self.capacity
            if full:
                self._items.popleft()
            self._items.append(item)
            self._changed.notify_all()
            return int(full)

    def get(self, timeout_s: float) -> T | None:
        """Take the oldest item; None when none came in time. Raises the closing error or Closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed, timeout_s)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self.closed:
                raise self._error or Closed
            return None

    def close(self, error: BaseException | None = None) -> None:
        """Take nothing more in. error: what ended the producer, for ``get`` after the last item."""
        with self._changed:
            self.closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def abort(self) -> int:
        """Close, and discard what is inside; return how many items that were."""
        with self._changed:
            self.close()
            discarded = len(self._items)
            self._items.clear()
            return discarded
