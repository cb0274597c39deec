"""The whole configuration file: every option once, with its unit, default and limits."""

from edge_ssd.config.loading import json_schema, load, parse
from edge_ssd.config.reference import reference
from edge_ssd.config.schema import AnySource, Config, GovernorOptions

__all__ = ["AnySource", "Config", "GovernorOptions", "json_schema", "load", "parse", "reference"]
