"""The functions that `tests.fuzz.entry` calls, each beside its meaning in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx
import graphc.codegen.entry.entry


@dataclass
class Param:
    """An argument: its sizes are ints, or names of sizes chosen for each call."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    limit: str | None = None  # an index: valid below this size


@dataclass
class Case:
    """A function with its meaning: run(*arrays, state) -> (outputs, new state)."""

    f: gx.Function
    params: list[Param]
    state: list[gx.Shared]
    run: Callable[..., tuple[Any, list[np.ndarray]]]
    defaults: dict[str, np.ndarray]


@contextmanager
def released() -> Iterator[None]:
    """Whatever is compiled meanwhile lets go of the GIL at every call."""
    kept = graphc.codegen.entry.entry.LONG_WORK
    graphc.codegen.entry.entry.LONG_WORK = -1.0
    try:
        yield
    finally:
        graphc.codegen.entry.entry.LONG_WORK = kept


def cases(mode: str) -> list[Case]:
    """The functions that are called. mode: one of `function`'s, or "released"."""
    if mode == "released":
        with released():
            return cases("default")
    made = []

    x, w = gx.tensor("x", ("n", 3)), gx.tensor("w", ("n",), "float32")
    s = gx.shared(np.zeros(3), "s")
    f = gx.function([x, w], {"a": x * 2 + s, "b": (w, gx.sum(w * w)), "c": x[::-1]}, updates={s: s + 1}, mode=mode)

    def run(x: np.ndarray, w: np.ndarray, state: list[np.ndarray]) -> Any:
        return {"a": x * 2 + state[0], "b": (w, np.sum(w * w)), "c": x[::-1]}, [state[0] + 1]

    made.append(Case(f, [Param("x", "float64", ("n", 3)), Param("w", "float32", ("n",))], [s], run, {}))

    v, i = gx.tensor("v", ("m",)), gx.tensor("i", ("k",), "int64")
    t, u = gx.shared(np.arange(4.0), "t"), gx.shared(np.zeros((), "int64"), "u")
    f = gx.function([v, i], v[i] * 2, updates={t: t[::-1], u: u + 1}, mode=mode)

    def run(v: np.ndarray, i: np.ndarray, state: list[np.ndarray]) -> Any:
        return v[i] * 2, [state[0][::-1], state[1] + 1]

    made.append(Case(f, [Param("v", "float64", ("m",)), Param("i", "int64", ("k",), "m")], [t, u], run, {}))

    a, b, c = gx.scalar("a", "int32"), gx.scalar("b", "uint8"), gx.scalar("c", "bool")
    f = gx.function({"a": a, "b": b, "flag": c}, [gx.where(c, a + b, -a), b], defaults={"flag": True, "b": 3}, mode=mode)

    def run(a: np.ndarray, b: np.ndarray, c: np.ndarray, state: list[np.ndarray]) -> Any:
        return [np.where(c, a + b, -a), b], []

    params = [Param("a", "int32", ()), Param("b", "uint8", ()), Param("flag", "bool", ())]
    made.append(Case(f, params, [], run, {"flag": np.array(True), "b": np.array(3, "uint8")}))

    p, q = gx.tensor("p", ("n", "m"), "float32"), gx.tensor("q", ("m", "n"), "float32")
    r, o = gx.shared(np.zeros((2, 2), "float32"), "r"), gx.shared(np.ones((2, 2), "float32"), "o")
    f = gx.function([p, q], (p + q.T, p.reshape(gx.dim("n") * gx.dim("m"))), updates=((r, o), (o, r + 1)), mode=mode)

    def run(p: np.ndarray, q: np.ndarray, state: list[np.ndarray]) -> Any:
        return (p + q.T, p.ravel()), [state[1], state[0] + 1]

    made.append(Case(f, [Param("p", "float32", ("n", "m")), Param("q", "float32", ("m", "n"))], [r, o], run, {}))

    y, k, j = gx.vector("y", "n"), gx.scalar("k"), gx.scalar("j", "int64")
    f = gx.function([y, k, j], (gx.cumsum(y)[::-1] * k, [k + 1, None, {"j": j * 2, "y": y}]), mode=mode)

    def run(y: np.ndarray, k: np.ndarray, j: np.ndarray, state: list[np.ndarray]) -> Any:
        return (np.cumsum(y)[::-1] * k, [k + 1, None, {"j": j * 2, "y": y}]), []

    made.append(Case(f, [Param("y", "float64", ("n",)), Param("k", "float64", ()), Param("j", "int64", ())], [], run, {}))

    z, own = gx.vector("z", "n", "float32"), gx.scalar("self", "float32")  # a parameter named as that of a method
    h = gx.shared(np.zeros((), "int64"), "h")
    f = gx.function([z, own], z + own, updates={h: h + 1}, mode=mode)

    def run(z: np.ndarray, own: np.ndarray, state: list[np.ndarray]) -> Any:
        return z + own, [state[0] + 1]

    made.append(Case(f, [Param("z", "float32", ("n",)), Param("self", "float32", ())], [h], run, {}))
    return made
