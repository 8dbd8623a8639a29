"""einsum: drawn expressions of every form against NumPy, with derivatives of order 2; orders of products; views."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import toposort
from graphc.ops.einsum_order import best_order, given_order
from tests.derivatives import check_derivatives

SIZES = (2, 3, 2, 1, 2, 0)


@dataclass
class Expression:
    """Subscripts, and the shapes of the operands."""

    text: str
    shapes: list[tuple[int, ...]]

    def arrays(self, seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [rng.integers(-3, 4, s).astype("float64") for s in self.shapes]


def drawn(rng: random.Random, faulty: bool = False) -> Expression:
    """Labels may repeat within an operand, be of size 1 in some, stand beside axes that broadcast; with output or without."""
    sizes = {name: rng.choice(SIZES[: 5 + (rng.random() < 0.2)]) for name in "ijkAb"}
    dots = [rng.choice((1, 2, 3)) for _ in range(rng.choice((0, 0, 1, 2)))]
    parts, shapes = [], list[tuple[int, ...]]()
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3, 4))):
        labels: list[str] = [rng.choice("ijkAb") for _ in range(rng.choice((0, 1, 2, 2, 3)))]
        shape = [1 if rng.random() < 0.1 and labels.count(k) == 1 else sizes[k] for k in labels]
        if dots and rng.random() < 0.6:
            place = rng.randrange(len(labels) + 1)
            extra = [1 if rng.random() < 0.2 else n for n in dots[rng.randrange(len(dots) + 1) :]]
            labels.insert(place, "...")
            shape[place:place] = extra
        if faulty and rng.random() < 0.3:
            shape = [n + (rng.random() < 0.3) for n in shape] if rng.random() < 0.5 else [*shape, 2]
        parts.append((" " * (rng.random() < 0.2)).join(labels))
        shapes.append(tuple(shape))
    text = ",".join(parts)
    if rng.random() < 0.75:
        every = sorted({c for c in text if c.isalpha()})
        out = rng.sample(every, rng.randrange(len(every) + 1))
        if "..." in text or (faulty and rng.random() < 0.1):
            out.insert(rng.randrange(len(out) + 1), "...")
        if faulty and rng.random() < 0.2:
            out.append(rng.choice("ijZ"))
        text += (" -> " if rng.random() < 0.3 else "->") + "".join(out)
    return Expression(text, shapes)


def sublists(e: Expression, operands: list[Any]) -> list[Any]:
    """The operands with lists of labels between them."""
    left, arrow, right = e.text.replace(" ", "").partition("->")
    number = lambda c: Ellipsis if c == "." else "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(c)
    lists = [[number(c) for c in part.replace("...", ".")] for part in left.split(",")]
    turns = [x for pair in zip(operands, lists) for x in pair]
    return [*turns, [number(c) for c in right.replace("...", ".")]] if arrow else turns


@pytest.mark.parametrize("block", range(5))
def test_drawn_expressions(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        rng = random.Random(seed)
        e = drawn(rng)
        X = e.arrays(seed)
        want = np.einsum(e.text, *X)
        fixed = [gx.tensor(f"x{k}", s) for k, s in enumerate(e.shapes)]
        open_ = [gx.tensor(f"y{k}", tuple(f"n{n}" if n > 1 else n for n in s)) for k, s in enumerate(e.shapes)]
        for xs, node in [(fixed, gx.einsum(e.text, *fixed)), (open_, np.einsum(e.text, *open_)), (fixed, gx.einsum(*sublists(e, fixed)))]:
            (got,) = gx.function(xs, [node], mode="interpret")(*X)
            np.testing.assert_array_equal(got, want, err_msg=f"seed {seed}: {e}")
        if seed % 6 == 0:
            (got,) = gx.function(open_, [gx.einsum(e.text, *open_)])(*X)
            np.testing.assert_array_equal(got, want, err_msg=f"seed {seed}: {e}, native")
        if seed % 4 == 0 and want.size:
            check_derivatives(lambda *xs, e=e: gx.einsum(e.text, *xs), *[x / 3 for x in X], orders=2)


def test_what_numpy_refuses_is_refused() -> None:
    """And the other way round: NumPy takes what we take."""
    refused = 0
    for seed in range(400):
        e = drawn(random.Random(seed), faulty=True)
        X = e.arrays(seed)
        try:
            want: np.ndarray | None = np.einsum(e.text, *X)
        except ValueError:
            want = None
        try:
            got: np.ndarray | None = gx.einsum(e.text, *map(gx.asarray, X)).eval()
        except gx.GraphcError as error:
            assert str(error).startswith("einsum"), f"seed {seed}: {error}"
            got = None
        assert (got is None) == (want is None), f"seed {seed}: {e}: {'refused' if got is None else 'accepted'}"
        refused += want is None
        if want is not None and got is not None:
            np.testing.assert_array_equal(got, want)
    assert 50 < refused < 300


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float32"])
def test_dtypes(dtype: str) -> None:
    a, b = np.array([[1, 0], [1, 1]], dtype), np.array([[0, 1], [1, 1]], dtype)
    for text in ("ij,jk->ik", "ij->j", "ii", "ij,ij->", "ij->ji"):
        operands = [a, b][: text.partition("->")[0].count(",") + 1]
        xs = [gx.tensor(f"x{k}", (2, "n"), dtype) for k in range(len(operands))]
        got = gx.function(xs, gx.einsum(text, *xs))(*operands)
        want = np.einsum(text, *operands)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


# -- the order of products --------------------------------------------------------------------------------------------------------
def cost(labels: list[tuple[str, ...]], out: tuple[str, ...], sizes: dict[str, int], pairs: list[tuple[int, int]]) -> int:
    """The products' own costs: what only one operand has is summed before."""
    terms, total = [{k for k in x if k in out or sum(k in y for y in labels) > 1} for x in labels], 0
    for i, j in pairs:
        b, a = terms.pop(j), terms.pop(i)
        total += math.prod(sizes[k] for k in a | b)
        terms.append((a | b) & set(out).union(*terms))
    assert len(terms) == 1
    return total


