"""sd_notify as systemd would receive it, on real sockets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.notified import NotifySocket

from edge_ssd.service import systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    path = str(tmp_path / "notify")
    opened = NotifySocket(path if request.param == "path" else f"@edge-ssd-{os.getpid()}")
    yield opened
    opened.close()


def test_each_message_as_the_protocol_wants_it(manager: NotifySocket) -> None:
    told = systemd.from_environment({"NOTIFY_SOCKET": manager.address})
    told.status("waiting")
    assert manager.receive() == {"STATUS": "waiting"}
    told.ready("30.0 fps")
    assert manager.receive() == {"READY": "1", "STATUS": "30.0 fps"}
    told.ping()
    assert manager.receive() == {"WATCHDOG": "1"}
    told.stopping("ended")
    assert manager.receive() == {"STOPPING": "1", "STATUS": "ended"}
    before_us = time.monotonic_ns() // 1000
    told.reloading()
    message = manager.receive()
    assert message["RELOADING"] == "1"
    assert before_us <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_a_status_of_several_lines_stays_one(manager: NotifySocket) -> None:
    """Else its second line would be taken for another variable of the protocol."""
    systemd.from_environment({"NOTIFY_SOCKET": manager.address}).status("a\nREADY=1\n\udc80b")
    assert manager.receive() == {"STATUS": "a READY=1 ?b"}


def test_the_watchdog_interval_is_systemds(manager: NotifySocket) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000000"}
    assert systemd.from_environment(dict(variables)).watchdog_s == 20
    ours = variables | {"WATCHDOG_PID": str(os.getpid())}
    assert systemd.from_environment(ours).watchdog_s == 20


@pytest.mark.parametrize(
    "variables", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"},
                  {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}],
)  # fmt: skip
def test_no_watchdog_unless_it_is_for_this_process(
    manager: NotifySocket, variables: dict[str, str]
) -> None:
    told = systemd.from_environment({"NOTIFY_SOCKET": manager.address} | variables)
    assert told.watchdog_s is None
    told.status("still told")
    assert manager.receive() == {"STATUS": "still told"}


def test_children_do_not_inherit_the_manager() -> None:
    environ = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    systemd.from_environment(environ)
    assert environ == {"PATH": "/bin"}


def test_without_systemd_nothing_is_told_to_nobody() -> None:
    told = systemd.from_environment({})
    assert told.watchdog_s is None
    told.ready("x")
    told.stopping("x")


def test_an_address_of_another_kind_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert systemd.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}).watchdog_s is None
    assert "vsock:2:1234" in caplog.text


def test_a_manager_that_is_gone_or_full_ends_nothing(tmp_path: Path) -> None:
    manager = NotifySocket(str(tmp_path / "notify"))
    told = systemd.from_environment({"NOTIFY_SOCKET": manager.address})
    systemd_is_busy = 2000  # messages; more than any socket holds
    told._socket.settimeout(0)  # type: ignore[attr-defined]
    for _ in range(systemd_is_busy):
        told.ping()
    assert len(manager.waiting()) < systemd_is_busy
    manager.close()
    told.ping()
    Path(manager.address).unlink()
    told.ping()
