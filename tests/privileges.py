"""Lets a test that runs as root meet "permission denied", as a user would."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522  # linux/capability.h
_MAY_PASS_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Drop, in this thread, the rights that let root pass file permissions; give them back."""
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    _call("capget", header, sets)
    effective = sets[0]
    sets[0] = effective & ~_MAY_PASS_PERMISSIONS
    _call("capset", header, sets)
    try:
        yield
    finally:
        sets[0] = effective
        _call("capset", header, sets)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
