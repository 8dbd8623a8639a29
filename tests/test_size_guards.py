"""Guards on sizes in the user's code: `==`, `<` and truth of sizes decide or raise, and are sound as keys."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import dims

n, m = gx.dim("n"), gx.dim("m")


def test_equal_shapes_are_equal_and_others_are_not() -> None:
    x, y, z = gx.tensor("x", ("n", 3)), gx.tensor("y", ("n", 3)), gx.tensor("z", (n + 1, 3))
    assert (x.shape == y.shape) is True and (x.shape != y.shape) is False
    assert (x.shape != z.shape) is True and (x.shape == z.shape) is False
    assert x.shape[0] == n and x.shape[0] != n + 1 and x.shape[1] == 3
    assert x.shape != (n,) and x.shape != (n, 4)
    assert n != "n" and n is not None and n != 2.5 and n != None  # noqa: E711


@pytest.mark.parametrize(
    "ask",
    [lambda: bool(n == 3), lambda: bool(n != 3), lambda: bool(np.int64(3) == n), lambda: bool(n == m), lambda: n in (2, m), lambda: n < m,
     lambda: (n, 3) == (m, 3), lambda: (n, 3) != (m, 3), lambda: [n] == [3], lambda: {1: n} == {1: m}, lambda: bool(n), lambda: 0 < n < 5,
     lambda: max(n, 3), lambda: sorted([n, m]), lambda: not n > 2],
)  # fmt: skip
def test_what_depends_on_the_call_has_no_truth(ask: Callable[[], Any]) -> None:
    with pytest.raises(gx.ArgumentError, match=r"whether .*(n|m|3|2).* is not known before the call"):
        bool(ask())


def test_what_is_provable_is_decided() -> None:
    assert n < n + 1 and n <= n and n >= 0 and not n < 0 and n + 1 > 0 and 2 * n + 1 != 2 * m
    assert bool(n + 1) and max(n, n + 2) == n + 2
    assert [operator.lt(n, -1), operator.ge(5, -n)] == [False, True]


def test_both_sizes_stand_in_the_text() -> None:
    with pytest.raises(gx.ArgumentError) as caught:
        bool(n == 2 * m)
    assert str(caught.value).startswith("whether n == 2*m is not known before the call") and "; hint: " in str(caught.value)


def test_ported_guards_under_jit() -> None:
    @gx.jit
    def dense(a: Any, w: Any) -> Any:
        if a.shape != a.shape or a.ndim != 2:
            raise ValueError("never")
        return a @ w

    assert dense(np.ones((4, 3)), np.ones((3, 2))).shape == (4, 2)

    @gx.jit
    def guarded(a: Any) -> Any:
        if a.shape[0] == 3:
            return a
        return a * 2

    with pytest.raises(gx.ArgumentError, match=r"a\.shape\[0\] == 3"):
        guarded(np.ones(3))
    with pytest.raises(gx.ArgumentError, match=r"a\.shape\[0\] == b\.shape\[0\]"):
        gx.jit(lambda a, b: a if a.shape == b.shape else b)(np.ones(3), np.ones(3))


def test_a_relation_is_a_condition_of_the_graph() -> None:
    x = gx.vector("x", "n")
    f = gx.function([x], [gx.where(x.shape[0] == 3, gx.sum(x), -1.0), gx.where(x.shape[0] > 3, 1, 0)])
    assert [[float(v) for v in f(np.ones(k))] for k in (2, 3, 4)] == [[-1, 0], [3, 0], [-1, 1]]
    assert gx.where(x.shape[0] >= 0, 1.0, 2.0).eval({x: np.ones(2)}) == 1.0


def test_sizes_are_keys() -> None:
    """Keys of different sizes never have one hash: their `==` would have no truth value. hash(-1) is hash(-2) in CPython."""
    sizes = [a * n + b * m + c for a in range(-4, 5) for b in range(-4, 5) for c in range(-4, 5) if (a, b) != (0, 0)]
    sizes += [k * n for k in (2**61 - 1, 2**61, 2**60, -(2**61))] + [n * m, n * n, n // 2, n % 2, n // 3, dims.minimum(n, m)]
    table = {size: k for k, size in enumerate(sizes)}
    assert len(table) == len(sizes) == len(set(map(hash, sizes)))
    assert all(table[size] == k for k, size in enumerate(sizes))
    assert table[m + n] == table[n + m]
    mixed = {**table, **dict.fromkeys(range(-5, 6)), "n": 0, None: 1, (n, m): 2, (m, n): 3}
    assert len(mixed) == len(sizes) + 11 + 4 and mixed[(m, n)] == 3


def test_inside_graphc_equality_is_that_of_normal_forms() -> None:
    """`graphc` asks whether two types are the same, not whether two sizes could be: the module of the frame that compares decides."""
    scope: dict[str, Any] = {"__name__": "graphc.anything", "n": n, "m": m}
    assert eval("[n == m, n == 3, n != m, (n, 1) == (m, 1), n in (m, 3), n == n + 0]", scope) == [False, False, True, False, False, True]
    with pytest.raises(gx.ArgumentError):
        eval("(n, 1) == (m, 1)", {**scope, "__name__": "graphcs"})


@pytest.mark.parametrize("mode", ["default", "interpret"])
@pytest.mark.parametrize(("times", "plus"), [(1, 0), (1, 3), (1, -2), (2, 0), (2, 1), (2, -1), (3, 0), (3, -4), (7, 5)])
def test_a_size_is_solved_from_what_an_axis_makes_of_it(times: int, plus: int, mode: str) -> None:
    """An argument of times * n + plus elements: n is what gives its length; no n gives another length, nor one below 0."""
    n = gx.dim("n")
    x = gx.tensor("x", (times * n + plus,))
    f = gx.function([x], [gx.asarray(n), gx.ones((n, 2)), gx.sum(x)], mode=mode)
    for size in range(25):
        given = np.ones(size)
        found, rest = divmod(size - plus, times)
        if rest == 0 and found >= 0:
            value, made, total = f(given)
            assert (value, made.shape, total) == (found, (found, 2), size)
        else:
            with pytest.raises(gx.ShapeError):
                f(given)
