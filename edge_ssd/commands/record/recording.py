"""Frames saved as they came, so that a problem in the field becomes a test."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timezone
from pathlib import Path
from typing import Any

import cv2
import yaml

from edge_ssd.config import Config
from edge_ssd.errors import DeviceError, PublishError, UsageError
from edge_ssd.files import replacing
from edge_ssd.pipeline.worker import POLL_S
from edge_ssd.pixels import bgr
from edge_ssd.sources.base import EndOfStream, Source
from edge_ssd.types import Frame


def record(
    options: Config,
    folder: Path,
    frame_limit: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Save the source's frames in ``folder``; return how many.

    Ends after ``frame_limit`` frames, at the source's end or when ``stopped``; what a live
    source takes while a frame is being saved is not saved.

    Raises UsageError when the folder is not empty, PublishError when it cannot be written,
    DeviceError or InputError when the source fails; what was saved until then stays, whole.
    """
    recording, source = Recording(folder, options), options.make_source()
    last_s = clock()
    try:
        source.open()
        while not stopped() and (frame_limit is None or recording.count < frame_limit):
            frame = source.read(POLL_S)
            if frame is not None:
                recording.add(frame)
                last_s = clock()
            elif clock() - last_s > options.stall_timeout_s:
                raise _stalled(source, clock() - last_s)
    except EndOfStream:
        pass
    finally:
        source.close()
    return recording.count


class Recording:
    """A folder of frames: whole files only, whatever happens.

    000000.png, 000001.png …: the frames, lossless, numbered as the images source numbers them.
    frames.jsonl: one line per frame: its file, its number in the source (a gap shows frames that
        were not saved) and when it was taken.
    config.yaml: what made them, without publishers and passwords.
    replay.yaml: the same with the saved frames as its source.

    Raises UsageError when the folder is not empty, PublishError when it cannot be written.
    """

    def __init__(self, folder: Path, options: Config) -> None:
        self.count = 0
        self._folder = folder
        self._options = options
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = any(folder.iterdir())
        except OSError as error:
            raise self._explain(error) from error
        if taken:
            raise UsageError(f"the folder {folder} is not empty", "name a new one")

    def add(self, frame: Frame) -> None:
        """Save one frame; the first one brings the configuration with it."""
        file = f"{self.count:06d}.png"
        index = {
            "file": file,
            "frame": frame.number,
            "captured_at": frame.captured_at.astimezone(timezone.utc).isoformat(),
            "captured_ns": frame.captured_ns,
        }
        try:
            if not self.count:
                self._save_options()
            _write_whole(self._folder / file, _png(frame))
            _append_whole(self._folder / "frames.jsonl", json.dumps(index).encode() + b"\n")
        except OSError as error:
            with suppress(OSError):
                (self._folder / file).unlink()  # one without its line in frames.jsonl
            raise self._explain(error) from error
        self.count += 1

    def _save_options(self) -> None:
        # Without publishers: a replay must not reach the broker, and prints its messages.
        values = self._options.model_dump(mode="json", exclude={"publishers"})
        replay = values | {"source": {"type": "images", "path": "."}}
        _write_whole(self._folder / "config.yaml", _yaml(values))
        _write_whole(self._folder / "replay.yaml", _yaml(replay))

    def _explain(self, error: OSError) -> PublishError:
        remedy = f"whole frames saved: {self.count}" if self.count else "name another folder"
        return PublishError(f"{self._folder} cannot be written: {error.strerror}", remedy)


def _png(frame: Frame) -> bytes:
    # Its default level takes a third of the time of level 1, for a file no larger.
    _, data = cv2.imencode(".png", bgr(frame))
    return data.tobytes()


def _yaml(values: dict[str, Any]) -> bytes:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode()


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all. Raises OSError."""
    with replacing(path, sync=False) as part:
        part.write_bytes(data)


def _append_whole(path: Path, line: bytes) -> None:
    """Append a line whole or not at all. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            while line:  # a full disk takes a part, and refuses only the rest
                line = line[file.write(line) :]
        except OSError:
            file.truncate(size)
            raise


def _stalled(source: Source, silent_s: float) -> DeviceError:
    return DeviceError(
        f"{source.name}: no frame for {silent_s:.1f} s",
        "check the camera and its cable, or raise stall_timeout_s",
    )
