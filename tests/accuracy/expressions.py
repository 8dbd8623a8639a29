"""Expressions of one variable as trees: ("log", ("+", 1.0, ("exp", "x"))). A leaf is "x" or a number; a node is (row, operands..).

All lists are drawn from a seed, so that a run is the same everywhere. A half of all expressions, chosen by a hash of their text, is held
out: it counts, and nobody looks at it while rules are made.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import graphc as gx
from graphc.ir import Node
from tests.accuracy.formulas import formulas

Tree = Any  # "x", a float, or (row, *trees)

FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "sqrt", "square", "reciprocal", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos",
    "arctan", "arcsinh", "arccosh", "arctanh", "sigmoid", "softplus", "erf", "erfc", "abs", "negative",
)  # fmt: skip
COMMON = ("exp", "log", "sqrt", "square", "sin", "cos", "tanh", "sigmoid", "log1p", "expm1")  # drawn three times as often
WITH_NUMBER: tuple[tuple[str, float], ...] = (  # ("r-", c) is c - x
    ("+", 1.0), ("-", 1.0), ("r-", 1.0), ("+", 2.0), ("r-", 2.0), ("-", 0.5), ("*", 2.0), ("*", 0.5), ("*", 3.0), ("/", 3.0), ("r/", 1.0),
    ("r/", 2.0), ("**", 3.0), ("**", 4.0), ("**", 1.5), ("**", -0.5), ("**", -2.0),
)  # fmt: skip
OPERATORS = ("+", "-", "*", "/")
BUILD: dict[str, Callable[..., Node]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b, "**": lambda a, b: a**b,
} | {name: getattr(gx, name) for name in FUNCTIONS}  # fmt: skip


def text(tree: Tree) -> str:
    """As one would write it."""
    if isinstance(tree, str):
        return tree
    if isinstance(tree, float):
        return f"{tree:g}"
    row, *args = tree
    shown = [text(a) for a in args]
    if len(args) == 2:
        return f"({shown[0]} {row} {shown[1]})"
    return f"-{shown[0]}" if row == "negative" else f"{row}({shown[0]})" if not shown[0].startswith("(") else f"{row}{shown[0]}"


def node(tree: Tree, x: Node) -> Any:
    """The expression in graphc."""
    if tree == "x":
        return x
    return tree if isinstance(tree, float) else BUILD[tree[0]](*[node(a, x) for a in tree[1:]])


def depends(tree: Tree) -> bool:
    return tree == "x" or (isinstance(tree, tuple) and any(map(depends, tree[1:])))


def held_out(tree: Tree) -> bool:
    return hashlib.sha256(text(tree).encode()).digest()[0] % 2 == 1


# -- pieces -----------------------------------------------------------------------------------------------------------------
def applied(step: Any, tree: Tree) -> Tree:
    """A row on a tree, or an operator with a number."""
    if isinstance(step, str):
        return (step, tree)
    row, number = step
    return (row[1:], number, tree) if row.startswith("r") else (row, tree, number)


STEPS = (*FUNCTIONS, *WITH_NUMBER)
DRAWN = (*FUNCTIONS, *COMMON, *COMMON, *WITH_NUMBER)


def grown(draw: random.Random, rows: int) -> Tree:
    """A tree of so many rows: a step on a smaller one, or an operator on two."""
    if rows == 0:
        return "x"
    if rows >= 2 and draw.random() < 0.5:
        left = draw.randrange(rows - 1 + 1)
        return (draw.choice(OPERATORS), grown(draw, left), grown(draw, rows - 1 - left))
    return applied(draw.choice(DRAWN), grown(draw, rows - 1))


def two_rows() -> Iterator[Tree]:
    """All of them."""
    for outer in STEPS:
        for inner in STEPS:
            yield applied(outer, applied(inner, "x"))


def operators() -> Iterator[Tree]:
    """Two rows or numbers with rows, added, subtracted, multiplied, divided."""
    small = ["x", *[applied(s, "x") for s in STEPS]]
    for row in OPERATORS:
        for a in small:
            for b in small:
                if a != b:
                    yield (row, a, b)


def _lin(c: float, shift: float = 0.0) -> Tree:
    """c x + shift, as it is written."""
    scaled = "x" if c == 1 else ("negative", "x") if c == -1 else ("*", c, "x")
    return scaled if not shift else ("+", scaled, shift) if shift > 0 else ("-", scaled, -shift)


def differences() -> Iterator[Tree]:
    """f(x + h) - f(x) and its relatives, alone, divided by h, under a function."""
    for f in (*FUNCTIONS, ("**", 1.5), ("**", 3.0), ("**", -2.0), ("r/", 1.0)):
        for h in (1.0, -1.0, 0.5, 1e-8):
            one, two = applied(f, _lin(1.0, h)), applied(f, "x")
            yield ("-", one, two)
            yield ("-", two, one)
            yield ("/", ("-", one, two), h)
        for c in (2.0, -1.0, 0.5):
            yield ("-", applied(f, _lin(c)), applied(f, "x"))
        for inner in (("square", "x"), ("exp", "x")):
            yield ("-", applied(f, ("+", inner, 1.0)), applied(f, inner))
            yield ("-", applied(f, ("+", inner, 1.0)), ("sqrt", inner))
        at = {"exp": 1.0, "cos": 1.0, "sqrt": 1.0, "cosh": 1.0, "sigmoid": 0.5, "erfc": 1.0}.get(str(f))
        if at:
            yield ("-", applied(f, "x"), at)
            yield ("/", ("-", applied(f, "x"), at), "x")
            yield ("/", ("-", applied(f, "x"), at), ("square", "x"))
            yield ("-", at, applied(f, ("negative", ("square", "x"))))


def exponentials() -> Iterator[Tree]:
    """Products, quotients, powers, sums of exponentials and sigmoids, alone and under logarithms and roots."""
    e = lambda c, shift=0.0: ("exp", _lin(c, shift))
    s = lambda c: ("sigmoid", _lin(c))
    parts = [e(1.0), e(-1.0), e(2.0), e(-2.0), e(0.5), ("*", 2.0, e(1.0)), ("*", 3.0, e(-1.0)), s(1.0), s(-1.0), ("exp", ("square", "x"))]
    parts += [("exp", ("negative", ("square", "x"))), 1.0, "x", ("softplus", "x"), ("cosh", "x"), ("sinh", "x"), ("tanh", "x")]
    for a in parts:
        for b in parts:
            if a != b and ((depends(a) and depends(b)) or 1.0 in (a, b)):
                for row in OPERATORS:
                    made = (row, a, b)
                    yield made
                    yield ("log", made)
                    yield ("sqrt", made)
                    yield ("square", made)
                    if row in "+-":
                        yield ("/", a, made)
                        yield ("/", made, ("+", a, b))
                        yield ("log", ("/", made, 2.0))
                        yield ("/", 1.0, made)


def idioms() -> Iterator[Tree]:
    """What is written by hand where a library has a function."""
    sq, one = ("square", "x"), 1.0
    root = ("sqrt", ("+", sq, one))
    yield from (
        ("log", ("+", "x", root)), ("log", ("+", "x", ("sqrt", ("-", sq, one)))), ("log", ("-", root, "x")),
        ("*", 0.5, ("log", ("/", ("+", one, "x"), ("-", one, "x")))), ("-", ("log", ("+", one, "x")), ("log", ("-", one, "x"))),
        ("/", ("sin", "x"), "x"), ("/", ("tan", "x"), "x"), ("/", ("expm1", "x"), "x"), ("/", ("log1p", "x"), "x"),
        ("/", ("sinh", "x"), "x"), ("/", ("tanh", "x"), "x"), ("/", ("arctan", "x"), "x"), ("/", ("arcsin", "x"), "x"),
        ("/", ("-", one, ("cos", "x")), sq), ("/", ("-", one, ("cos", "x")), "x"), ("/", ("-", one, ("cos", "x")), ("sin", "x")),
        ("/", ("sin", "x"), ("+", one, ("cos", "x"))), ("/", ("-", ("exp", "x"), one), "x"), ("/", ("log", "x"), ("-", "x", one)),
        ("/", ("-", "x", ("sin", "x")), ("**", "x", 3.0)), ("-", "x", ("sin", "x")), ("-", ("tan", "x"), "x"), ("-", "x", ("tanh", "x")),
        ("-", ("-", ("exp", "x"), one), "x"), ("-", ("exp", "x"), ("+", one, "x")), ("-", "x", ("log1p", "x")), ("-", "x", ("arctan", "x")),
        ("-", ("log", ("+", one, "x")), "x"), ("-", ("sinh", "x"), "x"), ("-", one, ("/", ("sin", "x"), "x")),
        ("sqrt", ("-", one, ("square", ("cos", "x")))), ("sqrt", ("-", one, ("square", ("sin", "x")))),
        ("sqrt", ("-", one, ("square", ("tanh", "x")))), ("sqrt", ("-", ("square", ("cosh", "x")), one)),
        ("sqrt", ("+", one, ("square", ("sinh", "x")))), ("sqrt", ("+", one, ("square", ("tan", "x")))),
        ("-", ("square", ("cosh", "x")), ("square", ("sinh", "x"))), ("-", ("square", ("cos", "x")), ("square", ("sin", "x"))),
        ("*", ("-", one, ("tanh", "x")), ("+", one, ("tanh", "x"))), ("-", one, ("square", ("sigmoid", "x"))), ("/", one, ("cosh", "x")),
        ("-", one, ("**", ("tanh", "x"), 4.0)), ("-", one, ("sqrt", ("-", one, sq))), ("-", root, one),
        ("-", ("sqrt", ("+", sq, "x")), "x"),
        ("/", "x", root), ("/", "x", ("+", one, root)), ("/", one, ("-", root, "x")), ("-", root, ("abs", "x")), ("/", sq, ("+", one, sq)),
        ("-", one, ("/", sq, ("+", one, sq))), ("-", one, ("/", "x", ("+", one, "x"))), ("-", one, ("/", one, ("+", one, "x"))),
        ("-", ("/", one, ("-", "x", one)), ("/", one, ("+", "x", one))), ("-", ("/", "x", ("+", "x", one)), one),
        ("sqrt", ("+", sq, sq)), ("sqrt", ("+", sq, ("*", 4.0, sq))), ("/", "x", ("sqrt", ("+", sq, sq))), ("sqrt", ("*", "x", "x")),
        ("sqrt", ("/", ("-", one, "x"), ("+", one, "x"))), ("arctan", ("/", "x", ("sqrt", ("-", one, sq)))), ("arctan", ("/", one, "x")),
        ("arcsin", ("/", "x", root)), ("arctanh", ("/", "x", root)), ("sin", ("arctan", "x")), ("cos", ("arctan", "x")),
        ("sinh", ("arctanh", "x")), ("tan", ("arcsin", "x")), ("cosh", ("log", "x")), ("sinh", ("log", "x")), ("tanh", ("log", "x")),
        ("exp", ("*", 2.0, ("arctanh", "x"))), ("exp", ("arcsinh", "x")), ("log", ("abs", ("tan", ("*", 0.5, "x")))),
        ("log", ("-", one, ("square", "x"))), ("log", ("/", "x", ("+", one, "x"))), ("log", ("-", ("/", one, "x"), one)),
        ("-", ("log", "x"), ("log", ("-", one, "x"))), ("*", "x", ("-", ("log", ("+", "x", one)), ("log", "x"))),
        ("*", "x", ("log", ("+", one, ("/", one, "x")))), ("**", ("+", one, ("/", one, "x")), "x"), ("**", "x", "x"),
        ("*", ("exp", sq), ("erfc", "x")), ("log", ("erfc", "x")), ("log", ("*", 0.5, ("erfc", "x"))), ("/", ("erf", "x"), "x"),
        ("/", ("exp", ("negative", sq)), ("erfc", "x")), ("*", 0.5, ("+", one, ("erf", ("/", "x", 2.0 ** 0.5)))),
        ("-", ("softplus", "x"), "x"), ("-", "x", ("softplus", "x")), ("-", ("softplus", "x"), ("softplus", ("negative", "x"))),
        ("log", ("softplus", "x")), ("exp", ("softplus", "x")), ("-", ("exp", ("softplus", "x")), one), ("log", ("-", ("exp", "x"), one)),
        ("*", "x", ("sigmoid", "x")), ("/", ("*", "x", ("exp", "x")), ("-", ("exp", "x"), one)), ("/", "x", ("-", ("exp", "x"), one)),
        ("/", "x", ("-", one, ("exp", ("negative", "x")))), ("-", ("/", one, "x"), ("/", one, ("expm1", "x"))),
        ("-", ("/", one, ("tanh", "x")), ("/", one, "x")), ("-", ("/", one, ("sin", "x")), ("/", one, "x")),
        ("log", ("cos", "x")), ("log", ("sin", "x")), ("log", ("sinh", "x")), ("log", ("/", ("sinh", "x"), "x")),
        ("sqrt", ("+", ("exp", ("*", 2.0, "x")), one)), ("/", one, ("sqrt", ("+", one, ("exp", "x")))),
        ("**", ("+", one, ("exp", "x")), -0.5), ("**", ("sigmoid", "x"), 3.0), ("sqrt", ("sigmoid", "x")),
        ("log", ("**", ("sigmoid", "x"), 3.0)),
    )  # fmt: skip
    for n in (10.0, 1e6, 1e12):
        yield ("**", ("+", one, ("/", "x", n)), n)
        yield ("**", ("-", one, ("/", "x", n)), -n)
        yield ("*", n, ("log", ("+", one, ("/", "x", n))))
        yield ("/", ("-", ("**", ("+", one, "x"), n), one), n)


def strata(scale: float = 1.0) -> dict[str, list[Tree]]:
    """The expressions by where they come from, each once; scale: the share of the large strata that is drawn."""
    draw = random.Random(20260101)
    pool: dict[str, list[Tree]] = {
        "idioms": list(idioms()),
        "differences": _some(draw, list(differences()), 0.7 * scale),
        "exponentials": _some(draw, list(exponentials()), 0.12 * scale),
        "two rows": _some(draw, list(two_rows()), 0.3 * scale),
        "two rows and an operator": _some(draw, list(operators()), 0.07 * scale),
        "three rows": [grown(draw, 3) for _ in range(int(400 * scale))],
        "four rows": [grown(draw, 4) for _ in range(int(400 * scale))],
        "formulas": list(formulas()),
    }
    seen: set[str] = set()
    result: dict[str, list[Tree]] = {}
    for name, trees in pool.items():
        result[name] = []
        for t in trees:
            if depends(t) and text(t) not in seen:
                seen.add(text(t))
                result[name].append(t)
    return result


def _some(draw: random.Random, trees: list[Tree], share: float) -> list[Tree]:
    return [t for t in trees if draw.random() < share]
