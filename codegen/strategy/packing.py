"""Packing: columns of b to a panel that one tile reads, rows of a to strips of as many rows as a tile has.

transpose: panel[k, j] = source[j, k]        k < kc, j < cols, by squares in registers
copy:      panel[k, j] = source[k, j]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from graphc.codegen.llvm.llvm_text import Block, Function, Module, llvm_type, mangled

SQUARE = 8  # a 16 x 16 transpose is no faster on AVX-512 and takes 4 times as long to compile
MASKED_BYTES = 32  # of a vector of an x86 with AVX2 at least, which loads under a mask; elsewhere that is a branch per lane
TOGETHER = 4  # strips that are copied at the same time


def write_transpose(module: Module, dtype: np.dtype, lanes: int, width: int, attributes: tuple[str, ...], height: int = 0) -> str:
    """The name of f(source, step, panel, kc, cols, group): `step` elements between rows of the source, `width` between those of the panel.

    The columns are done by groups of `height`, as many as a square has if it is not given, which start `group` elements apart
    in the panel. Panel rows after row kc, one less than a square has, are overwritten, and columns of a group after `cols`
    hold copies of the last one.
    """
    square = square_of(lanes)
    name = f"pack.columns.{dtype.name}.{width}" + (f".{height}" if height else "")
    if name not in module.functions:
        module.add(_transpose_function(module, name, dtype, square, width, height or square, attributes))
    return name


def square_of(lanes: int) -> int:
    """Rows and columns of the squares that are transposed in registers."""
    return min(lanes, SQUARE)


def overrun(lanes: int, width: int, height: int) -> int:
    """How many elements behind the last group `write_transpose` may write."""
    square = square_of(lanes)
    return (square - 1) * width + -height % square


def write_copy(module: Module, dtype: np.dtype, width: int, attributes: tuple[str, ...]) -> str:
    """The name of f(source, step, panel, kc, cols, group): groups of `width` columns, one `group` elements after the other in the panel."""
    name = f"pack.strips.{dtype.name}.{width}"
    if name not in module.functions:
        module.add(_copy_function(module, name, dtype, width, attributes))
    return name


def _copy_function(module: Module, name: str, dtype: np.dtype, width: int, attributes: tuple[str, ...]) -> Function:
    """Several groups together while there are as many: then whole lines are read."""
    element, vector, mask_type = llvm_type(dtype, 1), llvm_type(dtype, width), f"<{width} x i1>"
    load = f"@llvm.masked.load.{mangled(dtype, width)}.p0"
    module.declare(f"declare {vector} {load}(ptr, i32, {mask_type}, {vector})")
    out, item = Block(), dtype.itemsize
    numbers = f"<{width} x i64> <" + ", ".join(f"i64 {k}" for k in range(width)) + ">"
    out.line("%any = icmp sgt i64 %kc, 0")
    out.line("br i1 %any, label %group, label %end")
    out.label("group")
    out.line("%g = phi i64 [ 0, %entry ], [ %g.next, %group.end ]")
    out.line("%p = phi ptr [ %panel, %entry ], [ %p.next, %group.end ]")
    left = out.emit("sub i64 %cols, %g")
    first = out.emit(f"insertelement <{width} x i64> poison, i64 {left}, i64 0")
    end = out.emit(f"shufflevector <{width} x i64> {first}, <{width} x i64> poison, <{width} x i32> zeroinitializer")
    mask = out.emit(f"icmp slt {numbers}, {end}")
    source = out.emit(f"getelementptr inbounds {element}, ptr %source, i64 %g")
    targets = [
        "%p",
        *[out.emit(f"getelementptr inbounds {element}, ptr %p, i64 {out.emit(f'mul i64 %group.size, {n}')}") for n in range(1, TOGETHER)],
    ]
    many = out.emit(f"icmp sge i64 {left}, {TOGETHER * width}")
    out.line(f"br i1 {many}, label %rows, label %row")
    for label, together in (("rows", TOGETHER), ("row", 1)):
        out.label(label)
        k = f"%k.{label}"
        out.line(f"{k} = phi i64 [ 0, %group ], [ {k}.next, %{label} ]")
        line = out.emit(f"getelementptr inbounds {element}, ptr {source}, i64 {out.emit(f'mul i64 {k}, %step')}")
        at = out.emit(f"mul i64 {k}, {width}")
        for n in range(together):
            here = out.emit(f"getelementptr inbounds {element}, ptr {line}, i64 {n * width}")
            there = out.emit(f"getelementptr inbounds {element}, ptr {targets[n]}, i64 {at}")
            if together > 1:
                value = out.emit(f"load {vector}, ptr {here}, align {item}")
            else:
                value = out.emit(f"call {vector} {load}(ptr {here}, i32 {item}, {mask_type} {mask}, {vector} zeroinitializer)")
            out.line(f"store {vector} {value}, ptr {there}, align {item}")
        out.line(f"{k}.next = add i64 {k}, 1")
        out.line(f"{k}.more = icmp slt i64 {k}.next, %kc")
        out.line(f"br i1 {k}.more, label %{label}, label %group.end")
    out.label("group.end")
    done = out.emit(f"select i1 {many}, i64 {TOGETHER}, i64 1")
    out.line(f"%g.next = add i64 %g, {out.emit(f'mul i64 {done}, {width}')}")
    out.line(f"%p.next = getelementptr inbounds {element}, ptr %p, i64 {out.emit(f'mul i64 {done}, %group.size')}")
    out.line("%g.more = icmp slt i64 %g.next, %cols")
    out.line("br i1 %g.more, label %group, label %end")
    out.label("end")
    return _function(name, out, attributes)


def write_rows(module: Module, dtype: np.dtype, lanes: int, vectors: int, width: int, masked: bool, attributes: tuple[str, ...]) -> str:
    """The name of f(source, step, panel, kc, count, apart, cols): `vectors` vectors of each row to each of `count` panels.

    `masked`: of one panel the first `cols` columns alone, and zeros behind them.
    """
    name = f"pack.rows.{dtype.name}.{vectors}.{width}{'.masked' if masked else ''}"
    if name not in module.functions:
        module.add(_rows_function(module, name, dtype, lanes, vectors, width, masked, attributes))
    return name


def _rows_function(
    module: Module, name: str, dtype: np.dtype, lanes: int, vectors: int, width: int, masked: bool, attributes: tuple[str, ...]
) -> Function:
    """Rows outside, panels inside: what is read of a row lies together, and every line is read once."""
    element, vector, item, out = llvm_type(dtype, 1), llvm_type(dtype, lanes), dtype.itemsize, Block()
    load, mask_type = f"@llvm.masked.load.{mangled(dtype, lanes)}.p0", f"<{lanes} x i1>"
    masks = [_first_lanes(out, f"%left{v}", v, lanes) for v in range(vectors)] if masked else []
    if masked:
        module.declare(f"declare {vector} {load}(ptr, i32, {mask_type}, {vector})")
    out.line("%some = icmp sgt i64 %kc, 0")
    out.line("%several = icmp sgt i64 %count, 0")
    out.line("%any = and i1 %some, %several")
    out.line("br i1 %any, label %row, label %end")
    out.label("row")
    out.line("%k = phi i64 [ 0, %entry ], [ %k.next, %row.end ]")
    source = out.emit(f"getelementptr inbounds {element}, ptr %source, i64 {out.emit('mul i64 %k, %step')}")
    target = out.emit(f"getelementptr inbounds {element}, ptr %panel, i64 {out.emit(f'mul i64 %k, {width}')}")
    out.line("br label %panels")
    out.label("panels")
    out.line("%n = phi i64 [ 0, %row ], [ %n.next, %panels ]")
    out.line(f"%from = phi ptr [ {source}, %row ], [ %from.next, %panels ]")
    out.line(f"%to = phi ptr [ {target}, %row ], [ %to.next, %panels ]")
    for v in range(vectors):
        here = out.emit(f"getelementptr inbounds {element}, ptr %from, i64 {v * lanes}")
        under_mask = masked and f"call {vector} {load}(ptr {here}, i32 {item}, {mask_type} {masks[v]}, {vector} zeroinitializer)"
        value = out.emit(under_mask or f"load {vector}, ptr {here}, align {item}")
        out.line(f"store {vector} {value}, ptr {out.emit(f'getelementptr inbounds {element}, ptr %to, i64 {v * lanes}')}, align {item}")
    out.line("%n.next = add i64 %n, 1")
    out.line(f"%from.next = getelementptr inbounds {element}, ptr %from, i64 {vectors * lanes}")
    out.line(f"%to.next = getelementptr inbounds {element}, ptr %to, i64 %apart")
    out.line("%n.more = icmp slt i64 %n.next, %count")
    out.line("br i1 %n.more, label %panels, label %row.end")
    out.label("row.end")
    out.line("%k.next = add i64 %k, 1")
    out.line("%k.more = icmp slt i64 %k.next, %kc")
    out.line("br i1 %k.more, label %row, label %end")
    out.label("end")
    out.line("ret void")
    params = ("ptr %source", "i64 %step", "ptr %panel", "i64 %kc", "i64 %count", "i64 %apart", "i64 %cols")
    return Function(name, params, out.lines, attributes)


def _first_lanes(out: Block, left: str, v: int, lanes: int) -> str:
    """The lanes of vector v that are below %cols."""
    out.line(f"{left} = sub i64 %cols, {v * lanes}")
    first = out.emit(f"insertelement <{lanes} x i64> poison, i64 {left}, i64 0")
    spread = out.emit(f"shufflevector <{lanes} x i64> {first}, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer")
    return out.emit(f"icmp slt <{lanes} x i64> <{', '.join(f'i64 {k}' for k in range(lanes))}>, {spread}")


def _function(name: str, out: Block, attributes: tuple[str, ...]) -> Function:
    out.line("ret void")
    params = ("ptr %source", "i64 %step", "ptr %panel", "i64 %kc", "i64 %cols", "i64 %group.size")
    return Function(name, params, out.lines, attributes)


def _transpose_function(
    module: Module, name: str, dtype: np.dtype, lanes: int, width: int, height: int, attributes: tuple[str, ...]
) -> Function:
    """Squares of `lanes` side by side, as many as a group of `height` columns needs.

    What the last square has too much, the next row of the panel overwrites: rows are stored in order, groups are done in order.
    """
    element, vector, mask_type = llvm_type(dtype, 1), llvm_type(dtype, lanes), f"<{lanes} x i1>"
    load = f"@llvm.masked.load.{mangled(dtype, lanes)}.p0"
    module.declare(f"declare {vector} {load}(ptr, i32, {mask_type}, {vector})")
    out = Block()
    last = out.emit("sub i64 %cols, 1")
    out.line("br label %group")
    out.label("group")
    out.line("%g = phi i64 [ 0, %entry ], [ %g.next, %group.end ]")
    out.line("%p = phi ptr [ %panel, %entry ], [ %p.next, %group.end ]")
    rows = []
    for j in range(-(-height // lanes) * lanes):
        at = out.emit(f"add i64 %g, {j}")
        inside = out.emit(f"icmp slt i64 {at}, %cols")
        at = out.emit(f"select i1 {inside}, i64 {at}, i64 {last}")
        at = out.emit(f"mul i64 {at}, %step")
        rows.append(out.emit(f"getelementptr inbounds {element}, ptr %source, i64 {at}"))
    write = partial(_squares, out, rows, dtype, lanes, width, load)
    if lanes * dtype.itemsize >= MASKED_BYTES:
        _counted(out, "block", "group", "0", "%kc", lanes, "group.end", lambda k: write(k, True))
    else:
        whole = out.emit(f"and i64 %kc, {-lanes}")
        out.line(f"%some = icmp sgt i64 {whole}, 0")
        out.line("br i1 %some, label %block, label %rest.any")
        _counted(out, "block", "group", "0", whole, lanes, "rest.any", lambda k: write(k, False), enter=False)
        out.label("rest.any")
        more = out.emit(f"icmp slt i64 {whole}, %kc")
        out.line(f"br i1 {more}, label %rest, label %group.end")
        out.label("rest")
        write(whole, True)
        out.line("br label %group.end")
    out.label("group.end")
    out.line(f"%g.next = add i64 %g, {height}")
    out.line(f"%p.next = getelementptr inbounds {element}, ptr %p, i64 %group.size")
    out.line("%g.more = icmp slt i64 %g.next, %cols")
    out.line("br i1 %g.more, label %group, label %end")
    out.label("end")
    return _function(name, out, attributes)


def _counted(
    out: Block, name: str, before: str, start: str, end: str, step: int, after: str, write: Callable[[str], None], enter: bool = True
) -> None:
    """do: write(k); k += step; while k < end."""
    if enter:
        out.line(f"br label %{name}")
    out.label(name)
    at, k = len(out.lines), f"%k.{name}"
    write(k)
    out.lines.insert(at, f"  {k} = phi i64 [ {start}, %{before} ], [ {k}.next, %{out.current} ]")
    out.line(f"{k}.next = add i64 {k}, {step}")
    out.line(f"{k}.more = icmp slt i64 {k}.next, {end}")
    out.line(f"br i1 {k}.more, label %{name}, label %{after}")


def _squares(out: Block, rows: list[str], dtype: np.dtype, lanes: int, width: int, load: str, k: str, masked: bool) -> None:
    """panel[k.., all columns] of a group = source[columns, k..], for as many steps of k as a square has; `masked`: those below kc."""
    element, vector, mask_type, item = llvm_type(dtype, 1), llvm_type(dtype, lanes), f"<{lanes} x i1>", dtype.itemsize
    mask = ""
    if masked:
        left = out.emit(f"sub i64 %kc, {k}")
        first = out.emit(f"insertelement <{lanes} x i64> poison, i64 {left}, i64 0")
        whole = out.emit(f"shufflevector <{lanes} x i64> {first}, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer")
        mask = out.emit(f"icmp slt <{lanes} x i64> <{', '.join(f'i64 {x}' for x in range(lanes))}>, {whole}")
    values = []
    for row in rows:
        pointer = out.emit(f"getelementptr inbounds {element}, ptr {row}, i64 {k}")
        under_mask = f"call {vector} {load}(ptr {pointer}, i32 {item}, {mask_type} {mask}, {vector} zeroinitializer)"
        values.append(out.emit(under_mask if masked else f"load {vector}, ptr {pointer}, align {item}"))
    squares = [transpose(out, values[n : n + lanes], vector, lanes) for n in range(0, len(values), lanes)]
    for j in range(lanes):
        at = out.emit(f"mul i64 {out.emit(f'add i64 {k}, {j}')}, {width}")
        row = out.emit(f"getelementptr inbounds {element}, ptr %p, i64 {at}")
        for n, columns in enumerate(squares):
            pointer = out.emit(f"getelementptr inbounds {element}, ptr {row}, i64 {n * lanes}") if n else row
            out.line(f"store {vector} {columns[j]}, ptr {pointer}, align {item}")


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
