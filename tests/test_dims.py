"""Sizes against Python's ints: every operation on random polynomials, the normal forms, comparisons by brute force."""

from __future__ import annotations

import itertools
import math
import operator
import random
from collections.abc import Callable

import numpy as np
import pytest

import graphc as gx
from graphc import dims
from graphc.dims import Dim, Size, axis, dim, divide, equal, floordiv, less_equal, lower_bound, maximum, minimum, mod

n, m, k = dim("n"), dim("m"), dim("k")
N, M, K = (dims.as_symbol(s) for s in (n, m, k))
BINARY = (operator.add, operator.sub, operator.mul, floordiv, mod, minimum, maximum)
PYTHON = {floordiv: operator.floordiv, mod: operator.mod, minimum: min, maximum: max}


def random_size(rng: random.Random, depth: int) -> tuple[Size, object]:
    """A size, and the function of the symbols' values that it must equal (ZeroDivisionError: outside its domain)."""
    if depth == 0 or rng.random() < 0.15:
        if rng.random() < 0.4:
            c = rng.randint(-3, 9)
            return c, lambda env: c
        s = rng.choice((n, m, k))
        return s, lambda env: env[dims.as_symbol(s)]
    op = rng.choice(BINARY)
    a, f = random_size(rng, depth - 1)
    b, g = random_size(rng, depth - 1)
    if op in (floordiv, mod) and (not isinstance(b, int) or b <= 0):
        c = rng.choice((1, 2, 3, 4, 8))
        positive = rng.random() < 0.5
        b, g = (m, lambda env: env[M]) if positive else (c, lambda env: c)
    return op(a, b), lambda env: PYTHON.get(op, op)(f(env), g(env))


def environments(limit: int) -> list[dict]:
    return [dict(zip((N, M, K), values, strict=True)) for values in itertools.product(range(limit), repeat=3)]


def values_of(f: object, limit: int = 4) -> list[int]:
    return [f(env) for env in environments(limit) if env[M] > 0]  # m may be a divisor


def seeds(count: int) -> Callable[[Callable[[int], None]], Callable[[int], None]]:
    """Every seed below `count`, 25 in a test: one by one, what is drawn takes less time than pytest and its workers for a test."""

    def decorate(check: Callable[[int], None]) -> Callable[[int], None]:
        @pytest.mark.parametrize("first", range(0, count, 25))
        def test(first: int) -> None:
            for seed in range(first, first + 25):
                check(seed)

        return test

    return decorate


@seeds(300)
def test_every_operation_agrees_with_ints(seed: int) -> None:
    rng = random.Random(seed)
    a, f = random_size(rng, 4)
    for _ in range(20):
        env = {N: rng.randint(0, 40), M: rng.randint(1, 9), K: rng.randint(0, 9)}
        assert dims.evaluate(a, env) == f(env)
        assert dims.evaluate(dims.substitute(a, {N: m + 2 * k}), env) == f({**env, N: env[M] + 2 * env[K]})
        assert dims.evaluate(dims.substitute(a, {N: m, M: n + 1}), env) == f({**env, N: env[M], M: env[N] + 1})


@seeds(300)
def test_comparisons_and_bounds_hold_for_small_values(seed: int) -> None:
    rng = random.Random(seed)
    (a, f), (b, g) = random_size(rng, 3), random_size(rng, 2)
    pairs = list(zip(values_of(f), values_of(g), strict=True))
    for known, holds in ((equal(a, b), operator.eq), (less_equal(a, b), operator.le)):
        if known is not None:
            assert all(holds(x, y) is known for x, y in pairs), (a, b)
    low = lower_bound(a)
    assert low is None or all(x >= low for x, _ in pairs), a


@seeds(200)
def test_text_is_python_for_the_size(seed: int) -> None:
    a, f = random_size(random.Random(seed), 4)
    for env in environments(3):
        if env[M] > 0:
            assert eval(str(a), {s.name: value for s, value in env.items()}) == f(env)


@seeds(200)
def test_ring_laws_are_equalities_of_normal_forms(seed: int) -> None:
    rng = random.Random(seed)
    a, b, c = (random_size(rng, 3)[0] for _ in range(3))
    assert a * (b + c) == a * b + a * c
    assert (a + b) + c == a + (b + c)
    assert hash((a * b) * c) == hash(a * (b * c))
    assert a - a == 0 and type(a - a) is int
    if not (isinstance(b, int) and b == 0):
        assert divide(a * b, b) == a
    for s in dims.symbols(a):
        parts = dims.affine(a, s)
        if parts is not None:
            assert parts[0] * {N: n, M: m, K: k}[s] + parts[1] == a
            assert all(s not in dims.symbols(part) for part in parts)


