"""Emission of each primitive op of the scalar language as LLVM text.

No fast-math flag is ever written, and no intrinsic that LLVM would turn into a call of the C library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.codegen.llvm.called import convention, in_parts, most_lanes
from graphc.codegen.llvm.emission import Emission
from graphc.codegen.llvm.llvm_text import Block, Function, Module, literal, llvm_type, splat
from graphc.codegen.llvm.registers import ldexp, lookup
from graphc.dtypes import bool_, float32, float64
from graphc.errors import CompileError, fail
from graphc.scalars import Scalar, order
from graphc.target import Target

__all__ = ["PRIMITIVES", "Block", "Function", "Module", "emit_op", "evaluate", "literal", "llvm_type", "splat"]


def emit_op(module: Module, block: Block, target: Target, s: Scalar, args: list[str], lanes: int) -> str:
    """Emit one primitive op on operands that are already emitted; its value."""
    if s.op == "const":
        return literal(s, lanes)
    if s.op not in _EMIT:
        fail(CompileError, f"{s.op} is not a primitive op of the scalar language")
    return _EMIT[s.op](Emission(module, block, target, s, lanes), *args)


def evaluate(module: Module, block: Block, target: Target, root: Scalar, inputs: Sequence[str], lanes: int) -> str:
    """Emit all of a Scalar made of primitives, with `inputs[k]` for its `arg(k)`."""
    return evaluate_all(module, block, target, (root,), inputs, lanes)[0]


def evaluate_all(module: Module, block: Block, target: Target, roots: Sequence[Scalar], inputs: Sequence[str], lanes: int) -> list[str]:
    """The same of several, with what they share once."""
    done: dict[int, str] = {}
    for s in order(roots):
        args = [done[id(a)] for a in s.args]
        done[id(s)] = inputs[s.param] if s.op == "arg" else emit_op(module, block, target, s, args, lanes)
    return [done[id(root)] for root in roots]


def _arithmetic(on_float: str, on_integer: str, on_bool: str = "") -> Callable[..., str]:
    names = {"f": on_float, "i": on_integer, "u": on_integer, "b": on_bool}

    def rule(e: Emission, a: str, b: str) -> str:
        if not names[e.kind]:
            fail(CompileError, f"{e.s.op} is not defined for {e.dtype}")
        return e.two(names[e.kind], a, b)

    return rule


def _intrinsic(name: str) -> Callable[..., str]:
    return lambda e, *args: e.call(name, *[(e.dtype, a) for a in args])


def _neg(e: Emission, a: str) -> str:
    if e.kind == "f":
        return e.block.emit(f"fneg {e.type(e.dtype)} {a}")
    return e.two("sub", e.number(0, e.dtype), a)


def _abs(e: Emission, a: str) -> str:
    if e.kind == "f":
        return e.call("fabs", (e.dtype, a))
    return e.call("abs", (e.dtype, a), flag=", i1 false") if e.kind == "i" else a


def _not(e: Emission, a: str) -> str:
    return e.two("xor", a, e.number(True if e.kind == "b" else -1, e.dtype))


def _fma(e: Emission, a: str, b: str, c: str) -> str:
    if e.kind == "f" and e.target.has_fma:
        return e.call("fma", (e.dtype, a), (e.dtype, b), (e.dtype, c))
    product, total = ("fmul", "fadd") if e.kind == "f" else ("mul", "add")
    return e.two(total, e.two(product, a, b), c)


def _rounding(name: str) -> Callable[..., str]:
    def rule(e: Emission, a: str) -> str:
        if e.kind != "f":
            return a
        if e.target.has_round:
            return e.call(name, (e.dtype, a))
        return _round_by_adding(e, name, a)

    return rule


def _round_by_adding(e: Emission, name: str, a: str) -> str:
    """|a| + 2**p - 2**p is rint(|a|) below 2**p (p bits of fraction); a itself above, also for inf and nan."""
    power = e.number(2.0 ** (23 if e.dtype == float32 else 52), e.dtype)
    size = e.call("fabs", (e.dtype, a))
    near = e.two("fsub", e.two("fadd", size, power), power)
    one = e.number(1.0, e.dtype)
    if name == "trunc":
        near = e.select(e.two("fcmp ogt", near, size), e.two("fsub", near, one), near)
    signed = e.call("copysign", (e.dtype, near), (e.dtype, a))
    if name == "floor":
        signed = e.select(e.two("fcmp ogt", signed, a), e.two("fsub", signed, one), signed)
    if name == "ceil":
        signed = e.select(e.two("fcmp olt", signed, a), e.two("fadd", signed, one), signed)
        signed = e.call("copysign", (e.dtype, signed), (e.dtype, a))  # ceil(-0.5) is -0.0
    return e.select(e.two("fcmp olt", size, power), signed, a)


def _extremum(name: str, on_bool: str) -> Callable[..., str]:
    """The smaller (greater) operand, nan if either is. Of equal ones (-0.0, 0.0) the second, as NumPy gives it."""
    compare = "fcmp olt" if name == "min" else "fcmp ogt"

    def rule(e: Emission, a: str, b: str) -> str:
        if e.kind == "b":
            return e.two(on_bool, a, b)
        if e.kind != "f":
            return e.call(("s" if e.kind == "i" else "u") + name, (e.dtype, a), (e.dtype, b))
        ordered = e.select(e.two(compare, a, b), a, b)  # one instruction on x86; nan in b arrives here too
        return e.select(e.two("fcmp uno", a, a), a, ordered)

    return rule


def _compare(name: str) -> Callable[..., str]:
    on_float = "fcmp une" if name == "ne" else f"fcmp o{name}"
    signed, unsigned = (f"icmp {name}",) * 2 if name in ("eq", "ne") else (f"icmp s{name}", f"icmp u{name}")
    names = {"f": on_float, "i": signed, "u": unsigned, "b": unsigned}
    return lambda e, a, b: e.two(names[e.kind], a, b, e.s.args[0].dtype)


def _divide(remainder: bool) -> Callable[..., str]:
    """Floor division of integers, or its remainder; x // 0 = x % 0 = 0 and INT_MIN // -1 = INT_MIN."""

    def rule(e: Emission, a: str, b: str) -> str:
        if e.kind not in "iu":
            fail(CompileError, f"{e.s.op} is not defined for {e.s.args[0].dtype}")
        zero, one = e.number(0, e.dtype), e.number(1, e.dtype)
        by_zero = e.two("icmp eq", b, zero)
        unsafe = by_zero
        if e.kind == "i":
            lowest = e.two("icmp eq", a, e.number(-(1 << 8 * e.dtype.itemsize - 1), e.dtype))
            overflow = e.two("and", lowest, e.two("icmp eq", b, e.number(-1, e.dtype)), bool_)
            unsafe = e.two("or", by_zero, overflow, bool_)
        safe = e.select(unsafe, one, b)
        quotient = _truncated_quotient(e, a, safe)
        if e.kind == "u" and not remainder:
            return e.select(by_zero, zero, quotient)
        rest = e.two("sub", a, e.two("mul", quotient, safe))
        if e.kind == "u":
            return rest
        inexact, opposite = e.two("icmp ne", rest, zero), e.two("icmp slt", e.two("xor", rest, safe), zero)
        lower = e.two("and", inexact, opposite, bool_)
        if remainder:
            return e.select(lower, e.two("add", rest, safe), rest)
        return e.select(by_zero, zero, e.select(lower, e.two("sub", quotient, one), quotient))

    return rule


