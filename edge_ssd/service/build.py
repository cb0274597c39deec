"""A configuration to the parts it describes."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from edge_ssd import config
from edge_ssd.config import Config, ModelOptions, PostprocessSection, PreprocessOptions
from edge_ssd.errors import ConfigError, InputError, ModelError, PublishError
from edge_ssd.inference.backend import Backend, ModelFit
from edge_ssd.inference.backends import network as network_of
from edge_ssd.inference.cpu import CpuBackend
from edge_ssd.models import coco, labels
from edge_ssd.models.labels import Labels
from edge_ssd.models.loading import load
from edge_ssd.pipeline.pipeline import Pipeline
from edge_ssd.postprocess import PostprocessOptions, Postprocessor
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.service import outlets
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

log = logging.getLogger(__name__)


def pipeline(options: Config) -> Pipeline:
    """Return the pipeline that a configuration describes, ready to start.

    Raises ConfigError that names the option at fault, RuntimeMissingError when no runtime
    can run the model.
    """
    try:
        network = network_of(options.model, options.preprocess)
        names = labels_of(network)
        postprocessing = postprocessor(network, names, options.postprocess)
    except ModelError as error:
        option = _option_named_in(error.problem, options.model)
        raise ConfigError([f"{option}: {error.problem}"], error.remedy) from None
    outlets.check(options.publishers)
    publishers = [outlets.outlet(item, options.name) for item in options.publishers]
    in_thread = options.model.isolation == "thread"
    return Pipeline(
        source(options),
        network,
        postprocessing,
        publishers,
        names,
        options.stall_timeout_s,
        invoke_deadline_s=options.model.invoke_deadline_s if in_thread else None,
    )


def _option_named_in(problem: str, model: ModelOptions) -> str:
    """Return the option whose file a problem with the model is about."""
    files = {"labels": model.labels, "cpu_model": model.cpu_model, "name": model.name}
    named = (option for option, file in files.items() if file and str(file) in problem)
    return ".".join(["model", *islice(named, 1)])


def detector(model: ModelOptions, preprocess: PreprocessOptions) -> CpuBackend:
    """Return the model, loaded here for the CPU. Raises ModelError, RuntimeMissingError."""
    spec = load(model.name, model.labels)
    return CpuBackend(spec, model.runtime, model.threads, preprocess.resize)


def labels_of(network: ModelFit) -> Labels:
    """Return one label per class. Raises ModelError when the counts do not fit."""
    spec, classes = network.spec, network.classes
    if spec.labels:
        given = spec.labels_path
        origin = f"the label file {given}" if given else f"the label list for {spec.name}"
        return labels.fit(spec.labels, classes, origin)
    if classes == coco.CLASSES:
        log.info("%s brings no labels; its %d classes are taken for COCO's", spec.name, classes)
        return coco.labels()
    return (None,) * classes


def postprocessor(network: Backend, names: Labels, section: PostprocessSection) -> Postprocessor:
    """Return the postprocessing of a model.

    Raises ConfigError for a label it has not, ModelError when its anchors do not fit it.
    """
    spec, tensor = network.spec, network.preprocess.tensor
    wanted, iou_threshold = section.classes, section.iou_threshold
    options = PostprocessOptions(
        score_threshold=section.score_threshold,
        class_score_thresholds={
            class_id: threshold
            for label, threshold in section.class_score_thresholds.items()
            for class_id in _class_ids(names, [label], "class_score_thresholds")
        },
        classes=None if wanted is None else frozenset(_class_ids(names, wanted, "classes")),
        iou_threshold=spec.iou_threshold if iou_threshold is None else iou_threshold,
        nms=section.nms,
        max_candidates=section.max_candidates,
        max_detections=section.max_detections,
    )
    anchors = for_model(spec, network.heads.boxes.anchors, tensor.height, tensor.width)
    return Postprocessor(
        anchors, spec.box_coder, network.classes, spec.background, spec.sigmoid, options
    )


def source(options: Config) -> Source:
    """Return the source a configuration describes.

    Raises ConfigError for a file that is missing or may not be read.
    """
    name, section = options.name, options.source
    match section:
        case config.VideoSource():
            if _is_folder(section.path, "source.path"):
                problem = f"source.path: {section.path} is a folder"
                raise ConfigError([problem], "name the video in it")
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
    # Only a camera with a password pays for the import of ssl.
    from edge_ssd import secrets as credentials  # noqa: PLC0415

    if section.username is None:
        return section.url
    place = credentials.Password(section.password_file, section.password_credential)
    try:
        password = credentials.read_password(place)
    except PublishError as error:
        option = "password_credential" if section.password_credential else "password_file"
        raise ConfigError([f"source.{option}: {error.problem}"], error.remedy) from None
    login = ":".join(quote(part, safe="") for part in (section.username, password or ""))
    scheme, rest = section.url.split("://", 1)
    return f"{scheme}://{login}@{rest}"


def _pictures(folder: Path, option: str) -> list[Path]:
    try:
        return list_folder(folder, IMAGE_EXTENSIONS)
    except InputError as error:
        raise ConfigError([f"{option}: {error.problem}"], error.remedy) from None


def _is_folder(path: Path, option: str) -> bool:
    try:
        check_readable(path)
        return is_folder(path)
    except InputError as error:
        raise ConfigError([f"{option}: {error.problem}"], error.remedy) from None


def _class_ids(names: Labels, wanted: Iterable[str], option: str) -> list[int]:
    known = {name: class_id for class_id, name in enumerate(names) if name}
    problems = []
    for label in wanted:
        if label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"postprocess.{option}: the model has no label {label!r}{hint}")
    if problems:
        raise ConfigError(problems)
    return [class_id for class_id, name in enumerate(names) if name in set(wanted)]
