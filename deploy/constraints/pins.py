"""Pins every package that a machine gets, one file for each kind of machine; and downloads them.

    python3 deploy/constraints/pins.py update [TARGET...]
    python3 deploy/constraints/pins.py download TARGET FOLDER

A target is a processor and a Python, such as aarch64-py311. `update` resolves the dependencies
in pyproject.toml anew and writes TARGET.txt beside this file. `download` fills a folder with the
wheels of a target, and edge_ssd's own, for `install.sh --wheels`. Either runs on any machine
with pip and a network; wheels alone are considered, nothing is compiled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]

TARGETS = (
    *(f"{machine}-py3{minor}" for machine in ("aarch64", "x86_64") for minor in range(10, 15)),
    "armv7l-py311",  # no runtime exists for a newer Python on 32 bits
)

APT = {"numpy": "1.24.2", "opencv-python-headless": "4.6.0", "PyYAML": "6.0"}
"""PyPI has no wheels of these for armv7l: deploy/apt/armv7l names their Debian packages."""

# Debian's picamera2 is compiled against the numpy of its release, and finds ours first.
NUMPY = {10: "numpy<2", 11: "numpy<2", 12: "numpy<2"}
NEWER_NUMPY = "numpy>=2"

HEADER = "# Every package, pinned. Written by pins.py update: do not edit."

GLIBC_MINORS = range(17, 37)  # Debian 12 has 2.36

# pip takes a target's wheels by its options, but judges markers by where it runs itself.
PIP_AS_TARGET = """
import platform, sys
machine, version = sys.argv.pop(1), sys.argv.pop(1)
platform.machine = lambda: machine
platform.python_version = lambda: version + ".0"
platform.python_version_tuple = lambda: (*version.split("."), "0")
from pip._internal.cli.main import main
sys.exit(main())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("update").add_argument("targets", nargs="*", metavar="TARGET")
    download_parser = commands.add_parser("download")
    download_parser.add_argument("target", choices=TARGETS)
    download_parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "download":
        download(arguments.target, arguments.folder)
        return
    for target in arguments.targets or TARGETS:
        pins = resolve(target)
        (HERE / f"{target}.txt").write_text("\n".join([HEADER, *pins, ""]))
        print(f"{target}: {len(pins)} packages")


def resolve(target: str) -> list[str]:
    """Return the newest set of wheels that fit together on the target, as name==version."""
    import tomllib  # noqa: PLC0415 - Python 3.11; a download does without

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    numpy = NUMPY.get(int(target[-2:]), NEWER_NUMPY)
    with tempfile.TemporaryDirectory() as folder:
        from_apt = APT if target.startswith("armv7l") else {}
        for name, version in from_apt.items():
            write_empty_wheel(Path(folder), name, version)
        report = pip(
            target, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-",
            "--target", folder, "--find-links", folder, *project["dependencies"], numpy,
        )  # fmt: skip
    found = [item["metadata"] for item in json.loads(report)["install"]]
    pins = [f"{item['name']}=={item['version']}" for item in found if item["name"] not in from_apt]
    return sorted(pins, key=str.lower)


def write_empty_wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel that stands for a Debian package, so that pip judges its version."""
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        info = f"{stem}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\n"
                       f"Version: {version}\n")  # fmt: skip
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")  # fmt: skip
        wheel.writestr(f"{info}/RECORD", "")


def download(target: str, folder: Path) -> None:
    """Fill a folder with the wheels that TARGET.txt pins, and with edge_ssd's own."""
    pins = HERE / f"{target}.txt"
    pip(target, "download", "--quiet", "--no-deps", "--dest", str(folder), "-r", str(pins))
    own = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    subprocess.run([sys.executable, "-m", "pip", *own], check=True)


def pip(target: str, command: str, *arguments: str) -> str:
    """Run pip as on the target; return what it printed."""
    machine, python = target.split("-py")
    version = f"{python[0]}.{python[1:]}"
    tags = [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC_MINORS)]
    platforms = [f"--platform={tag}" for tag in [*tags, f"manylinux2014_{machine}"]]
    return subprocess.run(
        [sys.executable, "-c", PIP_AS_TARGET, machine, version, command, "--only-binary=:all:",
         "--python-version", version, *platforms, *arguments],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
