"""What may happen in the middle of a call, for `tests.fuzz.entry`: callbacks of weak references, finalisers, Ctrl-C."""

from __future__ import annotations

import gc
import random
import signal
import weakref
from typing import Any

import numpy as np

import graphc as gx
from tests.fuzz.functions import Case


def sample(rng: random.Random, case: Case) -> list[np.ndarray]:
    """Arrays that fit the parameters."""
    sizes = {name: rng.choice((1, 2, 3, 8, 40)) for name in "nmk"}
    made = []
    for p in case.params:
        shape = tuple([sizes[s] if isinstance(s, str) else s for s in p.shape])
        made.append(np.array(np.random.default_rng(rng.getrandbits(32)).integers(0, 1 if p.limit else 2, shape)).astype(p.dtype))
    return made


class _Last:
    """Calls something when it goes."""

    def __init__(self, act: Any) -> None:
        self.act, self.me = act, self  # a cycle: the collector finds it, wherever it runs

    def __del__(self) -> None:
        self.act()


def called_back(rng: random.Random, case: Case) -> str:
    """A call in which Python code runs that frees the arguments, takes their memory, and calls the function: the results are as without."""
    arrays, thieves = sample(rng, case), []
    plains, other = [np.array(a) for a in arrays], sample(rng, case)
    old = [s.get_value() for s in case.state]
    calls = [0]

    def act(_: object = None) -> None:
        thieves.extend([np.full(a.size, 1, a.dtype) for a in plains for _ in range(3)])
        if calls[0] or rng.random() < 0.3:
            return
        for a in arrays:
            a.resize((a.size + 600,), refcheck=False)
        thieves.extend([np.full(a.size, 1, a.dtype) for a in plains for _ in range(3)])
        calls[0] += 1
        case.f(*other)

    held = [case.f(*arrays), case.f(*arrays)]  # the function keeps two
    for _ in held:
        old = case.run(*plains, old)[1]
    leaves = gx.tree.leaves(held)
    watches = [weakref.ref(leaf, act) for leaf in leaves if rng.random() < 0.5]
    del held, leaves
    early = calls[0]
    if rng.random() < 0.3:
        _Last(act)
    result = None
    if not early:
        result = case.f(*arrays)
        want, old = case.run(*plains, old)
        for a, b in zip(gx.tree.leaves(result), gx.tree.leaves(want), strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)
    del watches
    gc.collect()
    if not early:
        if calls[0]:
            old = case.run(*other, old)[1]
        for s, value in zip(case.state, old):
            np.testing.assert_array_equal(s.get_value(), value)
    return "called back" if calls[0] else "watched"


def interrupted(rng: random.Random, case: Case) -> str:
    """A call that Ctrl-C may end anywhere: the state is as before or as after it, and nobody holds it."""
    arrays = sample(rng, case)
    passed = [a.tolist() if a.ndim and rng.random() < 0.7 and a.size and a.dtype == np.float64 else a for a in arrays]
    old = [s.get_value() for s in case.state]
    new = case.run(*arrays, [np.array(v) for v in old])[1]
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    kind = "in time"
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 5e-4))
            case.f(*passed)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        kind = "interrupted"
    signal.signal(signal.SIGALRM, before)
    now = [s.get_value() for s in case.state]
    wanted = [new] if kind == "in time" else [old, new]
    assert any(all(np.array_equal(a, b) for a, b in zip(now, w, strict=True)) for w in wanted), f"{now}, neither {old} nor {new}"
    assert not any(s.queue for s in case.state), "somebody is left in the queue"
    return kind
