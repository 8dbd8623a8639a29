"""Host ops: an op whose value is a call of a function of arrays, wherever a compiled function may come to it."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import DTypeError, LinAlgError, ShapeError
from graphc.ir import Node, Op, make
from graphc.ops.host import Reference, host_op
from graphc.ops.outputs import outputs
from graphc.ops.registry import OPS
from graphc.traits import Traits
from graphc.types import TensorType, tensor_type

CALLS: list[tuple[int, ...]] = []


def _rows(x: np.ndarray, limit: float) -> Any:
    """(x + 1, the sum of each row, whether that is too much), of which nothing aliases x."""
    CALLS.append(x.shape)
    sums = x.sum(-1)
    return x + 1, sums, (sums > limit).astype(np.int64)


def _rows_type(x: TensorType, limit: float) -> tuple[TensorType, ...]:
    whole = tensor_type(np.dtype(np.int64), x.shape[:-1])
    return x, tensor_type(x.dtype, x.shape[:-1]), whole


def _rows_vjp(g: Any, out: Any, x: Node, limit: float) -> tuple[Node]:
    return (g[0] if g[1] is None else g[0] + g[1][..., None] if g[0] is not None else g[1][..., None] + x * 0,)


@pytest.fixture(scope="module", autouse=True)
def ops() -> Iterator[dict[str, Op]]:
    made = {
        "rows": host_op("test rows", 1, "For tests.", params=("limit",), type_rule=_rows_type, ref=_rows, vjp=_rows_vjp,
                        traits=Traits(refusal=lambda node: (2, "has too much") if node.params[0] < 1e9 else None)),
        "sized": host_op("test sized", 1, "For tests.", params=("n",), ref=lambda x, n: np.resize(x, (*x.shape[:-1], n)),
                         type_rule=lambda x, n: tensor_type(x.dtype, (*x.shape[:-1], n))),
        "wrong": host_op("test wrong", 1, "For tests.", params=("how",), type_rule=lambda x, how: x,
                         ref=lambda x, how: x[:1] if how == "shape" else x.astype("f4")),
    }  # fmt: skip
    yield made
    for op in made.values():
        del OPS[op.name]


def rows(x: Node, limit: float = 1e9) -> tuple[Node, ...]:
    return outputs(make(OPS["test rows"], (x,), (limit,)))


def test_several_outputs_and_those_that_nobody_reads() -> None:
    x = gx.tensor("x", ("n", 3))
    f = gx.function([x], [rows(x * 2)[0] * 3, rows(x)[1]], mode="verify")
    for n in (0, 1, 4):
        given = np.arange(3.0 * n).reshape(n, 3)
        first, second = f(given)
        np.testing.assert_array_equal(first, (given * 2 + 1) * 3)
        np.testing.assert_array_equal(second, given.sum(-1))
    assert f.cost(n=4)["kernels"] >= 1
    assert "call test rows" in str(f.program)


def test_a_size_is_given_as_a_number() -> None:
    x = gx.tensor("x", ("n",))
    f = gx.function([x], make(OPS["test sized"], (x,), (2 * x.shape[0] + 1,)), mode="verify")
    np.testing.assert_array_equal(f(np.arange(2.0)), [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(f(np.arange(3.0)), [0, 1, 2, 0, 1, 2, 0])


@pytest.mark.parametrize("where", ["scan", "while", "cond", "nested"])
def test_inside_loops_and_branches(where: str) -> None:
    x = gx.tensor("x", (2, 3))
    call = lambda v: rows(v)[0]
    y = {
        "scan": lambda: gx.scan(lambda c, _: (call(c), None), x, length=3)[0],
        "while": lambda: gx.while_loop(lambda v: gx.sum(v) < 18.0, call, x),
        "cond": lambda: gx.cond(x[0, 0] < 1, lambda v: call(call(call(v))), lambda v: v, x),
        "nested": lambda: gx.scan(lambda c, _: (gx.scan(lambda d, _: (call(d), None), c, length=3)[0], None), x, length=1)[0],
    }[where]()
    f = gx.function([x], [y, gx.grad(gx.sum(y**2), x)] if where != "while" else [y], mode="verify")
    CALLS.clear()
    value, *slope = f(np.zeros((2, 3)))
    np.testing.assert_array_equal(value, np.full((2, 3), 3.0))
    for g in slope:
        np.testing.assert_array_equal(g, np.full((2, 3), 6.0))
    assert len(CALLS) == 3


def test_mapped_it_is_one_call_with_a_batch_axis_in_front() -> None:
    x, w = gx.tensor("x", ("n", 2, 3)), gx.tensor("w", (2, 3))
    f = gx.function([x, w], gx.vmap(lambda v: rows(v + w)[1])(x), mode="verify")
    CALLS.clear()
    given = np.arange(24.0).reshape(4, 2, 3)
    np.testing.assert_array_equal(f(given, np.ones((2, 3))), (given + 1).sum(-1))
    assert CALLS == [(4, 2, 3)]


def test_a_refusal_is_an_error_at_the_call_and_state_stays_as_it_was() -> None:
    x, state = gx.tensor("x", ("n", 3)), gx.shared(np.zeros(()))
    y = rows(x, 5.0)[0]
    f = gx.function([x], y, updates={state: state + gx.sum(y)}, mode="verify")
    f(np.zeros((2, 3)))
    before = state.get_value()
    text = r"^test rows: the matrix at \(1,\) of the batch has too much \(x: f64\[n, 3\], test_host_ops\.py:\d+\); hint: "
    with pytest.raises(LinAlgError, match=text):
        f(np.array([[0.0, 0, 0], [3, 3, 3]]))
    with pytest.raises(LinAlgError, match=text):
        y.eval({x: np.array([[0.0, 0, 0], [3, 3, 3]])})
    np.testing.assert_array_equal(state.get_value(), before)


@pytest.mark.parametrize(("how", "error"), [("shape", ShapeError), ("dtype", DTypeError)])
def test_results_are_checked(how: str, error: type[Exception]) -> None:
    x = gx.tensor("x", (3,))
    y = make(OPS["test wrong"], (x,), (how,))
    with pytest.raises(error):
        gx.function([x], y)(np.zeros(3))
    with pytest.raises(error):
        y.eval({x: np.zeros(3)})


def test_it_is_pickled_by_its_name_and_constants_are_folded_or_called() -> None:
    x = gx.tensor("x", (2, 3))
    back = pickle.loads(pickle.dumps([x, rows(x)[1]]))
    assert back[1] is rows(x)[1]
    again = pickle.loads(pickle.dumps(Reference(OPS["test sized"], (4,))))
    np.testing.assert_array_equal(again(np.arange(3.0)), [0, 1, 2, 0])
    f = gx.function([], [rows(gx.asarray(np.ones((2, 3))))[1], make(OPS["test sized"], (gx.asarray(np.arange(2.0)),), (3,))])
    first, second = f()
    np.testing.assert_array_equal(first, [3.0, 3.0])
    np.testing.assert_array_equal(second, [0.0, 1.0, 0.0])


def test_from_several_threads_at_the_same_time() -> None:
    x = gx.tensor("x", ("n", 3))
    f = gx.function([x], gx.sum(rows(x * 2)[0]) + rows(x)[1][0])
    wrong: list[object] = []

    def work(seed: int) -> None:
        for k in range(50):
            given = np.full((1 + (seed + k) % 5, 3), float(seed))
            if f(given) != np.sum(given * 2 + 1) + 3 * seed:
                wrong.append((seed, k))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
