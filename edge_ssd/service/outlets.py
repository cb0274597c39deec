"""The ``publishers`` section to publishers, and what is wrong with it on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ssd import config
from edge_ssd.errors import ConfigError, Problem, PublishError
from edge_ssd.files import hidden, may
from edge_ssd.pipeline.pipeline import Outlet
from edge_ssd.publishers.base import Publisher
from edge_ssd.publishers.jsonl import JsonLinesPublisher

if TYPE_CHECKING:
    from edge_ssd.secrets import Password, TlsFiles


def outlet(section: config.PublisherOptions, name: str) -> Outlet:
    """Return the publisher of an entry of ``publishers``, and its queue; name: the source's."""
    return Outlet(publisher(section, name), section.queue_size)


def publisher(section: config.PublisherOptions, name: str) -> Publisher:
    """Return the publisher an entry of ``publishers`` describes; name: the source's."""
    match section:
        case config.JsonLinesPublisher():
            return JsonLinesPublisher(section.path, section.max_bytes, section.backups)
        case config.MqttPublisher():
            return _mqtt(section, name)


def _mqtt(section: config.MqttPublisher, name: str) -> Publisher:
    # Only who publishes there pays for the import of paho and ssl.
    from edge_ssd.publishers import mqtt, mqtt_connection  # noqa: PLC0415

    broker = mqtt_connection.Broker(
        host=section.host,
        port=section.port or (8883 if section.tls else 1883),
        client_id=section.client_id.replace("{name}", name),
        username=section.username,
        keepalive_s=section.keepalive_s,
        availability_topic=section.availability_topic.replace("{name}", name),
    )
    delivery = mqtt.Delivery(
        topic=section.topic.replace("{name}", name),
        qos=section.qos,
        retain=section.retain,
        on_change=section.publish == "on-change",
        heartbeat_s=section.heartbeat_s,
        queue_size=section.offline_queue_size,
        reconnect_min_s=section.reconnect_min_s,
        reconnect_max_s=section.reconnect_max_s,
    )
    return mqtt.MqttPublisher(broker, *_secrets(section), delivery)


def _secrets(section: config.MqttPublisher) -> tuple[Password, TlsFiles | None]:
    from edge_ssd.secrets import Password, TlsFiles  # noqa: PLC0415

    tls = section.tls
    return (
        Password(section.password_file, section.password_credential),
        TlsFiles(tls.ca_file, tls.certificate_file, tls.key_file) if tls else None,
    )


def check(publishers: Sequence[config.PublisherOptions]) -> None:
    """Raise ConfigError for a file in a folder that is not there, or given to two publishers.

    What another user may do is not judged: whoever checks a service's file is rarely its user.
    """
    problems, taken = [], set()
    for index, section in enumerate(publishers):
        if not isinstance(section, config.JsonLinesPublisher):
            continue
        place, path = f"publishers.{index}.path", section.path
        if path and not (_may_be_there(path.parent) or _made_by_systemd(path.parent)):
            problems.append(Problem(place, f"the folder {path.parent} does not exist"))
        file = path and os.path.realpath(path)
        if file in taken:
            problems.append(Problem(place, f"another publisher has {path or 'stdout'} already"))
        taken.add(file)
    if problems:
        raise ConfigError(problems)


def check_access(publishers: Sequence[config.PublisherOptions]) -> None:
    """Raise ConfigError for what this user may not write, or for a secret it may not read."""
    problems = []
    for index, section in enumerate(publishers):
        place = f"publishers.{index}"
        match section:
            case config.JsonLinesPublisher(path=Path() as path) if not may_write(path):
                problem = f"{path} may not be written by this user"
                problems.append(Problem(f"{place}.path", problem, "choose a folder where it may"))
            case config.MqttPublisher():
                problems += [problem.below(place) for problem in _secrets_missing(section)]
            case _:
                pass
    if problems:
        raise ConfigError(problems)


def may_write(path: Path) -> bool:
    """Whether this user may write a file."""
    if os.path.exists(path):  # noqa: PTH110 - Path's raises for what it may not look at
        return may(path, os.R_OK | os.W_OK) and not os.path.isdir(path)  # noqa: PTH112 - likewise
    return may(path.parent, os.W_OK | os.X_OK)


def _may_be_there(folder: Path) -> bool:
    return os.path.isdir(folder) or hidden(folder) is not None  # noqa: PTH112 - likewise


def _made_by_systemd(folder: Path) -> bool:
    """Whether it is a RuntimeDirectory of the units: there only while the service runs."""
    return folder.parent == Path("/run") and f"{folder.name}-".startswith("edge-ssd-")


def _secrets_missing(section: config.MqttPublisher) -> list[Problem]:
    from edge_ssd.secrets import read_password, tls_context  # noqa: PLC0415

    password, files = _secrets(section)
    try:
        read_password(password)
        if files:
            tls_context(files)
    except PublishError as error:
        return [Problem("", error.problem, error.remedy)]
    return []
