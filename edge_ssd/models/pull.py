"""``edge-ssd models pull``: a model of the catalogue, on this machine, and the right one.

A file gets its name only when its hash was checked. Beside it goes a manifest, which records
the hash; for a model whose publisher names none, that record is what later pulls are held to.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from edge_ssd.errors import EdgeSsdError, ModelError, UsageError
from edge_ssd.files import make_folder, replacing
from edge_ssd.models import catalogue, manifest
from edge_ssd.models.catalogue import Member, Offer
from edge_ssd.models.download import PATIENCE, Download, Patience, Progress, tag_file
from edge_ssd.models.graph import Graph

MAX_BYTES = 64 << 20
"""Of a download whose size nobody published."""

_PUBLISHED, _TRUSTED = "published", "trusted on first use"
"""Where the sha256 of a manifest's ``origin`` is from; no other manifest says it."""
_MOVE = "move it, or use --output"
_NOTHING_KEPT = "nothing was installed: try again, or elsewhere with --mirror"


class PullError(EdgeSsdError, OSError):
    """The folder for models cannot be used."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is there now. fresh: it was not before."""

    path: Path
    sha256: str
    fresh: bool


def pull(
    name: str,
    folder: Path | None = None,
    mirror: str | None = None,
    trust_on_first_use: bool = False,
    progress: Progress = lambda done, total: None,
    patience: Patience = PATIENCE,
) -> Pulled:
    """Get a model of the catalogue, unless it is there already.

    folder: where to; None for where it is found by its name.
    mirror: a URL (https, http or file) below which the file is looked for instead.
    trust_on_first_use: take what arrives where no hash is published, and record its hash.
    Raises DownloadError when it cannot be had, ModelError when it is not the right file or
    there is no such model, PullError when the folder cannot be used, UsageError for a mirror
    that is no URL, and for a folder for what comes with the package.
    """
    if name in catalogue.bundled():
        if folder:
            raise UsageError(
                f"{name} comes with the package, and goes to no other folder",
                f"leave out --output: `--model {name}` finds it",
            )
        sha256 = catalogue.describe(name).entry("file").get("sha256", str)
        return Pulled(catalogue.bundled()[name], sha256, fresh=False)
    if name not in catalogue.offers():
        raise ModelError(f"no model {name!r} can be pulled", "see `edge-ssd models list`")
    offer = catalogue.offers()[name]
    url = _url(offer, mirror)
    folder = folder or catalogue.folder()
    try:
        make_folder(folder)
        with _alone(folder / f".{name}.lock"):
            return _pulled(offer, url, folder, trust_on_first_use, progress, patience)
    except EdgeSsdError:
        raise
    except OSError as error:
        raise PullError(
            f"{error.filename or folder}: {error.strerror}",
            "free some space, or name a folder of your own with --output",
        ) from None


def _url(offer: Offer, mirror: str | None) -> str:
    if mirror is None:
        return offer.url
    shown = re.sub(r"^(\w+://)?.*@", r"\1…@", mirror)  # errors end up in logs
    try:
        parts = urlsplit(mirror)
        served = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:  # brackets that are no address, a port that is no number
        parts, served = urlsplit(""), False
    if not (served or parts.scheme == "file"):
        raise UsageError(
            f"--mirror {shown} is no URL", "give one that begins with https, http or file"
        )
    if "@" in parts.netloc:
        raise UsageError(
            f"--mirror {shown} has a user or a password in it, and none are sent",
            "copy the file, and give its folder as a file: URL",
        )
    return f"{mirror.rstrip('/')}/{PurePosixPath(urlsplit(offer.url).path).name}"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other processes from pulling the same model into the same folder."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PullError(
                f"another process is pulling this model to {lock.parent}", "wait for its end"
            ) from None
        yield