def test_normal_forms() -> None:
    cases: list[tuple[Size, Size]] = [
        ((4 * n + 3) // 4, n),
        ((4 * n + 3) % 4, 3),
        ((n * m) // m, n),
        ((n * m) % m, 0),
        (n // 1, n),
        (n % 1, 0),
        ((8 * n + 5) // 4, 2 * n + 1),
        ((4 * n + m) // 4, n + m // 4),
        ((4 * n) // 8, n // 2),
        ((4 * n) % 8, 4 * (n % 2)),
        (n // 2 // 3, n // 6),
        (n % 8 % 4, n % 4),
        (n % 4 % 8, n % 4),
        ((n % 4) // 4, 0),
        ((n % m) // m, 0),
        (n % m % m, n % m),
        ((n * m + m) // (n + 1), m),
        (0 // n, 0),
        (minimum(n, n + 1), n),
        (maximum(n, 0), n),
        (minimum(m, n), minimum(n, m)),
        (minimum(minimum(n, m), n), minimum(n, m)),
        (dims.product([2, n, 3, m]), 6 * n * m),
        (dims.product([]), 1),
    ]
    for got, want in cases:
        assert got == want and type(got) is type(want)
    for stays in ((n * m + 3) // m, (n * m + 3) % m, (6 * n + 5) // 4, n // 2, minimum(n, 3)):
        assert len(stays.terms) == 1 and isinstance(stays.terms[0][0][0][0], dims.Call)


def test_printing() -> None:
    texts = {
        "2*n + 1": 1 + 2 * n,
        "m*n": n * m,
        "n//2": n // 2,
        "(n + 1) % 4": (n + 1) % 4,
        "min(n, 3)": minimum(3, n),
        "max(m, n)": maximum(n, m),
        "n**2 - m - 1": n * n - m - 1,
        "-(n//2)": -(n // 2),
        "m - n//2": m - n // 2,
        "3*(n % 4)": 3 * (n % 4),
        "(n//m)//2": (n // m) // 2,
        "-n + 5": 5 - n,
        "8*((n + 7)//8)": 8 * ((n + 7) // 8),
    }
    for text, size in texts.items():
        assert str(size) == repr(size) == text
    assert dims.format_shape((n, 64)) == "n, 64"
    assert dims.format_shape(()) == ""


def test_decided_comparisons() -> None:
    assert equal(n + 1, 1 + n) is True
    assert equal(n, n + 1) is False
    assert equal(2 * n, 2 * m + 1) is False
    assert equal(n, m) is None
    assert equal(3, 3) is True and equal(3, 4) is False
    assert less_equal(n, n + m) is True
    assert less_equal(n + 1, n) is False
    assert less_equal(n, m) is None
    assert less_equal(n, 8 * ((n + 7) // 8)) is True
    assert less_equal(2 * (n // 2), n) is True
    assert less_equal(minimum(n, m), m) is True
    assert less_equal(n % m, m - 1) is True
    assert lower_bound(n * m + 2 * (k % 4) + 3) == 3
    assert lower_bound(5 - k % 4) == 2
    assert lower_bound(m - n) is None


def test_affine_divide_solve() -> None:
    i = axis("i")
    s = dims.as_symbol(i)
    assert dims.affine(i * n * 4 + m + 3, s) == (4 * n, m + 3)
    assert dims.affine(7, s) == (0, 7)
    assert dims.affine(i * i, s) is None
    assert dims.affine(i // 2, s) is None
    assert dims.affine(n * (i % 2), s) is None
    assert divide(64 * n, 64) == n
    assert divide(n * m, m) == n
    assert divide(n * m + 2 * n, n) == m + 2
    assert divide(n * n - m * m, n + m) == n - m
    assert divide(n + 1, n) is None
    assert divide(3, n) is None
    assert divide(6, 3) == 2
    assert dims.solve(n, 5) == (N, 5)
    assert dims.solve(n + 2, 5) == (N, 3)
    assert dims.solve(4 * n + 2, 10) == (N, 2)
    for other in (n * m, n + m, n * n, n // 2, 4):
        assert dims.solve(other, 4) is None
    for size, value in ((n + 2, 1), (4 * n, 6)):
        with pytest.raises(ValueError, match=r"no integer n >= 0 makes"):
            dims.solve(size, value)


def test_symbols_are_one_per_name_or_new() -> None:
    assert dim("n") is n
    assert equal(dims.fresh(), dims.fresh()) is None
    assert str(dims.fresh()).startswith("_d")
    i, j = axis("i"), axis("i")
    assert equal(i, j) is None and str(i) == str(j) == "i"
    assert equal(i // 4, j // 4) is None
    assert dims.as_symbol(i).kind == "axis" and N.kind == "size"
    assert dims.as_symbol(n + 1) is None and dims.as_symbol(2 * n) is None and dims.as_symbol(3) is None
    assert dims.symbols(minimum(n // m, k * 2) + 1) == {N, M, K}
    assert sorted(dims.symbols(n + m + k)) == [K, M, N]


def test_numpy_integers_are_ints() -> None:
    three = np.int64(3)
    for op in (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod):
        assert op(n, three) == op(n, 3)
        assert op(three, n) == op(3, n)
    assert type(dims.evaluate(n, {N: three})) is int


def test_errors() -> None:
    for call in (int, float, operator.index):
        with pytest.raises(TypeError, match=r"n \+ 1 has no value until the function is called"):
            call(n + 1)
    for bad in (True, 1.5, "n", None):
        for op in (operator.add, operator.mul, operator.floordiv):
            with pytest.raises(TypeError):
                op(n, bad)
            with pytest.raises(TypeError):
                op(bad, n)
        assert n.__add__(bad) is NotImplemented
        with pytest.raises(TypeError, match="a size is an int or a Dim"):
            minimum(n, bad)
    for name in ("2n", "", "a b", None):
        with pytest.raises(gx.ShapeError, match="identifier"):
            dim(name)
    for op in (operator.floordiv, operator.mod):
        with pytest.raises(ZeroDivisionError):
            op(n, 0)
        with pytest.raises(ValueError, match="positive"):
            op(n, -2)
    with pytest.raises(KeyError, match="size m"):
        dims.evaluate(n + m, {N: 1})
    with pytest.raises(AttributeError, match="immutable"):
        n.terms = ()
    assert isinstance(n, Dim)


def test_what_an_int64_holds() -> None:
    """To the number: the ends of int64, for the size and for the operands of its calls."""
    least, most = -(2**63), 2**63 - 1
    for end in (least, most):
        assert dims.fits_int64(n, {N: end}) and dims.fits_int64(n + 5, {N: end - 5})
        assert dims.fits_int64(floordiv(n, 3), {N: end}) and dims.fits_int64(maximum(n, m), {N: end, M: 0})
    for beyond in (least - 1, most + 1):
        assert not dims.fits_int64(n, {N: beyond}) and not dims.fits_int64(n + 5, {N: beyond - 5})
        assert not dims.fits_int64(floordiv(n, 3), {N: beyond}), "the quotient fits, its operand does not"
        assert not dims.fits_int64(minimum(maximum(n, m), k), {N: beyond, M: 0, K: 0})


ROOT = math.isqrt(2**63 - 1)


@pytest.mark.parametrize(
    ("sizes", "want"),
    [
        ([n], 2**63 - 1),
        ([2 * n + 1], (2**63 - 2) // 2), ([7 - 3 * n], (2**63 - 8) // 3), ([n * n], ROOT), ([n * m], ROOT),
        ([n * n * n], 2**21 - 1), ([n * n * n * 8], 2**20 - 1), ([n, n * n, 5], ROOT), ([4], 2**63 - 1), ([], 2**63 - 1),
        ([n * floordiv(m, 2)], ROOT), ([floordiv(n * n, 1 + 4)], ROOT), ([n + m], 2**62 - 1), ([n - m - 1], 2**62 - 1),
        ([n - 2**62], 2**62 - 1),
        ([n + 2**63], -1), ([n + 2**64], -1),
    ],
)  # fmt: skip
def test_sizes_that_are_safe_in_native_code(sizes: list[Size], want: int) -> None:
    """No size up to the answer leaves int64, and one more may."""
    assert dims.safe_up_to(sizes) == want


def test_a_name_that_a_user_gives_is_no_symbol_of_ours() -> None:
    """Named symbols have the serial 0, those that come without a name one each, from 1 on: no two are ordered alike."""
    for name, made in (("turn0", dims.counter("turn0")), ("_d", dims.fresh("d")), ("i0", axis("i0")), ("q", dims.fresh_of("q", 0))):
        named, ours = dims.as_symbol(dim(name)), dims.as_symbol(made)
        assert named is not None and ours is not None
        assert named.serial == 0 < ours.serial and named.key != ours.key and named != ours
