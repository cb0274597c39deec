"""``edge-ssd detect``."""
