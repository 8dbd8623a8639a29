"""A short run of the fuzzer of state and updates."""

from __future__ import annotations

import pytest

from tests.fuzz.state import failure


@pytest.mark.parametrize("block", range(6))
def test_random_updates(block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        message = failure(seed)
        assert message is None, f"seed {seed}: {message}"
