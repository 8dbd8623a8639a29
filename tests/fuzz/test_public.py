"""Every public function is drawn: all of them by the interpreter and NumPy, a slice natively with derivatives of two orders."""

from __future__ import annotations

import pytest

import graphc as gx
from graphc.interp import evaluate
from tests.fuzz.arguments import CALLS
from tests.fuzz.public import UNDRAWN, PublicCase, drawn, failure, functions, missing

FUNCTIONS = functions()


def test_every_public_function_is_drawn() -> None:
    assert len(FUNCTIONS) > 400
    lacking = {name: parameters for name, f in FUNCTIONS.items() if (parameters := missing(name, f))}
    assert not lacking, f"say in tests/fuzz/arguments.py what these are drawn from: {lacking}"
    assert all(hasattr(gx, name) or hasattr(gx.nn, name) for name in UNDRAWN) and all(name in FUNCTIONS for name in CALLS)


@pytest.mark.parametrize("block", range(8))
def test_calls_are_what_numpy_says(block: int) -> None:
    """Of each function one call at least is taken, and gives what NumPy's of the same name does."""
    for name in sorted(FUNCTIONS)[block::8]:
        taken = 0
        for seed in range(40):
            try:
                case = PublicCase(name, seed)
                evaluate(case.result, dict(zip(case.inputs, case.values)))
            except gx.GraphcError:
                continue
            case.by_numpy()
            taken += 1
            if taken == 2:
                break
        assert taken, f"no call of {name} is taken"


@pytest.mark.parametrize("block", range(4))
def test_calls_with_derivatives(block: int) -> None:
    messages = [failure(name, seed) for name, seed in drawn(8, 1000 * block)]
    found = [m for m in messages if m not in (None, "refused")]
    assert not found, "\n".join(map(str, found))
