"""Label files as users have them, and lists that do not fit the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command import edge_ssd
from support.tflite_models import raw_heads_model

from edge_ssd.detector import Detector
from edge_ssd.errors import ModelError
from edge_ssd.models import coco, labels


def read(folder: Path, content: bytes) -> list[str]:
    path = folder / "labels.txt"
    path.write_bytes(content)
    return labels.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"cat\ndog",
        b"cat\ndog\n",
        b"cat\r\ndog\r\n",
        b"\xef\xbb\xbfcat\ndog\n",
        b"  cat\t\ndog  \n\n \n",
        b"cat\rdog\r",
    ],
    ids=["plain", "newline at the end", "Windows", "byte order mark", "blanks", "old Mac"],
)
def test_one_name_a_line(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == ["cat", "dog"]


def test_names_in_any_language_and_with_blanks(tmp_path: Path) -> None:
    assert read(tmp_path, "traffic light\nKüche\n猫\n".encode()) == ["traffic light", "Küche", "猫"]


def test_an_empty_line_between_is_a_class_without_a_name(tmp_path: Path) -> None:
    """It must not move the names behind it."""
    assert labels.match(read(tmp_path, b"cat\n\ndog\n"), 3)[0] == ("cat", None, "dog")


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels .*labels\.txt: it is empty; give a text file"):
        read(tmp_path, content)


@pytest.mark.parametrize("content", [b"caf\xe9\n", "cat\n".encode("utf-16")])
def test_a_file_in_another_encoding(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt: cannot be read: it is not UTF-8 text"):
        read(tmp_path, content)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: No such file or directory"):
        labels.read(tmp_path / "no.txt")
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        labels.read(tmp_path)


@pytest.mark.parametrize("first", ["???", "background", "BACKGROUND", "__background__", ""])
def test_a_line_for_the_background_is_dropped(first: str) -> None:
    """Labels are off by one where it is not."""
    assert labels.match([first, "cat", "dog"], 2)[0] == ("cat", "dog")


def test_ids_that_are_not_used_have_no_name() -> None:
    lines = ["cat", "n/a", "N/A", "???", None, "unused", "dog"]
    assert labels.match(lines, 7)[0] == ("cat", None, None, None, None, None, "dog")


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_wrong_count_is_refused_with_both(count: int) -> None:
    """Four lines, too, unless the first stands for the background."""
    lines = [f"name {index}" for index in range(count)]
    labelled = f"{count} label{'s' * (count != 1)}"
    with pytest.raises(ModelError, match=f"{labelled} do not fit the model's 3 classes"):
        labels.match(lines, 3)
    with pytest.raises(ModelError, match="4 labels do not fit the model's 3 classes"):
        labels.match(["cat", "dog", "cow", "hen"], 3)


@pytest.mark.parametrize("name", ["coco_labels.txt", "labelmap_91_lines.txt"])
def test_the_published_lists_name_the_same_90_classes(name: str, shared: Path) -> None:
    """One has a line for the background, one has not: ids must not move."""
    names = labels.match(labels.read(shared / "models" / name), 90)[0]
    assert (len(names), names[0], names[16], names[89]) == (90, "person", "cat", "toothbrush")
    # 12 is "street sign", which no picture was labelled with.
    assert (names[10], names[11], names[12]) == ("fire hydrant", None, "stop sign")


def test_the_list_of_91_lines_does_not_fit_91_other_classes(shared: Path) -> None:
    lines = labels.read(shared / "models" / "labelmap_91_lines.txt")
    with pytest.raises(ModelError, match="91 labels do not fit the model's 89 classes"):
        labels.match(lines, 89)
    with pytest.raises(ModelError, match="90 labels do not fit the model's 89 classes"):
        labels.match(lines[1:], 89)


# --- COCO's names, and names that are off by one ---


def coco_lines(unused: str = "n/a") -> list[str]:
    return [name or unused for name in coco.labels()]


NAMED = [name for name in coco.labels() if name]
# As darknet and its descendants spell and order them.
DARKNET = ["aeroplane" if name == "airplane" else name for name in NAMED]
CORAL = [f"{number}  {name}" for number, name in enumerate(coco.labels()) if name]
PBTXT = [
    f'item {{\n  name: "/m/{number}"\n  id: {number + 1}\n  display_name: "{name}"\n}}'
    for number, name in enumerate(coco.labels())
    if name
]
FITTING = {
    "90 lines": (coco_lines(), "90 labels for 90 classes: class 0 is 'person'"),
    "90 lines, ???": (coco_lines("???"), "90 labels for 90 classes: class 0 is 'person'"),
    "90 lines, empty gaps": (coco_lines(""), "90 labels for 90 classes: class 0 is 'person'"),
    "91 lines": (["???", *coco_lines("???")], "91 labels for 90 classes and the background, which "
                 "the first stands for: class 0 is 'person'"),
    "91 lines, background": (["background", *coco_lines()], "and the background, which the first"),
    "80 lines": (NAMED, "80 labels are COCO's without its gaps: matched to the model's 90 classes"),
    "81 lines": (["background", *NAMED], "81 labels are COCO's without its gaps"),
    "80 lines, darknet": (DARKNET, "80 labels are COCO's without its gaps"),
    "Coral's numbers": (CORAL, "90 labels for 90 classes: class 0 is 'person'"),
    "numbers from 1": ([f"{n + 1}: {name}" for n, name in enumerate(coco.labels()) if name],
                       "91 labels for 90 classes and the background"),
    "TensorFlow's label map": (PBTXT, "91 labels for 90 classes and the background"),
}  # fmt: skip


@pytest.fixture(scope="module")
def coco_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw heads as COCO's models have them: 90 classes and the background."""
    path = tmp_path_factory.mktemp("model") / "m.tflite"
    path.write_bytes(raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)))
    return path


