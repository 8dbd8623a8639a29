"""One op being emitted: the helpers that the rules of emission are written with."""

from __future__ import annotations

import numpy as np

from graphc.codegen.llvm.llvm_text import Block, Module, literal, llvm_type, mangled
from graphc.dtypes import bool_
from graphc.scalars import Scalar, const
from graphc.target import Target


class Emission:
    """One op being emitted: the helpers its rule below is written with. A `kind` is a dtype; operands are names or literals."""

    __slots__ = ("block", "dtype", "lanes", "module", "s", "target")

    def __init__(self, module: Module, block: Block, target: Target, s: Scalar, lanes: int) -> None:
        self.module, self.block, self.target, self.s, self.lanes = module, block, target, s, lanes
        self.dtype = s.dtype

    @property
    def kind(self) -> str:
        """Of the operands: "f" float, "i" signed, "u" unsigned, "b" bool."""
        return (self.s.args[0].dtype if self.s.args else self.dtype).kind

    def type(self, dtype: np.dtype) -> str:
        """The LLVM type of a number of `dtype`, in lanes."""
        return llvm_type(dtype, self.lanes)

    def number(self, value: float | int | bool, dtype: np.dtype) -> str:
        """The constant `value` of `dtype`, the same in all lanes."""
        return literal(const(value, dtype), self.lanes)

    def two(self, instruction: str, a: str, b: str, dtype: np.dtype | None = None) -> str:
        """An instruction of two operands of the result's dtype, or of `dtype`."""
        return self.block.emit(f"{instruction} {self.type(self.dtype if dtype is None else dtype)} {a}, {b}")

    def select(self, c: str, a: str, b: str, dtype: np.dtype | None = None) -> str:
        """a where c is true, else b, in each lane."""
        kind = self.type(self.dtype if dtype is None else dtype)
        return self.block.emit(f"select {self.type(bool_)} {c}, {kind} {a}, {kind} {b}")

    def convert(self, instruction: str, a: str, source: np.dtype, dtype: np.dtype) -> str:
        """A conversion instruction from `source` to `dtype`."""
        return self.block.emit(f"{instruction} {self.type(source)} {a} to {self.type(dtype)}")

    def call(self, name: str, *operands: tuple[np.dtype, str], overloads: tuple[np.dtype, ...] = (), flag: str = "") -> str:
        """`llvm.name` of operands; `overloads` are the types in its name, by default the result's."""
        suffix = "".join(f".{mangled(d, self.lanes)}" for d in overloads or (self.dtype,))
        kinds = [self.type(d) for d, _ in operands]
        self.module.declare(f"declare {self.type(self.dtype)} @llvm.{name}{suffix}({', '.join(kinds)}{flag and ', i1'})")
        given = ", ".join(f"{k} {v}" for k, (_, v) in zip(kinds, operands))
        return self.block.emit(f"call {self.type(self.dtype)} @llvm.{name}{suffix}({given}{flag})")
