"""Lets a test that runs as root meet "permission denied", as a user would."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522  # linux/capability.h
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_MAY_PASS_PERMISSIONS = 1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH
_PR_CAPBSET_DROP = 24  # linux/prctl.h


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


def give_up_root_rights() -> None:
    """Likewise for good, and for the program that this process runs next (a ``preexec_fn``)."""
    if os.geteuid() == 0:
        for right in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            _call("prctl", _PR_CAPBSET_DROP, right, 0, 0, 0)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
