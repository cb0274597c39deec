"""Install, upgrade, fail and uninstall, by the real scripts in a booted container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.booted import Machine, add_wheel, copy_checkout
from support.installed import CONFIG, configure, guide, install, recorded, wait_for_more

pytestmark = pytest.mark.system

GARDEN = "/run/edge-ssd-garden/detections.jsonl"


@pytest.fixture
def empty(machine: Machine) -> Iterator[set[str]]:
    """Nothing is installed, nor after the test; every file there is."""
    before = machine.listing()
    assert not any("edge-ssd" in line for line in before)
    yield before
    machine.run("/opt/edge-ssd/uninstall.sh", "--purge")


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Iterator[Machine]:
    """The service, and one of the template, run on recorded pictures."""
    configure(machine, recorded())
    configure(machine, recorded(GARDEN), "/etc/edge-ssd/garden.yaml")
    finished = install(machine)
    assert finished.returncode == 0, finished.stdout
    machine.run("systemctl", "enable", "--now", "edge-ssd@garden", check=True)
    yield machine
    machine.run("/opt/edge-ssd/uninstall.sh", "--purge")  # the last test may have done so


@pytest.fixture(scope="module")
def second(srv: Path) -> Path:
    """A newer version, with another sample and another unit."""
    checkout = copy_checkout(srv / "second", "7.7")
    for changed in ("configs/service.yaml", "systemd/edge-ssd@.service"):
        with (checkout / changed).open("a") as file:
            file.write("# Of the new version.\n")
    add_wheel(checkout, srv / "first" / "wheels")
    return checkout


@pytest.fixture(scope="module")
def incomplete(srv: Path) -> Path:
    """A checkout whose folder of wheels lacks one."""
    checkout = copy_checkout(srv / "incomplete")
    add_wheel(checkout, srv / "first" / "wheels")
    next((checkout / "wheels").glob("pydantic-*")).unlink()
    return checkout


@pytest.fixture(scope="module")
def broken(srv: Path) -> Path:
    """A newer version whose service does not start."""
    checkout = copy_checkout(srv / "broken", "8.8")
    for unit in (checkout / "systemd").glob("*.service"):
        unit.write_text(re.sub("(?m)^ExecStart=.*", "ExecStart=/bin/false", unit.read_text()))
    add_wheel(checkout, srv / "first" / "wheels")
    return checkout


def slotless(listing: set[str]) -> set[str]:
    """Return a listing as if the two folders of upgrades had one name."""
    return {re.sub(r"/opt/edge-ssd\.[ab]", "/opt/edge-ssd.x", line) for line in listing}


def versions(machine: Machine) -> str:
    return machine.ask("edge-ssd", "--version")


def test_a_dry_run_changes_nothing(empty: set[str], machine: Machine) -> None:
    finished = install(machine, "first", "--dry-run")
    assert finished.returncode == 0, finished.stdout
    for step in ("-m venv", "pip install", "systemctl --quiet enable", "edge-ssd.yaml", "doctor"):
        assert step in finished.stdout
    assert machine.listing() == empty


def test_a_first_installation_that_fails_leaves_nothing(
    empty: set[str], machine: Machine, incomplete: Path
) -> None:
    finished = install(machine, "incomplete")
    assert finished.returncode != 0
    assert re.search(
        r"error: .*wheels lacks what is named above: .*pins.py download", finished.stdout
    )
    assert "undoing its changes" in finished.stdout
    assert machine.listing() == empty


@pytest.fixture
def precious(machine: Machine) -> Iterator[Path]:
    """A user's own folder, outside of what the installer knows."""
    folder = machine.path("/home/stuff")
    folder.mkdir()
    (folder / "data").write_text("precious")
    yield folder
    machine.run("rm", "-rf", "/home/stuff", "/opt/edge-ssd", check=True)


@pytest.mark.parametrize("how", [("ln", "-s", "/home/stuff"), ("cp", "-r", "/home/stuff")])
def test_what_is_not_the_installers_is_refused_and_stays(
    machine: Machine, precious: Path, how: tuple[str, ...]
) -> None:
    machine.run(*how, "/opt/edge-ssd", check=True)

    finished = install(machine)
    assert finished.returncode == 1
    assert finished.stdout == "error: /opt/edge-ssd is not this installer's: move it away\n"

    left = machine.run("sh", "/srv/first/deploy/uninstall.sh", check=True).stdout
    assert "  /opt/edge-ssd, which install.sh did not make\n" in left
    assert machine.ask("cat", "/opt/edge-ssd/data", "/home/stuff/data") == "precious" * 2


