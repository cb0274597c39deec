"""The whole configuration file: every option once, with its unit, default and limits.

``load`` reads a YAML file; a problem anywhere is a ConfigError that lists each one as
``path: problem``. ``json_schema`` is what editors complete keys from.
"""

from edge_ssd.config.loading import json_schema, load, parse
from edge_ssd.config.reference import reference
from edge_ssd.config.schema import Config, GovernorOptions, PublisherOptions
from edge_ssd.config.sources import (
    FaultOptions,
    HttpSource,
    ImagesSource,
    PiCameraSource,
    RtspSource,
    SourceOptions,
    SyntheticSource,
    UsbSource,
    VideoSource,
)

__all__ = [
    "Config",
    "FaultOptions",
    "GovernorOptions",
    "HttpSource",
    "ImagesSource",
    "PiCameraSource",
    "PublisherOptions",
    "RtspSource",
    "SourceOptions",
    "SyntheticSource",
    "UsbSource",
    "VideoSource",
    "json_schema",
    "load",
    "parse",
    "reference",
]
