"""Threads and queues: from a source through a detector to publishers."""
