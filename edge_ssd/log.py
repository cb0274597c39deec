"""Log to stderr: for people, or with the priorities of the systemd journal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from types import TracebackType

# sd-daemon(3): a line that begins with <N> is stored with that syslog priority.
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class JournalFormatter(logging.Formatter):
    """Puts the priority before each line of a record, tracebacks included; no time, no level."""

    def format(self, record: logging.LogRecord) -> str:
        return prefixed(record.levelno, super().format(record))


def prefixed(level: int, text: str) -> str:
    """Return ``text`` with the priority of a logging level before each of its lines."""
    at_most = [known for known in _PRIORITIES if known <= level]
    priority = _PRIORITIES[max(at_most, default=logging.DEBUG)]
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines() or [""])


def is_stderr(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr goes to the journal, as JOURNAL_STREAM (device:inode) says."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def set_up(verbose: bool) -> None:
    """Log to stderr: warnings on a terminal, information too in the journal."""
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(level, logging.getLevelName(level).lower())
    handler = logging.StreamHandler()
    level = logging.WARNING
    if is_stderr():
        level = logging.INFO
        handler.setFormatter(JournalFormatter("%(message)s"))
        sys.excepthook = _log_uncaught
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else level, handlers=[handler])


def error_line(text: str) -> str:
    """Return an error as stderr shows it: with a priority for the journal, else ``error: ``."""
    return prefixed(logging.ERROR, text) if is_stderr() else f"error: {text}"


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    logging.getLogger(__name__).critical("internal error", exc_info=(kind, error, traceback))