def connected(labels: list[tuple[str, ...]]) -> bool:
    reached, left = set(labels[0]), labels[1:]
    while near := [x for x in left if reached & set(x)]:
        reached |= set().union(*near)
        left = [x for x in left if x not in near]
    return not left


@pytest.mark.parametrize("seed", range(30))
def test_orders_are_as_good_as_the_best_known(seed: int) -> None:
    """Up to 13 operands against opt_einsum's dynamic programme, or else NumPy's order by greed."""
    rng = random.Random(seed)
    n = rng.randint(3, 13)
    letters = [chr(97 + k) for k in range(rng.randint(n - 1, 18))]
    labels = [tuple(rng.sample(letters, rng.choice((1, 2, 2, 3)))) for _ in range(n)]
    used = sorted(set().union(*labels))
    out = tuple(rng.sample(used, rng.randint(0, 2)))
    sizes = {k: rng.choice((2, 3, 5, 10, 20)) for k in used}
    text = ",".join("".join(x) for x in labels) + "->" + "".join(out)
    operands = [np.broadcast_to(0.0, [sizes[k] for k in x]) for x in labels]
    found = cost(labels, out, sizes, best_order(labels, out, sizes))
    for how in ("greedy", *(["optimal"] if n < 6 else [])):
        path = given_order(np.einsum_path(text, *operands, optimize=how)[0][1:], n)
        assert path is not None and found <= cost(labels, out, sizes, path)
    opt_einsum = pytest.importorskip("opt_einsum")
    path = given_order(opt_einsum.contract_path(text, *operands, optimize="dp")[0], n)
    assert path is not None
    if connected(labels):  # else a number that is the product of strangers is multiplied at the end, not into what happens to be small
        assert found <= cost(labels, out, sizes, path)


def test_long_chains() -> None:
    """A chain of forty matrices costs what the textbook's dynamic programme says."""
    rng = random.Random(1)
    n = 24
    d = [rng.choice((2, 7, 30, 100)) for _ in range(n + 1)]
    names = [chr(97 + k) for k in range(n + 1)]
    labels = [(names[k], names[k + 1]) for k in range(n)]
    best = {(k, k): 0 for k in range(n)}
    for width in range(1, n):
        for i in range(n - width):
            j = i + width
            best[i, j] = min(best[i, k] + best[k + 1, j] + d[i] * d[k + 1] * d[j + 1] for k in range(i, j))
    out, sizes = (names[0], names[-1]), dict(zip(names, d))
    assert cost(labels, out, sizes, best_order(labels, out, sizes)) == best[0, n - 1]


def test_stated_orders() -> None:
    a, b, c, d = [gx.tensor(f"x{k}", s) for k, s in enumerate([(2, 3), (3, 4), (4, 5), (5, 2)])]
    X = [np.arange(float(x.size)).reshape(x.shape) for x in (a, b, c, d)]
    text = "ij,jk,kl,li->"
    want = np.einsum(text, *X)
    for optimize in (True, False, "greedy", "optimal", ("greedy", 1e6), ["einsum_path", (0, 1), (0, 1), (0, 1)],
                     ["einsum_path", (2, 3), (0, 1, 2)], ["einsum_path", (0, 1, 2, 3)], np.einsum_path(text, *X)[0]):  # fmt: skip
        got = gx.einsum(text, a, b, c, d, optimize=optimize)
        np.testing.assert_allclose(got.eval(dict(zip((a, b, c, d), X))), want)
    first = gx.einsum("ij,jk,kl->il", a, b, c, optimize=["einsum_path", (1, 2), (0, 1)])
    assert any(n.op.name == "contract" and n.inputs == (b, c) for n in toposort([first]))
    for wrong in (["einsum_path", (0, 1)], ["einsum_path", (0, 9), (0, 1), (0, 1)], "best", None, ["einsum_path", 3]):
        with pytest.raises(gx.ArgumentError, match="einsum: "):
            gx.einsum(text, a, b, c, d, optimize=wrong)


def test_views_of_one_operand() -> None:
    x = gx.tensor("x", (3, 3, 4))
    for text in ("ijk->kij", "iij->ij", "iij->ji", "ijk", "...k->k..."):
        made = gx.einsum(text, x)
        assert all(n.op.traits.moves == "view" for n in toposort([made]) if n.inputs), text
    assert gx.einsum("ijk->ijk", x) is x


def test_errors() -> None:
    x = gx.tensor("x", (2, 3))
    for build, text in [
        (lambda: gx.einsum(x, "ij"), "first come the subscripts, such as 'ij,jk->ik', or operands and lists of their labels take turns"),
        (lambda: gx.einsum(x), "first come the subscripts"),
        (lambda: gx.einsum(x, [0, 1], x), "the last operand lacks the list of its labels|first come the subscripts"),
        (lambda: gx.einsum(x, [0, 52]), r"the labels of a list are integers from 0 to 51 and ..., got 52"),
        (lambda: gx.einsum(x, [0, "a"]), r"the labels of a list are integers from 0 to 51 and ..., got 'a'"),
        (lambda: gx.einsum("ij->ii", x), "the output of 'ij->ii' has 'i' twice"),
        (lambda: gx.einsum("ij->iz", x), "has 'z' which no operand has"),
    ]:
        with pytest.raises(gx.ArgumentError, match=f"^einsum: .*({text})"):
            build()
