"""Killed at its most delicate moments, the installation leaves a service that starts.

The next one mends what is left. A power cut is the same, but for what was not yet on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted import PATH, Finished, Machine, add_wheel, copy_checkout
from support.installed import CONFIG, configure, install, recorded, restart, wait_for_more

pytestmark = pytest.mark.system

# Stands before the real program: kills who calls it with these words. `install` has written a
# part of its file by then.
KILLER = """#!/bin/sh
program=${0##*/}
case "$program $*" in
    "$KILL_AT"*)
        [ "$program" != install ] || { shift 3 && head -c 10 "$1" >"$2"; }
        kill -KILL "$PPID"
        exit
        ;;
esac
exec "/usr/bin/$program" "$@"
"""


@pytest.fixture(scope="module")
def killers(srv: Path) -> Path:
    folder = srv / "killers"
    folder.mkdir()
    for program in ("install", "mv", "rm", "systemctl"):
        (folder / program).write_text(KILLER)
        (folder / program).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def renewed(srv: Path) -> Path:
    """A newer version, with another unit."""
    checkout = copy_checkout(srv / "renewed", "7.9")
    with (checkout / "systemd" / "edge-ssd@.service").open("a") as unit:
        unit.write("# The new unit.\n")
    add_wheel(checkout, srv / "first" / "wheels")
    return checkout


@pytest.fixture
def empty(machine: Machine, killers: Path) -> Iterator[set[str]]:
    """Nothing is installed, nor after the test; every file there is."""
    yield machine.listing()
    machine.run("sh", "/srv/first/deploy/uninstall.sh", "--purge")


def killed(machine: Machine, checkout: str, at: str) -> Finished:
    finished = install(machine, checkout, PATH=f"/srv/killers:{PATH}", KILL_AT=at)
    assert finished.returncode in (-9, 137), finished.stdout
    return finished


def opt(machine: Machine) -> int:
    """Return how many things lie in /opt."""
    return len(list(machine.path("/opt").iterdir()))


def test_a_first_installation_is_finished_by_the_next(empty: set[str], machine: Machine) -> None:
    killed(machine, "first", "install -D -m 644 /srv/first/configs/service.yaml")
    assert not machine.path(CONFIG).exists()  # half of one would stay for ever

    configure(machine, recorded())
    killed(machine, "first", "systemctl --quiet enable")
    finished = install(machine)
    assert finished.returncode == 0, finished.stdout
    assert machine.ask("systemctl", "is-enabled", "edge-ssd") == "enabled"
    wait_for_more(machine)
    assert opt(machine) == 2  # the link, and where it leads

    machine.run("/opt/edge-ssd/uninstall.sh", "--purge", check=True)
    assert machine.listing() == empty


def test_uninstalling_removes_what_a_killed_one_left(empty: set[str], machine: Machine) -> None:
    killed(machine, "first", "install -D -m 644 /srv/first/systemd/edge-ssd@.service")
    machine.run("sh", "/srv/first/deploy/uninstall.sh", "--purge", check=True)
    assert machine.listing() == empty


def test_an_upgrade_never_leaves_the_service_unable_to_start(
    empty: set[str], machine: Machine, renewed: Path
) -> None:
    configure(machine, recorded())
    assert install(machine).returncode == 0
    old = machine.ask("edge-ssd", "--version")
    for at, new in (
        ("install -D -m 644 /opt/edge-ssd.tmp/single", False),
        ("mv -T /opt/edge-ssd.next", False),
        ("systemctl reset-failed", True),
        ("rm -f /opt/edge-ssd.begun", True),  # the version before is still there
    ):
        killed(machine, "renewed", at)
        assert (machine.ask("edge-ssd", "--version") != old) == new
        machine.run("systemctl", "daemon-reload", check=True)
        restart(machine)  # as the next boot does
        wait_for_more(machine)

    finished = install(machine, "renewed")
    assert finished.returncode == 0, finished.stdout
    assert "7.9" in machine.ask("edge-ssd", "--version")
    assert opt(machine) == 2
    wait_for_more(machine)
