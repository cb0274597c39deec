"""What an installed service may write, and the credentials it is handed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.machines import SYNTHETIC, FakeMachine, look
from support.privileges import without_root_rights

from edge_ssd.commands.doctor.check import Finding, Situation, Verdict
from edge_ssd.config import parse

RTSP = {"type": "rtsp", "url": "rtsp://localhost/x", "username": "a", "password_credential": "cam"}
MQTT = {"type": "mqtt", "host": "localhost", "username": "a", "password_credential": "mqtt"}


def installed(machine: FakeMachine, source: dict[str, Any], *publishers: object) -> Situation:
    """Return it with the configuration of the installed unit."""
    path = machine.root / "etc/edge-ssd/edge-ssd.yaml"
    values = {"source": source, "publishers": publishers or [{"type": "jsonl"}]}
    return Situation(machine.system(), path, parse(values))


def writing(machine: FakeMachine, *paths: str) -> Situation:
    files = [{"type": "jsonl", "path": path} for path in paths]
    return installed(machine, SYNTHETIC, *files)


def outputs(machine: FakeMachine, *paths: str) -> Finding:
    return look("outputs", writing(machine, *paths))


def test_without_a_unit_that_answers_this_users_rights_decide(machine: FakeMachine) -> None:
    assert outputs(machine).evidence == "no publisher writes to a file"
    (machine.root / "closed").mkdir(mode=0o555)
    (machine.root / "mine").mkdir()
    (machine.root / "mine").chmod(0o777)
    mine, closed = "/mine/a", "/closed/a"
    with without_root_rights():
        assert outputs(machine, mine).verdict is Verdict.OK
        assert "no installed service" in outputs(machine, mine).evidence
        found = outputs(machine, mine, closed)
        assert found.verdict is Verdict.WARN
        assert found.evidence == f"{closed} may not be written by this user"
        machine.unit()
        assert "does not tell" in outputs(machine, mine).evidence
    machine.sandbox()
    assert outputs(machine, "/run/edge-ssd/a").verdict is Verdict.OK
    assert outputs(machine, mine).verdict is Verdict.FAIL
    draft = machine.situation(SYNTHETIC, publishers=[{"type": "jsonl", "path": mine}])
    assert look("outputs", draft).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/var/log/a.jsonl", "it is read-only there"),
        ("/home/pi/a.jsonl", "it is read-only there"),
        ("/run/edge-ssd-garden/a.jsonl", "it is read-only there"),
        ("/run/edge-ssd/deeper/a.jsonl", "/run/edge-ssd/deeper is not there when it starts"),
        ("/run/lock/edge-ssd/a.jsonl", "/run/lock/edge-ssd is not there when it starts"),
    ],
)
def test_the_units_sandbox_decides_and_not_what_root_may(
    machine: FakeMachine, path: str, says: str
) -> None:
    (machine.root / "var/log").mkdir(parents=True)
    (machine.root / "run/edge-ssd/deeper").mkdir(parents=True)
    machine.sandbox()
    found = outputs(machine, "/run/edge-ssd/b.jsonl", path)
    assert found.verdict is Verdict.FAIL
    assert found.evidence == f"edge-ssd.service cannot write {path} ({says})"
    assert found.remedy == (
        "put it into /run/edge-ssd/ or /var/lib/edge-ssd/ after "
        "`sudo systemctl edit edge-ssd`: [Service] StateDirectory=edge-ssd"
    )


def test_each_camera_has_its_own_folder(machine: FakeMachine) -> None:
    machine.unit(Id="edge-ssd@garden.service")
    machine.sandbox(RuntimeDirectory=["edge-ssd-garden"])
    config = parse(
        {"source": SYNTHETIC, "publishers": [{"type": "jsonl", "path": "/run/edge-ssd/a"}]}
    )
    path = machine.root / "etc/edge-ssd/garden.yaml"
    found = look("outputs", Situation(machine.system(), path, config))
    assert found.verdict is Verdict.FAIL
    assert found.remedy == (
        "put it into /run/edge-ssd-garden/ or /var/lib/edge-ssd-garden/ after "
        "`sudo systemctl edit edge-ssd@garden`: [Service] StateDirectory=edge-ssd-garden"
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"StateDirectory": ["edge-ssd"]}, "/var/lib/edge-ssd/a"),
        ({"LogsDirectory": ["edge-ssd"]}, "/var/log/edge-ssd/a"),
        ({"ReadWritePaths": ["-/srv/open"]}, "/srv/open/a"),
        ({"ReadWritePaths": ["/srv"]}, "/srv/of-video/a"),
        ({"BindPaths": [["/mnt/a", "/srv/closed", False, 0]]}, "/srv/closed/a"),
        ({"ProtectSystem": "full"}, "/srv/open/a"),
        ({"ProtectSystem": "no", "ProtectHome": "no", "User": "root"}, "/home/pi/a"),
    ],
)
def test_a_drop_in_is_honoured(machine: FakeMachine, changes: dict[str, object], path: str) -> None:
    folders(machine)
    machine.sandbox()
    assert outputs(machine, path).verdict is Verdict.FAIL
    machine.sandbox(**changes)
    assert outputs(machine, path).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"ReadWritePaths": ["/srv"]}, "/srv/closed/a", "its user may not"),
        ({"ReadWritePaths": ["/srv"]}, "/srv/open/roots", "its user may not"),
        ({"ReadWritePaths": ["/srv"], "ReadOnlyPaths": ["/srv/open"]}, "/srv/open/a", "read-only"),
        ({"ReadWritePaths": ["/srv"]}, "/srv/none/a", "/srv/none is not there"),
        ({"ReadWritePaths": ["/srv"], "SupplementaryGroups": []}, "/srv/of-video/a", "user may"),
        ({"ProtectSystem": "full"}, "/etc/a", "read-only"),
    ],
)
def test_a_folder_that_is_opened_must_also_let_the_services_user_write(
    machine: FakeMachine, changes: dict[str, object], path: str, says: str
) -> None:
    folders(machine)
    machine.sandbox(**changes)
    found = outputs(machine, path)
    assert (found.verdict, says in found.evidence) == (Verdict.FAIL, True), found


def folders(machine: FakeMachine) -> None:
    """Make /srv with a folder for all, one for root, and one for the group video."""
    for name, mode in {"open": 0o777, "closed": 0o755, "of-video": 0o775}.items():
        (machine.root / "srv" / name).mkdir(parents=True)
        (machine.root / "srv" / name).chmod(mode)
    (machine.root / "home/pi").mkdir(parents=True)
    own = (machine.root / "srv/of-video").stat().st_gid
    machine.write("/etc/group", f"video:x:{own}:")
    machine.write("/srv/open/roots").chmod(0o644)


def test_a_user_of_its_own_may_write_what_it_owns(machine: FakeMachine) -> None:
    folders(machine)
    owner = (machine.root / "srv/closed").stat().st_uid
    machine.write("/etc/passwd", f"cam:x:{owner}:1:")
    machine.sandbox(User="cam", ReadWritePaths=["/srv"])
    assert outputs(machine, "/srv/closed/a").verdict is Verdict.OK


def test_links_are_followed(machine: FakeMachine) -> None:
    """/var/run is /run, and systemd makes the state folder a link."""
    (machine.root / "var/lib/private/edge-ssd").mkdir(parents=True)
    (machine.root / "var/lib/edge-ssd").symlink_to("private/edge-ssd")
    (machine.root / "var/run").symlink_to("../run")
    machine.sandbox(StateDirectory=["edge-ssd"])
    assert outputs(machine, "/var/lib/edge-ssd/a", "/var/run/edge-ssd/a").verdict is Verdict.OK
    found = outputs(machine, "/opt/a")
    assert found.remedy == "put it into /run/edge-ssd/ or /var/lib/edge-ssd/"


def test_what_is_hidden_from_this_user_is_not_called_missing(machine: FakeMachine) -> None:
    private = machine.root / "var/lib/private"
    (private / "edge-ssd/days").mkdir(parents=True)
    (machine.root / "var/lib/edge-ssd").symlink_to("private/edge-ssd")
    (private / "edge-ssd/days").chmod(0o777)
    private.chmod(0)
    machine.sandbox(StateDirectory=["edge-ssd"])
    seen_by_root = outputs(machine, "/var/lib/edge-ssd/days/a")
    with without_root_rights():
        found = outputs(machine, "/var/lib/edge-ssd/days/a")
    private.chmod(0o755)
    assert (found.verdict, seen_by_root.verdict) == (Verdict.OK, Verdict.OK), found


def test_a_private_tmp_is_seen_by_nobody_else(machine: FakeMachine) -> None:
    machine.sandbox()
    found = outputs(machine, "/tmp/a.jsonl")
    assert (found.verdict, "only edge-ssd.service sees /tmp/a.jsonl" in found.evidence) == (
        Verdict.WARN, True,
    )  # fmt: skip
    assert outputs(machine, "/tmp/deeper/a.jsonl").verdict is Verdict.FAIL


def test_the_configuration_is_not_judged_by_what_this_user_may_write(
    machine: FakeMachine,
) -> None:
    """A state folder is there only after the first start, and closed to other users."""
    machine.write("/etc/edge-ssd/edge-ssd.yaml")
    situation = writing(machine, "/var/lib/edge-ssd/a")
    assert "does not exist" in look("configuration", situation).evidence
    machine.sandbox(StateDirectory=["edge-ssd"])
    assert look("configuration", situation).verdict is Verdict.OK


def credentials(machine: FakeMachine, *publishers: object) -> Finding:
    return look("credentials", installed(machine, RTSP, *publishers))


def test_credentials_are_judged_for_installed_services_alone(machine: FakeMachine) -> None:
    found = credentials(machine)
    assert (found.verdict, "cam" in found.evidence) == (Verdict.SKIPPED, True)
    machine.sandbox()
    for situation in (installed(machine, SYNTHETIC), machine.situation(RTSP)):
        assert look("credentials", situation).verdict is Verdict.SKIPPED


def test_a_credential_that_the_unit_is_not_handed_is_named(machine: FakeMachine) -> None:
    cam = machine.write("/etc/edge-ssd/secrets/cam", "secret")
    machine.sandbox()
    found = credentials(machine)
    assert (found.verdict, found.evidence) == (
        Verdict.FAIL, "password_credential cam: edge-ssd.service is not handed such a credential",
    )  # fmt: skip
    assert found.remedy == (
        "`sudo systemctl edit edge-ssd`: [Service] LoadCredential=cam:/etc/edge-ssd/secrets/cam"
    )
    loaded = [["cam", "/etc/edge-ssd/secrets/cam"]]
    machine.sandbox(LoadCredential=loaded)
    assert credentials(machine).verdict is Verdict.OK
    assert "password_credential mqtt" in credentials(machine, MQTT).evidence
    cam.unlink()
    found = credentials(machine)
    assert (found.verdict, "243/CREDENTIALS" in found.evidence) == (Verdict.FAIL, True)
    assert "/etc/edge-ssd/secrets/cam, which its credential cam is loaded" in found.evidence
    without = look("credentials", installed(machine, SYNTHETIC))
    assert without.verdict is Verdict.FAIL, "such a unit does not start, wanted or not"
    machine.sandbox(LoadCredential=loaded, SetCredential=[["cam", [1, 2]]])
    assert credentials(machine).verdict is Verdict.OK, "that is the default"


@pytest.mark.parametrize(
    ("handed", "stored"),
    [
        ({"SetCredential": [["cam", [115]]]}, ""),
        ({"SetCredentialEncrypted": [["cam", [115]]]}, ""),
        ({"LoadCredentialEncrypted": [["cam", "/etc/cam.cred"]]}, "/etc/cam.cred"),
        ({"LoadCredential": [["cam", "cam"]]}, "/etc/credstore/cam"),
        ({"LoadCredential": [["cam", "front"]]}, "/run/credstore/front"),
        ({"LoadCredentialEncrypted": [["cam", "cam"]]}, "/etc/credstore.encrypted/cam"),
        ({"ImportCredential": ["c*"]}, "/usr/lib/credstore/cam"),
    ],
)
def test_every_way_to_hand_one_over_counts(
    machine: FakeMachine, handed: dict[str, object], stored: str
) -> None:
    machine.sandbox(**handed)
    if stored:
        assert credentials(machine).verdict is Verdict.FAIL
        machine.write(stored, "secret")
    assert credentials(machine).verdict is Verdict.OK


def test_a_folder_hands_over_its_files(machine: FakeMachine) -> None:
    machine.write("/etc/secrets/cam", "secret")
    machine.sandbox(LoadCredential=[["all", "/etc/secrets"]])
    assert credentials(machine).verdict is Verdict.FAIL
    source = RTSP | {"password_credential": "all_cam"}
    assert look("credentials", installed(machine, source)).verdict is Verdict.OK


def test_a_secret_that_only_root_sees_is_not_called_missing(
    machine: FakeMachine, tmp_path: Path
) -> None:
    folder = machine.write("/etc/edge-ssd/secrets/cam").parent
    machine.sandbox(LoadCredential=[["cam", "/etc/edge-ssd/secrets/cam"]])
    folder.chmod(0)
    with without_root_rights():
        found = credentials(machine)
    folder.chmod(0o755)
    assert found.verdict is Verdict.OK


def test_systemd_is_asked_about_the_configurations_unit(machine: FakeMachine) -> None:
    asked: list[tuple[str, ...]] = []

    def run(*arguments: str) -> str | None:
        asked.append(arguments)
        return machine.answers.get(arguments[0])

    machine.unit(Id="edge-ssd@front-door.service")
    machine.sandbox()
    machine.changes = {"run": run}
    path = machine.root / "etc/edge-ssd/front-door.yaml"
    look("credentials", Situation(machine.system(), path, parse({"source": RTSP})))
    (call,) = (arguments for arguments in asked if arguments[0] == "busctl")
    assert "/org/freedesktop/systemd1/unit/edge_2dssd_40front_2ddoor_2eservice" in call
