"""The whole configuration file: every option once, with its unit, default and limits.

``load`` reads a YAML file; a problem anywhere is a ConfigError that lists each one as
``path: problem``. ``json_schema`` is what editors complete keys from.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edge_ssd.errors import ConfigError

# What pydantic's kinds of error say here; "should" becomes "must" in those not listed.
_SAYS = {
    "missing": "is missing",
    "model_type": "must be a section of options",
    "model_attributes_type": "must be a section of options",
    "tuple_type": "must be a list",
    "too_short": "must have at least one entry",
    "dict_type": "must be a mapping, such as {person: 0.6}",
    "string_type": "must be text (in quotes where it looks like something else)",
    "path_type": "must be a path",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "float_parsing": "must be a number",
    "string_pattern_mismatch": "must have no spaces, and none of / + #",  # only ``name`` has one
}

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


class PiCameraSource(_Section):
    """A camera on the Pi's own connector, through picamera2; its image processor scales."""

    type: Literal["picamera"]
    camera: int | str = 0
    """Its number, or its id or model name, as `rpicam-hello --list-cameras` shows them."""
    width: int = Field(default=1280, ge=64, le=10000)
    """Pixels; with height it chooses the sensor's mode and field of view."""
    height: int = Field(default=720, ge=64, le=10000)
    """Pixels."""
    lores_width: int | None = Field(default=None, ge=64, le=10000)
    """Of the frames, in pixels; null for the same shape with 320 pixels on its shorter side."""
    lores_height: int | None = Field(default=None, ge=64, le=10000)
    """Pixels; give both or neither."""
    lores_format: Literal["YUV420", "RGB888"] = "YUV420"
    """What the camera is asked for; RGB888 spares the processor a conversion, on a Pi 5 only."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames a second; null for whatever the light allows."""
    rotation: Literal[0, 180] = 0
    """Degrees, for a camera that hangs upside down."""
    hflip: bool = False
    """Mirror the picture, left to right."""
    vflip: bool = False
    """Mirror the picture, top to bottom."""
    controls: dict[str, Any] = Field(default_factory=dict)
    """libcamera's controls by name, such as `{AfMode: 2, ExposureTime: 8000}`."""

    @model_validator(mode="after")
    def _lores_fits(self) -> PiCameraSource:
        width, height = self.lores_width, self.lores_height
        if (width is None) != (height is None):
            raise PydanticCustomError("options", "must have both lores_width and lores_height")
        if (width or 0) > self.width or (height or 0) > self.height:
            raise PydanticCustomError("options", "must have a lores size within width x height")
        return self


