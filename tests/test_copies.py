"""`copy` of nodes, sizes, state and compiled functions: a copy has state of its own, shared where it was shared."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import graphc as gx

X = np.arange(3.0)


@gx.jit
def doubled(x: Any) -> Any:
    return x * 2


def counter(mode: str = "default") -> tuple[Any, Any]:
    s, x = gx.shared(np.zeros(3), "s"), gx.tensor("x", (3,))
    return s, gx.function({"arg": x}, {"old": s, "sum": gx.sum(s + x)}, updates={s: s + x}, name="count", mode=mode)


@pytest.mark.parametrize("mode", ["default", "none", "interpret"])
def test_a_copy_of_a_function_has_state_of_its_own(mode: str) -> None:
    s, f = counter(mode)
    f(X)
    best = copy.deepcopy(f)
    f(X)
    f(X)
    assert s.get_value().tolist() == [0, 3, 6]
    assert best(X)["old"].tolist() == [0, 1, 2] and best(arg=X)["old"].tolist() == [0, 2, 4]
    assert f(X)["old"].tolist() == [0, 3, 6], "nor does the original see the copy"
    (pair,) = best.updates
    assert pair[0] is not s and pair[0].name == "s" and best.name == "count" and best.mode == f.mode and best.outputs["old"] is pair[0]
    assert best.inputs is f.inputs


def test_what_shares_state_shares_its_copy() -> None:
    s, x = gx.shared(np.zeros(3), "s"), gx.tensor("x", (3,))
    step, read = gx.function([x], updates={s: s + x}), gx.function([], s * 2)
    model = {"state": s, "step": step, "read": read, "again": [s]}
    twin = copy.deepcopy(model)
    twin["step"](X)
    assert twin["read"]().tolist() == [0, 2, 4] and read().tolist() == [0, 0, 0]
    assert twin["state"] is twin["again"][0] is not s and twin["state"].get_value().tolist() == [0, 1, 2]
    assert copy.deepcopy(twin["state"]) is not twin["state"]
    alone = copy.deepcopy(step)
    alone(X)
    assert s.get_value().tolist() == [0, 0, 0]


def test_state_of_any_shape_and_locks() -> None:
    s = gx.shared(np.ones((2, 3), "float32"), "s", shape=("n", 3))
    f = copy.deepcopy(gx.function([], [gx.sum(s), gx.dim("n") * 1], updates={s: s + 1}, threads=1))
    ((mine, _),) = f.updates
    mine.set_value(np.ones((5, 3), "float32"))
    total, n = f()
    assert float(total) == 15 and int(n) == 5 and mine.get_value().shape == (5, 3) and s.get_value().shape == (2, 3)
    assert mine.queue is not s.queue and mine.cell is not s.cell and mine.dtype == np.float32
    one = copy.copy(s)
    one.set_value(np.zeros((1, 3), "float32"))
    assert isinstance(one, gx.Shared) and s.get_value().shape == (2, 3)


def test_defaults_and_sizes_go_with_the_copy() -> None:
    s, x, n = gx.shared(1.0, "s"), gx.scalar("x"), gx.dim("n")
    f = gx.function([x, n], x * s + n, updates={s: s + 1}, defaults={x: 3.0, "n": 2})
    g = copy.deepcopy(f)
    assert f() == 5 and g() == 5 and g(1.0, 4) == 6 and f() == 8


def test_without_state_the_function_itself() -> None:
    x = gx.tensor("x", (3,))
    f = gx.function([x], x + 1)
    assert copy.deepcopy(f) is f and copy.copy(f) is f
    _, g = counter()
    assert copy.copy(g) is g
    assert copy.deepcopy(doubled) is doubled and pickle.loads(pickle.dumps(doubled)) is doubled


def test_nodes_and_sizes() -> None:
    s, x = gx.shared(np.zeros(3), "s"), gx.tensor("x", (3,))
    e = gx.exp(x) + 1
    assert copy.copy(e) is e and copy.deepcopy(e) is e and copy.deepcopy([x, gx.dim("n"), x.type]) == [x, gx.dim("n"), x.type]
    reading = {"s": s, "e": s * x}
    twin = copy.deepcopy(reading)
    assert twin["e"] is twin["s"] * x and twin["e"] is not reading["e"]
    assert copy.deepcopy(gx.dim("n") + 1) is not None and copy.copy(gx.dim("n")) is gx.dim("n")


def test_a_model_with_traced_methods() -> None:
    class Model:
        def __init__(self) -> None:
            self.w = gx.shared(np.ones(3), "w")

        @gx.jit
        def run(self, x: Any) -> Any:
            return self.w * x

    a = Model()
    assert a.run(X).tolist() == [0, 1, 2]
    b = copy.deepcopy(a)
    b.w.set_value(np.full(3, 5.0))
    assert b.run(X).tolist() == [0, 5, 10] and a.run(X).tolist() == [0, 1, 2]


def test_sizes_called_as_parameters_are() -> None:
    x, other = gx.tensor("x", ("self", "sizes", "named")), gx.tensor("self", (2, None))
    f = gx.function([x, other], gx.exp(x).sum() + other.sum())
    want = f.cost({"self": 2, "sizes": 3, "named": 4, other.shape[1]: 5})
    assert f.cost({other.shape[1]: 5}, self=2, sizes=3, named=4) == want == f.cost({gx.dim("self"): 2, other.shape[1]: 5}, sizes=3, named=4)
    assert f.memory({other.shape[1]: 5}, self=2, sizes=3, named=4)["inputs"] == 8 * (24 + 10)
    with pytest.raises(gx.ArgumentError, match=r"the size self.shape\[1\] is needed; hint: pass {self.shape\[1\]: \.\.\.}"):
        f.cost(self=2, sizes=3, named=4)
    with pytest.raises(gx.ArgumentError, match="there is no size named m"):
        f.cost(m=2)


def test_inputs_called_as_parameters_are() -> None:
    names = ["self", "args", "kwargs", "f", "name"]
    for mode in ("default", "interpret"):
        f = gx.function([gx.scalar(name) for name in names], [gx.scalar("z") for _ in range(0)], mode=mode)
        assert f(**dict.fromkeys(names, 1.0)) == []
        g = gx.function([(a := gx.scalar("self")), (b := gx.scalar("args"))], a - b, mode=mode)
        assert g(self=3.0, args=[1.0][0]) == 2 and g(args=np.int64(1), self=np.array(5.0)) == 4
    assert gx.jit(lambda out, x: x - out)(X, X + 1).tolist() == [1, 1, 1]  # what is traced goes by position
