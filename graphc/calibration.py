"""What calibration decides, and where that is kept: beside the object cache, one small file for each kind of machine.

`gx.calibration.enabled` is a plain setting of this process, as those of `gx.cache` are. While it is True, the first product that this
user compiles on a machine measures what it needs (`graphc.codegen.calibration`, some 20 ms) and keeps what it found; later processes
read that. `python -m graphc.calibrate` measures more, and shows or removes what is kept. Where it is False, or where the object
cache is not used, all is as on a machine that was never calibrated: the defaults of `graphc.target.Measured`.

A decision is a choice of a few values, so that two calibrations of one machine agree and objects in the cache are found again. It
changes how fast a result comes, never its bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphc import cache
from graphc.records import dataclass
from graphc.target import Measured

VERSION = 1
"""Raise it whenever the same measurement would be decided otherwise, or be another one. What is kept of another version is not read."""
SUFFIX = ".gxm"
STAY = 0.26  # in logarithms of the distance, a factor of 1.3: so much nearer must another choice be than the one that holds

enabled: bool = True
"""Whether what was measured is read, and measured at the first use where it is not there."""


@dataclass(frozen=True)
class Choice:
    """The values that a fact may have; the nearest to what was measured counts, by the ratio of distances from `origin`."""

    values: tuple[float, ...]
    origin: float = 0.0

    def nearest(self, found: float, holds: float) -> float:
        """The choice for what was measured; the one that holds stays where it is about as near as the nearest."""
        if not math.isfinite(found):
            return holds
        far = {v: abs(math.log(max(found - self.origin, 1e-6) / (v - self.origin))) for v in (holds, *self.values)}
        best = min(self.values, key=far.__getitem__)
        return holds if far[holds] < far[best] + STAY else best


CHOICES = {
    "crossing": Choice((1.03, 1.4, 2.0), origin=1.0),
    "packing": Choice((4.0, 10.0, 25.0)),
    "threads": Choice((8e3, 2e4, 5e4, 1.25e5)),
}
"""By the field of `Measured`. Whatever a disturbed machine measures, nothing beyond these is believed."""


DEFAULTS = Measured()


@dataclass(frozen=True)
class Found:
    """What a file says: the facts that hold, and the numbers that were measured for some of them."""

    measured: Measured = DEFAULTS
    numbers: tuple[tuple[str, float], ...] = ()

    def decided(self, numbers: Mapping[str, float]) -> Found:
        """These numbers in place of those of the same names, and what they decide."""
        now: dict[str, Any] = {name: CHOICES[name].nearest(number, getattr(self.measured, name)) for name, number in numbers.items()}
        return Found(replace(self.measured, **now), tuple(sorted({**dict(self.numbers), **numbers}.items())))


def path(machine: str) -> str | None:
    """The file for a machine, which `graphc.codegen.calibration` names; None where nothing can be kept."""
    if not cache.enabled or cache.directory is None:
        return None
    return os.path.join(os.fspath(cache.directory), machine + SUFFIX)


def kept(machine: str) -> Found | None:
    """What is kept of this version; None where there is nothing, or nothing to be believed: damaged, of another user, out of range."""
    where = path(machine)
    if where is None or cache.fault():
        return None
    try:
        with open(os.open(where, cache.READ), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not cache.is_private(status):
                return None
            return _read(file.read(1 << 12).decode(), machine)
    except (OSError, ValueError):
        return None


def fault() -> str:
    """Why nothing can be kept, or "". It makes the directory of the cache where that is missing."""
    why = cache.make()
    if why or cache.directory is None:
        return why
    return "" if os.access(cache.directory, os.W_OK | os.X_OK) else f"{os.fspath(cache.directory)} may not be written to"


def keep(machine: str, found: Found) -> str:
    """Write it aside and rename it into place, so that whoever reads sees a whole file. Why that could not be, or ""."""
    where, why = path(machine), fault()
    if where is None or why:
        return why
    try:
        number, aside = tempfile.mkstemp(cache.UNFINISHED, "", os.path.dirname(where))  # readable by its owner only
        try:
            with open(number, "w", encoding="ascii", newline="\n") as file:
                file.write(_written(machine, found))
            os.replace(aside, where)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
    except OSError as error:
        return str(error)
    return ""


def forget(machine: str) -> bool:
    """Remove what is kept; whether there was something."""
    where = path(machine)
    if where is None or cache.fault():
        return False
    try:
        os.unlink(where)
    except OSError:
        return False
    return True


def _written(machine: str, found: Found) -> str:
    """`graphc calibration 1`, lines `fact value measured`, and a check of all that and of the machine."""
    lines = [f"{name} {float(getattr(found.measured, name))!r} {number!r}\n" for name, number in found.numbers]
    text = f"graphc calibration {VERSION}\n" + "".join(lines)
    return text + _check(machine, text)


def _read(text: str, machine: str) -> Found | None:
    first, _, rest = text.partition("\n")
    body, _, check = rest.rpartition("\n")
    body = body + "\n" if body else ""
    if first != f"graphc calibration {VERSION}" or check != _check(machine, f"{first}\n{body}"):
        return None
    rows = [line.split(" ") for line in body.splitlines()]
    values: dict[str, Any] = {name: float(value) for name, value, _ in rows}
    if any(value not in CHOICES[name].values if name in CHOICES else True for name, value in values.items()):
        return None
    return Found(replace(DEFAULTS, **values), tuple([(name, float(number)) for name, _, number in rows]))


def _check(machine: str, text: str) -> str:
    return hashlib.sha256(f"{machine}\n{text}".encode()).hexdigest()
