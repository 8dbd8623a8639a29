"""A short run of the fuzzer in the test suite, and the seeds that once failed."""

from __future__ import annotations

import pytest

from graphc.ops.registry import OPS
from tests.fuzz.compare import failure
from tests.fuzz.entry import fuzz
from tests.fuzz.graphs import COVERS, NOT_BUILT
from tests.fuzz.public import unreached


@pytest.mark.parametrize("block", range(14))
def test_random_graphs(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        message = failure(seed)
        assert message is None, f"seed {seed}: {message}"


def test_the_fuzzer_knows_every_op() -> None:
    covered = {name for ops in COVERS.values() for name in ops} | NOT_BUILT
    missing = unreached([name for name in OPS if name not in covered])
    assert not missing, f"add a builder to tests/fuzz/graphs.py, or a public function, for: {missing}"


@pytest.mark.parametrize("mode", ["default", "released", "none", "interpret"])
def test_random_calls(mode: str) -> None:
    found = fuzz(1000, 0, (mode,))
    events = {kind: found.pop(kind, 0) for kind in ("called back", "watched", "interrupted", "in time")}
    assert events["called back"] > 10 and events["interrupted"] + events["in time"] > 10, events
    assert min(found.values()) > 15 and found["right"] > 250 and found["out"] > 100, found
