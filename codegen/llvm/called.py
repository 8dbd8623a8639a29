"""Functions of mathlib that a module calls instead of writing them out wherever they are wanted, and how they are called.

    y = tanh(x)   in many loops     ->     %y = call intel_ocl_bicc <16 x float> @m.tanh.float32.v16(<16 x float> %x)

LLVM takes some 2 ms for each vector function in a loop, twice where the loop has a tail: a module with thousands of them took half a
minute. A call costs a copy or two of registers and the constants that a loop would keep in registers, see `MANY`. The bits are the same:
both are the body that mathlib gives for this target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.llvm_text import LINE, Block, joined, lanes_from
from graphc.codegen.mathlib import MATH, Signature, length, signature
from graphc.scalars import Scalar
from graphc.target import Target

MANY = 2000  # instructions that the copies of one function may have in all before it is called
HALF = 16  # bytes of a ymm register
REGISTERS = 4  # of vectors in which calls take arguments, and in which they give results


def convention(target: Target, nbytes: int) -> str:
    """A calling convention that leaves half of the vector registers alone, where a loop keeps its own; for results of so many bytes.

    That of x86 is for the built-in functions of OpenCL: it keeps zmm16 to zmm31, ymm8 to ymm15 or xmm8 to xmm15, and masks k4 to k7.
    With AVX, a function with a result of half a register or less clears the upper halves of all of them at its end. LLVM forgets that those
    of ymm8 to ymm15 are to be kept, so such a function is called by C's convention.
    """
    if target.triple.startswith(("aarch64", "arm64")):
        return "aarch64_vector_pcs "
    clears = nbytes <= HALF and "+avx" in target.features.split(",") and target.vector_bytes < LINE
    return "intel_ocl_bicc " if target.triple.startswith("x86_64") and not clears else ""


def most_lanes(lanes: int, nbytes: int, room: int) -> int:
    """How many of the lanes, of so many bytes each, have room at once."""
    while lanes > 1 and lanes * nbytes > room:
        lanes //= 2
    return lanes


def in_parts(
    block: Block, args: Sequence[tuple[np.dtype, str]], lanes: int, part: int, dtype: np.dtype, call: Callable[[list[str]], Sequence[str]]
) -> list[str]:
    """The results, of one dtype, of calls that take `part` of the lanes each."""
    made = [call([lanes_from(block, x, d, lanes, first, part) for d, x in args]) for first in range(0, lanes, part)]
    return [joined(block, list(parts), dtype, part) for parts in zip(*made, strict=True)]


def family(s: Scalar) -> tuple[str, tuple[np.dtype, ...]]:
    """What the functions have in common that share most of their work where their arguments are the same, see `graphc.scalars.TOGETHER`."""
    name, dtypes = signature(s)
    return sc.TOGETHER.get(name, name), dtypes


def called(kernels: Iterable[Iterable[Scalar]], target: Target) -> frozenset[Signature]:
    """The functions that loops should call, given the Scalars of each kernel that has some."""
    members: dict[tuple[str, tuple[np.dtype, ...]], set[Signature]] = {}
    copies: Counter[tuple[str, tuple[np.dtype, ...]]] = Counter()
    for scalars in kernels:
        wanted = [s for s in scalars if s.op in MATH]
        copies.update([of for of, _ in {(family(s), s.args) for s in wanted}])
        for s in wanted:
            members.setdefault(family(s), set()).add(signature(s))
    many = [of for of, count in copies.items() if count > 1 and count * max([length(m, target) for m in members[of]]) > MANY]
    return frozenset({function for of in many for function in members[of]})
