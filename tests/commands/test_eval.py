"""``edge-ssd eval`` as users and scripts see it, on pictures whose detections are painted."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from support import painted
from support.command import command, edge_ssd, environment
from support.painted import LABELS, SIZE, write_model

from edge_ssd.errors import EdgeSsdError

pytest.importorskip("pycocotools")

CAR, PERSON = 77, 5  # categories count as they like; class ids do not


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network whose labels stand in its manifest, and one whose labels are turned round."""
    for name, labels in (("small", LABELS), ("turned", LABELS[::-1])):
        model = tmp_path / f"{name}.tflite"
        write_model(model)
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        manifest = {"schema": 1, "file": {"sha256": digest}, "labels": labels}
        (tmp_path / f"{name}.json").write_text(json.dumps(manifest))
    (tmp_path / "pictures").mkdir()
    return tmp_path


def paint(folder: Path, name: str, score: float) -> None:
    painted.paint(folder / "pictures" / name, score)


def car_box(folder: Path) -> list[float]:
    """x, y, width, height of what the network finds in a painted picture."""
    paint(folder, "probe.png", 0.75)
    probe = folder / "pictures" / "probe.png"
    found = edge_ssd("detect", probe, "--json", "--model", folder / "small.tflite")
    probe.unlink()
    xmin, ymin, xmax, ymax = json.loads(found.stdout)["detections"][0]["box"]
    return [xmin, ymin, xmax - xmin, ymax - ymin]


def coco(names: list[str], boxes: list[dict[str, Any]]) -> dict[str, Any]:
    """Annotations of pictures numbered from 0; without the keys that few tools write."""
    return {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": boxes,
        "categories": [{"id": CAR, "name": "Car"}, {"id": PERSON, "name": "person"}],
    }


def car(image: int, box: list[float]) -> dict[str, Any]:
    return {"image_id": image, "category_id": CAR, "bbox": box}


def run(
    folder: Path, annotations: object, *more: object, model: str = "small"
) -> subprocess.CompletedProcess[str]:
    path = folder / "annotations.json"
    path.write_text(annotations if isinstance(annotations, str) else json.dumps(annotations))
    return edge_ssd(
        "eval", "--images", folder / "pictures", "--annotations", path,
        "--model", folder / f"{model}.tflite", *more,
    )  # fmt: skip


def test_what_is_found_where_it_is_annotated_is_worth_one(folder: Path) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.75)
    finished = run(folder, coco(["a.png"], [car(0, box)]), "--json")
    assert (finished.returncode, finished.stderr) == (0, "")
    report = json.loads(finished.stdout)
    assert (report["images"], report["missing"]) == (1, [])
    assert len(report["summary"]) == 12
    assert report["summary"]["AP"] == pytest.approx(1)
    assert report["summary"]["AP_large"] is None
    assert report["classes"] == {"Car": {"ap": pytest.approx(1), "boxes": 1}}


@pytest.mark.slow
def test_a_picture_without_boxes_is_background_and_one_not_listed_is_not(folder: Path) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.6)
    paint(folder, "background.png", 0.9)
    only = run(folder, coco(["a.png"], [car(0, box)]), "--json")
    assert json.loads(only.stdout)["summary"]["AP"] == pytest.approx(1)
    assert "1 image is not in the annotations and ignored: background.png" in only.stderr
    both = run(folder, coco(["a.png", "background.png"], [car(0, box)]), "--json")
    assert json.loads(both.stdout)["summary"]["AP"] == pytest.approx(0.5, abs=0.001)
    assert both.stderr == ""


def test_pictures_that_are_missing_or_broken_are_named_and_not_counted(folder: Path) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.75)
    (folder / "pictures" / "broken.png").write_text("not a picture")
    names = ["a.png", "broken.png", "gone.png"]
    finished = run(folder, coco(names, [car(number, box) for number in range(3)]), "--json")
    report = json.loads(finished.stdout)
    assert (report["images"], report["missing"]) == (1, ["broken.png", "gone.png"])
    assert report["summary"]["AP"] == pytest.approx(1)
    assert "1 annotated image is missing and not counted: gone.png" in finished.stderr
    assert "broken.png: not an image" in finished.stderr


