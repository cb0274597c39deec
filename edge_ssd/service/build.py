"""A configuration to the parts it describes."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from pathlib import Path

from edge_ssd import config
from edge_ssd.config import Config, ModelOptions, PostprocessSection, PreprocessOptions
from edge_ssd.detector import Detector
from edge_ssd.errors import ConfigError, InputError, ModelError
from edge_ssd.models import catalogue, labels
from edge_ssd.models.labels import Labels
from edge_ssd.models.loading import load
from edge_ssd.postprocess import PostprocessOptions, Postprocessor
from edge_ssd.postprocess.anchors import for_model
from edge_ssd.publishers.jsonl import JsonLinesPublisher
from edge_ssd.service.pipeline import Outlet, Pipeline
from edge_ssd.sources.base import Source
from edge_ssd.sources.images import IMAGE_EXTENSIONS, ImageSource, list_folder
from edge_ssd.sources.synthetic import Fault, SyntheticSource
from edge_ssd.sources.video import VideoSource

log = logging.getLogger(__name__)


def pipeline(options: Config) -> Pipeline:
    """Return the pipeline that a configuration describes, ready to start.

    Raises ConfigError that names the option at fault, RuntimeMissingError when no runtime
    can run the model.
    """
    try:
        network = detector(options.model, options.preprocess)
        names = labels_of(network)
        postprocessing = postprocessor(network, names, options.postprocess)
    except ModelError as error:
        raise ConfigError([f"model: {error.problem}"], error.remedy) from None
    outlets = [Outlet(publisher(item), item.queue_size) for item in options.publishers]
    return Pipeline(
        source(options), network, postprocessing, outlets, names, options.stall_timeout_s
    )


def detector(model: ModelOptions, preprocess: PreprocessOptions) -> Detector:
    """Return the loaded model. Raises ModelError, RuntimeMissingError."""
    spec = load(model.name, model.labels)
    return Detector(spec, model.runtime, model.threads, preprocess.resize)


def labels_of(network: Detector) -> Labels:
    """Return one label per class. Raises ModelError when the counts do not fit."""
    spec, classes = network.spec, network.classes
    if spec.labels:
        return labels.fit(spec.labels, classes, f"the label list for {spec.name}")
    if classes == labels.COCO_CLASSES:
        log.info("%s brings no labels; its %d classes are taken for COCO's", spec.name, classes)
        return tuple(catalogue.describe(catalogue.DEFAULT).get("labels", list))
    return (None,) * classes


def postprocessor(network: Detector, names: Labels, section: PostprocessSection) -> Postprocessor:
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
    """Return the source a configuration describes. Raises ConfigError for a missing file."""
    name, section = options.name, options.source
    match section:
        case config.VideoSource():
            return VideoSource(name, _existing(section.path, "source.path"), section.loop)
        case config.ImagesSource():
            return ImageSource(name, [_existing(section.path, "source.path")], section.loop)
        case config.SyntheticSource():
            return SyntheticSource(
                name,
                width=section.width,
                height=section.height,
                fps=section.fps,
                frame_limit=section.frame_limit,
                live=section.live,
                images=_pictures(section.images) if section.images else (),
                faults=[Fault(**fault.model_dump()) for fault in section.faults],
            )


def publisher(section: config.PublisherOptions) -> JsonLinesPublisher:
    """Return the publisher an entry of ``publishers`` describes."""
    return JsonLinesPublisher(section.path, section.max_bytes, section.backups)


def _pictures(folder: Path) -> list[Path]:
    try:
        return list_folder(_existing(folder, "source.images"), IMAGE_EXTENSIONS)
    except InputError as error:
        raise ConfigError([f"source.images: {error.problem}"], error.remedy) from None


def _existing(path: Path, option: str) -> Path:
    if not path.exists():
        raise ConfigError([f"{option}: {path} does not exist"], "correct the path")
    return path


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
