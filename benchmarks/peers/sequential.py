"""The loop of Coral's camera examples: convert, resize, invoke, read the op's outputs."""

from __future__ import annotations

import importlib.metadata

import cv2
from harness import SCORE_THRESHOLD, Detection, arguments, measure


def main() -> None:
    given = arguments()
    if given.runtime == "litert":
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 (one of two)
    else:
        from tflite_runtime.interpreter import Interpreter  # noqa: PLC0415
    interpreter = Interpreter(str(given.model), num_threads=1)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    boxes, classes, scores, count = (each["index"] for each in interpreter.get_output_details())
    _, height, width, _ = image["shape"]

    def detect(frame: cv2.typing.MatLike) -> list[Detection]:
        resized = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (width, height))
        interpreter.set_tensor(image["index"], resized[None])
        interpreter.invoke()
        found = int(interpreter.get_tensor(count)[0])
        rows = zip(
            interpreter.get_tensor(classes)[0, :found].tolist(),
            interpreter.get_tensor(scores)[0, :found].tolist(),
            interpreter.get_tensor(boxes)[0, :found].tolist(),
            strict=True,
        )
        return [(int(kind), score, *box) for kind, score, box in rows if score >= SCORE_THRESHOLD]

    package = "ai-edge-litert" if given.runtime == "litert" else "tflite-runtime"
    measure(detect, f"{package} {importlib.metadata.version(package)}")


if __name__ == "__main__":
    main()
