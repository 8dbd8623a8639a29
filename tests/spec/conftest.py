"""Real data for the tests of this folder, and a registry that forgets what a test adds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests.spec.kit import DATA


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits: images (n, 64) in [0, 1], float64, and labels (n,), int64."""
    with np.load(DATA) as data:
        return data["images"].reshape(-1, 64) / 16.0, data["labels"].astype(np.int64)


@pytest.fixture
def own_rows() -> Iterator[None]:
    """Rows that a test adds go away with it."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]
        PUBLIC.pop(name, None)
