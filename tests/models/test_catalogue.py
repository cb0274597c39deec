"""A name or a path to a file; whoever mistypes a name is told the right one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.privileges import without_root_rights
from support.tflite_models import raw_heads_model

from edge_ssd.cli import main
from edge_ssd.errors import ModelError
from edge_ssd.models import catalogue, embedded
from edge_ssd.models.loading import load


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of one model, ``small_ssd``."""
    folder, content = tmp_path / "data", raw_heads_model()
    folder.mkdir()
    (folder / "small_ssd.tflite").write_bytes(content)
    values = {"schema": 1, "file": {"sha256": hashlib.sha256(content).hexdigest()}, "labels": ["a"]}
    (folder / "small_ssd.json").write_text(json.dumps(values))
    (folder / "notes.txt").write_text("no model")
    monkeypatch.setattr(catalogue, "BUNDLED", folder)
    monkeypatch.setattr(catalogue, "SYSTEM", tmp_path / "system")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    catalogue.bundled.cache_clear()
    yield folder
    catalogue.bundled.cache_clear()


def test_a_name_is_the_bundled_file_with_its_manifest(bundle: Path) -> None:
    assert catalogue.bundled() == {"small_ssd": bundle / "small_ssd.tflite"}
    assert catalogue.find("small_ssd") == bundle / "small_ssd.tflite"
    assert catalogue.describe("small_ssd").get("labels", list) == ["a"]
    assert load("small_ssd").labels == ("a",)


