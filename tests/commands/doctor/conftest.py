"""The fake machine of the doctor's tests, and the stand-in for libedgetpu."""

from __future__ import annotations

from pathlib import Path

import pytest
from inference.conftest import stand_in, stand_in_library
from support.machines import FakeMachine

__all__ = ["stand_in", "stand_in_library"]


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A fake Pi 5, without cameras."""
    return FakeMachine(tmp_path / "root")