def test_a_link_to_a_configuration_on_a_missing_disk_is_kept(
    empty: set[str], machine: Machine
) -> None:
    machine.run("mkdir", "/etc/edge-ssd", check=True)
    machine.run("ln", "-s", "/data/my.yaml", CONFIG, check=True)

    finished = install(machine)
    assert finished.returncode == 1
    assert "links to none: mount its disk" in finished.stdout
    assert machine.ask("readlink", CONFIG) == "/data/my.yaml"
    machine.run("rm", "-r", "/etc/edge-ssd", check=True)
    assert machine.listing() == empty


def test_two_at_once_do_not_disturb_each_other(empty: set[str], machine: Machine) -> None:
    held = "flock /opt true && exec 8</opt && flock 8 && /srv/first/deploy/install.sh"
    finished = machine.run("sh", "-c", held)
    assert finished.returncode == 1
    assert finished.stdout == "error: another installation is running: wait for its end\n"
    assert machine.listing() == empty


def test_wheels_of_another_checkout_are_refused(
    empty: set[str], machine: Machine, second: Path
) -> None:
    line = "/srv/second/deploy/install.sh --wheels /srv/first/wheels"
    finished = machine.run(*line.split())
    assert finished.returncode != 0
    assert "is of another checkout: fill a new folder with pins.py" in finished.stdout
    assert machine.listing() == empty


def test_without_a_camera_it_is_installed_and_waits(empty: set[str], machine: Machine) -> None:
    finished = install(machine)
    assert finished.returncode == 0, finished.stdout
    told = re.findall("edge-ssd.service is not ready yet: (.*)", finished.stdout)
    assert told and "the module picamera2, which the camera needs, is not" in told[0], told
    assert machine.unit("NRestarts") == "0"  # it waits, and so did the installer, but not as long
    sample = machine.path("/opt/edge-ssd.a/configs/service.yaml").read_text()
    assert machine.path(CONFIG).read_text() == sample
    assert "path: /run/edge-ssd/detections.jsonl" in sample  # nothing to the card
    assert machine.ask("systemctl", "is-enabled", "edge-ssd") == "enabled"

    left = machine.run(*guide("sudo /opt/edge-ssd/uninstall.sh").split(), check=True).stdout
    assert machine.listing() - empty == {
        f"/etc/edge-ssd{rest}"
        for rest in (
            " d755 0:0 ",
            "/edge-ssd.yaml f644 0:0 ",
            "/edge-ssd.schema.json f644 0:0 ",
        )
    }
    assert "/etc/edge-ssd (--purge removes it)" in left
    machine.run("rm", "-r", "/etc/edge-ssd")
    assert machine.listing() == empty


def test_it_asks_for_the_space_it_takes(installed: Machine) -> None:
    (needed,) = re.findall(r"/opt needs (\d+) MB", install(installed, "first", "--dry-run").stdout)
    environment = installed.ask("readlink", "/opt/edge-ssd")
    taken = int(installed.ask("du", "--summarize", "--block-size=1M", environment).split()[0])
    assert taken <= int(needed) <= 1.2 * taken


def test_everything_is_compiled(installed: Machine) -> None:
    """The service may not write: what is not compiled now would be compiled at each start."""
    modules = list(installed.path("/opt").glob("edge-ssd.?/lib/python3.11/site-packages/**/*.py"))
    assert len(modules) > 500
    uncompiled = [
        path for path in modules
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
    ]  # fmt: skip
    assert uncompiled == []


def test_the_documents_are_where_messages_say(installed: Machine) -> None:
    for document in ("docs/coral.md", "docs/service.md", "README.md", "CHANGELOG.md"):
        assert installed.path(f"/opt/edge-ssd.a/{document}").read_text().startswith("# ")
    checked = installed.run("edge-ssd", "check-config", "/opt/edge-ssd/configs/reference.yaml")
    assert checked.returncode == 0, checked.stdout


