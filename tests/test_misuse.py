"""Every public function and method, called with wrong types, ranks, dtypes, sizes, None and strings: only errors that users are promised.

A `GraphcError`, or Python's own TypeError for a call that does not fit the signature. Draws are seeded; a failure names its seed.
"""

from __future__ import annotations

import inspect
import operator
import random
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx

X, V, S = gx.tensor("x", (3, 4)), gx.tensor("v", ("n",)), gx.tensor("s")
NODES = [X, V, S, gx.tensor("i", (2,), "int64"), gx.tensor("b", (3,), "bool"), gx.tensor("e", (0, 3)), gx.tensor("f", (3,), "float32")]
N = gx.dim("n")
WRONG: list[Any] = [
    *NODES, N, N + 1, N == 3, gx.shared(np.zeros(3)), None, "a", "axis", b"x", object(), 1j, np.array([1j]), np.array(["a"]),
    np.array([None]), np.float16(1), np.ma.masked_array([1.0]), np.zeros((2, 3, 4)), [], [X, S], (X,), (), {}, {"a": X}, set(), [1, 2],
    (0, 0), (5,), (-9,), 1.5, -1, 7, 0, True, float("nan"), slice(1, 2), Ellipsis, range(3), int, lambda q: q, "float32",
]  # fmt: skip
PUBLIC = [n for n in gx.__all__ if inspect.isfunction(getattr(gx, n)) and n not in ("set_num_threads",)]
METHODS = [n for n in dir(gx.Node) if not n.startswith("_") and callable(getattr(gx.Node, n))]
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.matmul,
             operator.and_, operator.or_, operator.lshift, operator.getitem, operator.eq, operator.lt]  # fmt: skip
TRUTHS = "truth value of an"  # of an array as a flag, such as keepdims: NumPy's own error says what is wrong


def fault(call: Callable[..., Any], args: list[Any], named: dict[str, Any]) -> str:
    """What a call raises that it should not, "" where it is right."""
    try:
        call(*args, **named)
    except gx.GraphcError:
        return ""
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if (isinstance(error, TypeError) and len(frames) == 1) or TRUTHS in str(error):
            return ""
        return f"{type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}: {error!s:.80} for {args!r:.120}, {named!r:.60}"
    return ""


def drawn(function: Callable[..., Any], rng: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Arguments that mostly have the right number, and seldom the right kind."""
    args: list[Any] = []
    named: dict[str, Any] = {}
    for p in inspect.signature(function).parameters.values():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            if p.default is not p.empty and rng.random() > 0.35:
                break
            args.append(X if not args and rng.random() < 0.5 else rng.choice(WRONG))
        elif p.kind is p.VAR_POSITIONAL:
            args += [rng.choice(WRONG) for _ in range(rng.randint(0, 3))]
        elif p.kind is p.KEYWORD_ONLY and rng.random() < 0.2:
            named[p.name] = rng.choice(WRONG)
    return args, named


@pytest.mark.parametrize("name", PUBLIC)
def test_functions(name: str) -> None:
    function, rng = getattr(gx, name), random.Random(name)
    for _ in range(4 if name in ("function", "check_grad") else 20):
        assert fault(function, *drawn(function, rng)) == "", name


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    rng = random.Random(name)
    for _ in range(20):
        assert fault(getattr(rng.choice(NODES), name), [rng.choice(WRONG) for _ in range(rng.randint(0, 2))], {}) == "", name


@pytest.mark.parametrize("call", OPERATORS, ids=lambda call: call.__name__)
def test_operators(call: Callable[..., Any]) -> None:
    rng = random.Random(call.__name__)
    for _ in range(30):
        assert fault(call, [rng.choice(NODES), rng.choice(WRONG)], {}) == ""


def test_a_wrong_error_is_noticed() -> None:
    assert "KeyError" in fault(lambda: {}[1], [], {}) and "TypeError" in fault(lambda: sum(3), [], {})  # type: ignore[arg-type]
    assert fault(lambda: gx.exp(None), [], {}) == ""  # type: ignore[arg-type]
