"""Downloads a model of the catalogue, checks it, and writes its manifest with it.

A file gets its name only after its hash was checked. The manifest records the hash; where the
publisher names none, later pulls are compared with that record.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import ssl
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from edge_ssd.errors import EdgeSsdError, ModelError, UsageError
from edge_ssd.files import make_folder, replacing
from edge_ssd.models import catalogue, manifest
from edge_ssd.models.catalogue import Member, Offer
from edge_ssd.models.graph import Graph

STALL_S, TOTAL_S = 30.0, 3600.0  # for the next byte; for all attempts together
RETRIES = 2
MAX_BYTES = 64 << 20

_MIRROR = re.compile(
    r"(https?://(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?|file:(//(localhost)?)?(?!//))(/.*)?", re.IGNORECASE
)
_PUBLISHED, _TRUSTED = "published", "trusted on first use"  # in the manifest of a pulled model
_MOVE = "move it, or use --output"
_NETWORK = "check the network, the proxy and the date, or pull from a copy with --mirror"
_NOTHING_KEPT = "nothing was installed: try again, or elsewhere with --mirror"

Progress = Callable[[int, int | None], None]  # bytes received, and their total where it is known


class DownloadError(EdgeSsdError, OSError):
    """The file cannot be downloaded now."""

    exit_code = 69


class PullError(EdgeSsdError, OSError):
    """The folder for models cannot be used, or the file is too large for it."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model on this machine. fresh: it was not there before."""

    path: Path
    sha256: str
    fresh: bool


def pull(
    name: str,
    folder: Path | None = None,
    mirror: str | None = None,
    trust_on_first_use: bool = False,
    progress: Progress = lambda done, total: None,
) -> Pulled:
    """Download a model of the catalogue, unless it is there already.

    folder: None for where models are found by their names.
    mirror: a URL (https, http or file) below which the file is looked for instead.
    trust_on_first_use: accept a file whose hash is not published, and record the hash.
    Raises DownloadError when it cannot be downloaded, ModelError when it is not the right file
    or there is no such model, PullError when it is too large or the folder cannot be used,
    UsageError for an invalid mirror, and for a folder for a bundled model.
    """
    if name in catalogue.bundled():
        if folder:
            problem = f"{name} comes with the package, and goes to no other folder"
            raise UsageError(problem, f"leave out --output: `--model {name}` finds it")
        return Pulled(catalogue.bundled()[name], catalogue.bundled_sha256(name), fresh=False)
    if name not in catalogue.offers():
        raise ModelError(f"no model {name!r} can be pulled", "see `edge-ssd models list`")
    offer = catalogue.offers()[name]
    url = _url(offer, mirror)
    folder = folder or catalogue.folder()
    try:
        make_folder(folder)
        return _pulled(offer, url, folder, trust_on_first_use, progress)
    except EdgeSsdError:
        raise
    except OSError as error:
        remedy = "free some space, or name a folder of your own with --output"
        raise PullError(f"{error.filename or name}: {error.strerror}", remedy) from None


def _url(offer: Offer, mirror: str | None) -> str:
    if mirror is None:
        return offer.url
    if not _MIRROR.fullmatch(mirror):
        shown = re.sub(r"^(\w+://)?.*@", r"\1…@", mirror)  # errors end up in logs
        problem = f"--mirror {shown} cannot be used"
        raise UsageError(problem, "give an https, http or file URL without user and password")
    return f"{mirror.rstrip('/')}/{PurePosixPath(urlsplit(offer.url).path).name}"


def _pulled(offer: Offer, url: str, folder: Path, trust: bool, progress: Progress) -> Pulled:
    path = folder / f"{offer.name}.tflite"
    recorded = _recorded(path.with_suffix(".json"))
    expected = offer.model_sha256 or recorded
    if path.exists():
        if not (recorded and path.is_file()):
            raise PullError(f"{path} is there, and was not pulled", _MOVE)
        found = _sha256(path.read_bytes())
        if found == expected:
            return Pulled(path, found, fresh=False)
        if found == recorded:
            raise PullError(f"{path} is whole, and not the one of the catalogue", _MOVE)
    if not expected and not trust:
        raise ModelError(
            f"no sha256 of {offer.name} is published",
            "add --trust-on-first-use: what arrives is taken, its hash recorded, and held to later",
        )
    served = url.lower().startswith("http")
    content = _downloaded(url, progress) if served else _copied(url)
    model = _checked(offer, content, expected, url)
    _install(offer, model, path)
    return Pulled(path, _sha256(model), fresh=True)


def _recorded(record: Path) -> str | None:
    """Return the hash in the manifest that an earlier pull left, or None.

    Raises PullError when the manifest was not written by a pull, ManifestError when it is invalid.
    """
    if not record.exists():
        return None
    entry = manifest.read(record)
    if entry.entry("origin").values.get("sha256") not in (_PUBLISHED, _TRUSTED):
        raise PullError(f"{record} is there, and is not of a pull", _MOVE)
    return entry.entry("file").get("sha256", str)


def _copied(url: str) -> bytes:
    try:
        with Path(url2pathname(urlsplit(url).path)).open("rb") as file:
            return file.read(MAX_BYTES)
    except (OSError, ValueError) as error:
        remedy = "check that the file is there, under its published name, and may be read"
        raise DownloadError(f"{url} cannot be read: {_reason(error)}", remedy) from None


