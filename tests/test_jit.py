"""`jit`: one trace per structure, dtypes, ranks and which sizes are 1; everything else is a new size of the same program."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import graphc as gx

Point = namedtuple("Point", ["x", "y"])


def counted(f: Any, **options: Any) -> tuple[Any, list[int]]:
    """A jitted function, and a list that grows with each trace."""
    traces: list[int] = []

    def traced(*args: Any, **kwargs: Any) -> Any:
        traces.append(1)
        return f(*args, **kwargs)

    traced.__signature__ = __import__("inspect").signature(f)  # type: ignore[attr-defined]
    traced.__name__ = f.__name__
    return gx.jit(traced, **options), traces


def test_new_sizes_do_not_trace_again() -> None:
    def f(x: Any, y: Any) -> Any:
        return {"z": gx.tanh(x) @ y, "n": x.shape[0]}

    g, traces = counted(f)
    for n, m, k in [(2, 3, 4), (5, 2, 2), (3, 7, 0), (0, 2, 3)]:
        x, y = np.linspace(-1, 1, n * m).reshape(n, m), np.ones((m, k))
        got = g(x, y)
        np.testing.assert_allclose(got["z"], np.tanh(x) @ y, rtol=1e-14, atol=1e-15)
        assert got["n"] == n and type(got["n"]) is np.ndarray
    assert len(traces) == 1
    g(np.ones((1, 3)), np.ones((3, 2)))
    assert len(traces) == 2  # a size of 1 is another program: it broadcasts
    g(np.ones((1, 5)), np.ones((5, 9)))
    assert len(traces) == 2
    g(np.ones((2, 3), "float32"), np.ones((3, 2)))
    g(np.ones((2, 3), "int64"), np.ones((3, 2)))
    assert len(traces) == 4  # dtypes
    g(np.ones((4, 2, 3)), np.ones((3, 2)))
    assert len(traces) == 5  # ranks
    g(np.ones((2, 3), ">f8"), y=np.ones((3, 2)))
    g(y=np.ones((3, 2)), x=np.asfortranarray(np.ones((2, 3))))
    g(np.ones((2, 3)).view(np.matrix), np.ones((3, 2)))
    assert len(traces) <= 6  # spelling, layout and subclass do not matter


def test_broadcasting_follows_the_sizes() -> None:
    g, _ = counted(lambda x, y: x + y)
    for a, b in [((3, 1), (1, 4)), ((3, 4), (4,)), ((3, 4), (1,)), ((1, 1), (5,)), ((), (2,)), ((0, 1), (3,))]:
        x, y = np.random.default_rng(0).normal(size=a), np.ones(b)
        np.testing.assert_array_equal(g(x, y), x + y)
    with pytest.raises(gx.ShapeError):
        g(np.ones((3, 4)), np.ones(5))
    assert g(np.ones((3, 5)), np.ones(5)).shape == (3, 5)


def test_trees() -> None:
    def f(p: Any, q: Any = None, *rest: Any, scale: Any = 2.0) -> Any:
        out = gx.tree.map(lambda a: a * scale, p)
        return out if q is None else (out, q, *rest)

    g, traces = counted(f)
    got = g({"a": np.ones(2), "b": [np.float32(3), Point(np.arange(3), 1.0)], "none": None})
    assert (
        list(got) == ["a", "b", "none"] and isinstance(got["b"][1], Point) and got["b"][1].x.tolist() == [0, 2, 4] and got["none"] is None
    )
    assert got["b"][0].dtype == np.float64  # weak numbers take the widest float dtype of the arrays
    g({"a": np.ones(5), "b": [np.float32(3), Point(np.arange(4), 7.0)], "none": None}, scale=5.0)
    assert len(traces) == 1  # Python floats are values
    g({"b": [np.float32(3), Point(np.arange(4), 7.0)], "a": np.ones(5), "none": None})
    assert len(traces) == 1  # the order of keys is none of the structure
    got = g([np.ones(2)], np.ones(3), np.float64(1), np.zeros(2))
    assert isinstance(got, tuple) and len(got) == 4 and got[3].tolist() == [0, 0] and len(traces) == 2
    assert gx.jit(lambda: 3.0)() == 3.0
    assert gx.jit(lambda x: None)(1.0) is None


def test_ints_strings_and_bools_are_part_of_the_trace() -> None:
    def f(x: Any, k: Any, how: str = "sum") -> Any:
        y = x * k
        return y if how == "none" else getattr(gx, how)(y)

    g, traces = counted(f)
    assert g(np.ones(3), 2) == 6 and g(np.ones(4), 2) == 8 and len(traces) == 1
    assert g(np.ones(3), 3) == 9 and len(traces) == 2
    assert g(np.ones(3), 2, "max") == 2 and len(traces) == 3
    assert g(np.ones(3), True) == 3 and g(np.ones(3), 1) == 3 and len(traces) == 5  # True and 1 are two programs
    assert g(np.ones(3), 1.0) == 3 and len(traces) == 6
    assert g(np.ones(3), np.int64(2)) == 6 and g(np.ones(3), np.int64(5)) == 15 and len(traces) == 7  # a NumPy number is an array


def test_static_arguments() -> None:
    def f(x: Any, axes: Any = (0,), power: Any = 2) -> Any:
        return gx.sum(x, axis=axes) ** power

    g, traces = counted(f, static_argnames=("axes", "power"))
    x = np.ones((2, 3))
    assert g(x).tolist() == [4, 4, 4] and g(x, axes=(0, 1)) == 36 and g(x, (1,), 3).tolist() == [27, 27] and len(traces) == 3
    assert g(np.ones((5, 4)), power=2).shape == (4,) and len(traces) == 3
    assert g(x, power=2.0).tolist() == [4, 4, 4] and len(traces) == 4  # 2 and 2.0 are two programs
    with pytest.raises(gx.ArgumentError, match=r"jit: f: the static argument axes cannot be hashed; hint: pass tuples instead of lists"):
        g(x, axes=[0])
    h = gx.jit(f, static_argnames="axes")
    assert h(x, (0, 1)) == 36
    with pytest.raises(gx.ArgumentError, match="jit: f has no argument axis"):
        gx.jit(f, static_argnames=("axis",))


def test_decorator_forms() -> None:
    @gx.jit
    def double(x: Any) -> Any:
        """Twice x."""
        return x * 2

    @gx.jit(static_argnames="n")
    def repeat(x: Any, n: int) -> Any:
        return gx.tile(x, n)

    assert double(3.0) == 6 and double.__name__ == "double" and double.__doc__ == "Twice x."
    assert repeat(np.ones(2), 3).shape == (6,) and repeat(np.ones(2), n=2).shape == (4,)
    with pytest.raises(TypeError):
        double()
    with pytest.raises(TypeError):
        double(1.0, 2.0)


def test_numpy_style_functions() -> None:
    @gx.jit
    def f(x: Any, w: Any) -> Any:
        h = np.tanh(x @ w)
        return np.sum(h * h, axis=0), np.maximum(h, 0.5).mean(), h.T[::-1]

    x, w = np.random.default_rng(1).normal(size=(3, 2)), np.random.default_rng(2).normal(size=(2, 4))
    for got, want in zip(f(x, w), f.__wrapped__(x, w)):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    df = gx.jit(lambda x: gx.grad(gx.sum(gx.sin(x)), x))
    np.testing.assert_allclose(df(x), np.cos(x), rtol=1e-14)


def test_with_nodes_it_builds() -> None:
    g, _ = counted(lambda x, k: x * k)
    x = gx.vector("x", "n")
    made = g(x, 3)
    assert made is x * 3 and isinstance(g(np.ones(2), x), gx.Node)
    inner = gx.jit(lambda x: g(x, 2) + 1)
    assert inner(np.ones(3)).tolist() == [3, 3, 3]
    assert gx.function([x], gx.grad(gx.sum(inner(x)), x))([1, 2]).tolist() == [2, 2]


def test_what_is_no_argument() -> None:
    g, traces = counted(lambda x: x * 2)
    for wrong in (object(), b"a", np.array([None]), np.ma.masked_array([1.0]), len, np.zeros(2, "M8[s]")):
        with pytest.raises(gx.ArgumentError, match="jit: <lambda>: "):
            g(wrong)
    for wrong in (1j, np.ones(2, "f2")):
        with pytest.raises(gx.DTypeError):
            g(wrong)
    assert not traces
    with pytest.raises(gx.ArgumentError, match="of x\\[mask\\]: how many elements"):
        gx.jit(lambda x: x[x > 0])(np.ones(3))
    with pytest.raises(gx.GraphcError, match="bool"):
        gx.jit(lambda x: x if x > 0 else -x)(1.0)
