"""Fuzz of the call path: python -m tests.fuzz.entry --calls N --seed S

Random calls of a few compiled functions: every dtype, layout, flag, subclass, spelling, count, keyword and `out`, right and wrong, some
of them from within themselves. A call that is right gives NumPy's answer and NumPy's new state; one that is wrong raises the typed
error that fits, and state and `out` stay as they were. Reference counts of everything passed are the same before and after, nobody
but the caller holds the results, and memory does not grow. Some calls run Python code by callbacks and finalisers, some are
interrupted, and all arrays lie between canaries.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
from graphc.codegen.entry.results import SPARE_BYTES
from tests.fuzz.canaries import canaries
from tests.fuzz.events import called_back, interrupted
from tests.fuzz.functions import Case, cases
from tests.fuzz.values import Act, Raises, Value, layout, right, wrong

GROWTH = 24e6  # bytes of resident memory that a run of any length may add
DRIFT = 300  # references to an object that all share, from what Python and NumPy keep of their own


def make_out(rng: random.Random, outputs: Any, arguments: list[np.ndarray]) -> tuple[Any, bool]:
    """Arrays for the outputs, perhaps in the memory of an argument, and whether they may be used."""
    leaves, structure = gx.tree.flatten(outputs)
    calm = rng.random() < 0.5
    arrays = [
        np.empty(np.shape(o), np.asarray(o).dtype)
        if calm or rng.random() < 0.5
        else layout(rng, np.full(np.shape(o), 77, np.asarray(o).dtype))
        for o in leaves
    ]
    arrays = [a if a.flags.writeable and a.dtype.isnative else np.zeros(a.shape, a.dtype.newbyteorder("=")) for a in arrays]
    fine = True
    for k, target in enumerate(arrays):  # an input may be a target: it is read first
        same = [a for a in arguments if a.dtype == target.dtype and a.shape == target.shape and a.flags.writeable and a.dtype.isnative]
        if same and rng.random() < 0.2 and not any(np.may_share_memory(same[0], b) for b in arrays):
            arrays[k] = rng.choice((same[0], same[0][...]))
    nonempty = [k for k, target in enumerate(arrays) if target.nbytes]
    if len(nonempty) > 1 and rng.random() < 0.05:
        a, b = rng.sample(nonempty, 2)
        if arrays[a].dtype == arrays[b].dtype and arrays[a].shape == arrays[b].shape:
            arrays[a] = arrays[b][...]
            fine = False
    elif not calm and rng.random() < 0.5:
        fine = False
        k = rng.randrange(len(arrays))
        a = arrays[k]
        frozen = np.zeros(a.shape, a.dtype)
        frozen.setflags(write=False)
        other = "float64" if a.dtype != np.float64 else "float32"
        swapped = a.astype(a.dtype.newbyteorder("S")) if a.dtype.itemsize > 1 else frozen
        bad = [
            frozen,
            np.zeros(a.shape, other),
            np.zeros((*a.shape, 2), a.dtype),
            swapped,
            np.ma.masked_array(np.zeros(a.shape, float)),  # without a dtype NumPy 2.4 loses a reference to its default
            a.tolist() if a.ndim else 3.0,
        ]
        arrays[k] = rng.choice(bad)
        if len(arrays) == 1 and rng.random() < 0.3:
            return {"x": arrays[0]}, False
    return gx.tree.unflatten(structure, arrays), fine


@dataclass
class Plan:
    """A call to be made: its values, what is passed, and the errors it deserves (none: it must succeed)."""

    values: list[Value]
    args: list[Any]
    kwargs: dict[str, Any]
    errors: set[type[gx.GraphcError]]


def plan(rng: random.Random, case: Case) -> Plan:
    """Values for the parameters of a function, now and then wrong in some way."""
    calm = rng.random() < 0.4
    sizes = {name: rng.choice((0, 1, 2, 3, 5, 8)) for name in "nmk"}
    disagree = not calm and rng.random() < 0.2
    values: list[Value] = []
    first: dict[str, int] = {}
    errors: set[type[gx.GraphcError]] = set()
    broken = rng.randrange(len(case.params)) if not calm and rng.random() < 0.5 else -1
    for k, param in enumerate(case.params):
        here = {name: n + 1 if disagree and rng.random() < 0.5 else n for name, n in sizes.items()}
        shape = tuple([here[s] if isinstance(s, str) else s for s in param.shape])
        limit = None if param.limit is None else first.get(param.limit, 0)
        value = (wrong if k == broken else right)(rng, param, shape, limit)
        values.append(value)
        if value.plain is not None:
            for s, n in zip(param.shape, shape):
                if isinstance(s, str) and first.setdefault(s, n) != n:
                    errors.add(gx.ShapeError)
    args, kwargs = spread(rng, case, values)
    errors |= {e for v in values for e in v.errors}
    if disagree and any(v.plain is None for v in values):  # what is wrong may lie in any of the arguments
        errors.add(gx.ShapeError)
    mistake = 1.0 if calm else rng.random()
    if mistake < 0.05:
        args.append(1.0) if len(args) == len(case.params) else kwargs.update(unknown=1)
        errors = {gx.ArgumentError}
    elif mistake < 0.1 and (args or kwargs) and not case.defaults:
        args.pop() if args and not kwargs else kwargs.popitem()
        errors = {gx.ArgumentError}
    return Plan(values, args, kwargs, errors)


def spread(rng: random.Random, case: Case, values: list[Value]) -> tuple[list[Any], dict[str, Any]]:
    """The values by position and by name; some of those that have a default are left out."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for param, value in zip(case.params, values):
        if kwargs or rng.random() < 0.2:
            kwargs[param.name] = value.given
        else:
            args.append(value.given)
    for k, p in enumerate(case.params):
        if p.name in case.defaults and p.name in kwargs and rng.random() < 0.5:
            del kwargs[p.name]
            values[k].given, values[k].plain, values[k].errors = None, case.defaults[p.name], ()
    if rng.random() < 0.3:
        kwargs = dict(rng.sample(list(kwargs.items()), len(kwargs)))
    if rng.random() < 0.1:
        kwargs = {"".join(list(name)): v for name, v in kwargs.items()}  # equal to the names, but other strings
    return args, kwargs


