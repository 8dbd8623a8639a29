"""Packing a panel whose rows lie across memory: a transpose in registers.

panel[k, j] = source[j, k]        k < kc, j < cols
"""

from __future__ import annotations

import numpy as np

from codegen.lines import Block, Module, llvm_type, mangled

SQUARE = 8  # a 16 x 16 transpose is no faster on AVX-512 and takes 4 times as long to compile


def write_transpose(module: Module, dtype: np.dtype, lanes: int, vectors: int, attributes: str) -> str:
    """The name of f(source, step, panel, kc, cols): `step` elements between rows of the source; panel rows hold `vectors` vectors.

    Up to `lanes - 1` panel rows after row kc are overwritten, and columns after `cols` hold copies of the last one.
    """
    name, square = f"pack.columns.{dtype.name}.{vectors}", min(lanes, SQUARE)
    if name not in module.functions:
        module.functions[name] = _text(module, name, dtype, square, vectors * lanes // square, attributes)
    return name


def _text(module: Module, name: str, dtype: np.dtype, lanes: int, vectors: int, attributes: str) -> str:
    element, vector, mask_type = llvm_type(dtype, 1), llvm_type(dtype, lanes), f"<{lanes} x i1>"
    load = f"@llvm.masked.load.{mangled(dtype, lanes)}.p0"
    module.declare(f"declare {vector} {load}(ptr, i32, {mask_type}, {vector})")
    out, item, width = Block(), dtype.itemsize, lanes * vectors
    numbers = f"<{lanes} x i64> <" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">"
    last = out.emit("sub i64 %cols, 1")
    out.line("br label %group")
    out.label("group")
    out.line("%g = phi i64 [ 0, %entry ], [ %g.next, %group.end ]")
    rows = []
    for j in range(lanes):
        at = out.emit(f"add i64 %g, {j}")
        inside = out.emit(f"icmp slt i64 {at}, %cols")
        at = out.emit(f"select i1 {inside}, i64 {at}, i64 {last}")
        at = out.emit(f"mul i64 {at}, %step")
        rows.append(out.emit(f"getelementptr inbounds {element}, ptr %source, i64 {at}"))
    panel = out.emit(f"getelementptr inbounds {element}, ptr %panel, i64 %g")
    out.line("br label %block")
    out.label("block")
    out.line("%k = phi i64 [ 0, %group ], [ %k.next, %block ]")
    left = out.emit("sub i64 %kc, %k")
    first = out.emit(f"insertelement <{lanes} x i64> poison, i64 {left}, i64 0")
    whole = out.emit(f"shufflevector <{lanes} x i64> {first}, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer")
    mask = out.emit(f"icmp slt {numbers}, {whole}")
    values = []
    for row in rows:
        pointer = out.emit(f"getelementptr inbounds {element}, ptr {row}, i64 %k")
        values.append(out.emit(f"call {vector} {load}(ptr {pointer}, i32 {item}, {mask_type} {mask}, {vector} zeroinitializer)"))
    for j, value in enumerate(transpose(out, values, vector, lanes)):
        k = out.emit(f"add i64 %k, {j}")
        at = out.emit(f"mul i64 {k}, {width}")
        pointer = out.emit(f"getelementptr inbounds {element}, ptr {panel}, i64 {at}")
        out.line(f"store {vector} {value}, ptr {pointer}, align {item}")
    out.line(f"%k.next = add i64 %k, {lanes}")
    out.line("%k.more = icmp slt i64 %k.next, %kc")
    out.line("br i1 %k.more, label %block, label %group.end")
    out.label("group.end")
    out.line(f"%g.next = add i64 %g, {lanes}")
    out.line("%g.more = icmp slt i64 %g.next, %cols")
    out.line("br i1 %g.more, label %group, label %end")
    out.label("end")
    body = "\n".join(out.lines)
    head = f"define internal void @{name}(ptr %source, i64 %step, ptr %panel, i64 %kc, i64 %cols) {attributes} {{\nentry:\n"
    return f"{head}{body}\n  ret void\n}}\n"


def transpose(out: Block, rows: list[str], vector: str, lanes: int) -> list[str]:
    """The columns of a square of vectors: log2(lanes) rounds that exchange blocks of s lanes between rows s apart."""
    rows = list(rows)
    s = lanes // 2
    while s:
        low = ", ".join(f"i32 {x if not x & s else lanes + x - s}" for x in range(lanes))
        high = ", ".join(f"i32 {x + s if not x & s else lanes + x}" for x in range(lanes))
        for i in range(lanes):
            if i & s:
                continue
            a, b = rows[i], rows[i + s]
            rows[i] = out.emit(f"shufflevector {vector} {a}, {vector} {b}, <{lanes} x i32> <{low}>")
            rows[i + s] = out.emit(f"shufflevector {vector} {a}, {vector} {b}, <{lanes} x i32> <{high}>")
        s //= 2
    return rows