def _truncated_quotient(e: Emission, a: str, b: str) -> str:
    """Vectors of at most 32 bits divide in floats that hold them exactly; there is no vector instruction for integers."""
    signed = e.kind == "i"
    if e.lanes == 1 or e.dtype.itemsize > 4 or e.s.args[1].op == "const":
        return e.two("sdiv" if signed else "udiv", a, b)
    wide = float32 if e.dtype.itemsize <= 2 else float64
    to, back = ("sitofp", "fptosi") if signed else ("uitofp", "fptoui")
    ratio = e.two("fdiv", e.convert(to, a, e.dtype, wide), e.convert(to, b, e.dtype, wide), wide)
    return e.convert(back, ratio, wide, e.dtype)


def _shift(instruction: str) -> Callable[..., str]:
    """Counts outside 0 .. width-1 shift everything out: 0, or copies of the sign."""

    def rule(e: Emission, a: str, n: str) -> str:
        if e.kind not in "iu":
            fail(CompileError, f"{e.s.op} is not defined for {e.s.args[0].dtype}")
        name = "lshr" if e.kind == "u" and instruction == "ashr" else instruction
        width, count = 8 * e.dtype.itemsize, e.s.args[1]
        if count.op == "const" and 0 <= count.param < width:
            return e.two(name, a, n)
        inside = e.two("icmp ult", n, e.number(width, e.dtype))
        if name == "ashr":
            return e.two(name, a, e.select(inside, n, e.number(width - 1, e.dtype)))
        return e.select(inside, e.two(name, a, n), e.number(0, e.dtype))

    return rule


