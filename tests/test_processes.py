"""A function in a process of its own, and how it ended, in words."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable

import pytest

from edge_ssd.processes import Ended, ending, isolated


def abort() -> None:
    faulthandler.disable()  # pytest's
    os.write(1, b"about to crash\n")
    os.kill(os.getpid(), signal.SIGABRT)


def fail() -> None:
    raise ValueError("oops")


def test_an_answer_comes_back_whatever_its_size() -> None:
    assert isolated(os.getpid, 60) != os.getpid()
    assert isolated(lambda: b"x" * 1_000_000, 60) == b"x" * 1_000_000


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (abort, "its process was ended by SIGABRT (Aborted), saying: about to crash"),
        (fail, "its process ended with status 1, saying: ValueError: oops"),
        (lambda: os._exit(3), "its process ended with status 3"),
    ],
)
def test_an_end_without_an_answer_is_told(work: Callable[[], None], says: str) -> None:
    with pytest.raises(Ended) as error:
        isolated(work, 60)
    assert str(error.value) == says


def test_what_takes_too_long_is_killed() -> None:
    with pytest.raises(Ended, match=r"^it took longer than 0\.1 s$"):
        isolated(lambda: time.sleep(60), 0.1)


def test_a_process_that_runs_on_has_not_ended() -> None:
    assert ending(None) == "does not end"
