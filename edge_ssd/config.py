"""The whole configuration file: every option once, with its unit, default and limits.

``load`` reads a YAML file; a problem anywhere is a ConfigError that lists each one as
``path: problem``. ``json_schema`` is what editors complete keys from.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_ssd.errors import ConfigError

Unit = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


_S = TypeVar("_S", bound=_Section)


class VideoSource(_Section):
    """A recorded video; every frame is used, in order, as fast as inference goes."""

    type: Literal["video"]
    path: Path
    """The video file."""
    loop: bool = False
    """Begin again at its end."""


class ImagesSource(_Section):
    """Pictures, in natural order (img2 before img10); each is used once."""

    type: Literal["images"]
    path: Path
    """A picture, or a folder of pictures."""
    loop: bool = False
    """Begin again after the last."""


class FaultOptions(_Section):
    """A fault that the synthetic source plays, as hardware would."""

    kind: Literal["stall", "drop", "error", "wrong-size"]
    """What happens: no frame for a while; a frame lost; the camera fails; another size."""
    at_frame: int = Field(ge=0)
    """The number of the frame it happens at."""
    duration_s: float = Field(default=0.0, ge=0)
    """How long a stall lasts, in seconds."""
    every: int | None = Field(default=None, ge=1)
    """Repeat after so many frames."""


class SyntheticSource(_Section):
    """A shipped stand-in for a camera: moving shapes, or pictures in a loop."""

    type: Literal["synthetic"]
    width: int = Field(default=640, ge=32, le=10000)
    """Pixels."""
    height: int = Field(default=480, ge=2, le=10000)
    """Pixels."""
    fps: float | None = Field(default=30.0, gt=0)
    """Frames a second; null for as fast as they are taken."""
    frame_limit: int | None = Field(default=None, ge=1)
    """End after so many frames; null for never."""
    live: bool = True
    """Behave as a camera: frames that nobody takes in time are lost."""
    images: Path | None = None
    """Show the pictures of this folder instead of shapes."""
    faults: tuple[FaultOptions, ...] = ()
    """Faults to play, for tests."""


SourceOptions = Annotated[VideoSource | ImagesSource | SyntheticSource, Field(discriminator="type")]


class ModelOptions(_Section):
    """The network and how it is run."""

    name: str = "ssdlite_mobilenet_v2_coco"
    """A name of `edge-ssd models list`, or the path of a .tflite file."""
    labels: Path | None = None
    """A text file, one label a line; null for the labels that come with the model."""
    runtime: Literal["auto", "litert", "tflite-runtime"] = "auto"
    """The TensorFlow Lite runtime; auto takes litert where it is installed."""
    threads: int | None = Field(default=None, ge=1, le=64)
    """Inference threads; null for one a CPU. Never more than the CPUs available."""


class PreprocessOptions(_Section):
    """How a frame becomes the network's input."""

    resize: Literal["stretch", "letterbox"] = "stretch"
    """Fill the input, as SSD models are trained; or keep the aspect ratio and pad."""


class PostprocessSection(_Section):
    """Which of the network's predictions become detections."""

    score_threshold: Unit = 0.5
    """Least score."""
    class_score_thresholds: dict[str, Unit] = Field(default_factory=dict)
    """Another least score for some labels, such as `person: 0.6`."""
    classes: tuple[str, ...] | None = None
    """The labels to report; null for all."""
    iou_threshold: Unit | None = None
    """How much boxes may overlap before the lesser one goes; null for the model's own."""
    nms: Literal["per-class", "class-agnostic", "op-compatible"] = "per-class"
    """Boxes of one class suppress each other; or all do; or exactly as TFLite's op does it."""
    max_candidates: int = Field(default=1000, ge=1, le=1_000_000)
    """How many of the best candidates enter suppression."""
    max_detections: int = Field(default=100, ge=1, le=10_000)
    """Detections a frame has at most."""