def _cast(e: Emission, a: str) -> str:
    source, dtype = e.s.args[0].dtype, e.dtype
    if source == dtype:
        return a
    if dtype == bool_:
        test = "fcmp une" if source.kind == "f" else "icmp ne"
        return e.two(test, a, e.number(0, source), source)
    if source.kind == "f" and dtype.kind == "f":
        return e.convert("fpext" if dtype.itemsize > source.itemsize else "fptrunc", a, source, dtype)
    if source.kind == "f":
        return e.call(f"fpto{'s' if dtype.kind == 'i' else 'u'}i.sat", (source, a), overloads=(dtype, source))
    if dtype.kind == "f":
        return e.convert("sitofp" if source.kind == "i" else "uitofp", a, source, dtype)
    if source != bool_ and source.itemsize == dtype.itemsize:
        return a
    if source != bool_ and source.itemsize > dtype.itemsize:
        return e.convert("trunc", a, source, dtype)
    return e.convert("sext" if source.kind == "i" else "zext", a, source, dtype)


def _bitcast(e: Emission, a: str) -> str:
    source = e.s.args[0].dtype
    if source.itemsize != e.dtype.itemsize or bool_ in (source, e.dtype):
        fail(CompileError, f"bitcast from {source} to {e.dtype} changes the size")
    if (source.kind == "f") == (e.dtype.kind == "f"):
        return a
    return e.convert("bitcast", a, source, e.dtype)


def _rare(e: Emission, wanted: str, usual: str, *inputs: str) -> str:
    """select(wanted, slow(inputs), usual), where the slow function is called only for the lanes that want it.

    This ends the basic block: what follows is in the one that `block.current` names.
    """
    number = next(e.block.names)
    before, inside, after = (f"{stem}{number}" for stem in ("usual", "rare", "joined"))
    anywhere = wanted
    if e.lanes > 1:
        mask = e.type(bool_)
        e.module.declare(f"declare i1 @llvm.vector.reduce.or.v{e.lanes}i1({mask})")
        anywhere = e.block.emit(f"call i1 @llvm.vector.reduce.or.v{e.lanes}i1({mask} {wanted})")
    weights = e.module.metadata('!{!"branch_weights", i32 1, i32 2000}')
    e.block.line(f"br label %{before}")
    e.block.label(before)
    e.block.line(f"br i1 {anywhere}, label %{inside}, label %{after}, !prof {weights}")
    e.block.label(inside)
    given = inputs if e.lanes == 1 and e.s.op == "rare" else (wanted, usual, *inputs)
    exact = _in_registers(e, [a.dtype for a in e.s.args][-len(given) :], given, _slow)
    e.block.line(f"br label %{after}")
    e.block.label(after)
    return e.block.emit(f"phi {e.type(e.dtype)} [ {usual}, %{before} ], [ {exact}, %{inside} ]")


def _in_registers(e: Emission, dtypes: Sequence[np.dtype], given: Sequence[str], write: Callable[[Emission], Function]) -> str:
    """Calls of the function that `write` gives for as many lanes as a register holds: what goes over the stack wants it aligned."""
    part = most_lanes(e.lanes, max([d.itemsize for d in dtypes]), e.target.vector_bytes)
    narrow = Emission(e.module, e.block, e.target, e.s, part)
    function = write(narrow)

    def call(args: Sequence[str]) -> list[str]:
        texts = ", ".join(f"{narrow.type(d)} {x}" for d, x in zip(dtypes, args, strict=True))
        return [e.block.emit(f"call {function.convention}{function.result} @{function.name}({texts})")]

    return in_parts(e.block, list(zip(dtypes, given, strict=True)), e.lanes, part, e.dtype, call)[0]


