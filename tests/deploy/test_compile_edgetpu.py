"""compile_edgetpu.sh against a fake compiler: Google's own runs on its package source only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.tflite_models import raw_heads_model

from edge_ssd.models import embedded
from edge_ssd.models.loading import load

SCRIPT = Path(__file__).parents[2] / "deploy" / "export" / "compile_edgetpu.sh"

# As version 16.0 writes it with -s.
LOG = """Edge TPU Compiler version 16.0.384591198
Input: {name}.tflite
Output: {name}_edgetpu.tflite

Operator                       Count      Status

{rows}
"""
MAPPED = """CONV_2D                        34         Mapped to Edge TPU
DEPTHWISE_CONV_2D              13         Mapped to Edge TPU
LOGISTIC                       1          Mapped to Edge TPU
RESHAPE                        11         Mapped to Edge TPU"""
RESHAPE_STAYS = f"""{MAPPED}
RESHAPE                        1          Operation is otherwise supported, but not mapped due to \
some unspecified limitation
CONCATENATION                  2          More than one subgraph is not supported"""

FAKE_COMPILER = """#!/bin/sh
# A fake edgetpu_compiler: takes -s -o FOLDER MODEL, writes the log and a "compiled" file.
set -eu
[ "$1 $2" = "-s -o" ] && [ $# -eq 4 ]
name=$(basename "$4" .tflite)
echo "Edge TPU Compiler version 16.0.384591198"
{ending}
{{ cat "$4"; printf ' compiled'; }} >"$3/${{name}}_edgetpu.tflite"
cat >"$3/${{name}}_edgetpu.log" <<'EOF'
{log}
EOF
"""


def fake_compiler(path: Path, rows: str = MAPPED, ending: str = "") -> None:
    log = LOG.format(name="model", rows=rows)
    path.write_text(FAKE_COMPILER.format(log=log, ending=ending))
    path.chmod(0o755)


class Bench:
    """A folder with a model, its manifest, a PATH of its own and a place for the results."""

    def __init__(self, folder: Path) -> None:
        self.path, self.output = folder / "bin", folder / "out"
        self.model = folder / "model.tflite"
        self.path.mkdir()
        self.output.mkdir()
        self.model.write_bytes(b"eight bits")
        described = {"schema": 1, "name": "model", "labels": ["face"], "golden": {}}
        self.model.with_suffix(".json").write_text(json.dumps(described))

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"PATH": f"{self.path}:{os.environ['PATH']}"}
        return subprocess.run(
            [SCRIPT, *options, self.model, self.output],
            capture_output=True, text=True, check=False, env=known | environment, timeout=30,
        )  # fmt: skip

    def written(self) -> list[str]:
        return sorted(path.name for path in self.output.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_model_that_all_runs_on_the_edge_tpu_is_written_with_its_manifest(bench: Bench) -> None:
    fake_compiler(bench.path / "edgetpu_compiler")
    finished = bench.run()
    assert finished.returncode == 0, finished.stderr
    assert "all on the Edge TPU" in finished.stdout
    assert bench.written() == [f"model_edgetpu.{kind}" for kind in ("json", "log", "tflite")]
    content = (bench.output / "model_edgetpu.tflite").read_bytes()
    assert content == b"eight bits compiled"
    described = json.loads((bench.output / "model_edgetpu.json").read_text())
    assert described["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (described["name"], described["labels"]) == ("model_edgetpu", ["face"])
    assert "golden" not in described


ANCHORS = [[0.25, 0.5, 0.125, 0.25], [0.75, 0.5, 0.25, 0.5]]


@pytest.fixture
def prepared(bench: Bench) -> Path:
    """The model with its manifest inside alone; the file without, as a compiler may leave it."""
    plain = bench.path.parent / "plain.tflite"
    plain.write_bytes(raw_heads_model(len(ANCHORS), 2))
    anchors = {"type": "table", "values_cyxhw": ANCHORS}
    described = {"schema": 1, "name": "mine", "anchors": anchors, "labels": ["face"]}
    bench.model.write_bytes(embedded.write(plain.read_bytes(), described))
    bench.model.with_suffix(".json").unlink()
    return plain


def test_a_manifest_inside_the_model_outlives_the_compiler(bench: Bench, prepared: Path) -> None:
    fake_compiler(bench.path / "edgetpu_compiler", ending=f"cp '{prepared}' \"$4\"")
    finished = bench.run(PYTHON=sys.executable)
    assert finished.returncode == 0, finished.stderr
    assert bench.written() == [f"model_edgetpu.{kind}" for kind in ("json", "log", "tflite")]
    compiled = load(str(bench.output / "model_edgetpu.tflite"))
    assert compiled.anchors is not None
    assert compiled.anchors.tolist() == ANCHORS
    assert (compiled.name, compiled.labels) == ("model_edgetpu", ("face",))


def test_a_python_that_cannot_read_it_is_said_and_nothing_is_written(
    bench: Bench, prepared: Path
) -> None:
    fake_compiler(bench.path / "edgetpu_compiler")
    bare = bench.path / "bare-python"
    bare.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S \"$@\"\n")
    bare.chmod(0o755)
    finished = bench.run(PYTHON=str(bare))
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"error: the manifest inside {bench.model} cannot be read: ModuleNot")
    assert line.endswith("it takes a Python with what edge_ssd needs, named in PYTHON")
    assert bench.written() == []


def test_operators_left_on_the_cpu_are_named_and_nothing_is_written(bench: Bench) -> None:
    fake_compiler(bench.path / "edgetpu_compiler", RESHAPE_STAYS)
    finished = bench.run()
    assert finished.returncode == 1
    assert "1 RESHAPE, 2 CONCATENATION would run on the CPU" in finished.stderr
    assert bench.written() == []


@pytest.mark.parametrize(
    ("allowed", "left"),
    [("RESHAPE,CONCATENATION", None), ("RESHAPE", "2 CONCATENATION"), ("CONCAT", "1 RESHAPE")],
)
def test_only_the_operators_named_may_stay(allowed: str, left: str | None, bench: Bench) -> None:
    fake_compiler(bench.path / "edgetpu_compiler", RESHAPE_STAYS)
    finished = bench.run("--cpu", allowed)
    assert (finished.returncode == 0) == (left is None)
    assert (left or "") in finished.stderr


def test_a_failing_compiler_is_quoted(bench: Bench) -> None:
    ending = "echo 'ERROR: Got version 4 of FULLY_CONNECTED' >&2; exit 1"
    fake_compiler(bench.path / "edgetpu_compiler", ending=ending)
    finished = bench.run()
    assert finished.returncode == 1
    assert "Got version 4" in finished.stderr
    assert "error: the compiler failed on" in finished.stderr
    assert bench.written() == []


@pytest.mark.parametrize(
    ("rows", "ending", "expected"),
    [("", "", "no table of operators"), (MAPPED, "exit 0", "ended without model_edgetpu.tflite")],
)
def test_a_compiler_that_reports_nothing_is_not_believed(
    rows: str, ending: str, expected: str, bench: Bench
) -> None:
    fake_compiler(bench.path / "edgetpu_compiler", rows, ending)
    finished = bench.run()
    assert finished.returncode == 1
    assert expected in finished.stderr
    assert bench.written() == []


def test_a_missing_compiler_is_said_with_the_way_to_get_it(bench: Bench) -> None:
    finished = bench.run(EDGETPU_COMPILER="no-such-compiler")
    assert finished.returncode == 69
    assert finished.stderr.startswith("error: no no-such-compiler: install Google's Debian package")


def test_the_compiler_may_be_anywhere(bench: Bench) -> None:
    compiler = bench.path.parent / "my compiler"
    fake_compiler(compiler)
    finished = bench.run(EDGETPU_COMPILER=str(compiler))
    assert finished.returncode == 0, finished.stderr


def test_in_a_container_the_model_goes_in_through_a_mounted_folder(bench: Bench) -> None:
    fake_compiler(bench.path / "edgetpu_compiler")
    # A fake docker: checks the image, then runs the command in the mounted folder.
    docker = bench.path / "docker"
    docker.write_text(
        "#!/bin/sh\nset -eu\n"
        'while [ "$1" != -v ]; do shift; done\n'
        '[ "$3 $5" = "-w my-image" ]\ncd "${2%%:*}"\nshift 5\n"$@"\n'
    )
    docker.chmod(0o755)
    finished = bench.run(EDGETPU_COMPILER_IMAGE="my-image")
    assert finished.returncode == 0, finished.stderr
    assert "model_edgetpu.tflite" in bench.written()


def test_a_container_without_docker_or_podman_is_said(bench: Bench) -> None:
    for tool in ("basename", "mktemp", "cp", "rm", "sh"):
        (bench.path / tool).symlink_to(shutil.which(tool))
    finished = bench.run(EDGETPU_COMPILER_IMAGE="my-image", PATH=str(bench.path))
    assert finished.returncode == 69
    assert "needs docker or podman" in finished.stderr


def test_a_missing_model_is_said(bench: Bench) -> None:
    bench.model.unlink()
    finished = bench.run()
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: no model ")
