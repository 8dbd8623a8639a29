"""The Target of this machine with what was measured on it; measured at the first product where nothing is kept yet."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from graphc import calibration
from graphc.calibration import Found
from graphc.codegen.calibration.probes import ProductProbe, ThreadProbe
from graphc.codegen.target import host
from graphc.forking import held_over_fork
from graphc.ir import Node
from graphc.region import everywhere
from graphc.target import Measured, Target

TURNS = 30  # of each probe, twice: 2 ms
THREAD_TURNS = 12
ROUNDS = 8  # of all this, by the command
_LOCK = held_over_fork(threading.RLock())  # taken before those of the compiler
_KNOWN: dict[str, Found] = {}  # by the file that would hold it: a process measures once, and does not read again


@lru_cache(maxsize=4)
def machine_key(target: Target) -> str:
    """What a calibration holds for: the features, the caches and the cores; the name of the processor decides nothing."""
    facts = replace(target, cpu="", measured=Measured())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def this_machine(outputs: Sequence[Node] = ()) -> Target:
    """The host as it was measured: now, where these outputs are the first with a product; the defaults where nothing is kept."""
    target = host()
    key = machine_key(target)
    where = calibration.path(key) if calibration.enabled else None
    if where is None:
        return target
    with _LOCK:
        found = _KNOWN.get(where) or calibration.kept(key)
        if found is None and any(node.op.traits.kernel == "contract" for node in everywhere(outputs)):
            found = _at_first_use(target, key)
        if found is None:
            return target
        _KNOWN[where] = found
    return replace(target, measured=found.measured)


def _at_first_use(target: Target, key: str) -> Found:
    """Measured and kept, or the defaults for this process: a calibration that fails must not fail what is compiled."""
    with contextlib.suppress(Exception):
        if not calibration.fault():
            found = _products(target, Found())
            if found is not None:
                calibration.keep(key, found)
                return found
    return Found()


def _products(target: Target, before: Found, rounds: int = 1) -> Found | None:
    """What products need to know; None where two halves of the measurement decide differently: then something else was running."""
    probe = ProductProbe(target)
    probe.times(2)  # code, data and the wide vectors warm up
    halves = [probe.times(TURNS) for _ in range(2)]
    for _ in range(rounds - 1):
        halves = [half.or_less(probe.times(TURNS)) for half in halves]
    if before.decided(halves[0].numbers()).measured != before.decided(halves[1].numbers()).measured:
        return None
    return before.decided(halves[0].or_less(halves[1]).numbers())


def calibrate() -> tuple[Found, str]:
    """All that can be measured, several times, with a worker of the pool: the command. What it found, and why that is not kept, or ""."""
    target = host()
    key = machine_key(target)
    found = calibration.kept(key) or Found()
    with _LOCK:
        found = _products(target, found, ROUNDS) or found
        if target.cores > 1:
            found = found.decided(ThreadProbe(target).numbers(THREAD_TURNS))
        _KNOWN.clear()
    return found, calibration.keep(key, found)