def _slow(e: Emission) -> Function:
    """The the function that computes the rare case of `e.s`, written once a module."""
    key = (e.s.param, e.lanes)
    if key not in e.module.rare:
        if e.s.op == "detour":
            e.module.rare[key] = name = f"detour{len(e.module.rare)}"
            e.module.add(_slow_vector(e, name))
        elif e.lanes > 1:
            scalar = _slow(Emission(e.module, e.block, e.target, e.s, 1)).name
            e.module.rare[key] = name = f"{scalar}.v{e.lanes}"
            e.module.add(_slow_lanes(e, name, scalar))
        else:
            e.module.rare[key] = name = f"rare{sum(lanes == 1 for _, lanes in e.module.rare)}"
            e.module.add(_slow_scalar(e, name))
    return e.module.functions[e.module.rare[key]]


_PURE = "memory(none)"


def _convention(e: Emission) -> str:
    return convention(e.target, e.lanes * e.dtype.itemsize)


def _slow_scalar(e: Emission, name: str) -> Function:
    """One lane; compiled in haste, as it hardly ever runs."""
    params = [(llvm_type(a.dtype, 1), f"%x{k}") for k, a in enumerate(e.s.args[2:])]
    block = Block()
    block.current = "entry"
    result = evaluate(e.module, block, e.target, e.s.param, [x for _, x in params], 1)
    kind = llvm_type(e.dtype, 1)
    block.line(f"ret {kind} {result}")
    return Function(name, tuple([f"{t} {x}" for t, x in params]), block.lines, ("nounwind", "cold", "noinline", "optnone", _PURE), kind)


def _slow_vector(e: Emission, name: str) -> Function:
    """All lanes at once, for what is not so rare."""
    block = Block()
    block.current = "entry"
    inputs = e.s.args[2:]
    params = [f"{e.type(bool_)} %wanted", f"{e.type(e.dtype)} %usual", *[f"{e.type(x.dtype)} %x{k}" for k, x in enumerate(inputs)]]
    exact = evaluate(e.module, block, e.target, e.s.param, [f"%x{k}" for k in range(len(inputs))], e.lanes)
    result = block.emit(f"select {e.type(bool_)} %wanted, {e.type(e.dtype)} {exact}, {e.type(e.dtype)} %usual")
    block.line(f"ret {e.type(e.dtype)} {result}")
    return Function(name, tuple(params), block.lines, ("nounwind", "cold", "noinline", _PURE), e.type(e.dtype), convention=_convention(e))


def _slow_lanes(e: Emission, name: str, scalar: str) -> Function:
    """All lanes: a loop over those that want it."""
    inputs = e.s.args[2:]
    kind, element, mask = e.type(e.dtype), llvm_type(e.dtype, 1), e.type(bool_)
    params = (f"{mask} %wanted", f"{kind} %usual", *[f"{e.type(x.dtype)} %x{k}" for k, x in enumerate(inputs)])
    lines = [
        "  br label %head", "head:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %latch ]",
        f"  %done = phi {kind} [ %usual, %entry ], [ %more, %latch ]",
        f"  %this = extractelement {mask} %wanted, i64 %i",
        "  br i1 %this, label %body, label %latch", "body:",
        *[f"  %a{k} = extractelement {e.type(x.dtype)} %x{k}, i64 %i" for k, x in enumerate(inputs)],
        f"  %y = call {element} @{scalar}({', '.join(f'{llvm_type(x.dtype, 1)} %a{k}' for k, x in enumerate(inputs))})",
        f"  %put = insertelement {kind} %done, {element} %y, i64 %i",
        "  br label %latch", "latch:",
        f"  %more = phi {kind} [ %done, %head ], [ %put, %body ]",
        "  %next = add i64 %i, 1", f"  %again = icmp ult i64 %next, {e.lanes}",
        "  br i1 %again, label %head, label %end", "end:", f"  ret {kind} %more",
    ]  # fmt: skip
    return Function(name, params, lines, ("nounwind", "cold", "noinline", _PURE), kind, convention=_convention(e))


def _attributes(e: Emission) -> tuple[str, ...]:
    return "nounwind", "noinline", _PURE, f'"prefer-vector-width"="{8 * e.target.vector_bytes}"'


def _outlined(e: Emission, *inputs: str) -> str:
    """A call of a function that is written once a module, however often it is wanted."""
    return _in_registers(e, [a.dtype for a in e.s.args], inputs, _long)


