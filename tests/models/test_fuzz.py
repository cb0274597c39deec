"""Mutated model files: inspect gives a verdict or a clear error, whatever they lead it to."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support import model_fuzz
from support.tflite_builder import Kind, Model
from support.tflite_models import raw_heads_model

from edge_ssd.errors import DeviceError, ModelError
from edge_ssd.inference.backend import ModelFit
from edge_ssd.inference.child import probe
from edge_ssd.inference.child_main import Job
from edge_ssd.inference.tensors import of_graph
from edge_ssd.models import flatbuffer
from edge_ssd.models.graph import Graph
from edge_ssd.models.loading import load
from edge_ssd.models.spec import ModelSpec
from edge_ssd.workshop.inspect import inspect


def check(first: int, count: int) -> None:
    tally = model_fuzz.fuzz(first, count)
    print(tally)
    assert tally.findings == []
    assert tally.inspected.total() == count
    # Each is common, so the mutants are neither all beyond repair nor all unharmed.
    assert all(tally.inspected[result] > count / 50 for result in model_fuzz.RESULTS)
    assert tally.run["ran"] > 0


@pytest.mark.slow
def test_a_thousand_mutants() -> None:
    check(20_000, 1000)


@pytest.mark.system
def test_twenty_thousand_mutants() -> None:
    check(0, 20_000)


def test_a_hang_a_crash_and_a_bug_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their numbers; the mutants behind them are inspected all the same."""

    def faulty(number: int, path: Path) -> str:
        if number == 3:
            raise KeyError("a bug")
        if number == 5:
            signal.pause()
        if number == 8:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 9:
            np.ones(10**10, np.uint8)
        return "refused"

    monkeypatch.setattr(model_fuzz, "inspected", faulty)
    monkeypatch.setattr(model_fuzz, "HANG_S", 2.0)
    tally = model_fuzz.fuzz(0, 20)
    found = dict(tally.findings)
    assert sorted(found) == [3, 5, 8, 9]
    assert found[3].startswith("KeyError: 'a bug' (test_fuzz.py:")
    assert found[5] == "a hang"
    assert found[8] == "ended by SIGSEGV"
    assert "Unable to allocate" in found[9]
    assert tally.inspected == {"refused": 16, "finding": 4}


def test_how_a_run_ended_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(raw_heads_model(1917, 91, input_shape=(1, 300, 300, 3)))
    assert model_fuzz.run_apart(path) == "ran"
    path.write_bytes(raw_heads_model()[:-300])
    assert model_fuzz.run_apart(path) == "refused"
    monkeypatch.setattr(model_fuzz, "_run", lambda _: os.kill(os.getpid(), signal.SIGSEGV))
    assert model_fuzz.run_apart(path) == "SIGSEGV"


# --- What the mutants have found ---


@pytest.fixture
def crashing(tmp_path: Path) -> Path:
    """A file whose operators lack an input: tflite-runtime says so, and litert 2.3 crashes."""
    model = Model().tensor("image", (1, 4, 4, 3), Kind("uint8", 1 / 128, 128))
    model.tensor("boxes", (1, 12, 4)).tensor("scores", (1, 12, 4))
    model.constant("begin", np.zeros(4, np.int32))
    for name in ("boxes", "scores"):
        model.op("SLICE", ("image", "begin"), (name,))
    path = tmp_path / "m.tflite"
    path.write_bytes(model.build(("image",), ("boxes", "scores")))
    return path


def test_a_crash_of_the_runtime_is_contained_and_said_in_words(
    crashing: Path, runtime_name: str
) -> None:
    spec = ModelSpec(name="m", path=crashing)  # ``load`` refuses the file
    tensors = ModelFit(spec, of_graph(Graph(crashing.read_bytes()))).tensors
    expected = r"the inference process was ended by SIGSEGV|cannot be run: .*NumInputs"
    with pytest.raises((DeviceError, ModelError), match=expected):
        probe(Job(spec, tensors, runtime_name))


def test_a_file_that_would_crash_the_runtime_is_refused_when_it_is_loaded(crashing: Path) -> None:
    expected = "operator 0, SLICE, has 2 of the 3 inputs it needs"
    with pytest.raises(ModelError, match=expected):
        load(str(crashing))
    assert expected in inspect(str(crashing)).problem


def test_a_name_that_is_not_text() -> None:
    """The runtimes raise UnicodeDecodeError for it."""
    content = raw_heads_model(names=("boxes", "scores")).replace(b"boxes\0", b"bo\xe3es\0")
    with pytest.raises(ModelError, match="a name in it is not UTF-8 text"):
        Graph(content).check()


@pytest.mark.parametrize("zero_point", [256, -1, 219902325695])
def test_a_zero_point_beyond_the_type(zero_point: int) -> None:
    """The runtimes crash on some of them."""
    model = Model().tensor("x", (4,), Kind("uint8", 0.1, zero_point)).op("RESHAPE", ("x",), ("x",))
    expected = f"tensor 'x' of uint8 has the zero point {zero_point}"
    with pytest.raises(ModelError, match=expected):
        Graph(model.build(("x",), ("x",))).check()


def test_a_length_in_front_of_a_sea_of_zeros(tmp_path: Path) -> None:
    """Each zero reads as a table without fields: half a minute, and gigabytes, for 16 MB."""
    model = Model().constant("weights", np.zeros(4_000_000, np.int32)).tensor("x", (4,))
    data = bytearray(model.op("RESHAPE", ("weights",), ("x",)).build(("weights",), ("x",)))
    tensors = Graph(bytes(data)).subgraph.vector(0)
    zeros = data.index(bytes(1000))
    place = Graph(bytes(data)).subgraph.field(0)
    assert place
    assert tensors.length == 2
    data[zeros : zeros + 4] = (3_000_000).to_bytes(4, "little")
    data[place : place + 4] = (zeros - place & 0xFFFFFFFF).to_bytes(4, "little")
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    begun = time.process_time()
    with pytest.raises(ModelError, match="damaged"):
        inspect(str(path))
    assert time.process_time() - begun < 5


def test_a_name_as_long_as_the_file() -> None:
    name = "n" * (flatbuffer.MAX_NAME + 1)
    model = Model().tensor(name, (4,)).tensor("x", (4,)).op("RESHAPE", (name,), ("x",))
    with pytest.raises(ModelError, match=f"a name in it has {len(name)} bytes"):
        Graph(model.build((name,), ("x",))).check()
