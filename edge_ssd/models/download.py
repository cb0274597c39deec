"""A URL to a local file: resumed, bounded, and patient with bad networks.

Nothing here trusts what arrives: whoever calls checks the bytes.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit

from edge_ssd.errors import EdgeSsdError, ModelError

CHUNK = 1 << 16
MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 416, 425, 429, 500, 502, 503, 504)
_REMEDY = "check the network and the proxy, or pull from a copy with --mirror"
_REMEDY_OF_FILES = "check that the file is there, under its published name, and may be read"

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far, and how many there will be if that is known."""


class DownloadError(EdgeSsdError, OSError):
    """What was asked for cannot be had from where it should be."""

    exit_code = 69


class _PassingError(DownloadError):
    """A failure that another attempt may not meet."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to put up with a bad network.

    stall_s: without a byte, in seconds. total_s: for the whole file, in seconds.
    attempts: each goes on where the last one ended, after 1, 2 … seconds.
    clock, wait: seconds of a monotonic clock, and the sleep between attempts.
    """

    stall_s: float = 30.0
    total_s: float = 3600.0
    attempts: int = 3
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


PATIENCE = Patience()


@dataclass
class Download:
    """Fetches ``url`` (https, http or file) into ``part``, going on with what is there already.

    size: in bytes, exactly, if it is known. limit: in bytes, for what is not.
    """

    url: str
    part: Path
    size: int | None
    limit: int
    progress: Progress
    patience: Patience

    def run(self) -> None:
        """Return when all of it is there.

        Raises DownloadError when it cannot be had, ModelError when it is not what was promised,
        and OSError when ``part`` cannot be written.
        """
        end = self.patience.clock() + self.patience.total_s
        last = 0 if self.url.startswith("file:") else self.patience.attempts - 1
        for attempt in range(last):
            try:
                self._attempt(end)
                return
            except _PassingError:
                self.patience.wait(2.0**attempt)
        self._attempt(end)

    def _attempt(self, end: float) -> None:
        start, tag = self._resumable()
        headers = {"User-Agent": "edge-ssd", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": tag}
        with self._network():
            response = _open(self.url, headers, self.patience.stall_s)
        with response:
            # A server that ignores Range, or has another file by now, sends all of it.
            start = self._checked_start(response, start, tag) if response.status == 206 else 0
            total = self._checked_total(response, start)
            self._save(response, start, total, end)

    def _resumable(self) -> tuple[int, str]:
        """Return how many bytes there are of the file with this tag; 0 to begin anew."""
        try:
            known = json.loads(tag_file(self.part).read_text("utf-8"))
            there = self.part.stat().st_size
            if known["url"] == self.url and there < self._bound:
                return there, str(known["tag"])
        except (OSError, ValueError, LookupError, TypeError):
            pass  # nothing there, or nothing to be sure of
        return 0, ""

    def _checked_start(self, response: Any, asked: int, tag: str) -> int:
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        right = found and int(found[1]) == asked
        if not right or response.headers.get("ETag", tag) != tag:
            self.part.unlink(missing_ok=True)
            raise _PassingError(f"{self.url} sends another part than was asked for", _REMEDY)
        return asked

    def _checked_total(self, response: Any, start: int) -> int | None:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise ModelError(
                f"{self.url} arrives as {encoding}, and not as it was published", _REMEDY
            )
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            return self.size
        total = start + int(length)
        if total > self._bound or (self.size is not None and total != self.size):
            raise self._wrong_size(f"{total}")
        return total

    def _save(self, response: Any, start: int, total: int | None, end: float) -> None:
        done = start
        with self.part.open("ab" if start else "wb") as file:
            if not start:
                self._remember(response.headers.get("ETag", ""))
            for chunk in self._chunks(response, end):
                done += len(chunk)
                if done > self._bound:
                    raise self._wrong_size(f"more than {self._bound}")
                file.write(chunk)
                self.progress(done, total)
        if total is not None and done < total:
            raise _PassingError(f"{self.url} ended after {done} of {total} bytes", _REMEDY)

    def _chunks(self, response: Any, end: float) -> Iterator[bytes]:
        """Yield what arrives, as it arrives, until the end or the time is up."""
        while True:
            with self._network():
                chunk: bytes = response.read1(CHUNK)
            if not chunk:
                return
            yield chunk
            if self.patience.clock() > end:
                raise DownloadError(
                    f"{self.url} is not here after {self.patience.total_s:g} s",
                    "run the command again: it goes on where it ended",
                )

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Turn what goes wrong on the way into DownloadError."""
        try:
            yield
        except EdgeSsdError:
            raise
        except HTTPError as error:
            with error:
                if error.code == 416:  # there is no such part: the file has become shorter
                    self.part.unlink(missing_ok=True)
                kind = _PassingError if error.code in _PASSING else DownloadError
                raise kind(
                    f"{self.url}: the server says {error.code} {error.reason}", self._remedy
                ) from None
        except (OSError, HTTPException, ValueError) as error:
            cause = error.reason if isinstance(error, URLError) else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise DownloadError(
                    f"{self.url}: its certificate is refused: {cause.verify_message}",
                    "check the date of this machine, and that nobody listens in",
                ) from None
            if isinstance(cause, TimeoutError):
                cause = f"no answer for {self.patience.stall_s:g} s"
            reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            raise _PassingError(f"{self.url} cannot be reached: {reason}", self._remedy) from None

    def _remember(self, tag: str) -> None:
        """Keep the tag that says whether the rest is of the same file; a weak one does not."""
        tag_file(self.part).unlink(missing_ok=True)
        if tag.startswith('"'):
            tag_file(self.part).write_text(json.dumps({"url": self.url, "tag": tag}), "utf-8")

    @property
    def _remedy(self) -> str:
        return _REMEDY_OF_FILES if self.url.lower().startswith("file:") else _REMEDY

    @property
    def _bound(self) -> int:
        return self.limit if self.size is None else self.size

    def _wrong_size(self, offered: str) -> ModelError:
        expected = f"{self.size}" if self.size is not None else f"at most {self.limit}"
        return ModelError(
            f"{self.url} is {offered} bytes, and should be {expected}",
            "it is not the published file: try again later, or elsewhere with --mirror",
        )


def tag_file(part: Path) -> Path:
    """Return where the tag of a partial file is kept."""
    return part.with_name(f"{part.name}.json")


def _open(url: str, headers: Mapping[str, str], timeout_s: float) -> Any:
    """Return the response to a GET, behind up to MAX_REDIRECTS redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),  # as http_proxy, https_proxy and no_proxy say
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.FileHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    for _ in range(MAX_REDIRECTS + 1):
        try:
            return opener.open(urllib.request.Request(url, headers=dict(headers)), None, timeout_s)
        except HTTPError as error:
            if error.code not in _REDIRECTS:
                raise
            with error:
                url = redirected(url, error.headers.get("Location", ""))
    raise DownloadError(f"{url} is redirected more than {MAX_REDIRECTS} times", _REMEDY)


def redirected(url: str, location: str) -> str:
    """Return where ``url`` is redirected to. Raises DownloadError for what is less safe."""
    target = urljoin(url, location)
    allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
    if urlsplit(target).scheme not in allowed:
        raise DownloadError(
            f"{url} is redirected to {target}, and only {' or '.join(allowed)} is followed", _REMEDY
        )
    return target
