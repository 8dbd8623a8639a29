"""Arrays as parameters of nodes."""

from __future__ import annotations

import numpy as np


class Frozen:
    """A read-only array as a parameter: equal when dtype, shape and bits are equal."""

    __slots__ = ("_hash", "_key", "array")
    INLINE_BYTES = 4096  # up to here the key is the bytes themselves, above it their digest

    def __init__(self, array: np.ndarray) -> None:
        owned = np.array(array, order="C", copy=True)
        owned.setflags(write=False)
        raw = owned.tobytes()
        if owned.nbytes > self.INLINE_BYTES:
            import hashlib  # a library of its own behind it takes a tenth of the time that `import graphc` has

            raw = hashlib.sha256(raw).digest()
        self.array = owned
        self._key = (owned.dtype, owned.shape, raw)
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __repr__(self) -> str:
        text = np.array2string(self.array, threshold=6, edgeitems=2, separator=", ").replace("\n", "")
        return text if len(text) <= 40 else text[:37] + "..."
