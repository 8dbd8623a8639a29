"""Compile a function of Scalars and run it over arrays, for the tests of emission and of vector math."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

import numpy as np

from graphc.codegen import jit
from graphc.codegen.llvm.emit_scalar import Block, Function, Module, evaluate, llvm_type
from graphc.codegen.mathlib import expand
from graphc.codegen.target import host
from graphc.dtypes import bool_, int8
from graphc.scalars import Scalar, arg
from graphc.target import Target

Body = Callable[..., Scalar]


def text_of(bodies: dict[str, tuple[Body, tuple[np.dtype, ...]]], target: Target, lanes: dict[str, int]) -> str:
    """A module with `void name(i64 n, ptr x0, ..., ptr y)`: y[i] = body(x0[i], ...) for i in steps of its lanes."""
    module = Module()
    for name, (body, dtypes) in bodies.items():
        root = expand(body(*[arg(k, d) for k, d in enumerate(dtypes)]), target)
        module.add(_loop(module, target, name, root, dtypes, lanes[name]))
    return module.text()


def _loop(module: Module, target: Target, name: str, root: Scalar, dtypes: tuple[np.dtype, ...], lanes: int) -> Function:
    block = Block()
    block.line("br label %loop")
    block.label("loop")
    memory = [llvm_type(int8 if d == bool_ else d, lanes) for d in (*dtypes, root.dtype)]
    block.line("%i = phi i64 [ 0, %entry ], [ %next, %END ]")
    inputs = []
    for k, (dtype, kind) in enumerate(zip(dtypes, memory)):
        place = block.emit(f"getelementptr {kind.split()[-1].rstrip('>')}, ptr %x{k}, i64 %i")
        value = block.emit(f"load {kind}, ptr {place}, align 1")
        inputs.append(block.emit(f"icmp ne {kind} {value}, zeroinitializer") if dtype == bool_ and lanes > 1 else value)
        if dtype == bool_ and lanes == 1:
            inputs[-1] = block.emit(f"icmp ne i8 {value}, 0")
    result = evaluate(module, block, target, root, inputs, lanes)
    if root.dtype == bool_:
        result = block.emit(f"zext {llvm_type(bool_, lanes)} {result} to {memory[-1]}")
    place = block.emit(f"getelementptr {memory[-1].split()[-1].rstrip('>')}, ptr %y, i64 %i")
    block.line(f"store {memory[-1]} {result}, ptr {place}, align 1")
    block.line(f"%next = add i64 %i, {lanes}")
    block.line("%more = icmp ult i64 %next, %n")
    block.line("br i1 %more, label %loop, label %end")
    latch = f"%{block.current}"
    block.label("end")
    block.line("ret void")
    params = ("i64 %n", *[f"ptr %x{k}" for k in range(len(dtypes))], "ptr %y")
    return Function(name, params, [line.replace("%END", latch) for line in block.lines], linkage="")


def undefined(code: bytes) -> set[str]:
    """The symbols that an object file of ELF for 64 bits, little endian, takes from elsewhere."""
    assert code[:6] == b"\x7fELF\x02\x01", code[:6]
    (sections,), (size, count) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<HH", code, 58)
    table = [struct.unpack_from("<IIQQQQII", code, sections + k * size) for k in range(count)]
    found = set()
    for _, kind, _, _, start, length, link, _ in table:
        if kind != 2:  # a table of symbols: name, info, other, section (0: none), value, size
            continue
        names = table[link][4]
        for at in range(start + 24, start + length, 24):  # the first is nobody's
            name, _, _, section, _, _ = struct.unpack_from("<IBBHQQ", code, at)
            if section == 0:
                found.add(code[names + name : code.index(b"\0", names + name)].decode())
    return found


class Vectorised:
    """Functions of arrays made from functions of Scalars: `Vectorised({"f": (body, dtypes)})["f"](*arrays)`."""

    def __init__(self, bodies: dict[str, tuple[Body, tuple[np.dtype, ...]]], target: Target | None = None, lanes: int | None = None):
        self.target = target or host()
        self.lanes = {name: lanes or max(1, min(self.target.lanes(d) for d in dtypes)) for name, (_, dtypes) in bodies.items()}
        self.dtypes = {name: dtypes for name, (_, dtypes) in bodies.items()}
        arguments = {name: [arg(k, d) for k, d in enumerate(dtypes)] for name, (_, dtypes) in bodies.items()}
        self.result = {name: body(*arguments[name]).dtype for name, (body, _) in bodies.items()}
        self.text = text_of(bodies, self.target, self.lanes)
        self.code = jit.compile_module(self.text, self.target, verify=True)
        self.loaded = jit.load(self.code)

    def __getitem__(self, name: str) -> Callable[..., np.ndarray]:
        lanes, dtypes = self.lanes[name], self.dtypes[name]
        call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (len(dtypes) + 1))(self.loaded.address(name))

        def run(*arrays: np.ndarray) -> np.ndarray:
            n = len(arrays[0])
            padded = -(-max(n, 1) // lanes) * lanes
            inputs = [np.ones(padded, d) for d in dtypes]
            for whole, given in zip(inputs, arrays):
                whole[:n] = given
            out = np.empty(padded, self.result[name])
            call(padded, *[a.ctypes.data for a in inputs], out.ctypes.data)
            return out[:n]

        run.keep = self  # type: ignore[attr-defined]  # the code lives as long as the function
        return run