def call(rng: random.Random, case: Case) -> str:
    """One random call, checked; what kind of call it was."""
    p = plan(rng, case)
    args, kwargs, errors = p.args, p.kwargs, p.errors
    inner = [0]
    if args and rng.random() < 0.05:  # its conversion calls the function that it is passed to
        sample = [np.zeros([1 if isinstance(s, str) else s for s in x.shape], x.dtype) for x in case.params]
        reenter = lambda: (case.f(*sample), inner.__setitem__(0, inner[0] + 1))
        k = rng.randrange(len(args))
        args[k] = Act(args[k], reenter) if isinstance(args[k], np.ndarray) and not isinstance(args[k], np.ma.MaskedArray) else args[k]
    plains = [np.array(v.plain) for v in p.values]
    old = [s.get_value() for s in case.state]
    if not errors and rng.random() < 0.4:
        with np.errstate(all="ignore"):
            kwargs["out"], fine = make_out(rng, case.run(*plains, old)[0], [a for a in args if type(a) is np.ndarray])
        if not fine:
            errors = {gx.ArgumentError, gx.DTypeError, gx.ShapeError}
    held = [v for v in (*args, *kwargs.values()) if isinstance(v, np.ndarray)]  # other objects may be shared with anybody
    held += [v for v in gx.tree.leaves(kwargs.get("out")) if isinstance(v, np.ndarray)]
    counts = [sys.getrefcount(v) for v in held]
    kept = [np.array(o) for o in gx.tree.leaves(kwargs.get("out")) if isinstance(o, np.ndarray)]
    result = failure = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = case.f(*args, **kwargs)
    except gx.GraphcError as error:
        failure = type(error)
        text = str(error)
    for _ in range(inner[0]):
        old = case.run(*sample, old)[1]
    if errors:
        assert failure is not None, f"accepted: {args!r} {kwargs!r}; expected {errors}"
        assert failure in errors, f"{failure.__name__}: {text}; expected {errors} for {args!r} {kwargs!r}"
        new = old
        np.testing.assert_equal([np.array(o) for o in gx.tree.leaves(kwargs.get("out")) if isinstance(o, np.ndarray)], kept)
    else:
        assert failure is None, f"refused: {args!r} {kwargs!r}: {text}"
        with np.errstate(all="ignore"):
            want, new = case.run(*plains, old)
        check(result, want, kwargs.get("out"), [v.given for v in p.values])
    for s, after in zip(case.state, new):
        np.testing.assert_array_equal(s.get_value(), after)
    result = None
    now = [sys.getrefcount(v) for v in held]
    assert now == counts, f"references to {held!r}: {counts} before, {now} after"
    return failure.__name__ if failure is not None else "inner call" if inner[0] else "right" if "out" not in kwargs else "out"


