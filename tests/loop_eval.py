"""Runs a `LoopForm` in plain Python, element by element: the check that an op's loop says what its `ref` says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc import dims, scalars
from graphc.codegen.loops.loopir import Accumulate, Alloc, Block, For, If, Let, Statement, Store
from graphc.dims import Size, Symbol
from graphc.ir import Node
from graphc.program import UPDATES, Kernel
from graphc.scalars import Scalar, const_value, order

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "min": np.minimum, "max": np.maximum,
    "floordiv": lambda a, b: a // b if b else a * 0, "mod": lambda a, b: a % b if b else a * 0, "copysign": np.copysign,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift, "ashr": np.right_shift, "lshr": np.right_shift,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
    "not": np.invert,
}  # fmt: skip


def run_scalar(
    root: Scalar, arrays: Sequence[np.ndarray], env: Mapping[Symbol, int], args: Sequence[Any] = (), known: Mapping[int, Any] | None = None
) -> Any:
    """The value of a Scalar with loads from `arrays`, loop axes and sizes from `env`, placeholders from `args`, locals from `known`."""
    value: dict[int, Any] = {}
    for s in order((root,)):
        a = [value[id(x)] for x in s.args]
        match s.op:
            case "const":
                result = s.dtype.type(const_value(s))
            case "index":
                result = np.int64(dims.evaluate(s.param, env))
            case "arg":
                result = s.dtype.type(args[s.param])
            case "load":
                slot, masked = s.param
                result = s.dtype.type(0)
                if not masked or a[-1]:
                    at = tuple(int(i) for i in (a[:-1] if masked else a))
                    assert len(at) == arrays[slot].ndim, f"{len(at)} indices for {arrays[slot].ndim} axes"
                    assert all(0 <= i < n for i, n in zip(at, arrays[slot].shape)), f"index {at} lies outside {arrays[slot].shape}"
                    result = arrays[slot][at]
            case "fetch":
                slot, static, dynamic, masked = s.param
                result = s.dtype.type(0)
                if not masked or a[-1]:
                    result = arrays[slot][_place(static, a[0] if dynamic else 0, arrays[slot], env)]
            case "local":
                assert known is not None
                result = known[s.param]
            case "select":
                result = a[1] if a[0] else a[2]
            case "fma":
                result = a[0] * a[1] + a[2]
            case "cast":
                from graphc.ops.spread import cast_array

                result = cast_array(np.asarray(a[0]), s.dtype)[()]
            case "bitcast":
                result = np.asarray(a[0]).view(s.dtype)[()]
            case "lookup":
                result = s.dtype.type(s.param[int(a[0])])
            case op if op in _BINARY:
                result = _BINARY[op](*a)
            case op if op in _UNARY:
                result = _UNARY[op](*a)
            case op:
                result = s.dtype.type((getattr(np, op, None) or getattr(math, op))(*a))
        value[id(s)] = s.dtype.type(result)
    return value[id(root)]


def _combined(combine: str, values: np.ndarray, dtype: np.dtype) -> Any:
    if combine.startswith("arg"):
        return getattr(np, combine)(values)
    if combine in ("any", "all"):
        return getattr(values, combine)()
    start = {"sum": 0, "prod": 1}
    if combine in start:
        return getattr(values, combine)(dtype=dtype) if values.size else dtype.type(start[combine])
    return getattr(values, combine)()


def run_loop(node: Node, arrays: Sequence[np.ndarray], sizes: Mapping[Symbol, int] | None = None) -> np.ndarray:
    """The value of `node` for the values of its inputs, computed by its LoopForm; `sizes` gives the symbolic sizes."""
    assert node.op.loop is not None
    form = node.op.loop(node)
    known = dict(sizes or {})
    shape = [dims.evaluate(s, known) for s in node.shape]
    extents = [dims.evaluate(s, known) for s in form.reduce]
    at, r = (tuple(dims.axis(name) for _ in which) for name, which in (("i", shape), ("r", extents)))
    symbols = [dims.as_symbol(s) for s in at + r]

    def read(k: int, index: Sequence[Size | Scalar], mask: Scalar | None = None) -> Scalar:
        offset = tuple(x if isinstance(x, Scalar) else scalars.index(x) for x in index)
        return scalars.load(k, offset, node.inputs[k].dtype, mask)

    body = form.body(read, at, r)
    assert body.dtype == (node.dtype if form.combine not in ("argmax", "argmin") else node.inputs[0].dtype)
    out = np.empty(shape, node.dtype)
    with np.errstate(all="ignore"):
        for place in itertools.product(*map(range, shape)):
            rows = [
                run_scalar(body, arrays, known | dict(zip(symbols, place + inner))) for inner in itertools.product(*map(range, extents))
            ]
            out[place] = rows[0] if form.combine is None else _combined(form.combine, np.array(rows, body.dtype), node.dtype)
    return out


# -- addresses of lowered loops -----------------------------------------------------------------------------------------
def outside_addresses(block: Block, kernel: Kernel, env: Mapping[Symbol, int]) -> list[str]:
    """The accesses of lowered loops that leave their operands for these sizes, turn by turn, but for those that depend on values."""
    sizes = [math.prod(dims.evaluate(s, env) for s in o.shape) for o in kernel.operands]
    found: list[str] = []

    def access(slot: int, static: Size, at: Mapping[Symbol, int]) -> None:
        place = dims.evaluate(static, at)
        if not 0 <= place < sizes[slot]:
            found.append(f"b{slot}[{place}] of {sizes[slot]}, from {static}")

    def values(roots: Sequence[Scalar], at: Mapping[Symbol, int]) -> None:
        for s in order(roots):
            if s.op == "fetch":
                slot, static, dynamic, masked = s.param
                if not dynamic and (not masked or _taken(s.args[-1], at)):
                    access(slot, static, at)

    def run(s: Statement, at: dict[Symbol, int]) -> None:
        match s:
            case Block(body):
                for inner in body:
                    run(inner, at)
            case For(index, _, _, body):
                (symbol,) = dims.symbols(index)
                for turn in range(dims.evaluate(s.first, at), dims.evaluate(s.end, at)):
                    run(body, {**at, symbol: turn})
            case If(condition, body):
                values([condition], at)
                if _taken(condition, at):
                    run(body, at)
            case Let(_, value):
                values([value], at)
            case Accumulate(_, _, value, other):
                values([value] if other is None else [value, other], at)
            case Store(slot, dynamic, static, value, _):
                values([value] if dynamic is None else [value, dynamic], at)
                if dynamic is None:
                    access(slot, static, at)

    run(block, dict(env))
    return found


def _taken(mask: Scalar, at: Mapping[Symbol, int]) -> bool:
    """Whether a mask of indices alone holds; one that reads memory is taken not to."""
    if any(s.op in ("fetch", "local", "load") for s in order((mask,))):
        return False
    return bool(run_scalar(mask, (), at))


# -- what lowered loops do ----------------------------------------------------------------------------------------------
_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "any": np.bitwise_or, "all": np.bitwise_and,
}  # fmt: skip
_LAST = np.iinfo(np.int64).max


def run_loops(block: Block, arrays: Sequence[np.ndarray], env: Mapping[Symbol, int]) -> None:
    """The statements one after the other, for every turn, on flat arrays: whatever kinds the loops are of."""
    with np.errstate(all="ignore"):
        _run(block, arrays, dict(env), {}, {})


def _run(s: Statement, arrays: Sequence[np.ndarray], at: dict[Symbol, int], known: dict[int, Any], best: dict[int, Any]) -> None:
    def value(root: Scalar) -> Any:
        return run_scalar(root, arrays, at, (), known)

    match s:
        case Block(body):
            for inner in body:
                _run(inner, arrays, at, known, best)
        case For(index, _, _, body):
            (symbol,) = dims.symbols(index)
            for turn in range(dims.evaluate(s.first, at), dims.evaluate(s.end, at)):
                _run(body, arrays, {**at, symbol: turn}, known, best)
        case If(condition, body):
            if value(condition):
                _run(body, arrays, at, known, best)
        case Let(name, root):
            known[name] = value(root)
        case Alloc(name, dtype, combine, _, beside):
            known[name], best[name] = (_LAST if combine.startswith("arg") else _start(combine, dtype)), (None, beside)
            if beside is not None:
                known[beside[0]] = _start(combine.removeprefix("arg"), beside[1])
        case Accumulate(name, combine, root, other):
            new, old = value(root), known[name]
            if combine == "recur":
                known[name] = value(other) * old + new
            elif combine.startswith("arg"):
                most, beside = best[name]
                ahead = most is None or (new > most if combine == "argmax" else new < most)
                if ahead or (new == most and value(other) < old):
                    known[name], best[name] = value(other), (new, beside)
                    if beside is not None:
                        known[beside[0]] = new
            else:
                known[name] = _COMBINED[combine](old, new)
        case Store(slot, dynamic, static, root, mode):
            place = _place(static, 0 if dynamic is None else value(dynamic), arrays[slot], at)
            new = value(root)
            arrays[slot][place] = _COMBINED[UPDATES[mode]](arrays[slot][place], new) if mode in UPDATES else new


def _start(combine: str, dtype: np.dtype) -> Any:
    if combine in ("sum", "any", "recur"):
        return dtype.type(0)
    if combine in ("prod", "all"):
        return dtype.type(1)
    low, high = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return dtype.type(low if combine == "max" else high)


def _place(static: Size, dynamic: Any, array: np.ndarray, at: Mapping[Symbol, int]) -> int:
    place = int(dims.evaluate(static, at)) + int(dynamic)
    assert 0 <= place < array.size, f"element {place} of {array.size}, from {static}"
    return place