def _long(e: Emission) -> Function:
    key, kinds = (("outlined", e.s.param), e.lanes), [e.type(a.dtype) for a in e.s.args]
    if key not in e.module.rare:
        e.module.rare[key] = name = f"outlined{len(e.module.rare)}"
        block = Block()
        block.current = "entry"
        result = evaluate(e.module, block, e.target, e.s.param, [f"%x{k}" for k in range(len(kinds))], e.lanes)
        block.line(f"ret {e.type(e.dtype)} {result}")
        params = tuple([f"{kind} %x{k}" for k, kind in enumerate(kinds)])
        e.module.add(Function(name, params, block.lines, _attributes(e), e.type(e.dtype), convention=_convention(e)))
    return e.module.functions[e.module.rare[key]]


def _summed(e: Emission, *inputs: str) -> str:
    """The sum of a body over the rows of a table: a function of its own with a loop, whatever number of times it is wanted."""
    return _in_registers(e, [a.dtype for a in e.s.args], inputs, _sum)


def _sum(e: Emission) -> Function:
    key = (e.s.param, e.lanes)
    if key not in e.module.rare:
        e.module.rare[key] = f"summed{len(e.module.rare)}"
        e.module.add(_summing(e, e.module.rare[key]))
    return e.module.functions[e.module.rare[key]]


def _summing(e: Emission, name: str) -> Function:
    """total = 0; for each k: total += body(*inputs, *[column[k] for column in table])"""
    table, body = e.s.param
    kind, element, count = e.type(e.dtype), llvm_type(e.dtype, 1), len(table[0])
    params = [(e.type(x.dtype), f"%x{k}") for k, x in enumerate(e.s.args)]
    block = Block()
    block.line("br label %turn")
    block.label("turn")
    block.line("%k = phi i64 [ 0, %entry ], [ %next, %turn ]")
    block.line(f"%total = phi {kind} [ {e.number(0.0, e.dtype)}, %entry ], [ %more, %turn ]")
    read = []
    for column in table:
        place = block.emit(f"getelementptr inbounds {element}, ptr {e.module.table(column, e.dtype)}, i64 %k")
        read.append(splat(block, block.emit(f"load {element}, ptr {place}, align {e.dtype.itemsize}"), e.dtype, e.lanes))
    term = evaluate(e.module, block, e.target, body, [*[x for _, x in params], *read], e.lanes)
    block.line(f"%more = fadd {kind} %total, {term}")
    block.line("%next = add i64 %k, 1")
    block.line(f"%again = icmp ult i64 %next, {count}")
    block.line("br i1 %again, label %turn, label %end")
    block.label("end")
    block.line(f"ret {kind} %more")
    return Function(name, tuple([f"{t} {x}" for t, x in params]), block.lines, _attributes(e), kind, convention=_convention(e))


_EMIT: dict[str, Callable[..., str]] = {
    "add": _arithmetic("fadd", "add", "or"), "sub": _arithmetic("fsub", "sub", "xor"), "mul": _arithmetic("fmul", "mul", "and"),
    "div": _arithmetic("fdiv", ""), "neg": _neg, "abs": _abs, "sqrt": _intrinsic("sqrt"), "fma": _fma,
    "copysign": _intrinsic("copysign"), "ldexp": ldexp,
    "floor": _rounding("floor"), "ceil": _rounding("ceil"), "trunc": _rounding("trunc"), "rint": _rounding("rint"),
    "floordiv": _divide(remainder=False), "mod": _divide(remainder=True),
    "min": _extremum("min", "and"), "max": _extremum("max", "or"),
    "and": _arithmetic("", "and", "and"), "or": _arithmetic("", "or", "or"), "xor": _arithmetic("", "xor", "xor"), "not": _not,
    "shl": _shift("shl"), "lshr": _shift("lshr"), "ashr": _shift("ashr"),
    **{name: _compare(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "select": lambda e, c, a, b: e.select(c, a, b),
    "cast": _cast, "bitcast": _bitcast, "lookup": lookup, "rare": _rare, "detour": _rare, "summed": _summed,
    "outlined": _outlined,
}  # fmt: skip

PRIMITIVES = frozenset(_EMIT) | {"const"}
"""The ops `emit_op` knows. The emitter adds index, load, local and arg; mathlib expands all others."""
