"""COCO annotation files of boxes: read, checked, and matched with a model's labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from edge_ssd.errors import InputError, ModelError
from edge_ssd.files import remedy
from edge_ssd.models.labels import Labels

_REMEDY = "give a file such as COCO's instances_val2017.json"

Size = Annotated[FiniteFloat, Field(ge=0)]  # a width, height or area, in pixels


class Image(BaseModel):
    """An entry of ``images``. width, height: in pixels, where the file has them."""

    id: int
    file_name: str
    width: int | None = None
    height: int | None = None


class Box(BaseModel):
    """An entry of ``annotations``. bbox: x, y, width, height in pixels."""

    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, Size, Size]
    area: Size | None = None
    iscrowd: bool = False


class Category(BaseModel):
    """An entry of ``categories``."""

    id: int
    name: str


class Annotations(BaseModel):
    """A COCO annotation file: which images there are, and the boxes in them."""

    images: list[Image] = Field(min_length=1)
    annotations: list[Box] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


def read_annotations(path: Path) -> Annotations:
    """Read COCO annotations of boxes. Raises InputError for an unreadable or contradictory file."""
    try:
        read = Annotations.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", remedy(path, error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        problem = f"{place}: {first['msg']}" if place else first["msg"]
        raise InputError(f"{path} is no COCO file of boxes: {problem}", _REMEDY) from None
    contradiction = _contradiction(read)
    if contradiction:
        raise InputError(f"{path}: {contradiction}", _REMEDY)
    return read


def category_ids(labels: Labels, annotations: Annotations, model: str) -> dict[int, int]:
    """Return the category of each class id, by name. Raises ModelError for boxes of others."""
    by_name = {_plain(category.name): category.id for category in annotations.categories}
    ids = {
        class_id: by_name[_plain(label)]
        for class_id, label in enumerate(labels)
        if label and _plain(label) in by_name
    }
    wanted = {box.category_id for box in annotations.annotations} - set(ids.values())
    strange = [category.name for category in annotations.categories if category.id in wanted]
    if strange:
        known = [label for label in labels if label]
        raise ModelError(
            f"the annotations have boxes of {_few(strange)}, and {model} knows {_few(known)}",
            "give its labels in the annotations' words with --labels, or annotations of its "
            "own classes",
        )
    return ids


def _plain(name: str) -> str:
    return name.strip().casefold()


def _few(names: Sequence[str]) -> str:
    if not names:
        return "no labels"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more classes" if len(names) > 3 else "")


def _contradiction(read: Annotations) -> str | None:
    """Return what is listed twice, or which box is of nothing that is listed."""
    images = {image.id for image in read.images}
    categories = {category.id for category in read.categories}
    if len(images) < len(read.images) or len(categories) < len(read.categories):
        return "two images, or two categories, have the same id"
    # As paths, for ./a.png is a.png.
    name, times = Counter(Path(image.file_name) for image in read.images).most_common(1)[0]
    if times > 1:
        return f"{times} images have the same file_name, {name}"
    if len({_plain(category.name) for category in read.categories}) < len(categories):
        return "two categories have the same name"
    for index, box in enumerate(read.annotations):
        named = (("image", box.image_id, images), ("category", box.category_id, categories))
        for kind, number, known in named:
            if number not in known:
                return f"annotations.{index} is of {kind} {number}, which is not listed"
    if all(box.iscrowd for box in read.annotations):
        return "every box is a crowd, and none a single object"
    return None
