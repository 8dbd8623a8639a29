"""numba: the loops a user writes by hand, where the family gives them. No fastmath: the others keep NaN and infinity too."""

from __future__ import annotations

import numba

from benchmarks.peers import Built, Peer, Skip
from benchmarks.peers.numpy import as_arrays
from benchmarks.row import Arrays, Row


class Numba(Peer):
    def value(self, row: Row, data: Arrays) -> Built:
        if "numba" not in row.by_hand:
            raise Skip("no loops by hand")
        return Built(numba.njit(row.by_hand["numba"]), data, as_arrays)

    call = gradient = hessian = value


def make(variant: str) -> Numba:
    return Numba()