class UsbSource(_Section):
    """A USB camera (V4L2). What the camera makes of size, rate and format is used."""

    type: Literal["usb"]
    path: Path = Path("/dev/video0")
    """Better its name in /dev/v4l/by-id, which stays the same in another socket."""
    width: int | None = Field(default=640, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    height: int | None = Field(default=480, ge=16, le=10000)
    """Pixels; null for the camera's own."""
    fps: float | None = Field(default=30.0, gt=0, le=1000)
    """Frames a second; null for the camera's own."""
    fourcc: str | None = Field(default=None, min_length=4, max_length=4)
    """The camera's format, such as MJPG (little USB traffic) or YUYV (little work)."""


class _StreamSource(_Section):
    schemes: ClassVar[tuple[str, ...]]

    url: str = Field(repr=False)
    """The address of the stream; in messages only its host appears."""
    username: str | None = None
    """null to log in without, or where the url has it."""
    password_file: Path | None = None
    """A file whose one line is the password."""
    password_credential: str | None = None
    """The name of the systemd credential (LoadCredential=) that is the password."""
    open_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long the camera may take to answer, and to begin the stream, in seconds."""
    read_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long it may give no picture, in seconds."""

    @property
    def address(self) -> str:
        """What may be shown of the url: ``rtsp://camera:554``. Paths hold passwords too."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @field_serializer("url")
    def _without_secrets(self, _url: str) -> str:
        return self.address

    @field_validator("url")
    @classmethod
    def _is_stream(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            rest = url.partition(parts.netloc)[2]
            host = parts.hostname if parts.port != 0 else None
        except ValueError:  # the port is no number
            raise cls._not_a_stream() from None
        # An @ further on means that a / ? or # of the password was taken for the host's end.
        if not host or "@" in rest or re.search(r"\s", url) or parts.scheme not in cls.schemes:
            raise cls._not_a_stream()
        return url

    @classmethod
    def _not_a_stream(cls) -> PydanticCustomError:
        return PydanticCustomError(
            "url",
            "must be such as {scheme}://camera.local/stream; in a user or password write "
            "@ : / ? # % as %40 %3A %2F %3F %23 %25",
            {"scheme": cls.schemes[0]},
        )

    @model_validator(mode="after")
    def _one_login(self) -> _StreamSource:
        passwords = sum(p is not None for p in (self.password_file, self.password_credential))
        faults = {
            "must have password_file or password_credential, not both": passwords == 2,
            "must have a username where there is a password": passwords and not self.username,
            "must have the user in the url or in username, not both": (
                self.username and "@" in urlsplit(self.url).netloc
            ),
        }
        for says, wrong in faults.items():
            if wrong:
                raise PydanticCustomError("options", says)
        return self


class RtspSource(_StreamSource):
    """A network camera, over TCP, or UDP where it refuses that; the newest frame is used."""

    schemes = ("rtsp", "rtsps")

    type: Literal["rtsp"]


class HttpSource(_StreamSource):
    """A stream over HTTP, such as motion JPEG; the newest frame is used."""

    schemes = ("http", "https")

    type: Literal["http"]


SourceOptions = Annotated[
    VideoSource
    | ImagesSource
    | SyntheticSource
    | PiCameraSource
    | UsbSource
    | RtspSource
    | HttpSource,
    Field(discriminator="type"),
]


def _edgetpu_device(device: str) -> str:
    if not re.fullmatch(r"usb|pci|(usb|pci)?:[0-9]+", device):
        raise PydanticCustomError("device", "must be usb, pci, usb:N, pci:N or :N")
    return device


EdgeTpuDevice = Annotated[str, AfterValidator(_edgetpu_device)]


class EdgeTpuOptions(_Section):
    """What libedgetpu is told; only where `delegate_device` has a number, it drops them else."""

    performance: Literal["Low", "Medium", "High", "Max"] | None = None
    """The clock of the chip (libedgetpu: Performance); null for the library's own choice."""
    usb_always_dfu: bool | None = None
    """Load the firmware at every start (Usb.AlwaysDfu); null for the library's own choice."""
    usb_max_bulk_in_queue_length: int | None = Field(default=None, ge=0, le=255)
    """USB transfers that may wait (Usb.MaxBulkInQueueLength); null for the library's own."""


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
    isolation: Literal["thread", "process"] = "thread"
    """Where inference runs; in a process of its own its crash costs one frame, not the service."""
    invoke_deadline_s: float = Field(default=10.0, gt=0, le=3600)
    """An inference that takes longer hangs, in seconds: the process is replaced, or it all ends."""
    delegate: Literal["edgetpu"] | None = None
    """What runs the model besides the CPU; an Edge TPU needs a model compiled for it."""
    delegate_device: EdgeTpuDevice | None = None
    """Which Edge TPU: usb, pci, or counted from 0: usb:0, pci:0, :0; null for any."""
    delegate_library: str = "libedgetpu.so.1"
    """The Edge TPU's library: a name the system finds, or a path."""
    delegate_options: EdgeTpuOptions = EdgeTpuOptions()
    on_delegate_failure: Literal["error", "cpu"] = "error"
    """When the Edge TPU fails for good: end with the error, or go on with `cpu_model`."""
    cpu_model: str | None = None
    """The model before its compilation for the Edge TPU, for `on_delegate_failure: cpu`."""


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


def _topic(template: str) -> str:
    if re.search(r"[+#\0{}]", template.replace("{name}", "")) or template.startswith("$"):
        raise PydanticCustomError("topic", "must be a topic: {name} may stand in it, and no + # $")
    return template


Topic = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_topic)]


