"""A few drawn convolutions; `python -m tests.fuzz.convolution 500` runs more."""

from __future__ import annotations

import pytest

from tests.fuzz.convolution import check


@pytest.mark.parametrize("seed", [*range(12), 61029])  # the last: taps of phases that a symbolic padding decides
def test_drawn(seed: int) -> None:
    check(seed)