def _downloaded(url: str, progress: Progress) -> bytes:
    """Return what an https or http URL serves. Raises DownloadError, PullError and OSError."""
    import pooch  # noqa: PLC0415 - slow to import
    from requests import RequestException  # noqa: PLC0415

    certificates = ssl.get_default_verify_paths()
    downloader = pooch.HTTPDownloader(
        chunk_size=1 << 16,
        timeout=STALL_S,
        headers={"User-Agent": "edge-ssd", "Accept-Encoding": "identity"},
        auth=lambda request: request,  # else requests sends what ~/.netrc holds
        verify=certificates.cafile or certificates.capath or True,
        hooks={"response": _Limits(url, progress, time.monotonic() + TOTAL_S).check},
    )
    pooch.get_logger().setLevel("WARNING")  # it reports each step on stderr
    with TemporaryDirectory() as place:
        cache = pooch.create(
            place, "", registry={"file": None}, urls={"file": url}, retry_if_failed=RETRIES
        )
        try:
            return Path(cache.fetch("file", downloader=downloader)).read_bytes()
        except (RequestException, ValueError) as error:
            raise DownloadError(f"{url} cannot be downloaded: {_reason(error)}", _NETWORK) from None


@dataclass(frozen=True)
class _Limits:
    """What pooch's downloader does not bound: redirects, size, total time. Errors end a pull."""

    url: str
    progress: Progress
    end: float

    def check(self, response: Any, **_: Any) -> None:
        """Check the head of an answer: a hook of requests."""
        if response.is_redirect:
            response.close()  # else requests reads its page to the end
            target = urljoin(response.url, response.headers["Location"])
            if response.url.startswith("https:") and not target.lower().startswith("https:"):
                raise DownloadError(f"{self.url} is redirected away from https", _NETWORK)
        elif response.ok:
            length = response.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > MAX_BYTES:
                raise self._too_large(length)
            body = partial(self._body, response.raw, int(length) or None)
            response.raw = SimpleNamespace(stream=body)

    def _body(self, raw: Any, total: int | None, chunk_size: int, **_: Any) -> Iterator[bytes]:
        """Yield what arrives, when it arrives; requests waits until a chunk is full."""
        done = 0
        while chunk := raw.read1(chunk_size):
            done += len(chunk)
            if done > MAX_BYTES:
                raise self._too_large(f"more than {MAX_BYTES}")
            yield chunk
            self.progress(done, total)
            if time.monotonic() > self.end:
                raise DownloadError(f"{self.url} is not complete after {TOTAL_S:g} s", _NETWORK)

    def _too_large(self, length: str) -> PullError:
        problem = f"{self.url} is {length} bytes, at most {MAX_BYTES} are taken"
        return PullError(problem, _NOTHING_KEPT)


def _reason(error: Any) -> str:
    """Return why a download failed, without any URL: a proxy's may hold a password."""
    response = getattr(error, "response", None)
    if response is not None and not response.ok:
        return f"the server answers {response.status_code} {response.reason}"
    while cause := error.__cause__ or error.__context__:
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer for {STALL_S:g} s"
    if isinstance(error, ValueError):
        return "its URL, a redirect's or the proxy's is invalid"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _checked(offer: Offer, content: bytes, expected: str | None, url: str) -> bytes:
    """Return the model in what was downloaded. Raises ModelError unless all of it is right."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    _compare(offer.sha256, _sha256(content), f"{url} is not the published file: sha256")
    _compare(offer.git_blob, blob, f"{url} is not the published file: git object")
    model = _member(content, offer.member, url) if offer.member else content
    whose = "the published" if offer.model_sha256 else "the recorded"
    _compare(expected, _sha256(model), f"the model of {url} is not {whose} one: sha256")
    try:
        Graph(model).check()
    except ModelError as error:
        raise ModelError(f"{url}: {error.problem}", _NOTHING_KEPT) from None
    return model


def _compare(expected: str | None, found: str, what: str) -> None:
    if expected and found != expected:
        raise ModelError(f"{what} {found[:12]}…, expected {expected[:12]}…", _NOTHING_KEPT)


def _member(content: bytes, wanted: Member, url: str) -> bytes:
    """Return one entry of a zip archive, of which nothing is written. Raises ModelError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                linked = stat.S_ISLNK(entry.external_attr >> 16)
                if path.is_absolute() or ".." in path.parts or linked:
                    raise ValueError(f"unsafe entry {entry.filename!r}")
            found = [entry for entry in archive.infolist() if entry.filename == wanted.name]
            if len(found) != 1:
                raise ValueError(f"{len(found)} entries {wanted.name}")
            # Only of these two does zipfile bound what is unpacked.
            bounded = found[0].compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not bounded or found[0].file_size != wanted.size:
                raise ValueError(f"{wanted.name} unpacks to {found[0].file_size} bytes")
            return archive.read(found[0])
    except Exception as error:  # zipfile raises whatever the bytes lead it to
        raise ModelError(f"{url} is not the expected archive: {error}", _NOTHING_KEPT) from None


def _install(offer: Offer, model: bytes, path: Path) -> None:
    """Write the manifest and the model, and name them in this order: no model lacks its record."""
    values = offer.described()
    values["file"] = {"name": path.name, "sha256": _sha256(model), "size": len(model)}
    values["origin"]["sha256"] = _PUBLISHED if offer.model_sha256 else _TRUSTED
    values["labels"] = catalogue.describe(offer.labels_of).get("labels", list)
    with replacing(path) as new, replacing(path.with_suffix(".json")) as record:
        record.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
        new.write_bytes(model)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
