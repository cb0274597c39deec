"""The installed service under a real systemd: it starts, comes back, reloads and stops."""

from __future__ import annotations

import json

import pytest
from support.booted import Machine, wait_for
from support.installed import (
    CONFIG,
    LINES,
    configure,
    guide,
    messages,
    recorded,
    restart,
    wait_for_more,
)

pytestmark = pytest.mark.system


def test_it_runs_at_once_and_at_every_boot(installed: Machine) -> None:
    assert installed.ask("systemctl", "is-enabled", "edge-ssd") == "enabled"
    assert installed.ask("systemctl", "is-active", "edge-ssd") == "active"
    status = installed.run(*guide("systemctl status edge-ssd").split()).stdout
    assert "Main PID" in status


def test_a_recording_gives_json_lines(service: Machine) -> None:
    video = {"type": "video", "path": "/srv/demo/clip.mp4", "loop": True}
    configure(service, recorded(source=video))
    restart(service)
    first, *others = wait_for_more(service, 30)
    assert first["schema"] == 1
    assert first["source"] == "recorded"
    numbers = [message["frame"] for message in [first, *others]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert any(message["detections"] for message in [first, *others])
    line = service.run(*guide("tail -n 1 /run/edge-ssd/detections.jsonl").split()).stdout
    assert json.loads(line)["schema"] == 1


def test_killed_it_is_back_within_two_seconds(service: Machine) -> None:
    gaps = []
    for _ in range(5):
        killed = service.unit("MainPID")
        service.run("systemctl", "kill", "--signal=KILL", "edge-ssd")
        wait_for(lambda: died_and_came_back(service, killed), "the restart")  # noqa: B023
        gaps.append((ready_at(service) - service.microseconds("ActiveExit")) / 1e6)
        wait_for_more(service, 1)
    print(f"kill -9 to READY: {', '.join(f'{gap:.2f}' for gap in gaps)} s")
    assert 0 < min(gaps) <= 2, gaps
    # The others may have met the load of something else.
    assert max(gaps) <= 6, gaps


def died_and_came_back(machine: Machine, killed: str) -> bool:
    # In this order: a new process that is active, not the old one's state and no process.
    process = machine.unit("MainPID")
    return process not in (killed, "0") and machine.unit("ActiveState") == "active"


def ready_at(machine: Machine) -> int:
    return machine.microseconds("ActiveEnter")


def test_a_frozen_worker_is_restarted_by_the_watchdog(service: Machine) -> None:
    """A publisher hangs: it writes to a pipe that nobody reads, as to a stalled network disk."""
    service.run("mkfifo", "--mode=666", "/run/stuck", check=True)
    # Much to write, so that the pipe is full at once.
    much = {"score_threshold": 0.01, "max_detections": 1000}
    configure(service, recorded("/run/stuck", postprocess=much))
    restart(service)
    frozen, since = service.unit("MainPID"), ready_at(service)
    wait_for(lambda: died_and_came_back(service, frozen), "the watchdog")
    seconds = (service.microseconds("ActiveExit") - since) / 1e6
    print(f"frozen to killed by the watchdog: {seconds:.1f} s")
    journal = service.ask("journalctl", "-u", "edge-ssd", f"_PID={frozen}", "-o", "cat")
    assert "/run/stuck" in journal  # which worker
    assert "in publish" in journal  # and its stack
    told = service.ask("journalctl", "-u", "edge-ssd", "-o", "cat", "-n", "100")
    assert "Watchdog timeout" in told
    assert seconds < 35
    service.run("rm", "/run/stuck")


def test_a_stopped_process_is_restarted_too(service: Machine) -> None:
    shorter = service.path("/etc/systemd/system/edge-ssd.service.d/watchdog.conf")
    shorter.parent.mkdir(parents=True)
    shorter.write_text("[Service]\nWatchdogSec=3\nTimeoutStopSec=1\n")
    service.run("systemctl", "daemon-reload")
    restart(service)
    stopped = service.unit("MainPID")
    service.run("systemctl", "kill", "--signal=STOP", "edge-ssd")
    wait_for(lambda: died_and_came_back(service, stopped), "the watchdog")
    shorter.unlink()
    shorter.parent.rmdir()
    service.run("systemctl", "daemon-reload")


def test_a_bad_configuration_ends_it_for_good(service: Machine) -> None:
    configure(service, recorded(nmae="a misspelt option"))
    restarts = service.unit("NRestarts")
    assert service.run("systemctl", "restart", "edge-ssd").returncode != 0
    assert service.unit("ExecMainStatus") == "78"
    ended = service.microseconds("ExecMainExit")
    # Had it been started again, that would have been due after half a second.
    service.run("sleep", "2")
    assert service.unit("ActiveState") == "failed"
    assert service.unit("NRestarts") in ("0", restarts)
    assert service.microseconds("ExecMainExit") == ended
    assert "nmae" in service.ask("journalctl", "-u", "edge-ssd", "-o", "cat", "-n", "20")


def test_a_missing_camera_is_waited_for_without_restarts(service: Machine) -> None:
    """Each would write several lines to the journal, for as long as the camera is away."""
    configure(service, recorded(source={"type": "usb", "path": "/dev/no-such-camera"}))
    service.run("systemctl", "restart", "--no-block", "edge-ssd")
    missing = "/dev/no-such-camera does not exist"
    wait_for(lambda: missing in service.unit("StatusText"), "the complaint")
    waiting = service.unit("MainPID")
    service.run("sleep", "3")
    assert service.unit("MainPID") == waiting
    assert service.unit("ActiveState") == "activating"
    told = service.ask("journalctl", "-u", "edge-ssd", f"_PID={waiting}", "-o", "cat")
    assert told.count("no-such-camera") == 1


def test_a_reload_keeps_the_process(service: Machine) -> None:
    process = service.unit("MainPID")
    assert any(m["detections"] for m in wait_for_more(service, 5))
    configure(service, recorded(postprocess={"score_threshold": 0.99}))
    both = guide(f"edge-ssd check-config {CONFIG} && sudo systemctl reload edge-ssd")
    service.run("sh", "-c", both, check=True)
    wait_for(lambda: "applied" in service.unit("StatusText"), "the reload")
    after = wait_for_more(service, 10)[-5:]
    assert not any(message["detections"] for message in after)
    everything = [message["frame"] for message in messages(service)]
    assert everything == list(range(everything[0], everything[0] + len(everything)))
    assert service.unit("MainPID") == process


def test_a_bad_reload_is_refused_and_it_goes_on(service: Machine) -> None:
    process = service.unit("MainPID")
    configure(service, recorded(postprocess={"score_threshold": 2}))
    service.run("systemctl", "reload", "edge-ssd", check=True)
    wait_for(lambda: "is refused" in service.unit("StatusText"), "the refusal")
    assert any(message["detections"] for message in wait_for_more(service, 5))
    assert service.unit("MainPID") == process
    errors = service.ask("journalctl", "-u", "edge-ssd", "-p", "err", "-o", "cat", "-n", "5")
    assert "score_threshold" in errors


def test_it_stops_within_two_seconds(service: Machine) -> None:
    wait_for_more(service, 3)
    service.run("systemctl", "stop", "edge-ssd", check=True)
    seconds = (service.microseconds("InactiveEnter") - service.microseconds("ActiveExit")) / 1e6
    print(f"stop: {seconds:.2f} s")
    assert service.unit("Result") == "success"
    assert seconds <= 2


def test_it_writes_nothing_to_the_disk(service: Machine) -> None:
    before = service.listing()
    wait_for_more(service, 10)
    assert service.listing() == before
    assert service.run("test", "-e", LINES).returncode == 0  # in memory
    open_files = service.ask("sh", "-c", f"ls -l /proc/{service.unit('MainPID')}/fd")
    assert LINES in open_files


def test_systemd_finds_no_mistake_in_what_is_installed(service: Machine) -> None:
    verified = service.run("systemd-analyze", "verify", "edge-ssd.service", "edge-ssd@x.service")
    assert (verified.returncode, verified.stdout) == (0, "")
    rated = service.run("systemd-analyze", "security", "--threshold=15", "edge-ssd.service")
    assert rated.returncode == 0, rated.stdout
