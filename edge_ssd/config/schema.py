"""The whole configuration: every section, and the options at the top."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge_ssd.checks import Check
from edge_ssd.inference.options import ModelOptions
from edge_ssd.inference.preprocess import PreprocessOptions
from edge_ssd.options import Options
from edge_ssd.postprocess import PostprocessOptions
from edge_ssd.publishers.jsonl import JsonLinesOptions
from edge_ssd.publishers.mqtt import MqttOptions
from edge_ssd.sources.base import Source
from edge_ssd.sources.images import ImagesOptions
from edge_ssd.sources.network import HttpOptions, RtspOptions
from edge_ssd.sources.picamera import PiCameraOptions
from edge_ssd.sources.synthetic import SyntheticOptions
from edge_ssd.sources.usb import UsbOptions
from edge_ssd.sources.video import VideoOptions

AnySource = Annotated[
    VideoOptions
    | ImagesOptions
    | SyntheticOptions
    | PiCameraOptions
    | UsbOptions
    | RtspOptions
    | HttpOptions,
    Field(discriminator="type"),
]

PublisherOptions = Annotated[JsonLinesOptions | MqttOptions, Field(discriminator="type")]


class GovernorOptions(Options):
    """Slows a live source down when the board runs hot or its power supply is too weak."""

    enabled: bool = True
    """Lower the frame rate; when false, temperature and power are only reported."""
    max_temperature_c: float = Field(default=75.0, ge=40, le=110)
    """The processor's temperature that is too hot, in degrees Celsius; throttling begins at 80."""
    min_fps: float = Field(default=1.0, gt=0, le=1000)
    """The rate is never lowered below this, in frames per second."""


class Config(Options):
    """The configuration of one service: one camera, one model, any number of publishers."""

    name: str = Field(default="edge-ssd", min_length=1, max_length=64, pattern=r"^[^\s/+#]+$")
    """The source's name in messages: no spaces, and none of / + #."""
    source: AnySource
    model: ModelOptions = ModelOptions()
    preprocess: PreprocessOptions = PreprocessOptions()
    postprocess: PostprocessOptions = PostprocessOptions()
    publishers: tuple[PublisherOptions, ...] = Field(default=(JsonLinesOptions(),), min_length=1)
    stall_timeout_s: float = Field(default=10.0, gt=0, le=3600)
    """A camera without a frame for so long is reopened; a recording ends, in seconds."""
    governor: GovernorOptions = GovernorOptions()

    def make_source(self) -> Source:
        """Return the source, not opened yet. Raises ConfigError for a file that is missing."""
        return self.source.make(self.name)

    def checks(self) -> tuple[Check, ...]:
        """Return what to look at before this runs: each check with the path of its option."""
        sections = [("model", self.model.checks()), ("source", self.source.checks())]
        sections += [(f"publishers.{n}", item.checks()) for n, item in enumerate(self.publishers)]
        return tuple(check.below(place) for place, checks in sections for check in checks)
