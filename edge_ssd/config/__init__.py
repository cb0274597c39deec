"""The whole configuration file: every option once, with its unit, default and limits.

``load`` reads a YAML file; a problem anywhere is a ConfigError that lists each one as
``path: problem``. ``json_schema`` is what editors complete keys from.
"""

from edge_ssd.config.loading import json_schema, load, parse
from edge_ssd.config.reference import reference
from edge_ssd.config.schema import AnySource, Config, GovernorOptions, PublisherOptions

__all__ = [
    "AnySource",
    "Config",
    "GovernorOptions",
    "PublisherOptions",
    "json_schema",
    "load",
    "parse",
    "reference",
]
