"""What takes whole vector registers: lookups in tables, and powers of two by the instruction that AVX-512 has for them."""

from __future__ import annotations

from graphc.codegen.llvm.emission import Emission
from graphc.codegen.llvm.llvm_text import joined, lanes_from, literal, llvm_type, mangled
from graphc.dtypes import bool_, float32
from graphc.scalars import const


def lookup(e: Emission, at: str) -> str:
    """The elements of the constant table `e.s.param` at `at`: by permuting registers where the table fits in four, else a gather."""
    element, index = llvm_type(e.dtype, 1), e.s.args[0].dtype
    if e.lanes > 1 and e.target.has_permute and index.itemsize == e.dtype.itemsize and len(e.s.param) * e.dtype.itemsize in (64, 128, 256):
        return _permuted(e, at)
    place = e.block.emit(f"getelementptr inbounds {element}, ptr {e.module.table(e.s.param, e.dtype)}, {e.type(index)} {at}")
    if e.lanes == 1:
        return e.block.emit(f"load {element}, ptr {place}, align {e.dtype.itemsize}")
    vector, mask, pointers = e.type(e.dtype), e.type(bool_), f"<{e.lanes} x ptr>"
    name = f"@llvm.masked.gather.{mangled(e.dtype, e.lanes)}.v{e.lanes}p0"
    e.module.declare(f"declare {vector} {name}({pointers}, i32, {mask}, {vector})")
    return e.block.emit(f"call {vector} {name}({pointers} {place}, i32 {e.dtype.itemsize}, {mask} splat (i1 true), {vector} poison)")


def _permuted(e: Emission, at: str) -> str:
    """A lookup in a table of 1, 2 or 4 registers: an instruction for each two of them, where a gather is a load for each lane."""
    lanes, index = 64 // e.dtype.itemsize, e.s.args[0].dtype
    vector, whole, mask = llvm_type(e.dtype, lanes), llvm_type(index, lanes), llvm_type(bool_, lanes)
    table, kind = e.module.table(e.s.param, e.dtype), ("ps", "sf") if e.dtype == float32 else ("pd", "df")
    rows = []
    for first in range(0, len(e.s.param), lanes):
        place = e.block.emit(f"getelementptr inbounds {llvm_type(e.dtype, 1)}, ptr {table}, i64 {first}")
        rows.append(e.block.emit(f"load {vector}, ptr {place}, align 64"))
    one, two = f"@llvm.x86.avx512.permvar.{kind[1]}.512", f"@llvm.x86.avx512.vpermi2var.{kind[0]}.512"
    e.module.declare(f"declare {vector} {one}({vector}, {whole})")
    e.module.declare(f"declare {vector} {two}({vector}, {whole}, {vector})")
    parts = []
    for first in range(0, e.lanes, lanes):
        i = lanes_from(e.block, at, index, e.lanes, first, lanes)
        if len(rows) == 1:
            parts.append(e.block.emit(f"call {vector} {one}({vector} {rows[0]}, {whole} {i})"))
            continue
        pairs = [e.block.emit(f"call {vector} {two}({vector} {a}, {whole} {i}, {vector} {b})") for a, b in zip(rows[::2], rows[1::2])]
        if len(pairs) > 1:
            upper = e.block.emit(f"icmp uge {whole} {i}, {literal(const(2 * lanes, index), lanes)}")
            pairs = [e.block.emit(f"select {mask} {upper}, {vector} {pairs[1]}, {vector} {pairs[0]}")]
        parts.append(pairs[0])
    return _joined(e, parts, lanes)


def _joined(e: Emission, parts: list[str], lanes: int) -> str:
    """One vector of parts of so many lanes each; of one part the first lanes where it has too many."""
    if e.lanes < lanes:
        return lanes_from(e.block, parts[0], e.dtype, lanes, 0, e.lanes)
    return joined(e.block, parts, e.dtype, lanes)


def ldexp(e: Emission, a: str, n: str) -> str:
    """a * 2**n with a whole float n: an instruction of AVX-512, for each register; only mathlib writes it, where the target has that."""
    bits, width = 8 * e.dtype.itemsize, e.lanes * 8 * e.dtype.itemsize
    parts = []
    for first in range(0, e.lanes, 512 // bits):
        lanes = max(min(e.lanes, 512 // bits), 128 // bits)
        one, two = (lanes_from(e.block, x, e.dtype, e.lanes, first, lanes) for x in (a, n))
        parts.append(_scalef(e, one, two, lanes))
    if width < 128:
        short = llvm_type(e.dtype, 128 // bits)
        if e.lanes == 1:
            return e.block.emit(f"extractelement {short} {parts[0]}, i64 0")
    return _joined(e, parts, max(e.lanes, 128 // bits) // len(parts))


def _scalef(e: Emission, a: str, n: str, lanes: int) -> str:
    vector, width = llvm_type(e.dtype, lanes), lanes * 8 * e.dtype.itemsize
    name = f"@llvm.x86.avx512.mask.scalef.{'ps' if e.dtype == float32 else 'pd'}.{width}"
    mask = f"i{max(lanes, 8)}"
    rounding = [("i32", " 4")] if width == 512 else []  # 4: as the control register says
    given = [(vector, f" {a}"), (vector, f" {n}"), (vector, " zeroinitializer"), (mask, " -1"), *rounding]
    e.module.declare(f"declare {vector} {name}({', '.join([kind for kind, _ in given])})")
    return e.block.emit(f"call {vector} {name}({', '.join([kind + value for kind, value in given])})")
