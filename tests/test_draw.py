"""Annotated images: what a person sees in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ssd.draw import annotate, class_color, save
from edge_ssd.errors import PublishError
from edge_ssd.types import Detections

Image = NDArray[np.uint8]


def grey(height: int, width: int, level: int = 128) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def result(
    image: Image,
    boxes_yxyx: Sequence[Sequence[float]] = ((0.25, 0.25, 0.75, 0.75),),
    class_ids: Sequence[int] = (0,),
    labels: tuple[str | None, ...] = ("person",),
) -> tuple[Image, Detections]:
    detections = Detections(
        np.array(boxes_yxyx, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(class_ids), dtype=np.float32),
        np.array(class_ids, np.int32),
        labels,
        (image.shape[1], image.shape[0]),
    )
    return image, detections


def area_of(image: Image, class_id: int) -> NDArray[np.bool_]:
    """(height, width) where the picture has exactly the colour of the class."""
    return np.asarray((image == np.array(class_color(class_id))).all(axis=2))


def contrast(a: Sequence[float], b: Sequence[float]) -> float:
    """WCAG 2 contrast ratio of two BGR colours, 1 to 21."""

    def luminance(color: Sequence[float]) -> float:
        parts = [c / 255 / 12.92 if c < 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.0722 * parts[0] + 0.7152 * parts[1] + 0.2126 * parts[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_box_is_where_the_object_is_in_the_colour_of_its_class() -> None:
    drawn = area_of(annotate(*result(grey(480, 640))), 0)
    assert drawn[240, 158:163].any()  # left edge, at 0.25 of the width
    assert drawn[240, 478:483].any()
    assert drawn[358:363, 320].any()
    assert not drawn[200:300, 200:440].any()


def test_the_frame_itself_is_not_touched() -> None:
    image = grey(480, 640)
    annotate(*result(image))
    assert (image == 128).all()


def test_without_detections_the_picture_is_the_same() -> None:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    assert np.array_equal(annotate(*result(image, [], [])), image)


@pytest.mark.parametrize(
    ("size", "factor"),
    [((1, 1), 480), ((40, 60), 8), ((240, 320), 2), ((480, 640), 1), ((5, 400), 2)],
)
def test_a_small_picture_is_enlarged_by_a_whole_factor(size: tuple[int, int], factor: int) -> None:
    drawn = annotate(*result(grey(*size)))
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)
    assert area_of(drawn, 0).any()


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (4000, 6000), (3000, 40)])
def test_lines_and_letters_grow_with_the_picture(size: tuple[int, int]) -> None:
    drawn = annotate(*result(grey(*size)))
    assert drawn.shape == (*size, 3)
    row = area_of(drawn, 0)[size[0] // 2 + size[0] // 8]
    line = row[: size[1] // 2].sum()
    assert line >= max(2, (size[0] * size[1]) ** 0.5 // 400)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 1, 1), (0, 0.9, 0.1, 1), (0.95, 0.95, 1, 1), (0.5, 0, 0.5, 0), (-1, -1, 2, 2)],
    ids=["whole picture", "top right", "bottom right", "empty", "beyond the picture"],
)
def test_the_whole_label_is_inside_the_picture(box: tuple[float, ...]) -> None:
    label = "an exceedingly verbose label"
    reference = annotate(*result(grey(960, 1280), [(0.5, 0.3, 0.5, 0.3)], labels=(label,)))
    drawn = annotate(*result(grey(960, 1280), [box], labels=(label,)))
    ink = [(picture == 0).all(axis=2).sum() for picture in (reference, drawn)]
    assert ink[1] >= ink[0] > 100


def test_a_label_too_long_for_the_picture_is_made_smaller() -> None:
    drawn = annotate(*result(grey(960, 200), labels=("an exceedingly verbose label",)))
    ink_columns = (drawn < 90).all(axis=2)[:240].any(axis=0)  # above the box
    assert ink_columns[20:180].any()
    assert not ink_columns[:2].any()
    assert not ink_columns[-2:].any()


def test_labels_of_objects_in_the_same_place_do_not_hide_each_other() -> None:
    count = 6
    drawn = annotate(*result(grey(480, 640), [(0.3, 0.3, 0.7, 0.7)] * count, range(count)))
    areas = [int(area_of(drawn, class_id).sum()) for class_id in range(1, count)]
    assert min(areas) > 0.5 * max(areas)


CROWDS = [(720, 1280, 40), (480, 640, 60), (480, 640, 30)]


def crowd(height: int, width: int, count: int) -> NDArray[np.float64]:
    """(count, 4) boxes of people in pixels, in three rows, each before the one behind it."""
    noise = np.random.default_rng(count)
    tall = height * noise.uniform(0.15, 0.35, count)
    left = noise.uniform(0, width - 0.4 * tall)
    top = height * noise.choice([0.2, 0.4, 0.6], count) + noise.uniform(0, 0.05 * height, count)
    return np.stack([left, top, left + 0.4 * tall, top + tall], 1)


def in_pixels(
    image: Image, boxes: NDArray[np.float64], class_ids: Sequence[int], labels: tuple[str, ...]
) -> tuple[Image, Detections]:
    """An image and what was found in it; boxes: (D, 4) xmin, ymin, xmax, ymax in pixels."""
    height, width = image.shape[:2]
    unit = boxes[:, [1, 0, 3, 2]] / [height, width, height, width]
    return result(image, unit.tolist(), class_ids, labels)


def draw_people(boxes: NDArray[np.float64], image: Image) -> Image:
    return annotate(*in_pixels(image, boxes, [0] * len(boxes), ("person",)))


def labels_in(drawn: Image, boxes: NDArray[np.float64], level: int = 128) -> NDArray[np.bool_]:
    """(height, width) what changed in a grey image and is no outline: all that labels cover."""
    outlines = np.zeros(drawn.shape[:2], np.uint8)
    for left, top, right, bottom in np.rint(boxes).astype(int).tolist():
        cv2.rectangle(outlines, (left, top), (right, bottom), 1, 8)
    return np.asarray((drawn != level).any(axis=2) & (outlines == 0))


@pytest.mark.parametrize("size", CROWDS)
def test_labels_in_a_crowd_hide_a_tenth_of_an_object_at_most(size: tuple[int, int, int]) -> None:
    boxes = crowd(*size)
    covered = labels_in(draw_people(boxes, grey(*size[:2])), boxes)
    areas = np.rint(boxes).astype(int)
    shares = [
        covered[top:bottom, left:right].sum() / ((bottom - top) * (right - left))
        for left, top, right, bottom in areas.tolist()
    ]
    assert max(shares) <= 0.1
    assert covered.sum() > 5000  # most labels are there all the same


@pytest.mark.parametrize("size", CROWDS)
def test_what_a_label_covers_in_a_crowd_shines_through(size: tuple[int, int, int]) -> None:
    boxes = crowd(*size)
    covered = labels_in(draw_people(boxes, grey(*size[:2])), boxes)
    inside = np.zeros(covered.shape, bool)
    for left, top, right, bottom in np.rint(boxes).astype(int).tolist():
        inside[top:bottom, left:right] = True
    dark, light = (draw_people(boxes, grey(*size[:2], level)) for level in (90, 166))
    differ = (light.astype(int) - dark).max(axis=2)[covered & inside]
    assert (differ > 20).mean() > 0.6  # the rest is the text itself


def test_where_not_every_label_has_a_place_the_best_have_one() -> None:
    count = 40
    boxes = np.repeat([[300.0, 200.0, 340.0, 280.0]], count, 0)
    drawn = annotate(*in_pixels(grey(480, 640), boxes, range(count), ("x",) * count))
    labelled = [int(area_of(drawn, class_id).sum()) > 100 for class_id in range(count)]
    assert labelled == sorted(labelled, reverse=True)
    assert 5 < sum(labelled) < count


def test_letters_are_smaller_in_a_crowd() -> None:
    box = np.array([[900.0, 400.0, 1000.0, 600.0]])
    heights = []
    for boxes in (box, np.repeat(box, 40, 0)):
        above = labels_in(draw_people(boxes, grey(1080, 1920)), boxes)[:400]
        heights.append(int(above.any(axis=1).sum()))
    assert 10 < heights[1] < 0.8 * heights[0]


def test_text_can_be_read_on_the_colour_of_every_class() -> None:
    for class_id in range(90):
        color = class_color(class_id)
        above_the_box = annotate(*result(grey(960, 1280), class_ids=(class_id,)))[200:230, 320:480]
        inks = [(0, 0, 0), (255, 255, 255)]
        used = [ink for ink in inks if (above_the_box == np.array(ink)).all(axis=2).any()]
        assert len(used) == 1
        assert contrast(used[0], color) >= 3.5


def test_classes_differ_in_colour_and_keep_it() -> None:
    colors = {class_color(class_id) for class_id in range(90)}
    assert len(colors) == 90
    assert class_color(17) == class_color(17)


@pytest.mark.parametrize("label", ["Fußgänger", "歩行者", "two\nlines", "", None])
def test_any_label_can_be_drawn(label: str | None) -> None:
    assert area_of(annotate(*result(grey(480, 640), labels=(label,))), 0).any()


def test_a_saved_picture_reads_back(tmp_path: Path) -> None:
    image = annotate(*result(grey(480, 640)))
    for name in ("new folder/a.jpg", "a.png"):
        save(tmp_path / name, image)
        read_back = cv2.imread(str(tmp_path / name))
        assert read_back is not None
        assert np.abs(read_back.astype(int) - image).mean() < 2
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["a.jpg", "a.png"]


def test_saving_replaces_an_older_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for level in (10, 200):
        save(path, grey(8, 8, level))
    assert (cv2.imread(str(path)) == 200).all()


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match=r"file/a\.jpg: .*; choose another folder"):
        save(tmp_path / "file" / "a.jpg", grey(8, 8))
    with pytest.raises(PublishError, match=r"a\.nonsense: .*; use a name that ends in \.jpg"):
        save(tmp_path / "a.nonsense", grey(8, 8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PublishError, match="No space left"):
        save(tmp_path / "a.jpg", grey(8, 8))
    assert not list(tmp_path.iterdir())
