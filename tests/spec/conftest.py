"""Real data for the tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest

from tests.spec.kit import DATA


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 handwritten digits: images (n, 64) in [0, 1], float64, and labels (n,), int64."""
    with np.load(DATA) as data:
        return data["images"].reshape(-1, 64) / 16.0, data["labels"].astype(np.int64)