class MqttTls(_Section):
    """Encryption. `tls: {}` turns it on with the system's certificate authorities."""

    ca_file: Path | None = None
    """The authority that signed the broker's certificate (PEM); null for the system's."""
    certificate_file: Path | None = None
    """This client's certificate (PEM), for brokers that ask for one."""
    key_file: Path | None = None
    """Its key, not encrypted; null where the certificate's file holds it."""


class MqttPublisher(_Section):
    """One message a frame, or a change, to an MQTT broker (3.1.1)."""

    type: Literal["mqtt"]
    host: str = Field(min_length=1)
    """The broker's name or address."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """null for 1883, or 8883 with TLS."""
    client_id: str = Field(default="edge-ssd-{name}", min_length=1)
    """Must differ between clients of a broker; {name} is the source's name."""
    username: str | None = None
    """null to log in without."""
    password_file: Path | None = None
    """A file whose one line is the password."""
    password_credential: str | None = None
    """The name of the systemd credential (LoadCredential=) that is the password."""
    tls: MqttTls | None = None
    """Encryption; null for none."""
    topic: Topic = "edge-ssd/{name}/detections"
    """Where messages go; {name} is the source's name."""
    availability_topic: Topic = "edge-ssd/{name}/availability"
    """Holds `online` or `offline`, retained."""
    publish: Literal["every-frame", "on-change"] = "every-frame"
    """On change: only when the number of detections of some label is another."""
    heartbeat_s: float | None = Field(default=None, gt=0)
    """With on-change, send after so many seconds without a message; null for never."""
    qos: Literal[0, 1, 2] = 1
    """0: may be lost; 1: arrives, perhaps twice; 2: arrives, twice only after an outage."""
    retain: bool = False
    """The broker keeps the last message for clients that come later."""
    keepalive_s: int = Field(default=30, ge=5, le=65535)
    """A connection silent for so long is tested, and given up after as long again, in seconds."""
    offline_queue_size: int = Field(default=1000, ge=2, le=100_000)
    """Messages not yet delivered; beyond that the oldest is dropped and counted."""
    reconnect_min_s: float = Field(default=1.0, gt=0, le=3600)
    """Wait before the first new attempt to connect, in seconds; each further one waits twice."""
    reconnect_max_s: float = Field(default=60.0, gt=0, le=3600)
    """Wait between attempts at most, in seconds."""
    queue_size: int = Field(default=64, ge=1, le=100_000)
    """Results that may wait to become messages; beyond that a live source's oldest is dropped."""

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, values: Any) -> Any:
        if isinstance(values, dict) and "password" in values:
            raise PydanticCustomError(
                "secret",
                "must not hold a password: put it into a file that only the service can read and "
                "give `password_file`, or `password_credential` for systemd's LoadCredential=",
            )
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> MqttPublisher:
        passwords = sum(p is not None for p in (self.password_file, self.password_credential))
        faults = {
            "must have password_file or password_credential, not both": passwords == 2,
            "must have a username where there is a password": passwords and not self.username,
            "must have a topic other than availability_topic": (
                self.topic == self.availability_topic
            ),
            "must have tls.certificate_file where there is tls.key_file": (
                self.tls and self.tls.key_file and not self.tls.certificate_file
            ),
        }
        for says, wrong in faults.items():
            if wrong:
                raise PydanticCustomError("options", says)
        return self


PublisherOptions = Annotated[JsonLinesPublisher | MqttPublisher, Field(discriminator="type")]