def test_a_name_that_no_file_can_have_is_missing(folder: Path) -> None:
    paint(folder, "a.png", 0.75)
    names = ["a.png", "b" * 300 + ".png"]
    finished = run(folder, coco(names, [car(0, [1, 2, 3, 4])]), "--json")
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert (report["images"], report["missing"]) == (1, names[1:])
    assert "Traceback" not in finished.stderr


@pytest.mark.slow
def test_pictures_named_with_their_own_folder_need_no_other(folder: Path) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.75)
    annotations = coco([str(folder / "pictures" / "a.png")], [car(0, box)])
    finished = run(folder, annotations, "--json", "--images", folder / "gone")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert json.loads(finished.stdout)["summary"]["AP"] == pytest.approx(1)


def test_crowds_count_neither_as_found_nor_as_missed(folder: Path) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.75)
    paint(folder, "crowd.png", 0.9)
    crowd = car(1, [0, 0, SIZE, SIZE]) | {"iscrowd": 1, "area": SIZE * SIZE}
    finished = run(folder, coco(["a.png", "crowd.png"], [car(0, box), crowd]), "--json")
    report = json.loads(finished.stdout)
    assert report["summary"]["AP"] == pytest.approx(1)
    assert report["classes"]["Car"]["boxes"] == 1


@pytest.mark.slow
def test_two_models_stand_side_by_side(folder: Path) -> None:
    annotations = coco(["a.png"], [car(0, car_box(folder))])
    paint(folder, "a.png", 0.75)
    table = run(folder, annotations, "--compare", folder / "turned.tflite")
    assert table.returncode == 0, table.stderr
    lines = table.stdout.splitlines()
    assert f"A  {folder}/small.tflite: 1 image, 1 box" in lines
    assert f"B  {folder}/turned.tflite: 1 image, 1 box" in lines
    coco_lines = [line for line in lines if " @[ IoU=" in line]
    assert len(coco_lines) == 12
    assert coco_lines[0].split()[-3:] == ["1.000", "0.000", "-1.000"]
    (by_class,) = [line.split() for line in lines if line.startswith(" Car")]
    assert by_class == ["Car", "1", "1.000", "0.000", "-1.000"]
    as_json = run(folder, annotations, "--compare", folder / "turned.tflite", "--json")
    report = json.loads(as_json.stdout)
    assert report["compared"]["summary"]["AP"] == 0
    assert report["difference"]["AP"] == pytest.approx(-1)
    assert report["difference"]["AP_large"] is None


@pytest.mark.slow
def test_labels_given_replace_those_of_the_model(folder: Path) -> None:
    annotations = coco(["a.png"], [car(0, car_box(folder))])
    paint(folder, "a.png", 0.75)
    (folder / "labels.txt").write_text("person\nbicycle\ncar\n")
    finished = run(folder, annotations, "--labels", folder / "labels.txt", model="turned")
    assert " Car " in finished.stdout
    assert finished.stdout.rstrip().endswith("1.000")


@pytest.mark.parametrize(("least", "code"), [(0.49, 0), (0.51, 1)])
def test_the_gate_fails_below_the_map_asked_for(folder: Path, least: float, code: int) -> None:
    box = car_box(folder)
    paint(folder, "a.png", 0.6)
    paint(folder, "background.png", 0.9)
    annotations = coco(["a.png", "background.png"], [car(0, box)])
    finished = run(folder, annotations, "--fail-under", least)
    assert finished.returncode == code
    assert " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all" in finished.stdout
    said = [f"error: {folder}/small.tflite has mAP 0.5000, below 0.51; its report above has the "
            "score of every class"]  # fmt: skip
    assert finished.stderr.splitlines() == (said if code else [])


