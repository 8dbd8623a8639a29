"""One LLVM module being written: the attributes its functions share, and out-of-line scalar math."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc import scalars as sc
from graphc.codegen.llvm.called import REGISTERS, convention, in_parts, most_lanes
from graphc.codegen.llvm.emit_scalar import Block as Lines
from graphc.codegen.llvm.emit_scalar import Function, Module, evaluate_all, llvm_type
from graphc.codegen.mathlib import Signature, expand
from graphc.target import Target


def fresh(lines: Lines) -> str:
    """A new SSA name."""
    return f"%v{next(lines.names)}"


class Unit:
    """One LLVM module being written: kernels once each, and out-of-line scalar math."""

    def __init__(self, target: Target, fma: bool = True) -> None:
        self.target = target
        self.product_target = target if fma else replace(target, has_fma=False)  # products write their multiply-adds themselves
        self.module = Module()
        self.kernel_attributes = ("nounwind", f'"prefer-vector-width"="{8 * target.vector_bytes}"')
        self.math_attributes = (*self.kernel_attributes, "noinline", "willreturn", "memory(none)")
        self.called: frozenset[Signature] = frozenset()
        """The functions of mathlib that loops call, too."""
        self.math_functions: dict[tuple[tuple[str, ...], tuple[np.dtype, ...], int], str] = {}

    def math_function(self, names: tuple[str, ...], dtypes: tuple[np.dtype, ...], lanes: int = 1) -> str:
        """The out-of-line copy of math functions of the same arguments, written once a module; several give a struct."""
        known = self.math_functions.get((names, dtypes, lanes))
        if known is not None:
            return known
        symbol = f"m.{'.'.join(names)}." + ".".join(d.name for d in dtypes) + (f".v{lanes}" if lanes > 1 else "")
        self.math_functions[names, dtypes, lanes] = symbol
        args = [sc.arg(k, d) for k, d in enumerate(dtypes)]
        roots = [expand(sc.math(name, *args), self.target) for name in names]
        lines = Lines()
        lines.current = "entry"
        results = evaluate_all(self.module, lines, self.target, roots, [f"%x{k}" for k in range(len(dtypes))], lanes)
        params = tuple([f"{llvm_type(d, lanes)} %x{k}" for k, d in enumerate(dtypes)])
        kinds = [llvm_type(r.dtype, lanes) for r in roots]
        kind, result = kinds[0], results[0]
        if len(roots) > 1:
            kind, result = f"{{ {', '.join(kinds)} }}", "poison"
            for k, (part, value) in enumerate(zip(kinds, results, strict=True)):
                result = lines.emit(f"insertvalue {kind} {result}, {part} {value}, {k}")
        lines.line(f"ret {kind} {result}")
        kept = convention(self.target, lanes * dtypes[0].itemsize)
        self.module.add(Function(symbol, params, lines.lines, self.math_attributes, kind, convention=kept))
        return symbol

    def call_math(self, lines: Lines, names: tuple[str, ...], dtypes: tuple[np.dtype, ...], args: Sequence[str], lanes: int) -> list[str]:
        """The values of math functions of the same arguments: a call, or a few of as many lanes as registers hold."""
        together = max(len(names), len(dtypes)) * max([d.itemsize for d in dtypes])
        part = most_lanes(lanes, together, REGISTERS * self.target.vector_bytes)
        given = list(zip(dtypes, args, strict=True))
        return in_parts(lines, given, lanes, part, dtypes[0], lambda x: self._called(lines, names, dtypes, x, part))

    def _called(self, lines: Lines, names: tuple[str, ...], dtypes: tuple[np.dtype, ...], args: Sequence[str], lanes: int) -> list[str]:
        result = llvm_type(dtypes[0], lanes)
        kind = result if len(names) == 1 else f"{{ {', '.join([result] * len(names))} }}"
        given = ", ".join(f"{llvm_type(d, lanes)} {x}" for d, x in zip(dtypes, args, strict=True))
        kept = convention(self.target, lanes * dtypes[0].itemsize)
        made = lines.emit(f"call {kept}{kind} @{self.math_function(names, dtypes, lanes)}({given})")
        return [made] if len(names) == 1 else [lines.emit(f"extractvalue {kind} {made}, {k}") for k in range(len(names))]