class GovernorOptions(_Section):
    """Slows a live source down when the board runs hot or its power supply is too weak."""

    enabled: bool = True
    """Lower the frame rate; when false, temperature and power are only reported."""
    max_temperature_c: float = Field(default=75.0, ge=40, le=110)
    """The processor's temperature that is too hot, in degrees Celsius; throttling begins at 80."""
    min_fps: float = Field(default=1.0, gt=0, le=1000)
    """The rate is never lowered below so many frames a second."""


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
    governor: GovernorOptions = GovernorOptions()


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
        raise ConfigError([f"{path}: must hold options, such as `source:`, each with its value"])
    return parse(values, path.parent)


def parse(values: dict[str, Any], folder: Path = Path()) -> Config:
    """Return the configuration that ``values`` describe. Raises ConfigError."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_problems(error.errors())) from None
    return _anchored(config, folder)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file."""
    return Config.model_json_schema()


def _anchored(section: _S, folder: Path) -> _S:
    """Return the section with its relative paths joined to ``folder``."""
    changed: dict[str, Any] = {}
    for name in section.model_fields_set:
        value = getattr(section, name)
        model = isinstance(section, ModelOptions) and name in ("name", "cpu_model") and value
        if isinstance(value, Path) or (model and ("/" in value or value.endswith(".tflite"))):
            changed[name] = type(value)(folder / os.path.expanduser(value))  # noqa: PTH111
        elif isinstance(value, _Section):
            changed[name] = _anchored(value, folder)
        elif isinstance(value, tuple) and all(isinstance(item, _Section) for item in value):
            changed[name] = tuple(_anchored(item, folder) for item in value)
    return section.model_copy(update=changed)


def _problems(errors: Sequence[Any]) -> list[str]:
    """Return pydantic's errors as ``dotted.path: problem``."""
    # Faulty entries of a list are reported themselves, and again as missing from its length.
    faulty = {item["loc"][:depth] for item in errors for depth in range(len(item["loc"]))}
    return [_problem(e) for e in errors if e["type"] != "too_short" or e["loc"] not in faulty]


def _problem(item: Any) -> str:
    place, beside, sections = _resolve(item["loc"])
    dotted, kind, context = ".".join(place), item["type"], item.get("ctx", {})
    given, choices = item.get("input"), re.findall("'([^']*)'", context.get("expected", ""))
    if kind in ("extra_forbidden", "invalid_key"):
        return f"{dotted}: unknown option{_nearest(place[-1], beside)}"
    if kind.startswith("union_tag"):
        dotted, given = f"{dotted}.type", context.get("tag")
        choices = [str(_tag(section)) for section in sections]
    says = f"must be one of {', '.join(choices)}" if choices else _SAYS.get(kind)
    says = says or re.sub(r"^\w+ should ", "must ", item["msg"])
    secret = kind == "url" or "://" in str(given)  # an address may hold a password
    plain = isinstance(given, (str, int, float)) and not secret
    shown = f" (it is {given!r})" if plain else ""
    shown = " (nothing is given)" if given is None else shown
    return f"{dotted}: {says}{shown}{_nearest(str(given), choices)}"


def _nearest(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _resolve(location: tuple[int | str, ...]) -> tuple[list[str], list[str], list[Any]]:
    """Return a pydantic location without union tags, its last key's siblings, and its sections."""
    sections: list[type[_Section]] = [Config]
    place: list[str] = []
    beside: list[str] = []
    for part in location:
        tagged = [section for section in sections if part == _tag(section)]
        if len(sections) > 1 and tagged:
            sections = tagged
            continue
        if part != "[key]":
            place.append(str(part))
        if isinstance(part, str):
            beside = sorted({key for section in sections for key in section.model_fields})
            inner = [section.model_fields.get(part) for section in sections]
            sections = [found for key in inner if key for found in _sections(key.annotation)]
    return place, beside, sections


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
    problem = str(getattr(error, "problem", None) or error)
    tab = " (a tab? indent with spaces)" if "cannot start any token" in problem else ""
    return place + problem + tab
