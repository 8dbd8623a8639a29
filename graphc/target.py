"""`Target`: the frozen facts of one CPU. codegen fills it, passes and codegen read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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

    def lanes(self, dtype: np.dtype) -> int:
        """Elements of `dtype` in one vector register."""
        return self.vector_bytes // dtype.itemsize
