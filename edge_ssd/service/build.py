"""A configuration to the parts it describes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import quote

from edge_ssd import config
from edge_ssd.checks import System, start_problems
from edge_ssd.config import Config
from edge_ssd.detector import Detector
from edge_ssd.errors import ConfigError, InputError, ModelError, Problem, PublishError
from edge_ssd.inference import tuned
from edge_ssd.pipeline.pipeline import Outlet, Pipeline
from edge_ssd.sources.base import Source
from edge_ssd.sources.images import (
    IMAGE_EXTENSIONS,
    ImageSource,
    check_readable,
    is_folder,
    list_folder,
)
from edge_ssd.sources.network import NetworkCamera
from edge_ssd.sources.picamera import PiCameraSource
from edge_ssd.sources.synthetic import Fault, SyntheticSource
from edge_ssd.sources.usb import UsbCamera
from edge_ssd.sources.video import VideoSource


def pipeline(options: Config) -> Pipeline:
    """Return the pipeline that a configuration describes, ready to start.

    Raises ConfigError that names the option at fault, RuntimeMissingError when no runtime
    can run the model.
    """
    try:
        model = tuned.applied(options.model)
        detector = Detector.from_options(model, options.preprocess, options.postprocess)
    except ModelError as error:
        problem = Problem(f"model.{error.option}", error.what, error.remedy)
        raise ConfigError([problem]) from None
    check_publishers(options, rights=False)
    publishers = [Outlet(item.make(options.name), item.queue_size) for item in options.publishers]
    return Pipeline(source(options), detector, publishers, options.stall_timeout_s)


def check_publishers(options: Config, rights: bool = True) -> None:
    """Raise ConfigError for what keeps a publisher from starting; see ``start_problems``."""
    system, problems = System(), []
    for index, section in enumerate(options.publishers):
        problems += start_problems(f"publishers.{index}", section.checks(), system, rights)
    if problems:
        raise ConfigError(problems)


def source(options: Config) -> Source:
    """Return the source a configuration describes.

    Raises ConfigError for a file that is missing or may not be read.
    """
    name, section = options.name, options.source
    match section:
        case config.VideoSource():
            if _is_folder(section.path, "source.path"):
                problem = Problem(
                    "source.path", f"{section.path} is a folder", "name the video in it"
                )
                raise ConfigError([problem])
            return VideoSource(name, section.path, section.loop)
        case config.ImagesSource():
            path = section.path
            folder = _is_folder(path, "source.path")
            pictures = _pictures(path, "source.path") if folder else [path]
            return ImageSource(name, pictures, section.loop)
        case config.SyntheticSource():
            return SyntheticSource(
                name,
                width=section.width,
                height=section.height,
                fps=section.fps,
                frame_limit=section.frame_limit,
                live=section.live,
                images=_pictures(section.images, "source.images") if section.images else (),
                faults=[Fault(**fault.model_dump()) for fault in section.faults],
            )
        case config.PiCameraSource():
            return _picamera(name, section)
        case config.UsbSource():
            return UsbCamera(
                name, section.path, section.width, section.height, section.fps, section.fourcc
            )
        case config.RtspSource() | config.HttpSource():
            return _network_camera(name, section)


def _picamera(name: str, section: config.PiCameraSource) -> Source:
    width, height = section.lores_width, section.lores_height
    return PiCameraSource(
        name,
        camera=section.camera,
        size=(section.width, section.height),
        lores_size=(width, height) if width and height else None,
        lores_format=section.lores_format,
        fps=section.fps,
        rotation=section.rotation,
        hflip=section.hflip,
        vflip=section.vflip,
        controls=section.controls,
    )


def _network_camera(name: str, section: config.RtspSource | config.HttpSource) -> NetworkCamera:
    return NetworkCamera(
        name,
        partial(_with_login, section),
        section.address,
        open_timeout_s=section.open_timeout_s,
        read_timeout_s=section.read_timeout_s,
    )


def _with_login(section: config.RtspSource | config.HttpSource) -> str:
    """Return the url with user and password. Raises ConfigError when that cannot be read."""
    if section.username is None:
        return section.url
    try:
        password = section.read_password()
    except PublishError as error:
        option = f"source.{section.password_option}"
        raise ConfigError([Problem(option, error.problem, error.remedy)]) from None
    login = ":".join(quote(part, safe="") for part in (section.username, password or ""))
    scheme, rest = section.url.split("://", 1)
    return f"{scheme}://{login}@{rest}"


def _pictures(folder: Path, option: str) -> list[Path]:
    try:
        return list_folder(folder, IMAGE_EXTENSIONS)
    except InputError as error:
        raise ConfigError([Problem(option, error.problem, error.remedy)]) from None


def _is_folder(path: Path, option: str) -> bool:
    try:
        check_readable(path)
        return is_folder(path)
    except InputError as error:
        raise ConfigError([Problem(option, error.problem, error.remedy)]) from None
