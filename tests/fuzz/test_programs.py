"""Of random functions, every Program that is executed passes the verifier as it is, and no call writes outside its arrays.

Once as users run them, in mode="verify": arrays share the bytes of the arena. Once with memory planned apart and canaries between
the arrays of the arena, the scratch of each thread and the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import graphc as gx
from graphc.options import default_options, set_default_options
from graphc.verify.program import verify_program
from tests.fuzz.compare import Case
from tests.fuzz.state import StateCase


@pytest.fixture(params=[False, True], ids=["packed", "apart"])
def guarded(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = default_options()
    set_default_options(replace(before, canaries=request.param))
    yield request.param
    set_default_options(before)


def executed(case: Case, guarded: bool) -> list[gx.Function]:
    """What a case has called, in agreement with the interpreter."""
    case.modes = ("verify",)
    case.check()
    called = [f for f in case.functions if f._executable is not None]
    for f in called:
        assert f._executable.program is f._program and f._executable.guarded is guarded
        verify_program(f._program)
    return called


@pytest.mark.parametrize("block", range(5))
def test_programs_of_random_graphs(block: int, guarded: bool) -> None:
    called = []
    for seed in range(5000 + block * 6, 5006 + block * 6):
        try:
            called += executed(Case(seed), guarded)
        except gx.NotDifferentiableError:
            continue
    assert called


@pytest.mark.parametrize("block", range(3))
def test_programs_of_random_updates(block: int, guarded: bool) -> None:
    for seed in range(5000 + block * 4, 5004 + block * 4):
        assert executed(StateCase(seed), guarded)