def test_bash_completes_commands(installed: Machine) -> None:
    script = (
        ". /usr/share/bash-completion/completions/edge-ssd; complete -p edge-ssd; "
        "COMP_WORDS=(edge-ssd check-); COMP_CWORD=1; _edge_ssd_completion edge-ssd; "
        'echo "${COMPREPLY[@]}"'
    )
    told = installed.ask("bash", "-c", script).splitlines()
    assert told == ["complete -o nosort -F _edge_ssd_completion edge-ssd", "check-config"]


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        (guide('eval "$(_EDGE_SSD_COMPLETE=zsh_source edge-ssd)"'), "#compdef edge-ssd"),
        (guide("_EDGE_SSD_COMPLETE=fish_source edge-ssd | source"), "function _edge_ssd"),
    ],
)
def test_other_shells_get_their_completion(installed: Machine, line: str, begins: str) -> None:
    (command,) = re.findall(r"\w+=\w+ edge-ssd", line)
    assert installed.ask("env", *command.split()).startswith(begins)


def test_the_second_run_changes_nothing(installed: Machine) -> None:
    """Not even that the user does not want the service at boot."""
    installed.run("systemctl", "disable", "edge-ssd", check=True)
    before = installed.listing()
    finished = install(installed)
    assert finished.returncode == 0, finished.stdout
    assert slotless(installed.listing()) == slotless(before)
    assert installed.unit("ActiveState") == "active"
    assert installed.ask("systemctl", "is-enabled", "edge-ssd") == "disabled"


def test_an_upgrade_keeps_what_the_user_wrote(installed: Machine, second: Path) -> None:
    dropin = installed.path("/etc/systemd/system/edge-ssd.service.d/mine.conf")
    dropin.parent.mkdir()
    dropin.write_text("[Service]\nEnvironment=MINE=1\n")
    config = installed.path(CONFIG).read_text()
    processes = {unit: installed.unit("MainPID", unit) for unit in ("edge-ssd", "edge-ssd@garden")}

    finished = install(installed, "second")
    assert finished.returncode == 0, finished.stdout
    assert "7.7" in versions(installed)
    assert installed.path(CONFIG).read_text() == config
    sample = (second / "configs" / "service.yaml").read_text()
    assert installed.path(f"{CONFIG}.new").read_text() == sample
    assert dropin.exists()
    for unit in ("edge-ssd", "edge-ssd@garden"):
        assert "# Of the new version." in installed.ask("systemctl", "cat", unit)
    assert "MINE=1" in installed.unit("Environment")
    assert len(list(installed.path("/opt").iterdir())) == 2  # the link, and no older version
    for unit, process in processes.items():
        assert installed.unit("ActiveState", unit) == "active"
        assert installed.unit("MainPID", unit) != process
    wait_for_more(installed)
    wait_for_more(installed, path=GARDEN)


def test_a_step_that_fails_leaves_the_service_alone(installed: Machine, incomplete: Path) -> None:
    before, process = installed.listing(), installed.unit("MainPID")
    finished = install(installed, "incomplete")
    assert finished.returncode != 0
    assert "pydantic" in finished.stdout
    assert installed.listing() == before
    assert installed.unit("MainPID") == process
    wait_for_more(installed)


def test_a_version_that_does_not_start_is_taken_back(installed: Machine, broken: Path) -> None:
    before, version = installed.listing(), versions(installed)
    finished = install(installed, "broken")
    assert finished.returncode != 0
    assert "edge-ssd.service ran before, and now: " in finished.stdout
    assert installed.listing() == before
    assert versions(installed) == version
    for unit in ("edge-ssd", "edge-ssd@garden"):
        assert installed.unit("ActiveState", unit) == "active"
        assert installed.unit("NeedDaemonReload", unit) == "no"
    wait_for_more(installed)


def test_uninstalling_removes_all_but_what_it_says(installed: Machine) -> None:
    said = installed.run(*guide("sudo /opt/edge-ssd/uninstall.sh --purge").split(), check=True)
    assert "/etc/systemd/system/edge-ssd.service.d, your changes to the unit" in said.stdout
    assert "--purge" not in said.stdout
    ours = {line for line in installed.listing() if "edge-ssd" in line}
    assert {line.split()[0] for line in ours} == {
        "/etc/systemd/system/edge-ssd.service.d",
        "/etc/systemd/system/edge-ssd.service.d/mine.conf",
    }
    assert installed.ask("systemctl", "list-units", "--all", "--no-legend", "edge-ssd*") == ""
    assert installed.run("ls", "/run/lock/edge-ssd", "/run/edge-ssd").stdout.count("No such") == 2
    installed.run("rm", "-r", "/etc/systemd/system/edge-ssd.service.d")