def labels_in_use(model: Path, lines: list[str]) -> tuple[str | None, ...]:
    """What detections are called, by class id: as ``detect --labels`` finds it out."""
    path = model.with_suffix(".txt")
    path.write_text("\n".join(lines))
    return Detector(model, labels=path).labels


@pytest.mark.parametrize(("lines", "note"), FITTING.values(), ids=FITTING)
def test_every_common_list_names_the_same_classes(
    lines: list[str], note: str, coco_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        found = labels_in_use(coco_model, lines)
    assert [name and name.replace("aeroplane", "airplane") for name in found] == list(coco.labels())
    assert note in caplog.text


REFUSED = {
    "the last line lost": (
        ["???", *coco_lines()[:-1]],
        "COCO's names are one line too late: class 0 is person, and its line reads not used",
    ),
    "background, the last line lost": (
        ["background", *coco_lines()[:-1]],
        "the first label is 'background' and none is left over: every name would be off by one; "
        "remove that line and name every class",
    ),
    "the first line lost": (
        [*coco_lines()[1:], "more"],
        "COCO's names are one line too early: class 0 is person, and its line reads 'bicycle'; "
        "begin with person, or with one line for the background before it",
    ),
    "two lines for the background": (
        ["???", "background", *coco_lines()[:-1]],
        "COCO's names are one line too late: class 0 is person, and its line reads 'background'",
    ),
    "91 lines, no background": (
        [*coco_lines(), "more"],
        "91 labels do not fit the model's 90 classes: one too many, and the first, 'person', does "
        "not stand for the background",
    ),
    "89 lines": (
        coco_lines()[:-1],
        "89 labels do not fit the model's 90 classes: one too few; is the first column of the "
        "scores the background, and the manifest denies it?",
    ),
    "80 other names": (
        [f"name {n}" for n in range(80)],
        "80 labels do not fit the model's 90 classes; give",
    ),
    "80 of them in another order": (
        NAMED[::-1],
        "80 labels do not fit the model's 90 classes; give",
    ),
    "79 of them": (NAMED[:-1], "79 labels do not fit the model's 90 classes; give"),
}


@pytest.mark.parametrize(("lines", "expected"), REFUSED.values(), ids=REFUSED)
def test_lists_that_would_name_wrongly_are_refused(
    lines: list[str], expected: str, coco_model: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        labels_in_use(coco_model, lines)
    assert expected in str(caught.value)


def test_a_list_with_gaps_for_a_model_without(tmp_path: Path) -> None:
    """Of 80 classes, as other tools number COCO's."""
    model = tmp_path / "m.tflite"
    model.write_bytes(raw_heads_model(1917, 81, input_shape=(1, 300, 300, 3)))
    for lines in (coco_lines(), ["???", *coco_lines()], NAMED, ["background", *NAMED]):
        assert labels_in_use(model, lines) == tuple(NAMED)
    with pytest.raises(ModelError, match="COCO's names are one line too early"):
        labels_in_use(model, [*NAMED[1:], "more"])


def test_names_that_begin_with_numbers_are_no_ids() -> None:
    assert labels.parse("1 euro\n2 euro\n5 cent\n") == ["1 euro", "2 euro", "5 cent"]
    assert labels.parse("7 up\n8 ball\n") == ["7 up", "8 ball"]
    assert labels.parse("0 cat\ndog\n") == ["0 cat", "dog"]
    assert labels.parse("0 cat\n2 dog\n") == ["cat", "", "dog"]


def test_a_label_map_that_cannot_be_understood_is_read_as_lines() -> None:
    text = 'item {\n  id: 3\n  name: "cat"\n}\n'
    assert labels.parse(text) == ["item {", "id: 3", 'name: "cat"', "}"]


def test_other_names_may_be_in_any_order() -> None:
    """Only names that are COCO's are taken for moved: a few of them are not."""
    lines = ["bicycle", *(f"name {n}" for n in range(89))]
    assert labels.match(lines, 90)[0] == tuple(lines)


@pytest.mark.slow
def test_detections_are_called_the_same_with_any_of_the_lists(demo: Path, tmp_path: Path) -> None:
    """Through the command; ``chelsea.jpg`` is a cat."""
    path = tmp_path / "labels.txt"
    for lines in (["???", *coco_lines("???")], NAMED, CORAL):
        path.write_text("\n".join(lines))
        done = edge_ssd("detect", demo / "images" / "chelsea.jpg", "--json", "--labels", path)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)["detections"]
        assert [(item["label"], item["class_id"]) for item in found] == [("cat", 16)]


def test_the_command_refuses_labels_that_are_off_by_one(demo: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(["???", *coco_lines()[:-1]]))
    done = edge_ssd("detect", demo / "images" / "chelsea.jpg", "--labels", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "COCO's names are one line too late" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_label_for_one_class() -> None:
    assert labels.match(["face"], 1)[1] == "1 label for 1 class: class 0 is 'face'"


def test_a_label_file_that_does_not_fit_is_named_not_the_model(tmp_path: Path) -> None:
    early = tmp_path / "early.txt"
    early.write_text("cat\n" * 4)
    with pytest.raises(ModelError, match=r"labels \S*early\.txt: 4 labels do not fit the model"):
        Detector(labels=early)