GOOD = coco(["a.png"], [car(0, [1, 2, 3, 4])])
CAPTIONS = GOOD | {"annotations": [{"image_id": 0, "id": 1, "caption": "a car"}]}
STRANGE = GOOD | {"categories": [{"id": CAR, "name": "zebra"}]}
RESIZED = GOOD | {"images": [{"id": 0, "file_name": "a.png", "width": 640, "height": 480}]}


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        ("{", "is no COCO file of boxes: Invalid JSON: EOF"),
        ([], "is no COCO file of boxes: Input should be an object"),
        ({}, "is no COCO file of boxes: images: Field required; give a file such as COCO's"),
        (CAPTIONS, "is no COCO file of boxes: annotations.0.category_id: Field required"),
        (GOOD | {"annotations": []}, "annotations: List should have at least 1 item"),
        (coco(["a.png"], [car(9, [1, 2, 3, 4])]), "annotations.0 is of image 9, which is not"),
        (coco(["a.png"], [car(0, [1, 2, 3, 4]) | {"category_id": 3}]), "is of category 3, which"),
        (coco(["a.png"], [car(0, [1, 2, 3, 4]) | {"iscrowd": 1}]), "every box is a crowd"),
        (GOOD | {"images": GOOD["images"] * 2}, "two images, or two categories, have the same id"),
        (coco(["a.png", "./a.png"], [car(0, [1, 2, 3, 4])]), "2 images have the same file_name, a"),
        (coco(["a.png"], [car(0, [1, 2, -3, 4])]), "annotations.0.bbox.2: Input should be greater"),
        (coco(["a.png"], [car(0, [1, 2, 3, -4])]), "annotations.0.bbox.3: Input should be greater"),
        (coco(["b.png"], [car(0, [1, 2, 3, 4])]), "has none of 1 annotated image, such as"),
        (STRANGE, "the annotations have boxes of zebra, and small knows person, bicycle, car; "),
        (RESIZED, "a.png is 48x48 pixels and was annotated with 640x480; give the images that"),
    ],
)
def test_what_cannot_be_scored_is_one_line(folder: Path, annotations: object, problem: str) -> None:
    paint(folder, "a.png", 0.75)
    finished = run(folder, annotations)
    assert (finished.returncode, finished.stdout) == (1, "")
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert problem in errors[0]
    assert "Traceback" not in finished.stderr


def test_a_missing_annotation_file_is_one_line(folder: Path) -> None:
    finished = edge_ssd("eval", "--images", folder, "--annotations", folder / "none.json")
    assert finished.returncode == 1
    assert finished.stderr == (
        f"error: {folder}/none.json: No such file or directory; check the path\n"
    )


def test_without_pycocotools_it_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_ssd.commands.eval.evaluation import check_installed

    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(EdgeSsdError) as caught:
        check_installed()
    command = "pip install -e '.[eval]'"
    assert caught.value.remedy == f"install the extra: {command} in the checkout"
    assert command in (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text()
    assert isinstance(caught.value, ImportError)


def test_progress_is_shown_at_a_terminal_and_ctrl_c_ends_it(folder: Path) -> None:
    names = [f"{number}.png" for number in range(3000)]
    paint(folder, names[0], 0.75)
    for name in names[1:]:
        (folder / "pictures" / name).hardlink_to(folder / "pictures" / names[0])
    path = folder / "annotations.json"
    path.write_text(json.dumps(coco(names, [car(0, [1, 2, 3, 4])])))
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 160, 0, 0))
    arguments = ("eval", "--images", folder / "pictures", "--annotations", path,
                 "--model", folder / "small.tflite")  # fmt: skip
    process = subprocess.Popen(
        command(arguments), stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment()
    )
    os.close(terminal)
    shown = os.read(master, 4096)  # the bar's first picture
    assert b"small.tflite:" in shown
    assert b"/3000" in shown
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    os.set_blocking(master, False)
    rest = os.read(master, 1 << 16)
    os.close(master)
    assert (process.returncode, stdout) == (130, "")
    assert b"error: interrupted before every image was evaluated" in rest
