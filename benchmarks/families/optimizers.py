"""An optimiser's update alone: parameters and their gradients in, parameters and moments moved in place. One pass over memory."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.peers import adam, clipped_adam
from benchmarks.row import Row, normal

SIZE = 1_000_000


def rows() -> Iterator[Row]:
    """Adam reads four arrays and writes three; the norm of all gradients reads one once more."""
    for dtype, width in (("f32", 4), ("f64", 8)):
        for name, want, function, passes in (("adam", "update", adam, 7), ("clipped-adam", "clipped_update", clipped_adam, 8)):
            yield Row(
                f"optimizers/{name}/{dtype}/{SIZE}",
                function,
                lambda dtype=dtype: (normal("p", SIZE, dtype=dtype), normal("g", SIZE, dtype=dtype)),
                want=want,
                flops=25 * SIZE,
                nbytes=passes * width * SIZE,
                tolerance=1e-5 if dtype == "f32" else 1e-9,
                skip={"torch": "its clipping writes the gradients, which the next call would find clipped"} if passes == 8 else {},
            )