def test_a_path_is_the_file_itself(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.tflite").write_bytes(b"x")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert catalogue.find(str(tmp_path / "mine.tflite")) == tmp_path / "mine.tflite"
    assert catalogue.find("~/mine.tflite") == tmp_path / "mine.tflite"
    assert catalogue.find("mine.tflite") == Path("mine.tflite")


def test_a_misspelt_name_is_answered_with_the_right_one(bundle: Path) -> None:
    expected = r"no model 'smal_ssd': neither a file nor a name .*; did you mean small_ssd\? see"
    with pytest.raises(ModelError, match=expected):
        load("smal_ssd")


@pytest.mark.parametrize(
    "name", ["/no/such/file.tflite", "~nobody_here/x.tflite", "zzz", "z" * 300, "z/" + "z" * 300]
)
def test_what_is_nowhere(bundle: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        catalogue.find(name)
    assert name in caught.value.problem
    assert caught.value.remedy == "see `edge-ssd models list`"


def test_a_folder_is_no_model(bundle: Path) -> None:
    with pytest.raises(ModelError, match=r"data: it is a folder; give the \.tflite file in it"):
        catalogue.find(str(bundle))


# --- What can be pulled ---


def put(folder: Path, name: str, **manifest: object) -> Path:
    """A model as a pull leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = raw_heads_model()
    (folder / f"{name}.tflite").write_bytes(content)
    values = {"schema": 1, "file": {"sha256": hashlib.sha256(content).hexdigest()}} | manifest
    (folder / f"{name}.json").write_text(json.dumps(values))
    return folder / f"{name}.tflite"


def test_a_name_to_be_pulled_is_answered_with_the_command(bundle: Path) -> None:
    expected = (
        "model ssd_mobilenet_v1_coco_quant is not on this machine; "
        "get it with `edge-ssd models pull ssd_mobilenet_v1_coco_quant`"
    )
    with pytest.raises(ModelError, match=expected):
        catalogue.find("ssd_mobilenet_v1_coco_quant")


def test_a_pulled_model_is_found_by_its_name(bundle: Path, tmp_path: Path) -> None:
    system = put(tmp_path / "system", "from_root")
    own = put(tmp_path / "share" / "edge-ssd" / "models", "mine")
    assert catalogue.find("from_root") == system
    assert catalogue.find("mine") == own
    put(tmp_path / "share" / "edge-ssd" / "models", "from_root")
    assert catalogue.find("from_root") == own.with_name("from_root.tflite")
    put(tmp_path / "system", "small_ssd")  # never in the place of what comes with the package
    assert catalogue.find("small_ssd") == bundle / "small_ssd.tflite"


def test_root_pulls_for_everybody(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert catalogue.folder() == tmp_path / "system"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert catalogue.folder() == tmp_path / "share" / "edge-ssd" / "models"
    monkeypatch.setenv("HOME", "/home/pi")
    for unset in ("", "relative/is/ignored"):
        monkeypatch.setenv("XDG_DATA_HOME", unset)
        assert catalogue.folder() == Path("/home/pi/.local/share/edge-ssd/models")


def test_a_service_without_a_home_finds_what_root_pulled(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "system", "from_root")
    monkeypatch.delenv("XDG_DATA_HOME")
    for home in ("/", "/home/hidden", "~"):
        monkeypatch.setenv("HOME", home)
        assert catalogue.find("from_root") == path


def test_the_list_says_what_is_where(bundle: Path, tmp_path: Path) -> None:
    name = "ssd_mobilenet_v1_coco_quant"
    path = put(tmp_path / "system", name, licence="Apache-2.0", labels=["person"])
    listed = json.loads(CliRunner().invoke(main, ["models", "list", "--json"]).stdout)
    states = {known: entry["state"] for known, entry in listed.items()}
    assert states.pop("small_ssd") == "bundled"
    assert states.pop(name) == "pulled"
    assert set(states.values()) == {"available"}
    assert len(states) == 4
    assert (listed[name]["path"], listed[name]["labels"]) == (str(path), ["person"])
    assert listed[f"{name}_postprocess"]["path"] is None
    assert "Coral publishes no sha256" in listed[f"{name}_postprocess"]["notes"]
    header, first, _, second, *_ = CliRunner().invoke(main, ["models", "list"]).stdout.splitlines()
    assert header.split() == ["name", "state", "size", "licence"]
    assert re.match(r"  small_ssd +bundled ", first)
    assert re.match(rf"  {name} +pulled .* Apache-2\.0", second)


def rows(*arguments: str) -> dict[str, str]:
    """The two lines of each model, as one, by name; nothing is wrong as a whole."""
    done = CliRunner().invoke(main, ["models", "list", *arguments])
    assert done.exit_code == 0, done.output
    lines = [line.strip("* ") for line in done.stdout.splitlines()[1:-1]]
    return {
        line.split()[0]: f"{line} {text}"
        for line, text in zip(lines[::2], lines[1::2], strict=True)
    }


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ('{"schema": 1, "file": "x"}', "file must be an object"),
        ('{"schema": 1, "file": {"size": 1}, "licence": 5}', "licence is 5, and must be text"),
        ('{"schema": 1, "description": ["x"]}', "description is"),
        ("[1, 2]", "must be an object"),
        ("no JSON", "cannot be read"),
    ],
)
def test_a_bad_manifest_is_told_and_the_list_goes_on(
    manifest: str, problem: str, bundle: Path, tmp_path: Path
) -> None:
    bad = put(tmp_path / "system", "bad")
    bad.with_suffix(".json").write_text(manifest)
    put(tmp_path / "system", "good", licence="MIT", description="fine")
    found = rows()
    assert re.match(rf"bad +pulled +0\.0 MB .*{problem}", found["bad"])
    assert re.match(r"good +pulled +0\.0 MB +MIT +fine", found["good"])
    listed = json.loads(CliRunner().invoke(main, ["models", "list", "--json"]).stdout)
    assert problem in listed["bad"]["problem"]
    assert listed["bad"]["file"]["size"] == bad.stat().st_size
    assert listed["good"]["problem"] == ""


def test_sizes_are_those_of_the_files(bundle: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "system", "good", file={"size": "x"})
    assert re.match(r"good +pulled +0\.0 MB ", rows()["good"])
    content = path.read_bytes()
    path.write_bytes(content + bytes(1_000_000))
    assert re.match(r"good +pulled +1\.0 MB ", rows()["good"])


def test_the_list_reads_the_manifest_inside(bundle: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "system", "kept")
    path.with_suffix(".json").unlink()
    described = {"schema": 1, "licence": "MIT", "description": "fine", "anchors": {"type": "ssd"}}
    path.write_bytes(embedded.write(raw_heads_model(), described))
    (tmp_path / "system" / "other.tflite").write_bytes(b"no model")
    found = rows()
    assert re.match(r"kept +pulled +0\.0 MB +MIT +fine", found["kept"])
    assert "other.tflite: not a TensorFlow Lite file" in found["other"]
    listed = json.loads(CliRunner().invoke(main, ["models", "list", "--json"]).stdout)
    assert "anchors" not in listed["kept"]


def test_models_that_may_not_be_read_are_left_out_with_a_warning(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = put(tmp_path / "share" / "edge-ssd" / "models", "mine")
    put(tmp_path / "system", "from_root")
    (tmp_path / "system").chmod(0)
    with without_root_rights():
        assert load("small_ssd").labels == ("a",)
        assert caplog.messages == []  # for what comes with the package nobody looks there
        assert catalogue.find("mine") == own
        assert {"mine", "small_ssd"} <= rows().keys()
        (tmp_path / "share").chmod(0)
        assert "small_ssd" in rows()
        with pytest.raises(ModelError, match="no model 'from_root'"):
            catalogue.find("from_root")
    (tmp_path / "share").chmod(0o700)
    assert [text.split(" cannot ")[0] for text in caplog.messages] == [
        f"the models in {folder}" for folder in (tmp_path / "system", own.parent)
    ]
    assert all("Permission denied" in text for text in caplog.messages)


def test_a_path_that_may_not_be_looked_at(bundle: Path, tmp_path: Path) -> None:
    secret = put(tmp_path / "secret", "m")
    secret.parent.chmod(0)
    expected = r"secret/m\.tflite: cannot be read: Permission denied; let the user .* read it"
    with without_root_rights(), pytest.raises(ModelError, match=expected):
        catalogue.find(str(secret))
    secret.parent.chmod(0o700)


def test_every_offer_can_be_checked_or_says_why_not() -> None:
    assert len(catalogue.offers()) == 5
    for name, offer in catalogue.offers().items():
        assert offer.url.startswith("https://"), name
        assert offer.licence
        assert offer.labels_of in catalogue.bundled()
        assert (offer.map is None) == (offer.map_source is None)
        for known in (offer.sha256, offer.model_sha256):
            assert known is None or re.fullmatch("[0-9a-f]{64}", known)
        if offer.sha256 is None:
            assert "publishes no sha256" in offer.notes
            assert offer.git_blob is not None
            assert re.fullmatch("[0-9a-f]{40}", offer.git_blob)
            assert re.search("/[0-9a-f]{40}/", offer.url), "not pinned to a commit"
        if offer.url.endswith(".zip"):
            assert offer.member is not None


def test_the_official_model_is_the_stock_model(stock_model: Path) -> None:
    offer = catalogue.offers()["ssd_mobilenet_v1_coco_quant"]
    assert offer.member is not None
    content = stock_model.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (
        offer.member.size,
        offer.member.sha256,
    )
