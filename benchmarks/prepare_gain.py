"""What `models prepare` gains here: a stock file, its raw heads, and these in int8.

    python benchmarks/prepare_gain.py STOCK.tflite [ROUNDS]

Prints one JSON object: bare invoke times (medians in ms, one thread) of the three files on each
installed runtime, taken in turn in one run, so that the ratios hold on a machine whose speed
drifts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from edge_ssd.errors import EdgeSsdError
from edge_ssd.inference.runtime import Interpreter, installed, load_interpreter
from edge_ssd.models.spec import ModelSpec
from edge_ssd.workshop.prepare import prepare


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End with it."""
        self.exit(2, f"error: {message}; {self.format_usage()}")


def positive(text: str) -> int:
    """Return a number of rounds."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    parser = Parser(usage="prepare_gain.py STOCK.tflite [ROUNDS]")
    parser.add_argument("stock", type=Path, metavar="STOCK.tflite")
    parser.add_argument("rounds", type=positive, metavar="ROUNDS", nargs="?", default=30)
    given = parser.parse_args()
    try:
        gain(given.stock, given.rounds)
    except EdgeSsdError as error:
        sys.exit(f"error: {error}")


def gain(stock: Path, rounds: int) -> None:
    """Prepare the file both ways, measure, print."""
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
    main()
