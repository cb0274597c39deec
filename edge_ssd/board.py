"""Read the board's temperature, power and throttling; None where it has no sensor."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_ssd.checks import run_command

# soc/soc:firmware up to the Pi 4; the Pi 5 has the address in both names.
_THROTTLED = "devices/platform/soc*/soc*:firmware/get_throttled"

# The bits of get_throttled; 16 bits higher: the same at any time since the last boot.
_UNDERVOLTAGE, _CAPPED, _THROTTLING, _SOFT_LIMIT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Throttled:
    """The Pi firmware's throttling word, as ``vcgencmd get_throttled`` shows it."""

    word: int

    @property
    def undervoltage(self) -> bool:
        """The supply is below 4.63 V now."""
        return bool(self.word & _UNDERVOLTAGE)

    @property
    def slowed(self) -> bool:
        """The firmware has lowered the processor's clock now.

        The soft temperature limit (60 degrees on a Pi 3B+) does not count: many boards exceed it.
        """
        return bool(self.word & (_CAPPED | _THROTTLING))

    @property
    def undervoltage_since_boot(self) -> bool:
        """The supply has been below 4.63 V since the last boot."""
        return bool(self.word >> 16 & _UNDERVOLTAGE)

    @property
    def slowed_since_boot(self) -> bool:
        """The firmware has lowered the processor's clock since the last boot."""
        return bool(self.word >> 16 & (_CAPPED | _THROTTLING | _SOFT_LIMIT))


@dataclass(frozen=True, slots=True)
class Health:
    """The board now. temperature_c: degrees Celsius. Either is None where it has no sensor."""

    temperature_c: float | None = None
    throttled: Throttled | None = None


class Sensors:
    """Reads the kernel's files below ``sys``; without them runs ``vcgencmd``, unless it is None."""

    def __init__(
        self, sys: Path = Path("/sys"), vcgencmd: str | None = shutil.which("vcgencmd")
    ) -> None:
        self._sys = sys
        self._vcgencmd = vcgencmd

    def read(self) -> Health:
        """Return what can be read now; never raises."""
        return Health(self._temperature_c(), self._throttled())

    def _temperature_c(self) -> float | None:
        """The hottest of the processor's zones."""
        found = [
            _number(_read(zone / "temp"), 10)
            for zone in self._sys.glob("class/thermal/thermal_zone*")
            if _read(zone / "type").startswith(("cpu", "soc"))
        ]
        known = [millidegrees for millidegrees in found if millidegrees is not None]
        return max(known) / 1000 if known else None

    def _throttled(self) -> Throttled | None:
        words = [_number(_read(path), 16) for path in self._sys.glob(_THROTTLED)]
        word = next((word for word in words if word is not None), None)
        if word is None and self._vcgencmd:
            answer = run_command(self._vcgencmd, "get_throttled", limit_s=2.0) or ""
            word = _number(answer.partition("=")[2], 16)
            if word is None:
                self._vcgencmd = None  # as in the service's sandbox, where it never works
        return None if word is None else Throttled(word)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None
