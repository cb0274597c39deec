"""What `models prepare` gains here: a stock file, its raw heads, and these in int8.

    python benchmarks/prepare_gain.py STOCK.tflite [ROUNDS]

Prints one JSON object: bare invoke times (medians in ms, one thread) of the three files on each
installed runtime, taken in turn in one run, so that the ratios hold on a machine whose speed
drifts.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from edge_ssd.detector.runtime import Interpreter, installed, load_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.prepare import prepare


def main(stock: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw, int8 = Path(folder) / "raw.tflite", Path(folder) / "int8.tflite"
        made = {"raw heads": prepare(str(stock), raw), "int8": prepare(str(stock), int8, int8=True)}
        files = {"stock": stock, "raw heads": raw, "int8": int8}
        times = {runtime: measure(runtime, files, rounds) for runtime in installed()}
    agreement = {name: str(report.agreement) for name, report in made.items()}
    print(json.dumps({"agreement": agreement, "invoke_ms": times}, indent=2))


def measure(runtime: str, files: dict[str, Path], rounds: int) -> dict[str, float]:
    """Return the median invoke time of each file in ms, and how many times faster each is."""
    # As the files are: the stock one with its operator, which the loader would take out.
    interpreters = {
        name: load_interpreter(ModelSpec(name, path), runtime) for name, path in files.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, interpreter in interpreters.items():
            taken[name].append(invoke_ms(interpreter))
    medians = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    gains = {f"{name} gains": round(medians["stock"] / medians[name], 2) for name in files}
    del gains["stock gains"]
    return medians | gains


def invoke_ms(interpreter: Interpreter) -> float:
    begun = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