class JsonLinesPublisher(_Section):
    """One JSON object a line, to stdout or a file."""

    type: Literal["jsonl"]
    path: Path | None = None
    """The file; null for stdout."""
    max_bytes: int = Field(default=10_000_000, ge=1000)
    """The file is rotated before it grows beyond this size, in bytes."""
    backups: int = Field(default=3, ge=0, le=1000)
    """How many rotated files are kept: path.1 is the newest."""
    queue_size: int = Field(default=64, ge=1, le=100_000)
    """Results that may wait; beyond that a live source's oldest is dropped and counted."""


PublisherOptions = JsonLinesPublisher


class Config(_Section):
    """The configuration of one service: one camera, one model, any number of publishers."""

    name: str = Field(default="edge-ssd", min_length=1, max_length=64, pattern=r"^[^\s/+#]+$")
    """The source's name in messages: no spaces, and none of / + #."""
    source: SourceOptions
    model: ModelOptions = ModelOptions()
    preprocess: PreprocessOptions = PreprocessOptions()
    postprocess: PostprocessSection = PostprocessSection()
    publishers: tuple[PublisherOptions, ...] = Field(
        default=(JsonLinesPublisher(type="jsonl"),), min_length=1
    )
    stall_timeout_s: float = Field(default=10.0, gt=0, le=3600)
    """Give up on a source that has given no frame for so long, in seconds."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML's safe loader; a key given twice is refused, where YAML takes the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def load(path: Path) -> Config:
    """Read a configuration file; relative paths in it are relative to its folder.

    Raises ConfigError with every problem found.
    """
    try:
        text = path.read_text("utf-8")
        values = yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"], "give a readable YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: not UTF-8 text"], "give a YAML file") from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: not YAML: {_yaml_problem(error)}"]) from None
    if not isinstance(values, dict):
        raise ConfigError([f"{path}: must be a mapping of options, such as `source:`"])
    return parse(values, path.parent)


def parse(values: dict[str, Any], folder: Path = Path()) -> Config:
    """Return the configuration that ``values`` describe. Raises ConfigError."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError([_problem(item) for item in error.errors()]) from None
    return _anchored(config, folder)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    return Config.model_json_schema()


def _anchored(section: _S, folder: Path) -> _S:
    """Return the section with its relative paths joined to ``folder``."""
    changed: dict[str, Any] = {}
    for name in section.model_fields_set:
        value = getattr(section, name)
        if isinstance(value, Path):
            changed[name] = folder / value.expanduser()
        elif isinstance(value, _Section):
            changed[name] = _anchored(value, folder)
        elif isinstance(value, tuple) and all(isinstance(item, _Section) for item in value):
            changed[name] = tuple(_anchored(item, folder) for item in value)
    return section.model_copy(update=changed)


def _problem(item: Any) -> str:
    """Return one pydantic error as ``dotted.path: problem``."""
    place, beside = _resolve(item["loc"])
    dotted = ".".join(place) or "the file"
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], beside, n=1)
        return f"{dotted}: unknown option" + (f"; did you mean {near[0]}?" if near else "")
    if item["type"] == "missing":
        return f"{dotted}: is missing"
    message = re.sub(r"^(Input|Value|String|Tuple|Dictionary) ", "", item["msg"])
    given = item.get("input")
    shown = f" (it is {given!r})" if isinstance(given, (str, int, float, type(None))) else ""
    return f"{dotted}: {message}{shown}"


def _resolve(location: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """Return the keys of a pydantic location, without union tags, and the last one's siblings."""
    sections: list[type[_Section]] = [Config]
    place: list[str] = []
    beside: list[str] = []
    for part in location:
        tagged = [section for section in sections if part == _tag(section)]
        if len(sections) > 1 and tagged:
            sections = tagged
            continue
        place.append(str(part))
        if isinstance(part, str):
            beside = sorted({key for section in sections for key in section.model_fields})
            inner = [section.model_fields.get(part) for section in sections]
            sections = [found for key in inner if key for found in _sections(key.annotation)]
    return place, beside


def _tag(section: type[_Section]) -> str | None:
    kind = section.model_fields.get("type")
    return str(get_args(kind.annotation)[0]) if kind else None


def _sections(annotation: Any) -> list[type[_Section]]:
    """Return the sections that an annotation mentions, however nested."""
    if isinstance(annotation, type) and issubclass(annotation, _Section):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections(inner)]


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error)
