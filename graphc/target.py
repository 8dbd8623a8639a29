"""`Target`: the frozen facts of one CPU, and `Measured`: those that only a measurement tells. Passes and codegen read them."""

from __future__ import annotations

import numpy as np

from graphc.records import dataclass


@dataclass(frozen=True)
class Measured:
    """What a machine does and does not say: found by `python -m graphc.calibrate`, or at the first use of a product.

    The defaults are what an unknown x86-64 of the last ten years wants. None of these numbers ever changes a result's bits: they
    decide where operands are read from, how stores are made and who computes what, never the order of a sum.
    """

    crossing: float = 1.4
    """Time of a product's inner loop whose vector loads of b cross cache lines, over that of one whose loads do not: 1.0 to 2.0.
    Decides whether a b that does not lie on lines is read in place or packed."""
    packing: float = 10.0
    """Time to copy a panel of b, in rows of a that pass over it in the same time. Decides from how many rows on packing pays."""
    threads: float = 2e4
    """ns of work on one thread, below which a second one does not pay: what it takes to fork and join, and the risk of a parked thread,
    which takes 20 to 50 us to wake, where a spinning one takes 0.2."""


@dataclass(frozen=True)
class Target:
    """What code is made for.

    `cpu` and `features` are LLVM's words; every decision in the compiler reads the fields below them, never the name.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    """Bytes of one vector register: 64, 32 or 16."""
    has_fma: bool
    """a*b + c with one rounding is one instruction; without it LLVM would call the C library."""
    has_ldexp: bool
    """x * 2**n is one instruction for whole vectors (AVX-512); without it LLVM would call the C library."""
    has_round: bool
    """floor, ceil, trunc and rint are instructions; without them LLVM would call the C library."""
    has_gather: bool
    """A vector may be loaded from an address per lane (LLVM takes the lanes one by one elsewhere)."""
    has_permute: bool = False
    """A vector of indices picks from the elements of two registers in one instruction (AVX-512)."""
    registers: int = 32
    """Vector registers an inner loop can use."""
    latency: int = 4
    """Cycles from the arguments of a vector addition or multiplication to its result."""
    issue: int = 2
    """Vector instructions that can start in a cycle."""
    l1: int = 32 << 10
    """Bytes of the first data cache."""
    l2: int = 1 << 20
    """Bytes of the second cache."""
    cores: int = 1
    """CPUs this process may run on."""
    measured: Measured = Measured()
    """What was measured, or the defaults."""

    def lanes(self, dtype: np.dtype) -> int:
        """Elements of `dtype` in one vector register."""
        return self.vector_bytes // dtype.itemsize