def _pulled(
    offer: Offer, url: str, folder: Path, trust: bool, progress: Progress, patience: Patience
) -> Pulled:
    path = folder / f"{offer.name}.tflite"
    recorded = _recorded(path)
    expected = offer.model_sha256 or recorded
    there = _there(path, recorded)
    if there and there == expected:
        return Pulled(path, expected, fresh=False)
    if there and there == recorded:
        raise PullError(f"{path} is whole, and not the one of the catalogue", _MOVE)
    if not expected and not trust:
        raise ModelError(
            f"no sha256 of {offer.name} is published",
            "add --trust-on-first-use: what arrives is taken, its hash recorded, and held to later",
        )
    part = folder / f".{offer.name}.part"
    if not (expected or offer.git_blob):
        part.unlink(missing_ok=True)  # nothing would tell two halves that do not belong together
    model = _checked(offer, _content(offer, url, part, progress, patience), expected, url)
    _install(offer, model, path)
    return Pulled(path, _sha256(model), fresh=True)


def _content(offer: Offer, url: str, part: Path, progress: Progress, patience: Patience) -> bytes:
    """Return what was downloaded; only a download that failed for now leaves its part."""
    try:
        Download(url, part, offer.size, MAX_BYTES, progress, patience).run()
        content = part.read_bytes()
    except ModelError:
        _forget(part)
        raise
    _forget(part)
    return content


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    tag_file(part).unlink(missing_ok=True)


def _recorded(path: Path) -> str | None:
    """Return the hash in the manifest that an earlier pull left.

    Raises PullError when what is there is another's, ManifestError when it is no manifest.
    """
    beside = path.with_suffix(".json")
    if not beside.exists():
        return None
    entry = manifest.read(beside)
    if entry.entry("origin").values.get("sha256") not in (_PUBLISHED, _TRUSTED):
        raise PullError(f"{beside} is there, and is not of a pull", _MOVE)
    return entry.entry("file").get("sha256", str)


def _there(path: Path, recorded: str | None) -> str | None:
    """Return the hash of the model that an earlier pull left; None where there is no file.

    Raises PullError when what is there is another's.
    """
    if not path.exists():
        return None
    if not (recorded and path.is_file()):
        raise PullError(f"{path} is there, and was not pulled", _MOVE)
    return _sha256(path.read_bytes())


def _checked(offer: Offer, content: bytes, expected: str | None, url: str) -> bytes:
    """Return the model in what was downloaded. Raises ModelError unless all of it is right."""
    _compare(offer.sha256, _sha256(content), f"{url} is not the published file: sha256")
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    _compare(offer.git_blob, blob, f"{url} is not the published file: git object")
    model = member(content, offer.member, url) if offer.member else content
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


def member(content: bytes, wanted: Member, url: str) -> bytes:
    """Return one entry of a zip archive, at most ``wanted.size`` bytes of it unpacked.

    Nothing is written: an entry's own idea of a path has no effect, and a hostile one refuses
    the whole archive. Raises ModelError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if (
                    path.is_absolute()
                    or ".." in path.parts
                    or stat.S_ISLNK(entry.external_attr >> 16)
                ):
                    raise ModelError(f"{url} has the unsafe entry {entry.filename!r}")
            entries = [entry for entry in archive.infolist() if entry.filename == wanted.name]
            if len(entries) != 1:
                raise ModelError(
                    f"{url} has {len(entries)} entries {wanted.name}, and should have 1"
                )
            # Only of these two does zipfile bound what is unpacked.
            plain = entries[0].compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not plain or entries[0].file_size != wanted.size:
                raise ModelError(
                    f"{wanted.name} in {url} unpacks to {entries[0].file_size} bytes, "
                    f"and should be {wanted.size}"
                )
            return archive.read(entries[0])
    except ModelError as error:
        raise ModelError(error.problem, _NOTHING_KEPT) from None
    except Exception as error:  # zipfile raises whatever the bytes lead it to
        raise ModelError(f"{url} is a damaged zip archive: {error}", _NOTHING_KEPT) from None


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