def hostile(rng: random.Random, case: Case) -> str:
    """A call that nobody can make sense of: it may do what it likes but crash, and an error leaves the state as it was."""
    sizes = {name: rng.choice((1, 2, 3)) for name in "nmk"}
    arrays = [np.zeros([sizes[s] if isinstance(s, str) else s for s in x.shape], x.dtype) for x in case.params]
    k = rng.randrange(len(arrays))
    a, other = arrays[k], arrays[rng.randrange(len(arrays))]
    huge = (2**57, *a.shape[1:]) if a.ndim else ()
    empty = tuple([rng.choice((0, 2**40, 2**59)) if isinstance(s, str) else s for s in case.params[k].shape])

    def spoil() -> None:
        with suppress(Exception):
            rng.choice(
                (
                    lambda: other.setflags(write=False),
                    lambda: setattr(other, "shape", (*other.shape, 1)),
                    lambda: setattr(other, "shape", (other.size,)),
                    lambda: other.resize((0,) * other.ndim, refcheck=False),
                    lambda: setattr(other, "strides", (0,) * other.ndim),
                )
            )()

    passed: list[Any] = list(arrays)
    passed[k] = rng.choice(
        (
            lambda: np.broadcast_to(a.flat[0] if a.size else a.dtype.type(0), huge),
            lambda: np.zeros(empty, a.dtype) if 0 in empty[:1] else a,
            lambda: Act(a, spoil),
            lambda: Act(a, lambda: passed.clear()),
            lambda: Raises(MemoryError),
            lambda: np.array(None),
            lambda: np.array([a, None, [a]], object),
            lambda: np.lib.stride_tricks.as_strided(a, a.shape, (0,) * a.ndim),
        )
    )()
    old = [s.get_value() for s in case.state]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            case.f(*passed)
        except Exception:
            for s, before in zip(case.state, old):
                np.testing.assert_array_equal(s.get_value(), before)
            return "hostile, refused"
    return "hostile, taken"


def check(result: Any, want: Any, out: Any, given: list[Any]) -> None:
    """The results have the structure, dtypes, shapes and values of NumPy's; fresh unless `out` was given."""
    got, structure = gx.tree.flatten(result)
    expected, wanted = gx.tree.flatten(want)
    assert structure == wanted, f"{structure} and {wanted}"
    targets = gx.tree.leaves(out) if out is not None else [None] * len(got)
    result = None
    for a, b, target in zip(got, expected, targets):
        assert isinstance(a, np.ndarray) and a.dtype == np.asarray(b).dtype and a.shape == np.shape(b), (a, b)
        np.testing.assert_array_equal(np.asarray(a), b)
        if target is not None:
            assert a is target
        else:
            kept = a.nbytes <= SPARE_BYTES  # by the function, which may hand it out again when nobody else holds it
            assert sys.getrefcount(a) <= 5 + kept, sys.getrefcount(a)  # the caller's tree, `got`, `a`, the loop and the question
            assert type(a) is np.ndarray and a.flags.writeable and a.flags.owndata
            assert not any(isinstance(g, np.ndarray) and np.may_share_memory(a, g) and np.shares_memory(a, g) for g in given)


# -- many calls -----------------------------------------------------------------------------------------------------------------
def resident() -> int:
    """Bytes of this process in memory; 0 where that cannot be read."""
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * 4096
    except OSError:
        return 0


def watched() -> list[int]:
    """Counts of references to objects that every call touches."""
    objects = (
        None,
        True,
        np.ndarray,
        float,
        int,
        tuple,
        list,
        dict,
        "out",
        *map(np.dtype, ("float32", "float64", "int32", "int64", "uint8")),
    )
    return [sys.getrefcount(o) for o in objects]


def fuzz(calls: int, seed: int, modes: tuple[str, ...] = ("default",)) -> dict[str, int]:
    """`calls` random calls; how many there were of each kind. AssertionError names the seed of the call that failed."""
    with canaries() as damage:
        return counted(calls, seed, modes, damage)


def counted(calls: int, seed: int, modes: tuple[str, ...], damage: Callable[[], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = [case for mode in modes for case in cases(mode)]
    before, counts = 0, watched()
    for k in range(calls):
        rng = random.Random(seed * 1_000_003 + k)
        case = listed[k % len(listed)]
        try:
            (event,) = rng.choices((hostile, called_back, interrupted, call), (5, 3, 2, 90))
            kind = event(rng, case)
            assert not damage(), "a byte beyond the end of an array was written"
        except Exception as error:
            raise AssertionError(f"call {k} of seed {seed}, function {k % len(listed)}: {type(error).__name__}: {error}") from error
        found[kind] = found.get(kind, 0) + 1
        if k == calls // 4:
            gc.collect()
            before, counts = resident(), watched()
    gc.collect()
    drift = max(abs(a - b) for a, b in zip(counts, watched()))
    assert drift < DRIFT, f"{drift} more or fewer references to an object that all calls share"
    grown = resident() - before
    assert grown < GROWTH, f"{grown / 1e6:.1f} MB more in memory after {calls - calls // 4} calls"
    return dict(sorted(found.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.entry", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    gx.cache.enabled = False  # random programs would push the user's own out
    start = time.perf_counter()
    found = fuzz(options.calls, options.seed, ("default", "released", "none", "interpret"))
    print(f"{options.calls} calls in {time.perf_counter() - start:.0f} s, {resident() / 1e6:.0f} MB resident: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
